"""`readings.jsonl`: what each reader said of a record, independently of the other."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from model.errors import InputError, RecordError
from model.labels import Label
from model.records import first_fault, json_lines

_Name = Annotated[str, StringConstraints(min_length=1)]


class Reading(BaseModel):
    """One line: the labels that one reader gave. With `settles` it decides between two earlier readings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: _Name
    reader: _Name
    labels: tuple[Label, ...] = Field(strict=False)
    settles: bool = False
    note: _Name | None = None


@dataclass
class Read:
    """The readings of one record: at most two independent ones, the writer's first, and at most one that settles."""

    independent: list[Reading] = field(default_factory=list)
    settled: Reading | None = None


def _parse(line: str, path: Path, number: int) -> Reading:
    try:
        reading = Reading.model_validate_json(line)
    except ValidationError as error:
        raise RecordError(path, number, *first_fault(error, "reading")) from None
    if len(set(reading.labels)) != len(reading.labels):
        raise RecordError(path, number, "labels", f"each label at most once, found {', '.join(reading.labels)}")
    return reading


def load_readings(path: Path, ids: set[str]) -> dict[str, Read]:
    """All readings by record id, in the order of the file.

    Args:
        ids: ids of the records; a reading of any other is refused.

    Raises:
        InputError: the file is missing or empty.
        RecordError: the first line that is wrong, with file, line, field and reason.
    """
    found: dict[str, Read] = {}
    for number, line in json_lines(path):
        reading = _parse(line, path, number)
        if reading.id not in ids:
            raise RecordError(path, number, "id", f"no record has it (found {reading.id!r})")
        read = found.setdefault(reading.id, Read())
        if reading.settles:
            if len(read.independent) < 2:
                raise RecordError(path, number, "settles", "expected after the two readings that it decides between")
            if read.settled is not None:
                raise RecordError(path, number, "settles", f"{reading.id!r} is settled already")
            read.settled = reading
            continue
        if any(other.reader == reading.reader for other in read.independent):
            raise RecordError(path, number, "reader", f"{reading.reader!r} has read {reading.id!r} already")
        if len(read.independent) == 2:
            raise RecordError(
                path, number, "id", f"{reading.id!r} has two readings already; a third needs `settles`: true"
            )
        read.independent.append(reading)
    if not found:
        raise InputError(f"{path}: no readings")
    return found
