"""The figures of one system, with intervals."""

from collections.abc import Callable, Sequence

import numpy as np

from evaluation import metrics
from evaluation.bootstrap import interval
from evaluation.metrics import Bools, Floats
from evaluation.schema import Estimate, Figures, LabelFigures
from evaluation.scorer import Predicted
from model.labels import Label


def estimates(values: Floats, drawn: Floats) -> list[Estimate]:
    """Values, (n,) or (), with intervals from their bootstrap draws, (draws, n) or (draws,)."""
    columns = drawn.reshape(len(drawn), -1).T
    bounds = [interval(column) for column in columns]
    return [
        Estimate(value=float(v), low=lo, high=hi) for v, (lo, hi) in zip(np.atleast_1d(values), bounds, strict=True)
    ]


def figures(truth: Bools, predicted: Predicted, weights: Floats, labels: Sequence[Label]) -> Figures:
    """All figures of one system.

    Args:
        truth: bool array (sentences, labels), columns as `labels`, like those of `predicted`.
        weights: the bootstrap draws, (draws, sentences).
    """

    def estimate(metric: Callable[..., Floats], given: Floats | Bools) -> list[Estimate]:
        return estimates(metric(truth, given), metric(truth, given, weights))

    scores, holds = predicted
    precision, recall, f1 = (
        estimate(metric, holds) for metric in (metrics.precision_scores, metrics.recall_scores, metrics.f1_scores)
    )
    ap = estimate(metrics.average_precision, scores)
    return Figures(
        labels={
            label: LabelFigures(
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                average_precision=ap[i],
                support=int(truth[:, i].sum()),
            )
            for i, label in enumerate(labels)
        },
        macro_f1=estimate(metrics.macro_f1, holds)[0],
        micro_f1=estimate(metrics.micro_f1, holds)[0],
        exact_set_accuracy=estimate(metrics.exact_set_accuracy, holds)[0],
        false_alarms=estimate(metrics.false_alarms, holds)[0],
    )
