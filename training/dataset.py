"""The annotated dataset: three JSONL files of records, checked whole before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt

from model.errors import InputError, RecordError
from model.files import sha256_text
from model.labels import LABELS
from model.records import Record, json_lines, parse_record, spaced
from training.splits import SPLITS, Split, split_of

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("string"),
        "labels": datasets.List(datasets.Value("float32"), length=len(LABELS)),
    }
)
"""What training sees of a record: `labels` has 1.0 where a label holds, columns as `LABELS`."""


def group_of(record: Record) -> str:
    """The group that decides the record's split: the one it names, else itself. Needs a record with an id."""
    return record.group or str(record.id)


@dataclass(frozen=True)
class Placed:
    """A record of the dataset, and where it stands."""

    record: Record
    split: Split
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Annotations:
    """All records by split, and the digest of the whole."""

    records: dict[Split, list[Record]]
    sha256: str

    def counts(self) -> dict[str, int]:
        """Records per split."""
        return {split: len(self.records[split]) for split in SPLITS}

    def all(self) -> list[Record]:
        """Every record, in the order of `SPLITS`."""
        return [record for split in SPLITS for record in self.records[split]]


class Register:
    """The ids and texts that stand in a dataset, so that none stands there twice."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def enter(self, record: Record, path: Path, line: int) -> list[RecordError]:
        """Enter a record with an id; the problems are an id or a text (letter case and spaces aside) met before."""
        problems = []
        folded = spaced(record.text).casefold()
        for field, key, seen in (("id", str(record.id), self._ids), ("text", folded, self._texts)):
            first = seen.setdefault(key, f"{path}:{line}")
            if first != f"{path}:{line}":
                problems.append(RecordError(path, line, field, f"the same as in {first}"))
        return problems


def scan_annotations(folder: Path) -> tuple[list[Placed], list[RecordError]]:
    """Every record that can be read, and every problem, in the order of the files.

    Besides the record format this holds: every record has an id, unique over the splits, no text stands twice, and
    each record lies in the split that its group's hash gives. A copy of an earlier text is a problem and is left out
    of the records.

    Raises:
        InputError: a file is missing.
    """
    placed: list[Placed] = []
    problems: list[RecordError] = []
    register = Register()
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        try:
            for number, line in json_lines(path):
                try:
                    record = parse_record(line, path, number)
                except RecordError as error:
                    problems.append(error)
                    continue
                if record.id is None:
                    problems.append(RecordError(path, number, "id", "missing"))
                    continue
                found = register.enter(record, path, number)
                belongs = split_of(group_of(record))
                if belongs != split:
                    reason = f"its hash belongs to {belongs}.jsonl, not {path.name}"
                    found.append(RecordError(path, number, "group", reason))
                problems += found
                if all(problem.field != "text" for problem in found):
                    placed.append(Placed(record, split, path, number))
        except RecordError as error:
            # Not UTF-8: what follows in this file cannot be told.
            problems.append(error)
    return placed, problems


def load_annotations(folder: Path) -> Annotations:
    """Read and check `train.jsonl`, `dev.jsonl` and `test.jsonl`; see `scan_annotations` for what is checked.

    Raises:
        InputError: a file is missing or empty.
        RecordError: the first record that breaks a rule, with file, line, field and reason.
    """
    placed, problems = scan_annotations(folder)
    if problems:
        raise problems[0]
    records: dict[Split, list[Record]] = {split: [] for split in SPLITS}
    for each in placed:
        records[each.split].append(each.record)
    for split in SPLITS:
        if not records[split]:
            raise InputError(f"{folder / f'{split}.jsonl'}: no records")
    return Annotations(records, sha256_text(*(f"{each.split}\t{each.record.to_json()}" for each in placed)))


def draw(records: Sequence[Record], count: int) -> list[Record]:
    """`count` of the records in their order, drawn by the hash of their ids: a smaller draw is part of a larger one.

    Raises:
        InputError: there are fewer.
    """
    if count > len(records):
        raise InputError(f"{count} records asked for, {len(records)} are there")
    chosen = set(sorted((str(record.id) for record in records), key=sha256_text)[:count])
    return [record for record in records if record.id in chosen]


def truth_of(records: Sequence[Record]) -> npt.NDArray[np.bool_]:
    """Which labels hold, bool array (records, 4)."""
    return np.array([[label in record.labels for label in LABELS] for record in records], dtype=bool).reshape(
        -1, len(LABELS)
    )


def to_dataset(records: Sequence[Record]) -> datasets.Dataset:
    """Records as a `datasets.Dataset` of `FEATURES`; in memory, no cache, no loading script."""
    rows = [
        {"id": record.id, "text": record.text, "labels": [float(label in record.labels) for label in LABELS]}
        for record in records
    ]
    return datasets.Dataset.from_list(rows, features=FEATURES)
