"""New records into the dataset, all of them or none."""

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model.errors import InputError, RecordError
from model.files import write_aside
from model.records import Record, json_lines, parse_record
from training.annotations.check import content_problems, read_benchmark
from training.annotations.near import Sentence
from training.dataset import Placed, Register, group_of, scan_annotations
from training.splits import SPLITS, Split, split_of


def id_of(text: str) -> str:
    """The id that a record without one gets: it follows the text, so adding twice is noticed."""
    return "c" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def _read(file: Path, annotator: str | None) -> tuple[list[Placed], list[RecordError]]:
    """The records of a file, with id, annotator and split filled in, and the problems of the others.

    A record that repeats an earlier one of the file is passed over: a correction may have been sent twice.
    """
    placed, problems, seen, repeated = [], [], set(), 0
    for number, line in json_lines(file):
        try:
            record = parse_record(line, file, number)
        except RecordError as error:
            problems.append(error)
            continue
        filled = {"id": record.id or id_of(record.text), "annotator": record.annotator or annotator}
        if record.suggested_by is not None and annotator is not None:
            filled |= {"annotator": annotator, "confidence": None}
        record = record.model_copy(update=filled)
        if record in seen:
            repeated += 1
            continue
        seen.add(record)
        placed.append(Placed(record, split_of(group_of(record)), file, number))
    if repeated:
        print(f"{file}: {repeated} passed over, each the same as an earlier record of the file", file=sys.stderr)
    return placed, problems


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else adds to the dataset: two that read the same files would write over each other's records."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add_records(
    file: Path, folder: Path, annotator: str | None = None, benchmarks: Sequence[Path] = ()
) -> tuple[dict[Split, int], list[RecordError]]:
    """Append the records of a JSONL file to the dataset, each to the split that its group's hash gives.

    Where there is any problem, in the file or in the dataset as it stands, nothing is written.

    Args:
        annotator: name for records that have none, and for suggestions: of the person who has read them.
        benchmarks: see `training.annotations.check.check_annotations`.

    Returns:
        How many records went where, and all problems; one of the two is empty.

    Raises:
        InputError: a file is missing or cannot be read, or there are suggestions and no `annotator`.
    """
    barred = [sentence for path in benchmarks for sentence in read_benchmark(path)]
    with _alone(folder):
        return _add(file, folder, annotator, barred)


def _add(
    file: Path, folder: Path, annotator: str | None, barred: Sequence[Sentence]
) -> tuple[dict[Split, int], list[RecordError]]:
    known, problems = scan_annotations(folder)
    if problems:
        return {}, problems
    register = Register()
    for placed in known:
        register.enter(placed.record, placed.path, placed.line)
    added, problems = _read(file, annotator)
    unread = [placed for placed in added if placed.record.suggested_by is not None]
    if unread:
        first, many = unread[0], "record" if len(unread) == 1 else "records"
        raise InputError(
            f"{first.path}:{first.line}: annotator: {first.record.annotator!r}: nobody has read the labels of "
            f"{len(unread)} suggested {many}; --annotator NAME says who has"
        )
    fresh = []
    for placed in added:
        found = register.enter(placed.record, placed.path, placed.line)
        problems += found
        if all(problem.field != "text" for problem in found):
            fresh.append(placed)
    problems += content_problems(fresh, barred, known)
    if problems:
        return {}, sorted(problems, key=lambda problem: problem.line)
    records: dict[Split, list[Record]] = {split: [] for split in SPLITS}
    for placed in added:
        records[placed.split].append(placed.record)
    _append(folder, {split: new for split, new in records.items() if new})
    return {split: len(new) for split, new in records.items()}, []


def _append(folder: Path, records: dict[Split, list[Record]]) -> None:
    """Write the grown files beside the old ones, and rename them only when all of them lie on the disk."""
    with ExitStack() as stack:
        for split, new in records.items():
            path = folder / f"{split}.jsonl"
            old = path.read_bytes().decode("utf-8")
            stream = stack.enter_context(write_aside(path))
            stream.write(old if not old or old.endswith("\n") else old + "\n")
            stream.writelines(record.to_json() + "\n" for record in new)
            # A full disk shows here, before the first rename, and not between two of them.
            stream.flush()
            os.fsync(stream.fileno())
