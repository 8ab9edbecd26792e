"""Per-label calibration and thresholds, fitted on dev."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from evaluation.metrics import best_f1_threshold
from model.calibration import Floats, Platt
from model.errors import InputError
from model.labels import LABELS, Label


def fit_calibration(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> dict[Label, Platt]:
    """Platt scaling per label from dev logits and truth, both (sentences, 4).

    The logits must come from the engine that will answer, so that its roundings are calibrated too.

    Raises:
        InputError: a label has no positive or no negative sentence on dev.
    """
    fitted: dict[Label, Platt] = {}
    for column, label in enumerate(LABELS):
        if truth[:, column].all() or not truth[:, column].any():
            raise InputError(f"dev split: {label}: needs sentences with and without it to be calibrated")
        # C: next to no regularisation; two parameters on hundreds of points need none.
        regression = LogisticRegression(C=1e4).fit(logits[:, [column]], truth[:, column])
        fitted[label] = Platt(slope=float(regression.coef_[0, 0]), intercept=float(regression.intercept_[0]))
    return fitted


def choose_thresholds(scores: Floats, truth: npt.NDArray[np.bool_]) -> dict[Label, float]:
    """The calibrated probability per label at which F1 on dev is best; arrays (sentences, 4)."""
    return {label: best_f1_threshold(truth[:, column], scores[:, column]) for column, label in enumerate(LABELS)}
