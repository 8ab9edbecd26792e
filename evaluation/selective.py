"""What leaving the unsure sentences to a person buys: risk against coverage.

R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", 2010; area under the curve as in
Y. Geifman et al., "Bias-reduced uncertainty estimation for deep neural classifiers", 2019.
"""

import numpy as np

from evaluation.figures import estimates
from evaluation.metrics import Bools, Floats, ratio, weights_or_ones
from evaluation.schema import CoveragePoint, RiskCoverage
from evaluation.scorer import Predicted

COVERAGES = np.arange(1, 21) / 20


def confidence(predicted: Predicted) -> Floats:
    """Probability that the whole label set is right, were the labels independent, (sentences,)."""
    return np.asarray(np.where(predicted.holds, predicted.scores, 1 - predicted.scores).prod(axis=1))


def _curve(wrong: Bools, sure: Floats, weights: Floats | None) -> tuple[Floats, Floats, Floats]:
    """Weight, share covered and risk after each sentence, surest first, each (sentences,) or (draws, sentences)."""
    order = np.argsort(-sure, kind="stable")
    w = weights_or_ones(weights, len(wrong))[..., order]
    covered = np.cumsum(w, axis=-1)
    return w, covered / covered[..., -1:], ratio(np.cumsum(w * wrong[order], axis=-1), covered)


def risks(wrong: Bools, sure: Floats, weights: Floats | None = None) -> Floats:
    """Share of wrong sentences among the surest, for each of `COVERAGES`, (20,) or (draws, 20).

    Args:
        wrong: bool array (sentences,).
        sure: the confidence, float array (sentences,).
        weights: as in `evaluation.metrics`.
    """
    _, share, risk = _curve(wrong, sure, weights)
    # The first sentence with which the coverage is reached; the small number allows for rounding.
    at = np.stack([np.argmax(share >= coverage - 1e-9, axis=-1) for coverage in COVERAGES], axis=-1)
    return np.take_along_axis(risk, at, axis=-1)


def area(wrong: Bools, sure: Floats, weights: Floats | None = None) -> Floats:
    """Area under the risk–coverage curve: the mean risk over all coverages, () or (draws,)."""
    w, _, risk = _curve(wrong, sure, weights)
    return np.asarray((w * risk).sum(axis=-1) / w.sum(axis=-1))


def risk_coverage(truth: Bools, predicted: Predicted, weights: Floats) -> RiskCoverage:
    """The curve of a system; arrays (sentences, labels), weights (draws, sentences)."""
    wrong = (truth != predicted.holds).any(axis=1)
    sure = confidence(predicted)
    found = estimates(risks(wrong, sure), risks(wrong, sure, weights))
    return RiskCoverage(
        area=estimates(area(wrong, sure), area(wrong, sure, weights))[0],
        points=[CoveragePoint(coverage=float(c), risk=risk) for c, risk in zip(COVERAGES, found, strict=True)],
    )
