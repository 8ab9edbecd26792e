"""Metrics of multi-label predictions. All arrays are (sentences, labels), one column a label.

Every function takes optional `weights`, float array (draws, sentences): how often each sentence counts in each of
several bootstrap draws. Without them the leading axis is left out. An undefined ratio (0 / 0) is 0, as in
scikit-learn's `zero_division=0`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives, each (..., labels)."""

    tp: Floats
    fp: Floats
    fn: Floats


def weights_or_ones(weights: Floats | None, sentences: int) -> Floats:
    """The weights, or 1 for each sentence."""
    return np.ones(sentences) if weights is None else weights


def ratio(over: Any, under: Any) -> Floats:
    """Quotient of two arrays of one shape, 0 where the divisor is 0."""
    over, under = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    out: Floats = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
    return out


def counts(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Counts:
    """Per-label counts, each (labels,) or (draws, labels)."""
    w = weights_or_ones(weights, len(truth))
    # One product: reading the weights of all draws takes longer than the arithmetic.
    kinds = np.concatenate([truth & predicted, ~truth & predicted, truth & ~predicted], axis=1)
    return Counts(*np.split(w @ kinds.astype(np.float64), 3, axis=-1))


def precision_scores(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Precision per label, (labels,) or (draws, labels)."""
    c = counts(truth, predicted, weights)
    return ratio(c.tp, c.tp + c.fp)


def recall_scores(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Recall per label, (labels,) or (draws, labels)."""
    c = counts(truth, predicted, weights)
    return ratio(c.tp, c.tp + c.fn)


def f1_scores(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """F1 per label, (labels,) or (draws, labels)."""
    c = counts(truth, predicted, weights)
    return ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def macro_f1(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Mean of the labels' F1, () or (draws,)."""
    return np.asarray(f1_scores(truth, predicted, weights).mean(axis=-1))


def micro_f1(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """F1 over all (sentence, label) decisions together, () or (draws,)."""
    c = counts(truth, predicted, weights)
    tp, fp, fn = c.tp.sum(-1), c.fp.sum(-1), c.fn.sum(-1)
    return ratio(2 * tp, 2 * tp + fp + fn)


def exact_set_accuracy(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Share of sentences whose whole label set is right, () or (draws,)."""
    w = weights_or_ones(weights, len(truth))
    return ratio(w @ (truth == predicted).all(axis=1).astype(np.float64), w.sum(-1))


def false_alarms(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Of 1,000 sentences without a stance, how many are given one, () or (draws,)."""
    w = weights_or_ones(weights, len(truth))
    free = ~truth.any(axis=1)
    return 1000 * ratio(w @ (free & predicted.any(axis=1)).astype(np.float64), w @ free.astype(np.float64))


def average_precision(truth: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """Average precision per label, (labels,) or (draws, labels): the sum over cuts of precision times gain in recall.

    Sentences of one score enter together, as in `sklearn.metrics.average_precision_score`.
    """
    w = weights_or_ones(weights, len(truth))
    out = []
    for column in range(truth.shape[1]):
        order = np.argsort(-scores[:, column], kind="stable")
        ranked = scores[order, column]
        last = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)
        ordered = w[..., order]
        positives = np.cumsum(ordered * truth[order, column], axis=-1)[..., last]
        everything = np.cumsum(ordered, axis=-1)[..., last]
        gain = np.diff(positives, axis=-1, prepend=0.0)
        out.append(ratio((ratio(positives, everything) * gain).sum(-1), positives[..., -1]))
    return np.stack(out, axis=-1)


def best_f1_threshold(truth: Bools, scores: Floats) -> float:
    """The cut at which F1 is best for one label, from truth and scores of shape (sentences,).

    It lies midway between neighbouring scores, not on a sentence's own, so that rounding does not decide.
    """
    precision, recall, cuts = precision_recall_curve(truth, scores)
    best = int(np.argmax(ratio(2 * precision * recall, precision + recall)[:-1]))
    below = cuts[best - 1] if best > 0 else 0.0
    return float((cuts[best] + below) / 2)
