"""One input to documents: a reader for each format, and the one place where a damaged input becomes a reject."""

import csv
import errno
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from model.errors import CommuniqueError
from serving.archive.documents import (
    EXCERPT,
    Document,
    Fields,
    Item,
    Kind,
    Reject,
    UnusableError,
    check_text,
    row_item,
)
from serving.archive.encoding import decode, detect_encoding
from serving.archive.inputs import Format, Input, Meter, open_streams
from serving.archive.parquet import read_parquet
from serving.archive.warc import read_warc

DOCUMENT_BYTES = 16 << 20
"""Longest document of its own file, and longest line of a JSONL or CSV file; longer ones are rejected, not read."""
_ESCAPED = re.compile("[\udc80-\udcff]")
"""What "surrogateescape" makes of a byte that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How inputs are read: the columns' names, and the encoding where it is not to be detected."""

    fields: Fields = field(default_factory=Fields)
    encoding: str | None = None


def read_input(source: Input, options: ReadOptions, meter: Meter) -> Iterator[Item]:
    """Everything in one input, in order. Where it breaks off, the last item is a reject that says why.

    What stood before the break has been read and stays. Of a zip file each member breaks off by itself; only one that
    expands without bound ends the file.

    Raises:
        SourceError: reading stopped for a reason that may pass.
    """
    name = source.name
    streams = open_streams(source, meter)
    while True:
        try:
            for name, kind, stream in streams:
                if isinstance(stream, Exception):
                    raise stream
                if kind is None:
                    yield Reject("input", "unknown_format", "its name tells no known format; --format names one", name)
                else:
                    yield from _READERS[kind](name, stream, options)
            return
        except UnusableError as error:
            yield Reject("input", error.code, error.reason, name)
            if error.code == "bomb":
                return
        except (CommuniqueError, MemoryError, AttributeError, NameError, TypeError):
            raise  # not the file's fault
        except Exception as error:
            # Foreign bytes meet a dozen foreign decoders here, each with exceptions of its own; one damaged file must
            # not end a run over a million, and it is named in the output with what the decoder said.
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            said = " ".join(str(error).split())[:EXCERPT] or type(error).__name__
            yield Reject("input", "broken", f"cannot be read further: {said}", name)
        # Next come the members after this one: none where `open_streams` itself failed, as it has ended then.


def lines(stream: io.BufferedReader) -> Iterator[tuple[int, bytes | None]]:
    """Line numbers from 1 and lines; None for a line longer than `DOCUMENT_BYTES`, passed over in bounded memory."""
    number = 0
    while line := stream.readline(DOCUMENT_BYTES):
        number += 1
        if len(line) == DOCUMENT_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(DOCUMENT_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, line


def _read_jsonl(name: str, stream: io.BufferedReader, options: ReadOptions) -> Iterator[Item]:
    encoding = options.encoding or "utf-8"  # JSON is UTF-8 (RFC 8259)
    for number, raw in lines(stream):
        if raw is None:
            reason = f"line: longer than {DOCUMENT_BYTES:,} bytes"
            yield Reject("document", "line_too_long", reason, name, number)
            continue
        try:
            line = raw.decode(encoding).removeprefix("\ufeff")
            if not line.strip():
                continue
            row = json.loads(line)
        except UnicodeDecodeError as error:
            yield Reject("document", "not_text", f"line: not {encoding.upper()} at byte {error.start}", name, number)
        except (ValueError, RecursionError) as error:
            yield Reject("document", "not_json", f"line: not JSON: {error}", name, number)
        else:
            if isinstance(row, dict):
                yield row_item(row, options.fields, name, number, encoding)
            else:
                reason = f"line: expected a JSON object, found {type(row).__name__}"
                yield Reject("document", "not_json", reason, name, number)


def _read_csv(name: str, stream: io.BufferedReader, options: ReadOptions) -> Iterator[Item]:
    """A CSV file with a header; the header tells the delimiter. A row with another number of cells is rejected."""
    sample = stream.peek(1 << 16)[: 1 << 16]
    encoding = options.encoding or detect_encoding(sample)
    # Undecodable bytes become lone surrogates, which are refused row by row.
    text = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")
    said = encoding.removesuffix("-sig")
    header_line = text.readline(DOCUMENT_BYTES)
    if not header_line.strip():
        raise UnusableError("no_header", "expected a header line, found none")
    csv.field_size_limit(DOCUMENT_BYTES)
    delimiter = max(",;\t", key=header_line.count)
    header = next(csv.reader([header_line], delimiter=delimiter))
    if options.fields.text not in header:
        columns = ", ".join(header)[:EXCERPT]
        raise UnusableError("no_column", f"no column {options.fields.text!r}; the header has {columns}")
    rows = csv.reader(iter(lambda: _csv_line(text), ""), delimiter=delimiter)
    while True:
        number = rows.line_num + 2
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnusableError("broken", f"line {number}: {error}; the rest cannot be told apart") from None
        if not cells:
            continue
        if len(cells) != len(header):
            reason = f"row: expected {len(header)} cells as in the header, found {len(cells)}"
            yield Reject("document", "wrong_row", reason, name, number)
            continue
        row = dict(zip(header, cells, strict=True))
        if undecoded := _undecoded(row, options.fields):
            reason = f"{undecoded} is not {said}; --encoding names another encoding"
            yield Reject("document", "not_text", reason, name, number)
        else:
            yield row_item(row, options.fields, name, number, said)


def _undecoded(row: dict[str, str], fields: Fields) -> str | None:
    """The first byte that could not be decoded, after the name of its field; of the fields that are read."""
    for column in fields.named:
        if found := _ESCAPED.search(row.get(column, "")):
            return f"{column}: byte 0x{ord(found[0]) - 0xDC00:X}"
    return None


def _csv_line(text: io.TextIOWrapper) -> str:
    line = text.readline(DOCUMENT_BYTES)
    if len(line) == DOCUMENT_BYTES:
        raise UnusableError("line_too_long", f"a line is longer than {DOCUMENT_BYTES:,} characters; not read further")
    return line


def _whole_file(kind: Kind) -> Callable[[str, io.BufferedReader, ReadOptions], Iterator[Item]]:
    """A reader of formats whose file is one document."""

    def read(name: str, stream: io.BufferedReader, options: ReadOptions) -> Iterator[Item]:
        data = stream.read(DOCUMENT_BYTES + 1)
        try:
            if len(data) > DOCUMENT_BYTES:
                raise UnusableError("too_long", f"longer than {DOCUMENT_BYTES:,} bytes, the most for one document")
            text, encoding = decode(data, options.encoding)
            yield Document(name, check_text(text), kind, name, None, None, None, encoding)
        except UnusableError as error:
            yield Reject("document", error.code, error.reason, name)

    return read


def _parquet(name: str, stream: io.BufferedReader, options: ReadOptions) -> Iterator[Item]:
    return read_parquet(name, stream, options.fields)


def _warc(name: str, stream: io.BufferedReader, options: ReadOptions) -> Iterator[Item]:
    return read_warc(name, stream)


_READERS: dict[Format, Callable[[str, io.BufferedReader, ReadOptions], Iterator[Item]]] = {
    "text": _whole_file("text"),
    "markdown": _whole_file("markdown"),
    "html": _whole_file("html"),
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _parquet,
    "warc": _warc,
}
