"""Sentences that are learnt from beyond the dataset: none may be near to what measures the model."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from model.errors import InputError, RecordError
from model.records import Record, json_lines, parse_record, spaced
from training.annotations.check import read_benchmark
from training.annotations.near import Sentence, near_duplicates
from training.dataset import Annotations
from training.work import leads


def read_further(paths: Sequence[Path], known: Iterable[Record]) -> list[Record]:
    """Records of JSONL files; one that stands among the known ones or earlier in the files is left out.

    Raises:
        InputError: a file cannot be read, or has no records.
        RecordError: a line is no record, or is a model's suggestion that nobody has read.
    """
    seen = {spaced(record.text) for record in known}
    further = []
    for path in paths:
        number = 0
        for number, line in json_lines(path):
            record = parse_record(line, path, number)
            if record.suggested_by is not None:
                reason = f"expected who has read it, found {record.annotator!r}: nobody has"
                raise RecordError(path, number, "annotator", reason)
            if (text := spaced(record.text)) not in seen:
                seen.add(text)
                further.append(record)
        if not number:
            raise InputError(f"{path}: no records")
    return further


def apart(records: Sequence[Record], what: str, data: Annotations, benchmarks: Sequence[Path] = ()) -> list[Record]:
    """Those of `records` that are near to no sentence of dev, test or a benchmark; how many were not is told.

    Args:
        what: name of the records, for that message.

    Raises:
        InputError, RecordError: a benchmark cannot be read.
    """
    kept_out = [
        Sentence(record.text, "held out", str(record.id)) for split in ("dev", "test") for record in data.records[split]
    ]
    kept_out += [sentence for path in benchmarks for sentence in read_benchmark(path)]
    sentences = [*kept_out, *(Sentence(record.text, "beyond", "") for record in records)]
    near = {pair.later for pair in near_duplicates(sentences, len(kept_out)) if pair.earlier < len(kept_out)}
    kept = [record for at, record in enumerate(records, len(kept_out)) if at not in near]
    if leads():
        print(
            f"{len(kept)} {what}; {len(near)} more are near to held-out sentences and left out",
            file=sys.stderr,
        )
    return kept
