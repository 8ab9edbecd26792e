"""Bytes to text: which encoding, and whether it is text at all."""

import codecs
import re

from serving.archive.documents import UnusableError
from serving.archive.extras import needs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOSTLY_ASCII = 0.1
_FOREIGN = re.compile(rb"[\x80-\xff]")
_SAMPLE = 1 << 16


def detect_encoding(sample: bytes) -> str:
    """Name of the encoding of a text that begins with `sample` (which may end inside a character).

    A byte order mark decides, then UTF-8 where it is valid. Text that is nearly all ASCII with a few other bytes is
    Windows-1252, as on the web (WHATWG Encoding Standard); statistics on so few bytes mostly guess wrong. Anything
    else is left to charset-normalizer.

    Raises:
        UnusableError: the bytes are no text in any encoding.
    """
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    if b"\0" not in sample:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(sample)
            return "utf-8"
        except UnicodeDecodeError:
            pass
        foreign = sum(byte > 127 for byte in sample)
        if foreign < _MOSTLY_ASCII * len(sample) and _decodes(sample, "cp1252"):
            return "cp1252"
    with needs("archive"):
        from charset_normalizer import from_bytes
    best = from_bytes(sample).best()
    if best is None:
        raise UnusableError("binary", "not text in any known encoding")
    return best.encoding


def decode(data: bytes, encoding: str | None) -> tuple[str, str]:
    """Text and the name of its encoding: the one given, or the one detected.

    Raises:
        UnusableError: the bytes are no text, or not in that encoding.
    """
    name = encoding or detect_encoding(_telling(data))
    try:
        return data.decode(name), name.removesuffix("-sig")
    except UnicodeDecodeError as error:
        raise UnusableError("not_text", f"not {name} at byte {error.start}") from None
    except UnicodeError as error:  # a codec that reads no text, such as "undefined"
        raise UnusableError("not_text", f"not {name}: {error}") from None


def _telling(data: bytes) -> bytes:
    """The part to judge by: what stands around the first byte that is not ASCII, which nearly all encodings share."""
    foreign = _FOREIGN.search(data)
    start = max(0, foreign.start() - _SAMPLE // 2) if foreign else 0
    start -= start % 4  # not amid a character of UTF-16 or UTF-32
    return data[start : start + _SAMPLE]


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
