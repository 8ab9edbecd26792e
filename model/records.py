"""The record: one annotated sentence, as the labelling guide (`data/annotations/GUIDE.md`) defines it."""

import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from model.errors import InputError, RecordError
from model.files import write_aside
from model.labels import LABELS, Label

Genre = Literal[
    "wire", "headline", "statement", "interview", "speech", "debate", "social", "analysis", "document", "minutes"
]
GENRES: tuple[Genre, ...] = get_args(Genre)

NearMiss = Literal[
    "done-harm",
    "danger-no-sender",
    "outsider-forecast",
    "protective-warning",
    "accusation",
    "urging-third-party",
    "drill",
    "refusal",
    "disagreement",
    "plain-negative",
    "retraction",
    "asking-support",
    "demand",
    "general-need",
    "ceremony",
    "routine-cooperation",
    "courtesy",
    "bare-noun",
    "opposing",
    "support-withdrawn",
    "plain-attribution",
    "opinion-think",
    "side-modal",
    "condition",
    "ability-could",
    "month-name",
    "approx-number",
    "reported-would",
    "open-question",
    "not-taken",
    "accused-of-stance",
]
"""The "does not count" line of the guide that a stance-free record illustrates."""
NEAR_MISSES: tuple[NearMiss, ...] = get_args(NearMiss)

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^\S(?:[^\n\r]*\S)?$")]
Span = Annotated[str, StringConstraints(min_length=1)]

MODEL_PREFIX = "model:"
"""Begins the annotator of a suggestion: the labels are those of a model, and nobody has read them."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Stance(_Strict):
    """One label that holds, with the spans that show it, each copied letter for letter from the text."""

    label: Label
    cue: Span | None = None
    holder: Span | None = None
    target: Span | None = None


class Record(_Strict):
    """One annotated sentence. `stances` has one entry per label that holds; an empty list is the judgement "none".

    With an annotator `model:VERSION` it is a suggestion, which nobody has read; `confidence` is then how sure the model
    is of its least certain label, 0 at the label's threshold and 1 at the ends.
    """

    text: Text
    stances: tuple[Stance, ...] = Field(strict=False)
    id: Span | None = None
    group: Span | None = None
    difficult: bool = False
    genre: Genre | None = None
    topic: Span | None = None
    region: Span | None = None
    decade: Annotated[str, StringConstraints(pattern=r"^\d{3}0s$")] | None = None
    near_miss: NearMiss | None = None
    origin: Span = "written"
    annotator: Span | None = None
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    note: Span | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        labels = [stance.label for stance in self.stances]
        if len(set(labels)) != len(labels):
            raise ValueError(f"stances: each label at most once, found {', '.join(labels)}")
        for index, stance in enumerate(self.stances):
            for name in ("cue", "holder", "target"):
                span = getattr(stance, name)
                if span is not None and span not in self.text:
                    raise ValueError(f"stances.{index}.{name}: {span!r} does not stand in the text letter for letter")
        if self.near_miss is not None and self.stances:
            raise ValueError("near_miss: only for a record without stances")
        if self.confidence is not None and self.suggested_by is None:
            raise ValueError(f"confidence: only for a suggestion, whose annotator is {MODEL_PREFIX}VERSION")
        return self

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that hold, in the project's column order."""
        present = {stance.label for stance in self.stances}
        return tuple(label for label in LABELS if label in present)

    @property
    def suggested_by(self) -> str | None:
        """The version of the model whose labels these are; None where they are a person's."""
        if self.annotator is None or not self.annotator.startswith(MODEL_PREFIX):
            return None
        return self.annotator.removeprefix(MODEL_PREFIX)

    def to_json(self) -> str:
        """One JSON line (without the line break); fields at their default are left out, required ones kept."""
        return json.dumps(
            {"text": self.text, "stances": [stance.model_dump() for stance in self.stances]}
            | self.model_dump(exclude_defaults=True, exclude={"text", "stances"}),
            ensure_ascii=False,
        )


def first_fault(error: ValidationError, whole: str = "record", tags: Container[str] = ()) -> tuple[str, str]:
    """Field and reason of the first thing that pydantic found wrong.

    Args:
        whole: the name for what lies in no one field.
        tags: names of a tagged union's members, which pydantic puts before the field.
    """
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part not in tags)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        field = "line"
    elif first["type"] == "value_error" and not field and ": " in message:
        field, message = message.split(": ", 1)
    given = first.get("input")
    if first["type"] not in ("value_error", "missing") and not isinstance(given, dict):
        message += f" (found {str(given)[:60]!r})"
    return field or whole, message


def parse_record(line: str, file: Path | str = "<record>", number: int = 1) -> Record:
    """One JSON line as a record.

    Raises:
        RecordError: with file, line, field and reason.
    """
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        raise RecordError(file, number, *first_fault(error)) from None


def json_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines of a UTF-8 file, blank ones left out.

    Raises:
        InputError: the file does not exist or cannot be read.
        RecordError: a line is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                try:
                    line = raw.decode("utf-8").strip()
                except UnicodeDecodeError as error:
                    raise RecordError(path, number, "line", f"not UTF-8 at byte {error.start}") from None
                if line:
                    yield number, line
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers from 1 and the JSON object of each line of a UTF-8 file, blank lines left out.

    Raises:
        InputError: the file does not exist or cannot be read.
        RecordError: a line is not UTF-8, not JSON, or JSON of another kind.
    """
    for number, line in json_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RecordError(path, number, "line", f"not JSON: {error}") from None
        if not isinstance(row, dict):
            raise RecordError(path, number, "line", f"expected a JSON object, found {type(row).__name__}")
        yield number, row


def spaced(text: str) -> str:
    """The text with single spaces: what tells whether two are the same."""
    return " ".join(text.split())


def read_texts(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Line numbers from 1, `text` and the whole object of each line of a JSONL file.

    Raises:
        InputError: the file cannot be read.
        RecordError: a line is no JSON object, or has no text that UTF-8 can hold.
    """
    for number, row in json_objects(path):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise RecordError(path, number, "text", f"expected a sentence, found {text!r:.60}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise RecordError(path, number, "text", f"half of a surrogate pair in {text!r:.60}") from None
        yield number, text, row


def read_records(path: Path) -> list[Record]:
    """All records of a JSONL file; the first wrong line raises `RecordError`."""
    return [parse_record(line, path, number) for number, line in json_lines(path)]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a JSONL file whole or not at all."""
    with write_aside(path) as stream:
        stream.writelines(record.to_json() + "\n" for record in records)
