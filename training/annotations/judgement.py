"""What an annotation tool's task says of one sentence, and the record that follows from it.

Every format is reduced to a `Judgement`; here it becomes a record, the same way for all of them. In the tools

- a label is a choice or category named after it; `none` says that the annotator found no stance;
- a span is named `cue:threat`, `holder:threat`, `target:threat` and so on. A bare `cue`, `holder` or `target` will do
  where the sentence has one label, and a span named after a label is its cue;
- every field of a record that the format has no place for travels as the task's metadata.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from model.errors import RecordError
from model.labels import LABELS
from model.records import Record, parse_record

ROLES = ("cue", "holder", "target")
NONE = "none"
CHOICES = (*LABELS, NONE)
"""What an annotator chooses from."""

FIELDS = tuple(name for name in Record.model_fields if name not in ("text", "stances", "confidence"))
"""Fields of a record that travel as metadata. A model's confidence does not: what comes back is a person's."""


_Item = TypeVar("_Item")


class Skipped(Exception):
    """The task holds no judgement: the annotator left it aside. Not an error, but worth a line."""


class Faulty(Exception):
    """The task cannot be read."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class Span:
    """A stretch of the text, and the name that the tool gives it."""

    name: str
    text: str


@dataclass(frozen=True)
class Judgement:
    """A task in the tool's words. `labels` is None where the format has spans only, and they tell the labels."""

    text: str
    labels: Sequence[str] | None
    spans: Sequence[Span] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


def judgement_of(record: Record) -> Judgement:
    """A record in the words of the tools.

    A suggestion's annotator stays behind, so that what a person makes of it comes back without one.
    """
    spans = [
        Span(f"{role}:{stance.label}", found)
        for stance in record.stances
        for role in ROLES
        if (found := getattr(stance, role)) is not None
    ]
    labels = [stance.label for stance in record.stances]
    fields = record.model_dump(exclude_defaults=True, include=set(FIELDS))
    if record.suggested_by is not None:
        del fields["annotator"]
    return Judgement(record.text, labels or [NONE], spans, fields)


def known_fields(*sources: object) -> dict[str, Any]:
    """The fields of a record among a task's metadata; later sources win, whatever else stands there is left alone."""
    found: dict[str, Any] = {}
    for source in sources:
        if isinstance(source, dict):
            found |= {name: source[name] for name in FIELDS if source.get(name) is not None}
    return found


def list_of(kind: type[_Item], value: object, field: str) -> list[_Item]:
    """A list whose items are all of one kind; empty where nothing is given.

    Raises:
        Faulty: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(item, kind) for item in value):
        raise Faulty(field, f"expected a list of {kind.__name__}, found {str(value)[:60]!r}")
    return value


def slice_of(text: str, start: object, end: object) -> str:
    """The text from `start` to `end`.

    Raises:
        Faulty: the offsets lie outside the text, or are none.
    """
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
        raise Faulty("spans", f"expected offsets from 0 to {len(text)}, found {start!r} to {end!r}")
    return text[start:end]


def _named(name: str, labels: Sequence[str]) -> tuple[str, str]:
    """Role and label of a span's name, among the labels that hold."""
    parts = re.findall(r"[^\W_]+", name.casefold())
    roles = [part for part in parts if part in ROLES]
    given = [part for part in parts if part in LABELS]
    if len(roles) + len(given) != len(parts) or len(roles) > 1 or len(given) > 1 or not parts:
        raise Faulty("spans", f"expected a name such as cue:threat, holder, or a label, found {name!r}")
    if not given and len(labels) != 1:
        why = (
            f"which of {', '.join(labels)} it belongs to" if labels else "which label it belongs to, and none is given"
        )
        raise Faulty("spans", f"{name!r} does not say {why}; name it {name}:{(labels or LABELS)[0]}")
    return roles[0] if roles else "cue", given[0] if given else labels[0]


def _labels(judgement: Judgement) -> list[str]:
    if judgement.labels is None:
        named = [part for span in judgement.spans for part in re.findall(r"[^\W_]+", span.name.casefold())]
        return list(dict.fromkeys(part for part in named if part in LABELS))
    labels = [label.strip().casefold() for label in judgement.labels]
    for label in labels:
        if label not in CHOICES:
            raise Faulty("labels", f"expected some of {', '.join(CHOICES)}, found {label!r}")
    if NONE in labels and len(labels) > 1:
        raise Faulty("labels", f"`none` beside {', '.join(label for label in labels if label != NONE)}")
    return [label for label in labels if label != NONE]


def record_of(judgement: Judgement, path: Path, number: int) -> tuple[Record, list[str]]:
    """The record that a judgement makes, and what of the judgement a record cannot hold.

    Raises:
        RecordError: the judgement contradicts itself or breaks the record format.
    """
    left_out = []
    try:
        labels = _labels(judgement)
        stances: dict[str, dict[str, str]] = {label: {"label": label} for label in labels}
        for span in judgement.spans:
            role, label = _named(span.name, labels)
            if label not in stances:
                raise Faulty("spans", f"a {span.name!r} is marked, but the label {label} is not given")
            if role in stances[label] and stances[label][role] != span.text:
                left_out.append(f"a second {role} of {label}, {span.text!r}")
            stances[label].setdefault(role, span.text)
    except Faulty as error:
        raise RecordError(path, number, error.field, error.reason) from None
    fields = dict(judgement.fields)
    if stances:
        # The annotator found a stance in what was a near miss.
        fields.pop("near_miss", None)
    row = {"text": judgement.text.strip(" \t\r\n"), "stances": list(stances.values()), **fields}
    return parse_record(json.dumps(row), path, number), left_out
