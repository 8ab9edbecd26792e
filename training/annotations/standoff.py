"""Standoff annotations: judgements apart from their sentences, for text that may be read but not passed on.

A line is a record whose text is replaced by its SHA-256 and whose spans are replaced by offsets:

    {"sha256": "…", "stances": [{"label": "threat", "cue": [9, 21]}], "origin": "…", "annotator": "ada"}

Whoever has the text as well gets the records back. Digests and offsets are of the text with single spaces.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.errors import RecordError
from model.records import Record, json_objects, parse_record, spaced

_SPANS = ("cue", "holder", "target")


def detach(records: Iterable[Record]) -> Iterator[str]:
    """One JSON line a record, without its text and without its note, which may quote it.

    A span's offsets are those of the first place where it stands.
    """
    for record in records:
        text = spaced(record.text)
        row = json.loads(record.model_copy(update={"note": None}).to_json())
        del row["text"]
        row["stances"] = [
            {"label": stance.label}
            | {name: _place(span, text) for name in _SPANS if (span := spaced(getattr(stance, name) or ""))}
            for stance in record.stances
        ]
        yield json.dumps({"sha256": _digest(text)} | row, ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _place(span: str, text: str) -> list[int]:
    start = text.index(span)
    return [start, start + len(span)]


def attach(standoff: Path, texts: Iterable[str]) -> tuple[list[Record], int]:
    """The records of a standoff file whose text is among `texts`, in the file's order; how many have none there.

    Raises:
        InputError: the file cannot be read.
        RecordError: a line is not of its kind; with the text put back it must be a record.
    """
    rows = [(number, _digest_of(standoff, number, row), row) for number, row in json_objects(standoff)]
    wanted = {digest for _, digest, _ in rows}
    found = {digest: text for text in map(spaced, texts) if (digest := _digest(text)) in wanted}
    records = [_record(standoff, number, row, found[digest]) for number, digest, row in rows if digest in found]
    return records, len(rows) - len(records)


def _digest_of(file: Path, number: int, row: dict[str, Any]) -> str:
    digest = row.pop("sha256", None)
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise RecordError(file, number, "sha256", f"expected 64 hexadecimal digits, found {digest!r:.80}")
    if "text" in row:
        raise RecordError(file, number, "text", "expected none: the digest tells which it is")
    return digest


def _record(file: Path, number: int, row: dict[str, Any], text: str) -> Record:
    for stance in row["stances"] if isinstance(row.get("stances"), list) else ():
        for name in _SPANS if isinstance(stance, dict) else ():
            if stance.get(name) is not None:
                stance[name] = _slice(file, number, name, stance[name], text)
    return parse_record(json.dumps({"text": text} | row), file, number)


def _slice(file: Path, number: int, name: str, offsets: Any, text: str) -> str:
    match offsets:
        case [int(start), int(end)] if 0 <= start < end <= len(text):
            return text[start:end]
    raise RecordError(file, number, name, f"expected offsets [start, end] in the text, found {offsets!r:.60}")
