"""Label Studio: a JSON array of tasks, as its "JSON" export writes and its import reads.

A labelling configuration that fits::

    <View>
      <Text name="text" value="$text"/>
      <Choices name="stance" toName="text" choice="multiple">
        <Choice value="threat"/> … <Choice value="none"/>
      </Choices>
      <Labels name="span" toName="text">
        <Label value="cue:threat"/> <Label value="holder:threat"/> <Label value="target:threat"/> …
      </Labels>
    </View>

A suggestion is written as a prediction, which the tool shows as a pre-annotation; only annotations are read.

The format: https://labelstud.io/guide/task_format, https://labelstud.io/guide/predictions
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from model.errors import InputError, RecordError
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


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The tasks of a file with their positions from 1.

    Raises:
        InputError, RecordError: the file is no JSON array of objects.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(tasks, list):
        raise InputError(f"{path}: expected a JSON array of tasks, found {type(tasks).__name__}")
    for number, task in enumerate(tasks, 1):
        if not isinstance(task, dict):
            raise RecordError(path, number, "task", f"expected an object, found {type(task).__name__}")
        yield number, task


def judge(task: dict[str, Any]) -> Judgement:
    """What a task says. Of several annotations the one marked as ground truth counts.

    Raises:
        Skipped: nobody has annotated it, or the annotations differ and none is the ground truth.
        Faulty: it is no task of this format.
    """
    data = task.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        raise Faulty("data.text", "expected the sentence; export as JSON, not as JSON-MIN, with the text as $text")
    annotations = list_of(dict, task.get("annotations"), "annotations")
    done = [given for given in annotations if not given.get("was_cancelled")]
    if not done:
        if annotations:
            raise Skipped("skipped by the annotator")
        raise Skipped("not annotated: predictions alone" if task.get("predictions") else "not annotated")
    done = [given for given in done if given.get("ground_truth")] or done
    fields = known_fields(data, task.get("meta"))
    judgements = [_annotation(data["text"], given, fields) for given in done]
    if any(other != judgements[0] for other in judgements[1:]):
        raise Skipped(f"{len(judgements)} annotations that differ: mark one as ground truth")
    return judgements[0]


def _annotation(text: str, annotation: dict[str, Any], fields: dict[str, Any]) -> Judgement:
    labels: list[str] = []
    spans: list[Span] = []
    for result in list_of(dict, annotation.get("result"), "annotations.result"):
        kind, value = result.get("type"), result.get("value")
        if kind not in ("choices", "labels"):
            continue
        if not isinstance(value, dict):
            raise Faulty("annotations.result.value", f"expected an object, found {value!r}")
        names = list_of(str, value.get(kind), f"annotations.result.value.{kind}")
        if kind == "choices":
            labels += names
        else:
            marked = value.get("text")
            # Old versions counted UTF-16 units, so that after an emoji the offsets do not fit; the copy does.
            if not isinstance(marked, str) or marked not in text:
                marked = slice_of(text, value.get("start"), value.get("end"))
            spans += [Span(name, marked) for name in names]
    return Judgement(text, labels, spans, fields)


def _task(record: Record) -> dict[str, Any]:
    given = judgement_of(record)
    common = {"to_name": "text", "origin": "manual" if record.suggested_by is None else "prediction"}
    choice = {"id": "stance", "from_name": "stance", "type": "choices", "value": {"choices": given.labels}}
    results = [choice | common]
    for span in given.spans:
        start = record.text.index(span.text)
        value = {"start": start, "end": start + len(span.text), "text": span.text, "labels": [span.name]}
        results.append({"id": span.name, "from_name": "span", "type": "labels", "value": value} | common)
    task = {"data": {"text": record.text}, "meta": given.fields}
    if record.suggested_by is None:
        return task | {"annotations": [{"result": results, "was_cancelled": False, "ground_truth": False}]}
    score = {} if record.confidence is None else {"score": record.confidence}
    return task | {"predictions": [{"model_version": record.suggested_by, **score, "result": results}]}


def write(stream: IO[str], records: Sequence[Record]) -> None:
    """Write the tasks, each with the record's judgement as its annotation, or a suggestion's as its prediction."""
    json.dump([_task(record) for record in records], stream, ensure_ascii=False, indent=1)
    stream.write("\n")
