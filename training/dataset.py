"""The annotated dataset: three JSONL files of records, checked whole before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from model.errors import InputError, RecordError
from model.files import sha256_text
from model.labels import LABELS
from model.records import Record, json_lines, parse_record
from training.splits import SPLITS, Split, split_of

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("string"),
        "labels": datasets.List(datasets.Value("float32"), length=len(LABELS)),
    }
)
"""What training sees of a record: `labels` has 1.0 where a label holds, columns as `LABELS`."""


@dataclass(frozen=True)
class Annotations:
    """All records by split, and the digest of the whole."""

    records: dict[Split, list[Record]]
    sha256: str

    def counts(self) -> dict[str, int]:
        """Records per split."""
        return {split: len(self.records[split]) for split in SPLITS}


def load_annotations(folder: Path) -> Annotations:
    """Read and check `train.jsonl`, `dev.jsonl` and `test.jsonl`.

    Besides the record format this holds: every record has an id, unique over the splits, no text stands twice, and
    each record lies in the split that its group's hash gives.

    Raises:
        InputError: a file is missing or empty.
        RecordError: the first record that breaks a rule, with file, line, field and reason.
    """
    records: dict[Split, list[Record]] = {}
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    lines: list[str] = []
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        records[split] = []
        for number, line in json_lines(path):
            record = parse_record(line, path, number)
            where = f"{path}:{number}"
            if record.id is None:
                raise RecordError(path, number, "id", "missing")
            for field, key, seen in (("id", record.id, ids), ("text", " ".join(record.text.split()).casefold(), texts)):
                if key in seen:
                    raise RecordError(path, number, field, f"the same as in {seen[key]}")
                seen[key] = where
            belongs = split_of(record.group or record.id)
            if belongs != split:
                raise RecordError(path, number, "group", f"its hash belongs to {belongs}.jsonl, not {path.name}")
            records[split].append(record)
            lines.append(f"{split}\t{record.to_json()}")
        if not records[split]:
            raise InputError(f"{path}: no records")
    return Annotations(records, sha256_text(*lines))


def to_dataset(records: Sequence[Record]) -> datasets.Dataset:
    """Records as a `datasets.Dataset` of `FEATURES`; in memory, no cache, no loading script."""
    rows = [
        {"id": record.id, "text": record.text, "labels": [float(label in record.labels) for label in LABELS]}
        for record in records
    ]
    return datasets.Dataset.from_list(rows, features=FEATURES)
