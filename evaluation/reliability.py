"""Whether a probability of 0.8 means that the label holds in eight sentences of ten."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from evaluation.figures import estimates
from evaluation.metrics import Bools, Floats, ratio, weights_or_ones
from evaluation.schema import Estimate, Reliability, ReliabilityBin

BINS = 10
"""Bins of equal width between 0 and 1."""


def wilson(passed: int, cases: int) -> Estimate:
    """A share with its 95 % score interval (E. B. Wilson, 1927)."""
    bounds: Any = binomtest(passed, cases).proportion_ci(confidence_level=0.95, method="wilson")
    return Estimate(value=passed / cases, low=float(bounds.low), high=float(bounds.high))


def brier_scores(truth: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """Mean squared distance of probability from truth per label, (labels,) or (draws, labels).

    G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950. Weights as in
    `evaluation.metrics`.
    """
    w = weights_or_ones(weights, len(truth))
    return np.asarray((w @ (scores - truth) ** 2) / w.sum(axis=-1)[..., np.newaxis])


def bin_of(scores: Floats) -> npt.NDArray[np.int64]:
    """Number of the bin that each probability falls into, from 0; 1 belongs to the last."""
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


def calibration_errors(truth: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """Expected calibration error per label, (labels,) or (draws, labels).

    The mean over sentences of how far mean probability and frequency lie apart in the sentence's bin (M. P. Naeini et
    al., "Obtaining well calibrated probabilities using Bayesian binning", 2015). Chance alone makes it positive, the
    more so the fewer the sentences.
    """
    w = weights_or_ones(weights, len(truth))
    membership = bin_of(scores)
    apart = [
        sum(
            np.abs(w[..., inside] @ (scores[inside, column] - truth[inside, column]))
            for inside in (membership[:, column] == number for number in range(BINS))
        )
        for column in range(truth.shape[1])
    ]
    total = w.sum(axis=-1)
    return np.stack([ratio(each, total) for each in apart], axis=-1)


def reliability(truth: Bools, scores: Floats, weights: Floats) -> list[Reliability]:
    """Calibration of each label; arrays (sentences, labels), weights (draws, sentences)."""
    brier = estimates(brier_scores(truth, scores), brier_scores(truth, scores, weights))
    error = estimates(calibration_errors(truth, scores), calibration_errors(truth, scores, weights))
    membership = bin_of(scores)
    found = []
    for column in range(truth.shape[1]):
        bins = []
        for number in range(BINS):
            inside = membership[:, column] == number
            if inside.any():
                bins.append(
                    ReliabilityBin(
                        low=number / BINS,
                        high=(number + 1) / BINS,
                        sentences=int(inside.sum()),
                        probability=float(scores[inside, column].mean()),
                        frequency=wilson(int(truth[inside, column].sum()), int(inside.sum())),
                    )
                )
        found.append(Reliability(brier=brier[column], calibration_error=error[column], bins=bins))
    return found
