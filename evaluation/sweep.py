"""What another threshold would give."""

import numpy as np

from evaluation import metrics
from evaluation.metrics import Bools, Floats
from evaluation.schema import SweepPoint

THRESHOLDS = np.arange(1, 20) / 20


def sweep(truth: Bools, scores: Floats) -> list[list[SweepPoint]]:
    """For each label, precision, recall and F1 at each of `THRESHOLDS`; arrays (sentences, labels)."""
    rows = [
        np.stack([metric(truth, scores >= cut) for metric in _METRICS], axis=-1).tolist() for cut in THRESHOLDS.tolist()
    ]
    return [
        [
            SweepPoint(threshold=cut, precision=precision, recall=recall, f1=f1)
            for cut, (precision, recall, f1) in zip(THRESHOLDS.tolist(), column, strict=True)
        ]
        for column in zip(*rows, strict=True)
    ]


_METRICS = (metrics.precision_scores, metrics.recall_scores, metrics.f1_scores)
