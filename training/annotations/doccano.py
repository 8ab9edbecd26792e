"""doccano: JSON Lines, in the shapes that its projects export.

Read: text classification (`label`: names), sequence labelling (`label`: [start, end, name], or `entities` with
offsets when relations are on), intent detection and slot filling (`cats` and `entities`). Written: the last, which
alone has place for labels and spans. Extra keys are a task's metadata; comments become the record's note.

doccano has no pre-annotations: a suggestion's labels look like anyone's there, and its export does not tell what was
read. So `model:VERSION` stays the annotator in the metadata, and `communique annotations add` asks who read it.

The format: `backend/data_export` of https://github.com/doccano/doccano
"""

import json
from collections.abc import Sequence
from typing import IO, Any

from model.records import Record
from training.annotations.judgement import (
    Faulty,
    Judgement,
    Skipped,
    Span,
    judgement_of,
    known_fields,
    list_of,
    slice_of,
)


def _spans(text: str, given: object) -> list[Span]:
    found = []
    for entity in list_of(object, given, "entities"):
        if isinstance(entity, dict):
            start, end, name = entity.get("start_offset"), entity.get("end_offset"), entity.get("label")
        elif isinstance(entity, list) and len(entity) == 3:
            start, end, name = entity
        else:
            raise Faulty("entities", f"expected [start, end, label] or an object with offsets, found {entity!r}")
        found.append(Span(str(name), slice_of(text, start, end)))
    return found


def judge(task: dict[str, Any]) -> Judgement:
    """What a task says.

    Raises:
        Skipped: it has neither labels nor spans; doccano exports what nobody has looked at in the same way.
        Faulty: it is no task of this format.
    """
    text = task.get("text", task.get("data"))
    if not isinstance(text, str):
        raise Faulty("text", "expected the sentence")
    label = list_of(object, task.get("label"), "label")
    names = [each for each in label if isinstance(each, str)] + list_of(str, task.get("cats"), "cats")
    spans = _spans(text, [each for each in label if not isinstance(each, str)]) + _spans(text, task.get("entities"))
    if not names and not spans:
        raise Skipped("no label; a sentence without a stance needs the label `none`")
    comments = [comment for comment in list_of(object, task.get("Comments"), "Comments") if isinstance(comment, str)]
    note = {"note": " ".join(comments)} if comments else {}
    return Judgement(text, names or None, spans, known_fields(note, task.get("meta")))


def _task(record: Record) -> dict[str, Any]:
    given = judgement_of(record)
    entities = []
    for span in given.spans:
        start = record.text.index(span.text)
        entities.append([start, start + len(span.text), span.name])
    fields = dict(given.fields) if record.suggested_by is None else {**given.fields, "annotator": record.annotator}
    return {"text": record.text, "cats": given.labels, "entities": entities, "meta": fields}


def write(stream: IO[str], records: Sequence[Record]) -> None:
    """Write one task a record."""
    stream.writelines(json.dumps(_task(record), ensure_ascii=False) + "\n" for record in records)
