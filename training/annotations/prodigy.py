"""Prodigy: JSON Lines, as `db-out` writes and `db-in` reads: a multiple choice, with spans beside it.

A suggestion is written without an `answer`: the recipe that gets the file shows its labels and spans as chosen already.
(`db-in` is for finished annotations; it would write `accept` where there is no answer.)

The format: https://prodi.gy/docs/api-interfaces (`choice`, `spans_manual`, or both as `blocks`).
"""

import json
from collections.abc import Sequence
from typing import IO, Any

from model.records import Record
from training.annotations.judgement import (
    CHOICES,
    Faulty,
    Judgement,
    Skipped,
    Span,
    judgement_of,
    known_fields,
    list_of,
    slice_of,
)


def judge(task: dict[str, Any]) -> Judgement:
    """What a task says.

    Raises:
        Skipped: it was rejected, ignored or never answered, or it answers for one label alone.
        Faulty: it is no task of this format.
    """
    text, answer, accepted = task.get("text"), task.get("answer"), task.get("accept")
    if not isinstance(text, str):
        raise Faulty("text", "expected the sentence")
    if answer is None:
        raise Skipped("no `answer`: not annotated")
    if answer in ("reject", "ignore"):
        raise Skipped(f"answered with {answer}")
    if answer != "accept":
        raise Faulty("answer", f"expected accept, reject or ignore, found {answer!r}")
    spans = list_of(dict, task.get("spans"), "spans")
    if accepted is None and not spans:
        raise Skipped("no `accept`: a question about one label says nothing of the others")
    labels = None if accepted is None else list_of(str, accepted, "accept")
    marked = [Span(str(span.get("label")), slice_of(text, span.get("start"), span.get("end"))) for span in spans]
    return Judgement(text, labels, marked, known_fields(task.get("meta")))


def _task(record: Record) -> dict[str, Any]:
    given = judgement_of(record)
    spans = []
    for span in given.spans:
        start = record.text.index(span.text)
        spans.append({"start": start, "end": start + len(span.text), "label": span.name})
    task = {
        "text": record.text,
        "options": [{"id": choice, "text": choice} for choice in CHOICES],
        "accept": given.labels,
        "spans": spans,
        "meta": given.fields,
    }
    return task | {"answer": "accept"} if record.suggested_by is None else task


def write(stream: IO[str], records: Sequence[Record]) -> None:
    """Write one task a record: accepted, or unanswered if it is a suggestion."""
    stream.writelines(json.dumps(_task(record), ensure_ascii=False) + "\n" for record in records)
