"""Records from and to the files of annotation tools."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from model.errors import RecordError
from model.files import write_aside
from model.records import Record, json_objects
from training.annotations import doccano, label_studio, prodigy, sheet
from training.annotations.judgement import Faulty, Judgement, Skipped, record_of


@dataclass(frozen=True)
class Format:
    """How one tool's files are read, understood and written."""

    read: Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]
    judge: Callable[[dict[str, Any]], Judgement]
    write: Callable[[IO[str], Sequence[Record]], None]


@dataclass
class Imported:
    """What an import found: records; tasks without a judgement and things left out, a line each; faulty tasks."""

    records: list[Record] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[RecordError] = field(default_factory=list)


FORMATS = {
    "label-studio": Format(label_studio.read, label_studio.judge, label_studio.write),
    "prodigy": Format(json_objects, prodigy.judge, prodigy.write),
    "doccano": Format(json_objects, doccano.judge, doccano.write),
    "csv": Format(sheet.read, sheet.judge, sheet.write),
}


def import_records(name: str, path: Path) -> Imported:
    """Read a tool's file. Every task ends as a record, as a line of what was left out, or as a problem.

    Args:
        name: one of `FORMATS`.

    Raises:
        InputError: the file is not of the format at all.
    """
    kind, found = FORMATS[name], Imported()
    for number, task in kind.read(path):
        try:
            record, left_out = record_of(kind.judge(task), path, number)
        except Skipped as error:
            found.left_out.append(f"{path}:{number}: skipped: {error}")
        except Faulty as error:
            found.problems.append(RecordError(path, number, error.field, error.reason))
        except RecordError as error:
            found.problems.append(error)
        else:
            found.records.append(record)
            found.left_out += [f"{path}:{number}: left out: {what}" for what in left_out]
    return found


def export_records(name: str, records: Sequence[Record], path: Path) -> None:
    """Write records as a tool's file; importing it again gives the same records.

    Suggestions are written as what the tool shows for a person to accept or change, and come back once one has.

    Args:
        name: one of `FORMATS`.
    """
    with write_aside(path) as stream:
        FORMATS[name].write(stream, records)
