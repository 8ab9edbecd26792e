"""Metrics of multi-label predictions. All arrays are (sentences, 4), columns as `model.labels.LABELS`.

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
    """True positives, false positives and false negatives, each (..., 4)."""

    tp: Floats
    fp: Floats
    fn: Floats


def _weights(weights: Floats | None, sentences: int) -> Floats:
    return np.ones(sentences) if weights is None else weights


def _ratio(over: Any, under: Any) -> Floats:
    over, under = np.asarray(over, dtype=np.float64), np.asarray(under, dtype=np.float64)
    out: Floats = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
    return out


def counts(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Counts:
    """Per-label counts, each (4,) or (draws, 4)."""
    w = _weights(weights, len(truth))
    return Counts(
        tp=w @ (truth & predicted).astype(np.float64),
        fp=w @ (~truth & predicted).astype(np.float64),
        fn=w @ (truth & ~predicted).astype(np.float64),
    )


def precision_scores(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Precision per label, (4,) or (draws, 4)."""
    c = counts(truth, predicted, weights)
    return _ratio(c.tp, c.tp + c.fp)


def recall_scores(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Recall per label, (4,) or (draws, 4)."""
    c = counts(truth, predicted, weights)
    return _ratio(c.tp, c.tp + c.fn)


def f1_scores(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """F1 per label, (4,) or (draws, 4)."""
    c = counts(truth, predicted, weights)
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def micro_f1(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """F1 over all (sentence, label) decisions together, () or (draws,)."""
    c = counts(truth, predicted, weights)
    tp, fp, fn = c.tp.sum(-1), c.fp.sum(-1), c.fn.sum(-1)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def exact_set_accuracy(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Share of sentences whose whole label set is right, () or (draws,)."""
    w = _weights(weights, len(truth))
    return _ratio(w @ (truth == predicted).all(axis=1).astype(np.float64), w.sum(-1))


def false_alarms(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
    """Of 1,000 sentences without a stance, how many are given one, () or (draws,)."""
    w = _weights(weights, len(truth))
    free = ~truth.any(axis=1)
    return 1000 * _ratio(w @ (free & predicted.any(axis=1)).astype(np.float64), w @ free.astype(np.float64))


def average_precision(truth: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """Average precision per label, (4,) or (draws, 4): the sum over cuts of precision times gain in recall.

    Sentences of one score enter together, as in `sklearn.metrics.average_precision_score`.
    """
    w = _weights(weights, len(truth))
    out = []
    for column in range(truth.shape[1]):
        order = np.argsort(-scores[:, column], kind="stable")
        ranked = scores[order, column]
        last = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)
        ordered = w[..., order]
        positives = np.cumsum(ordered * truth[order, column], axis=-1)[..., last]
        everything = np.cumsum(ordered, axis=-1)[..., last]
        gain = np.diff(positives, axis=-1, prepend=0.0)
        out.append(_ratio((_ratio(positives, everything) * gain).sum(-1), positives[..., -1]))
    return np.stack(out, axis=-1)


def best_f1_threshold(truth: Bools, scores: Floats) -> float:
    """The cut at which F1 is best for one label, from truth and scores of shape (sentences,).

    It lies midway between neighbouring scores, not on a sentence's own, so that rounding does not decide.
    """
    precision, recall, cuts = precision_recall_curve(truth, scores)
    best = int(np.argmax(_ratio(2 * precision * recall, precision + recall)[:-1]))
    below = cuts[best - 1] if best > 0 else 0.0
    return float((cuts[best] + below) / 2)
