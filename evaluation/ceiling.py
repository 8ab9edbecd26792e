"""How well a person does: two readers of the same sentences, who did not see each other's labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evaluation.bootstrap import group_weights
from evaluation.examples import Sample
from evaluation.figures import figures
from evaluation.metrics import Bools
from evaluation.schema import Ceiling
from evaluation.scorer import Predicted
from model.labels import Label
from model.readings import load_readings
from model.records import json_objects

READINGS = "readings.jsonl"
SPLITS = ("train", "dev", "test")

Labels = frozenset[Label]
Pairs = Mapping[str, tuple[Labels, Labels]]
"""By the sentence's id, what the first reader (the writer) and the second, blind one said."""


def read_twice(annotations: Path) -> Pairs:
    """The pairs of readings of a dataset; none where it has no readings.

    Raises:
        RecordError: a line of the readings is wrong.
    """
    if not (annotations / READINGS).is_file():
        return {}
    ids = {row["id"] for split in SPLITS for _, row in json_objects(annotations / f"{split}.jsonl") if "id" in row}
    found = {key: read.independent for key, read in load_readings(annotations / READINGS, ids).items()}
    return {
        key: (frozenset(both[0].labels), frozenset(both[1].labels)) for key, both in found.items() if len(both) == 2
    }


def _matrix(given: Sequence[Labels], judges: Sequence[Label]) -> Bools:
    return np.array([[label in labels for label in judges] for labels in given])


def ceiling(sample: Sample, predicted: Predicted, pairs: Pairs) -> Ceiling | None:
    """The blind reader beside the model on the sentences that were read twice; None where there is none.

    Where the two readings differed, the final labels were settled by somebody who had seen both, so the reader's
    figures against them flatter; against the first reader's labels they do not.
    """
    kept = np.array([example.id in pairs for example in sample.examples])
    if not kept.any():
        return None
    examples = [example for example in sample.examples if example.id in pairs]
    first, blind = (_matrix([pairs[example.id][i] for example in examples], sample.judges) for i in (0, 1))
    truth, weights = sample.truth[kept], group_weights([example.group for example in examples])
    reader = Predicted(blind.astype(np.float64), blind)
    model = Predicted(predicted.scores[kept], predicted.holds[kept])
    return Ceiling(
        sentences=len(examples),
        reader=figures(truth, reader, weights, sample.judges),
        between_readers=figures(first, reader, weights, sample.judges),
        model=figures(truth, model, weights, sample.judges),
    )
