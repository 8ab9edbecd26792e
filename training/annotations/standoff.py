"""Standoff annotations: judgements apart from their sentences, for text that may be read but not passed on.

A line is a record whose text is replaced by its digest and whose spans are replaced by offsets:

    {"sha256": "…", "stances": [{"label": "threat", "cue": [9, 21]}], "origin": "…", "annotator": "ada"}

Whoever has the text as well gets the records back. Digests and offsets are of the text with single spaces.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.errors import RecordError
from model.files import sha256_text
from model.records import Record, json_objects, parse_record

_SPANS = ("cue", "holder", "target")


def detach(records: Iterable[Record]) -> Iterator[str]:
    """One JSON line a record, without its text; a span's offsets are those of the first place where it stands."""
    for record in records:
        text = _spaced(record.text)
        row = json.loads(record.to_json())
        del row["text"]
        row["stances"] = [
            {"label": stance.label}
            | {name: _place(getattr(stance, name), text) for name in _SPANS if getattr(stance, name)}
            for stance in record.stances
        ]
        yield json.dumps({"sha256": sha256_text(text)} | row, ensure_ascii=False)


def _place(span: str, text: str) -> list[int]:
    start = text.index(_spaced(span))
    return [start, start + len(_spaced(span))]


def attach(standoff: Path, texts: Iterable[str]) -> tuple[list[Record], int]:
    """The records of a standoff file whose text is among `texts`, in the file's order; how many have none there.

    Raises:
        InputError: the file cannot be read.
        RecordError: a line is not of its kind; with the text put back it must be a record.
    """
    rows = list(json_objects(standoff))
    wanted = {row.get("sha256") for _, row in rows}
    found = {digest: text for text in map(_spaced, texts) if (digest := sha256_text(text)) in wanted}
    records = []
    for number, row in rows:
        digest = row.pop("sha256", None)
        if not isinstance(digest, str) or len(digest) != 64:
            raise RecordError(standoff, number, "sha256", f"expected 64 hexadecimal digits, found {digest!r:.80}")
        if (text := found.get(digest)) is not None:
            records.append(_record(standoff, number, row, text))
    return records, len(rows) - len(records)


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


def _spaced(text: str) -> str:
    return " ".join(text.split())
