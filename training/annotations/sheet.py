"""CSV for spreadsheets: `text`, `labels` joined by `|`, one column a span (`threat_cue` …), one a further field.

A suggestion names its model in one more column, `suggested_by`, and leaves `annotator` for the name of who reads it.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from model.errors import InputError, RecordError
from model.labels import LABELS
from model.records import Record
from training.annotations.judgement import FIELDS, ROLES, Faulty, Judgement, Skipped, Span, judgement_of, known_fields

_SPANS = {f"{label}_{role}": f"{role}:{label}" for label in LABELS for role in ROLES}
COLUMNS = ("text", "labels", *_SPANS, *FIELDS, "suggested_by")
"""All columns; of these only `text` and `labels` are needed."""

_TRUTH = {"true": True, "false": False}


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with the number of the line where each ends.

    Raises:
        InputError: it cannot be read, or a column is missing or unknown.
        RecordError: a row has too many or too few cells.
    """
    try:
        # Excel begins UTF-8 files with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            header = rows.fieldnames or []
            for column in ("text", "labels"):
                if column not in header:
                    raise InputError(f"{path}:1: header: no column {column!r} (found {', '.join(header)})")
            for column in header:
                if column not in COLUMNS:
                    raise InputError(f"{path}:1: header: unknown column {column!r}; known are {', '.join(COLUMNS)}")
            for row in rows:
                if None in row or None in row.values():
                    raise RecordError(path, rows.line_num, "row", f"expected {len(header)} cells, as the header has")
                yield rows.line_num, row
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV in UTF-8: {error}") from None


def judge(row: dict[str, str]) -> Judgement:
    """What a row says.

    Raises:
        Skipped: the cell of labels is empty, or nobody has put a name to a suggestion.
        Faulty: there is no text.
    """
    if not row["text"].strip():
        raise Faulty("text", "expected the sentence")
    labels = [label for label in row["labels"].split("|") if label.strip()]
    if not labels:
        raise Skipped("no label; a sentence without a stance needs the label `none`")
    if row.get("suggested_by") and not (row.get("annotator") or "").strip():
        raise Skipped("a suggestion without a name in `annotator`: nobody has read it")
    spans = [Span(name, row[column]) for column, name in _SPANS.items() if row.get(column)]
    fields: dict[str, Any] = {name: value for name, value in known_fields(row).items() if value != ""}
    if "difficult" in fields:
        # What is neither stays as it is, for the record to refuse.
        fields["difficult"] = _TRUTH.get(fields["difficult"].casefold(), fields["difficult"])
    return Judgement(row["text"], labels, spans, fields)


def write(stream: IO[str], records: Sequence[Record]) -> None:
    """Write a header and one row a record."""
    suggested = any(record.suggested_by is not None for record in records)
    columns = COLUMNS if suggested else [column for column in COLUMNS if column != "suggested_by"]
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    column_of = {name: column for column, name in _SPANS.items()}
    for record in records:
        given = judgement_of(record)
        spans = {column_of[span.name]: span.text for span in given.spans}
        fields = {name: "true" if value is True else value for name, value in given.fields.items()}
        if record.suggested_by is not None:
            fields["suggested_by"] = record.suggested_by
        writer.writerow({"text": record.text, "labels": "|".join(given.labels or ()), **spans, **fields})
