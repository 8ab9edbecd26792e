"""Damaged and hostile inputs in one archive: nothing lost, nothing twice, and a clear word for each."""

import errno
import gzip
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from archives import contents, rejects, table
from test_archive_inputs import PAGE, jsonl, warc_record

from model.errors import InputError
from serving.archive.run import Settings, score_archive


def write_damaged(folder: Path) -> None:
    """One file for each fault; what can be read of it is named `good…`."""
    folder.mkdir()

    def good(*names: str) -> bytes:
        return b"".join(json.dumps({"id": f"good {name}", "text": "They may come."}).encode() + b"\n" for name in names)

    chance = random.Random(0)
    noise = jsonl(*(f"{chance.getrandbits(256):x} may come." for _ in range(300)))
    (folder / "whole.jsonl.gz").write_bytes(gzip.compress(good("1", "2")))
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(good("3") + noise)[:-3000])
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", good("4") + b"0" * (100 << 20))
    (folder / "line.jsonl").write_bytes(good("5") + b'{"text": "' + b"x" * (40 << 20) + b'"}\n' + good("6"))
    warc = b"".join(warc_record(number, PAGE.encode()) for number in (1, 2))
    (folder / "cut.warc").write_bytes(warc[:-100])
    rows = "".join(f"good row {n},Le café peut-être fermé may come.\n" for n in range(3000))
    (folder / "mixed.csv").write_bytes(
        f"id,text\n{rows}".encode() + "latin,Le café fermé.\n".encode("cp1252") + "good 7,Et après.\n".encode()
    )
    for name, encoding in (("latin.txt", "cp1252"), ("wide.txt", "utf-16")):
        (folder / name).write_bytes(
            "The ministry’s café denied it and the town of Besançon may agree.".encode(encoding)
        )
    (folder / "junk.txt").write_bytes(bytes(range(256)) * 40)


def test_every_fault_has_its_word_and_the_rest_is_scored_once(tmp_path: Path) -> None:
    write_damaged(tmp_path / "in")
    out = tmp_path / "out"
    found = score_archive([str(tmp_path / "in")], out, Settings())
    assert found.documents.balances and found.sentences.balances and not found.sentences.rejected
    told = Counter((Path(row["input"].partition("!")[0]).name, row["code"]) for row in rejects(out))
    assert told == {
        ("cut.jsonl.gz", "broken"): 1,
        ("bomb.zip", "bomb"): 1,
        ("line.jsonl", "line_too_long"): 1,
        ("cut.warc", "truncated"): 2,  # its record, and the file
        ("mixed.csv", "not_text"): 1,
        ("junk.txt", "binary"): 1,
    }
    documents = table(out, "documents").to_pylist()
    names = Counter(row["document"] for row in documents)
    good = {f"good {n}" for n in range(1, 8)} | {f"good row {n}" for n in range(3000)}
    assert good <= set(names) and max(names.values()) == 1
    read = {row["document"]: row["encoding"] for row in documents if row["document"].endswith(".txt")}
    assert {Path(name).name: encoding for name, encoding in read.items()} == {
        "latin.txt": "cp1252",
        "wide.txt": "utf-16",
    }
    assert found.documents.read == len(documents) + len(rejects(out))
    before = contents(out)
    score_archive([str(tmp_path / "in")], out, Settings())
    assert contents(out) == before


class Breaks(io.FileIO):
    """A file whose source fails after its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 0:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        return super().read(min(size or 0, 1 << 16))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_source_that_fails_is_no_reject_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lines = jsonl("They may come.") + b"\n" * (1 << 17)
    (tmp_path / name).write_bytes(gzip.compress(lines, 0) if name.endswith(".gz") else lines)
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("serving.archive.inputs._open", lambda path: Breaks(path))
        with pytest.raises(InputError, match=rf"{name}: cannot be read: .*reset by peer; .* the same command goes on"):
            score_archive([str(tmp_path / name)], out, Settings())
    assert not rejects(out)
    found = score_archive([str(tmp_path / name)], out, Settings())
    assert (found.documents.scored, found.documents.rejected) == (1, 0)


@pytest.mark.slow
def test_a_line_of_two_gigabytes_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "line.jsonl"
    with path.open("wb") as stream:
        stream.write(jsonl("Before.") + b'{"text": "')
        stream.seek(2 << 30, os.SEEK_CUR)  # a hole: reads as zeros, takes no room
        stream.write(b'"}\n' + json.dumps({"id": "after", "text": "After."}).encode() + b"\n")
    code = (
        "import resource, sys; from pathlib import Path; from serving.archive.run import Settings, score_archive\n"
        "out = Path(sys.argv[1]).parent\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "(out / 'small.jsonl').write_text('{\"text\": \"Before.\"}')\n"
        "score_archive([str(out / 'small.jsonl')], out / 'first', Settings())\n"
        "before = peak()\n"
        "score_archive([sys.argv[1]], out / 'out', Settings())\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert [(row["line"], row["code"]) for row in rejects(tmp_path / "out")] == [(2, "line_too_long")]
    assert table(tmp_path / "out")["document"].to_pylist() == ["d0", "after"]
    assert int(done.stdout) < 200  # MB
