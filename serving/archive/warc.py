"""WARC files (ISO 28500) as documents: one a web page."""

import io
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from serving.archive.documents import (
    Document,
    Item,
    PassedOver,
    Reject,
    UnusableError,
    check_text,
    parse_date,
    parse_source,
)
from serving.archive.encoding import decode
from serving.archive.extras import needs

PAGE_BYTES = 4 << 20
"""Longest page that is read; main-text extraction of a longer one takes minutes."""

_PAGES = {"text/html": "html", "application/xhtml+xml": "html", "text/plain": "text"}


class _Tail(io.BufferedIOBase):
    """A stream that remembers its last four bytes: a whole WARC file ends with two line breaks."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._at = 0
        self.last = b""

    def read(self, size: int | None = -1) -> bytes:
        data = self._stream.read(size)
        self._at += len(data)
        self.last = (self.last + data)[-4:]
        return data

    def tell(self) -> int:
        return self._at


def read_warc(name: str, stream: io.BufferedReader) -> Iterator[Item]:
    """The pages of a WARC file: response, resource and conversion records that hold HTML or plain text.

    A page's id is its WARC-Record-ID, its source the host, its date that of the capture. Requests, metadata, images
    and answers other than 200 are passed over.

    Raises:
        UnusableError: the file ends inside a record.
        OSError: its headers are not those of a WARC file.
    """
    with needs("archive"):
        from fastwarc.warc import ArchiveIterator
    tail = _Tail(stream)
    for number, record in enumerate(ArchiveIterator(tail, parse_http=False), 1):
        try:
            yield _page(name, number, record)
        except UnusableError as error:
            yield Reject("document", error.code, error.reason, name, number, _header(record, "WARC-Record-ID"))
    if tail.last != b"\r\n\r\n":
        raise UnusableError("truncated", "ends inside a record; what stood before it was read")


def _header(record: Any, name: str) -> str | None:
    value = record.headers.get(name)
    return value.strip("<>") if value else None


def _page(name: str, number: int, record: Any) -> Item:
    kind = _header(record, "WARC-Type") or "no type"
    if kind not in ("response", "resource", "conversion"):
        return PassedOver(kind)
    declared = record.content_length
    if declared > PAGE_BYTES:
        raise UnusableError("too_long", f"a record of {declared:,} bytes; at most {PAGE_BYTES:,} are read")
    record.freeze()
    if record.content_length < declared:
        raise UnusableError("truncated", f"holds {record.content_length:,} of the {declared:,} bytes it announces")
    if kind == "response" and record.is_http:
        record.parse_http(auto_decode="transfer")
        status = record.http_headers.status_code if record.http_headers else None
        if status != 200:
            return PassedOver(f"HTTP status {status}")
        media, charset = record.http_content_type, record.http_charset
        coding = (record.http_headers.get("Content-Encoding") or "identity").lower()
    else:
        media, charset, coding = (record.headers.get("Content-Type") or "").partition(";")[0].strip(), None, "identity"
    if media not in _PAGES:
        return PassedOver(media or "no content type")
    data = _decoded(record.reader.read(), coding)
    try:
        text, encoding = decode(data, charset)
    except (UnusableError, LookupError):  # servers often name a wrong charset
        text, encoding = decode(data, None)
    return Document(
        id=_header(record, "WARC-Record-ID") or f"{name}:{number}",
        text=check_text(text),
        kind="html" if _PAGES[media] == "html" else "text",
        input=name,
        line=number,
        source=_host(_header(record, "WARC-Target-URI")),
        date=parse_date(record.headers.get("WARC-Date"), "WARC-Date"),
        encoding=encoding,
    )


def _host(address: str | None) -> str | None:
    if address is None:
        return None
    try:
        host = urlsplit(address).hostname
    except ValueError as error:  # such as http://[a/
        raise UnusableError("wrong_address", f"WARC-Target-URI: no address: {error}") from None
    return parse_source(host, "WARC-Target-URI")


def _decoded(data: bytes, coding: str) -> bytes:
    """The page behind its Content-Encoding, bounded."""
    if coding == "identity":
        return data
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise UnusableError("coding", f"Content-Encoding {coding!r} is not read; gzip and deflate are")
    decoder = zlib.decompressobj(wbits=47)  # gzip or zlib, told by the header
    try:
        page = decoder.decompress(data, PAGE_BYTES + 1)
    except zlib.error as error:
        raise UnusableError("broken", f"Content-Encoding {coding}: {error}") from None
    if len(page) > PAGE_BYTES:
        raise UnusableError("bomb", f"{len(data):,} compressed bytes became more than {PAGE_BYTES:,}")
    return page
