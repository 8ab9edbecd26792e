"""Sentences that are learnt from beyond the dataset: none may be near to what measures the model."""

import sys
from collections.abc import Sequence
from pathlib import Path

from model.records import Record
from training.annotations.check import read_benchmark
from training.annotations.near import Sentence, near_duplicates
from training.dataset import Annotations
from training.work import leads


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
