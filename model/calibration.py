"""From logits to calibrated probabilities to labels."""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from model.labels import LABELS, Label

Floats = npt.NDArray[np.float64]


class Platt(BaseModel):
    """Platt scaling of one label: probability = sigmoid(slope * logit + intercept).

    J. Platt, "Probabilistic outputs for support vector machines", 1999.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float
    intercept: float


def probabilities(logits: npt.NDArray[np.floating], calibration: dict[Label, Platt]) -> Floats:
    """Calibrated probabilities, float array (batch, 4), from logits of the same shape, columns as `LABELS`."""
    slopes = np.array([calibration[label].slope for label in LABELS])
    intercepts = np.array([calibration[label].intercept for label in LABELS])
    scaled = np.asarray(logits, dtype=np.float64) * slopes + intercepts
    # tanh form of the sigmoid: no overflow at either end.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled)))


def decide(scores: Floats, thresholds: dict[Label, float]) -> npt.NDArray[np.bool_]:
    """Which labels hold, bool array (batch, 4): probability at or above the label's threshold."""
    return np.asarray(scores >= np.array([thresholds[label] for label in LABELS]))
