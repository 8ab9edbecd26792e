"""Per-label calibration and thresholds, fitted on dev as running text would weigh it.

More than half of the annotated sentences carry a stance, since stances are what has to be learnt; running text has
fewer, so probabilities fitted to the plain dev split promise too much there and thresholds lie too low. The dataset
holds whole passages as well, every sentence labelled. Stance-free sentences of dev therefore count for as much as
makes their share that of the passages (prior correction by weighting: M. Saerens et al., "Adjusting the outputs of a
classifier to new a priori probabilities", 2002).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from evaluation.metrics import best_f1_threshold
from model.calibration import Floats, Platt
from model.errors import InputError
from model.labels import LABELS, Label
from model.records import Record
from training.dataset import group_of

PASSAGE = 8
"""Records of one group from which it is a passage, and not a set of contrasts."""


def running_text_weights(records: Sequence[Record]) -> Floats:
    """How much each record counts, float array (records,): 1 where it has a stance; all 1 without a passage."""
    groups = [group_of(record) for record in records]
    sizes = Counter(groups)
    in_passages = np.array([sizes[group] >= PASSAGE for group in groups])
    free = np.array([not record.stances for record in records])
    if not in_passages.any() or not free.any() or free.all() or free[in_passages].all():
        return np.ones(len(records))
    share = free[in_passages].mean()
    return np.where(free, share / (1 - share) * (~free).sum() / free.sum(), 1.0)


def fit_calibration(
    logits: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_], weights: Floats | None = None
) -> dict[Label, Platt]:
    """Platt scaling per label from dev logits and truth, both (sentences, 4), and weights, (sentences,).

    The logits must come from the engine that will answer, so that its roundings are calibrated too.

    Raises:
        InputError: a label has no positive or no negative sentence on dev.
    """
    fitted: dict[Label, Platt] = {}
    for column, label in enumerate(LABELS):
        if truth[:, column].all() or not truth[:, column].any():
            raise InputError(f"dev split: {label}: needs sentences with and without it to be calibrated")
        # C: next to no regularisation; two parameters on hundreds of points need none.
        regression = LogisticRegression(C=1e4).fit(logits[:, [column]], truth[:, column], sample_weight=weights)
        fitted[label] = Platt(slope=float(regression.coef_[0, 0]), intercept=float(regression.intercept_[0]))
    return fitted


def choose_thresholds(
    scores: Floats, truth: npt.NDArray[np.bool_], weights: Floats | None = None
) -> dict[Label, float]:
    """The calibrated probability per label at which F1 on dev is best; arrays (sentences, 4), weights (sentences,)."""
    return {
        label: best_f1_threshold(truth[:, column], scores[:, column], weights) for column, label in enumerate(LABELS)
    }
