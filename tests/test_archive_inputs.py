"""Reading archives: every format and compression, encodings, and what damaged or hostile files become."""

import csv
import datetime
import gzip
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from backports import zstd
from conftest import communique
from moto.server import ThreadedMotoServer
from pyarrow import parquet

from model.errors import InputError
from serving.archive import readers
from serving.archive.documents import Document, Fields, Item, PassedOver, Reject
from serving.archive.inputs import Input, Meter, list_inputs
from serving.archive.pages import running_text
from serving.archive.readers import ReadOptions, read_input

TEXT = "The ministry denied it. They may come."
PAGE = (
    "<html><head><title>T</title></head><body><nav>Home | About</nav><article><h1>Talks collapse in Bern</h1>"
    "<p>The ministry denied the report on Tuesday and called it invented from the first line to the last.</p>"
    "<p>Its envoys may return in the spring, a spokeswoman told reporters who waited outside.</p></article>"
    "<footer>Copyright</footer></body></html>"
)


def items(path: Path | str, fields: Fields | None = None, encoding: str | None = None) -> list[Item]:
    options = ReadOptions(fields or Fields(), encoding)
    return [item for source in list_inputs([str(path)]) for item in read_input(source, options, Meter())]


def one(path: Path | str, **options: object) -> Item:
    (item,) = items(path, **options)  # type: ignore[arg-type]
    return item


def warc_record(
    number: int,
    payload: bytes,
    kind: str = "response",
    head: str = "Content-Type: text/html",
    host: str = "news.example",
) -> bytes:
    block = f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + payload
    return (
        (
            f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
            f"WARC-Target-URI: https://{host}/{number}\r\nWARC-Date: 2024-05-0{number}T10:00:00Z\r\n"
            f"Content-Type: application/http;msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
        ).encode()
        + block
        + b"\r\n\r\n"
    )


def jsonl(*texts: str) -> bytes:
    return "".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(texts)).encode()


def parquet_bytes(**columns: list[object]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def csv_bytes(rows: list[list[str]], delimiter: str = ",") -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=delimiter).writerows(rows)
    return sink.getvalue().encode()


def zipped(data: bytes, name: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return sink.getvalue()


FORMATS: dict[str, bytes] = {
    "a.txt": TEXT.encode(),
    "a.md": TEXT.encode(),
    "a.html": PAGE.encode(),
    "a.jsonl": jsonl(TEXT),
    "a.csv": csv_bytes([["id", "text"], ["d0", TEXT]]),
    "a.tsv": csv_bytes([["id", "text"], ["d0", TEXT]], "\t"),
    "a.parquet": parquet_bytes(id=["d0"], text=[TEXT]),
    "a.warc": warc_record(1, PAGE.encode()),
}
COMPRESS: dict[str, Callable[[bytes, str], bytes]] = {
    "": lambda data, name: data,
    ".gz": lambda data, name: gzip.compress(data),
    ".zst": lambda data, name: zstd.compress(data),
    ".zip": zipped,
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_plain_and_compressed(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(COMPRESS[suffix](FORMATS[name], name))
    document = one(path)
    assert isinstance(document, Document), document
    text = running_text(document)
    assert text == TEXT or (text.count("\n\n") == 2 and "Copyright" not in text and "may return" in text)


def test_named_fields_give_text_id_date_and_source(tmp_path: Path) -> None:
    fields = Fields("body", "uid", "day", "outlet")
    row = {"body": TEXT, "uid": 7, "day": "2024-05-17T23:59:00+02:00", "outlet": "Wire One"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"day": "17/5"}) + "\n")
    (tmp_path / "b.csv").write_bytes(csv_bytes([list(row), list(map(str, row.values()))]))
    day = datetime.date(2024, 5, 17)
    (tmp_path / "c.parquet").write_bytes(parquet_bytes(body=[TEXT], uid=["7"], day=[day], outlet=["Wire One"]))
    first, wrong, second, third = items(tmp_path, fields)
    for found in (first, second, third):
        assert isinstance(found, Document)
        assert (found.id, found.text, found.date, found.source) == ("7", TEXT, day, "Wire One")
    assert isinstance(wrong, Reject) and wrong.message.endswith(
        "a.jsonl:2: day: expected a date such as 2024-05-17, found '17/5'"
    )


def test_folders_and_globs_are_listed_sorted_once_and_without_the_output(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "sub/c.jsonl", ".hidden.txt", ".git/x.txt", "out/part.parquet", "image.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = list_inputs([str(tmp_path), str(tmp_path / "*.txt")], leave_out=tmp_path / "out")
    assert [Path(item.name).relative_to(tmp_path).as_posix() for item in found] == [
        *("a.txt", "b.txt", "image.png", "sub/c.jsonl")
    ]
    unknown = next(iter(read_input(found[2], ReadOptions(), Meter())))
    assert isinstance(unknown, Reject) and unknown.code == "unknown_format"
    for nothing in ("nowhere/*.txt", "nowhere.txt", "out/../.git/../empty*"):
        with pytest.raises(InputError, match="no "):
            list_inputs([str(tmp_path / nothing)])


def test_a_glob_does_not_take_in_the_output_of_its_own_run(tmp_path: Path) -> None:
    for name in ("a.jsonl", "out/rejected.jsonl", "out/marks/1/2.jsonl", "outer/b.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = list_inputs([str(tmp_path / "**" / "*.jsonl")], leave_out=tmp_path / "out")
    assert [Path(item.name).name for item in found] == ["a.jsonl", "b.jsonl"]


def test_addresses_are_read_through_fsspec(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(jsonl(TEXT)))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        document = one(f"{address}/a.jsonl.gz")
        assert isinstance(document, Document) and (document.id, document.text) == ("d0", TEXT)
        with pytest.raises(InputError, match=r"nothing\.txt"):
            list_inputs([f"{address}/nothing.txt"])
        server.shutdown()
    assert isinstance(one(f"file://{tmp_path}/a.jsonl.gz"), Document)
    with pytest.raises(InputError, match="cannot be listed"):
        list_inputs(["nosuchscheme://x/y.txt"])


def test_a_bucket_is_listed_and_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The S3 protocol itself, spoken by moto's server on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            monkeypatch.setenv(name, value)
        store = fsspec.filesystem("s3")
        store.mkdir("wire")
        store.pipe("wire/2024/a.jsonl.gz", gzip.compress(jsonl(TEXT)))
        store.pipe("wire/2024/b.txt", TEXT.encode())
        assert [i.name for i in list_inputs(["s3://wire"])] == ["s3://wire/2024/a.jsonl.gz", "s3://wire/2024/b.txt"]
        done = communique("score", "s3://wire/**/*.gz", "--out", tmp_path / "scored")
        assert done.returncode == 0, done.stderr
        with pytest.raises(InputError, match=r"s3://nobody/x\.txt: "):
            list_inputs(["s3://nobody/x.txt"])
    finally:
        server.stop()


def test_folders_and_globs_of_an_object_store_are_listed_sorted() -> None:
    store = fsspec.filesystem("memory")
    for name in ("b.jsonl", "a.jsonl.gz", "deep/c.txt"):
        store.pipe(f"/archive/{name}", gzip.compress(jsonl(TEXT)) if name.endswith("gz") else jsonl(TEXT))
    try:
        listed = list_inputs(["memory://archive"])
        assert [source.name for source in listed] == [
            *("memory:///archive/a.jsonl.gz", "memory:///archive/b.jsonl", "memory:///archive/deep/c.txt")
        ]
        assert [source.size for source in listed] == [store.size(source.name) for source in listed]
        assert list_inputs(["memory://archive/*.jsonl*"]) == listed[:2]
        first, second, third = items("memory://archive")
        assert isinstance(first, Document) and isinstance(second, Document) and isinstance(third, Document)
        assert first.text == second.text == TEXT
        assert (first.input, third.id) == (listed[0].name, listed[2].name)
        with pytest.raises(InputError, match="no files there"):
            list_inputs(["memory://archive/*.warc"])
    finally:
        store.rm("/archive", recursive=True)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Hélène Carpentras told reporters."),
        ("utf-8-sig", "Hélène Carpentras told reporters."),
        ("utf-16", "Hélène Carpentras told reporters."),
        ("cp1252", "The ministry’s café said “non” and nothing else happened in the city of Besançon."),
        ("cp1251", "Министерство иностранных дел отрицает все обвинения в свой адрес."),
        ("gb18030", "外交部否认了这一说法。外交部发言人表示，相关报道完全不符合事实。"),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_encodings_are_detected_and_said(tmp_path: Path, encoding: str, text: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes((f"id,text\r\nd,{text}\r\n" if suffix == ".csv" else text).encode(encoding))
    document = one(path)
    assert isinstance(document, Document)
    assert document.text == text
    assert document.encoding.replace("_", "-") == encoding.removesuffix("-sig")


@pytest.mark.parametrize(
    ("encoding", "passage"),
    [
        ("utf-8", "The café “non” opened. "),
        ("cp1252", "The café “non” opened. "),
        ("cp1251", "Министерство отрицает все обвинения. "),
        ("utf-16-le", "The café “non” opened. "),
    ],
)
def test_a_text_that_begins_with_pages_of_ascii_is_judged_by_what_follows(
    tmp_path: Path, encoding: str, passage: str
) -> None:
    text = "The ministry denied it. " * 4000 + passage * 2000
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    document = one(tmp_path / "a.txt")
    assert isinstance(document, Document)
    assert (document.encoding.replace("_", "-"), document.text) == (encoding, text)


def test_a_csv_row_in_another_encoding_than_its_beginning_is_rejected_and_the_way_out_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"{number},The ministry denied it.,x\r\n" for number in range(4000))
    path.write_bytes(f"id,text,desk\r\n{rows}a,caf\xe9,x\r\nb,Fine.,caf\xe9\r\nc\xe9,Fine.,x\r\n".encode("cp1252"))
    found = items(path)
    assert [item.id for item in found[4000:] if isinstance(item, Document)] == ["b"]  # its desk is not read
    assert [(item.code, item.message) for item in found if isinstance(item, Reject)] == [
        ("not_text", f"{path}:4002: text: byte 0xE9 is not utf-8; --encoding names another encoding"),
        ("not_text", f"{path}:4004: id: byte 0xE9 is not utf-8; --encoding names another encoding"),
    ]
    assert all(isinstance(item, Document) for item in items(path, encoding="cp1252"))


def test_a_wrong_row_is_rejected_with_its_place_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = [
        b'{"text": "cut off',
        b"[1]",
        b'{"txt": "x"}',
        b'{"text": 3}',
        b'{"text": " "}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800 half"}',
        b'{"text": "' + b"\\u0001" * 9 + b'"}',
        b"[" * 100_000,
    ]
    path.write_bytes(b"\n".join([jsonl("One.").strip(), *bad, jsonl("Two.").strip()]) + b"\n\n")
    found = items(path)
    assert [item.text for item in found if isinstance(item, Document)] == ["One.", "Two."]
    rejects = [item for item in found if isinstance(item, Reject)]
    assert [reject.line for reject in rejects] == list(range(2, 11))
    assert [reject.code for reject in rejects] == [
        *("not_json", "not_json", "no_text", "no_text", "empty", "not_text", "not_text", "binary", "not_json")
    ]
    assert all("\n" not in reject.message and len(reject.message) < 400 for reject in rejects)


def test_a_csv_row_with_another_number_of_cells_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id;text\n1;"Two\nlines; one cell."\n2;a;b\n3;Fine.\n4;caf\xe9\n', encoding="utf-8")
    found = items(path)
    assert [(i.line, i.text) for i in found if isinstance(i, Document)] == [
        *((2, "Two\nlines; one cell."), (5, "Fine."), (6, "café"))
    ]
    (wrong,) = (item for item in found if isinstance(item, Reject))
    assert (wrong.line, wrong.code) == (4, "wrong_row")


def test_a_single_huge_line_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.jsonl"
    with path.open("wb") as stream:
        stream.write(jsonl("Before."))
        stream.seek(2 << 30, os.SEEK_CUR)  # two gigabytes of NUL that take no room on disk
        stream.write(b"\n" + jsonl("After."))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = items(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert [getattr(item, "text", None) or item.code for item in found] == ["Before.", "line_too_long", "After."]  # type: ignore[union-attr]
    assert grown < 200_000  # kilobytes


def test_a_document_or_csv_line_beyond_the_bound_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "DOCUMENT_BYTES", 1000)
    (tmp_path / "a.txt").write_text("x" * 1001)
    (tmp_path / "b.csv").write_text("text\nFine.\n" + "y" * 2000 + "\nnever read\n")
    long_text, fine, long_line = items(tmp_path)
    assert isinstance(long_text, Reject) and long_text.code == "too_long"
    assert isinstance(fine, Document)
    assert isinstance(long_line, Reject) and (long_line.level, long_line.code) == ("input", "line_too_long")


@pytest.mark.parametrize(
    "junk", [os.urandom(5000), bytes(range(256)) * 50, b"\x00" * 5000, b"\x7fELF\x02\x01" + b"\0\1" * 999]
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.html", "a.jsonl", "a.parquet", "a.warc"])
def test_binary_junk_is_rejected_whatever_it_is_called(tmp_path: Path, name: str, junk: bytes) -> None:
    (tmp_path / name).write_bytes(junk)
    found = items(tmp_path / name)
    assert found and all(isinstance(item, Reject) for item in found)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".zip"])
def test_a_bomb_ends_as_one_reject(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](jsonl("Before.") + b"0" * (100 << 20), "a.jsonl"))
    assert path.stat().st_size < 1 << 20
    found = items(path)
    assert isinstance(found[0], Document)
    assert isinstance(found[-1], Reject) and found[-1].code == "bomb"
    assert "taken for a bomb" in found[-1].reason


def test_what_stands_before_the_damage_in_a_gz_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    lines = jsonl(*(f"Sentence {n} {os.urandom(8).hex()}." for n in range(20_000)))
    whole = gzip.compress(lines)
    for damaged in (
        whole[: len(whole) // 2],
        whole[: len(whole) // 2] + b"\0" * 5000 + whole[len(whole) // 2 + 5000 :],
    ):
        path.write_bytes(damaged)
        found = items(path)
        assert sum(isinstance(item, Document) for item in found) > 1000
        assert isinstance(found[-1], Reject) and (found[-1].level, found[-1].code) == ("input", "broken")
    path.write_bytes(b"not gzip at all")
    assert "not those of a .gz file" in one(path).reason  # type: ignore[union-attr]


@pytest.mark.parametrize("suffix", [".zip", ".zst"])
def test_other_damaged_archives_are_named(tmp_path: Path, suffix: str) -> None:
    whole = COMPRESS[suffix](jsonl(*(os.urandom(20).hex() for _ in range(5000))), "a.jsonl")
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    found = items(path)
    assert isinstance(found[-1], Reject) and found[-1].level == "input"


def test_a_zip_gives_its_members_and_opens_no_archive_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.txt", "One.")
        archive.writestr("two.jsonl", jsonl("Two."))
        archive.writestr("what.bin", b"\0")
        archive.writestr("inner.zip", zipped(b"x", "x.txt"))
    first, second, unknown, nested = items(path)
    assert isinstance(first, Document) and first.id == f"{path}!one.txt"
    assert isinstance(second, Document) and second.text == "Two."
    assert [item.code for item in (unknown, nested) if isinstance(item, Reject)] == ["unknown_format", "nested"]


def test_a_bad_member_of_a_zip_is_named_and_those_after_it_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "One.")
        archive.writestr("codes.csv", "code,name\n1,x\n")
        archive.writestr("old.gz", gzip.compress(b"x"))
        archive.writestr("damaged.txt", "Damaged.")
        archive.writestr("locked.txt", "Locked.")
        archive.writestr("b.txt", "Two.")
        archive.filelist[4].flag_bits |= 1  # says that it is encrypted
    path.write_bytes(path.read_bytes().replace(b"Damaged.", b"damaged."))
    found = items(path)
    assert [item.text for item in found if isinstance(item, Document)] == ["One.", "Two."]
    assert [(item.level, item.code, item.input) for item in found if isinstance(item, Reject)] == [
        ("input", "no_column", f"{path}!codes.csv"),
        ("input", "nested", f"{path}!old.gz"),
        ("input", "broken", f"{path}!damaged.txt"),
        ("input", "broken", f"{path}!locked.txt"),
    ]


def test_a_truncated_warc_gives_what_is_whole_and_says_where_it_ends(tmp_path: Path) -> None:
    whole = b"".join(warc_record(number, PAGE.encode()) for number in (1, 2, 3))
    third = len(whole) // 3
    for cut in (1, 3, 60, len(PAGE) + 4, len(PAGE) + 40, third - 3, third - 100):
        path = tmp_path / "a.warc"
        path.write_bytes(whole[:-cut])
        found = items(path)
        documents = [item for item in found if isinstance(item, Document)]
        assert len(documents) == (3 if cut <= 4 else 2), cut
        assert all("</html>" in document.text for document in documents)
        assert isinstance(found[-1], Reject) and found[-1].code in ("truncated", "broken"), cut


def test_warc_pages_have_host_and_date_and_other_records_are_counted(tmp_path: Path) -> None:
    deflated = gzip.compress(PAGE.encode())
    (tmp_path / "a.warc.gz").write_bytes(
        b"".join(
            gzip.compress(record)
            for record in (
                warc_record(1, PAGE.encode()),
                warc_record(2, b"\x89PNG", head="Content-Type: image/png"),
                warc_record(3, deflated, head="Content-Type: text/html\r\nContent-Encoding: gzip"),
                warc_record(
                    4, gzip.compress(b"0" * (64 << 20)), head="Content-Type: text/html\r\nContent-Encoding: gzip"
                ),
                warc_record(5, b"x", kind="request"),
                warc_record(6, "café".encode("cp1252") * 9, head="Content-Type: text/plain; charset=windows-1252"),
            )
        )
    )
    page, image, packed, bomb, request, plain = items(tmp_path)
    assert isinstance(page, Document) and (page.source, page.date) == ("news.example", datetime.date(2024, 5, 1))
    assert page.id == "urn:uuid:1"
    assert isinstance(packed, Document) and packed.text == PAGE
    assert isinstance(bomb, Reject) and bomb.code == "bomb"
    assert isinstance(image, PassedOver) and isinstance(request, PassedOver)
    assert isinstance(plain, Document) and plain.text.startswith("café")


def test_an_odd_record_of_a_warc_does_not_cost_the_records_after_it(tmp_path: Path) -> None:
    page = PAGE.encode()
    (tmp_path / "a.warc").write_bytes(
        warc_record(1, page, host="[a")
        + warc_record(2, page, host="a]b")
        + warc_record(3, page, head="Content-Type: text/html; charset=undefined")
        + warc_record(4, page, host="spam." * 40 + "example")
        + warc_record(5, page)
    )
    first, second, undefined, long, last = items(tmp_path)
    assert isinstance(undefined, Document) and (undefined.text, undefined.encoding) == (PAGE, "utf-8")
    assert isinstance(last, Document) and last.id == "urn:uuid:5"
    rejects = [(item.level, item.code, item.line) for item in (first, second, long) if isinstance(item, Reject)]
    assert rejects == [
        *(("document", "wrong_address", 1), ("document", "wrong_address", 2), ("document", "long_source", 4))
    ]


def test_a_file_that_cannot_be_opened_is_an_input_reject() -> None:
    found = list(read_input(Input("/nowhere/a.txt", 1, "text"), ReadOptions(), Meter()))
    assert [(item.level, item.code) for item in found if isinstance(item, Reject)] == [("input", "broken")]
