"""How far runs of one recipe differ: the same sentences put to several model folders."""

import statistics
from collections.abc import Mapping, Sequence

from evaluation import metrics
from evaluation.examples import Sample
from evaluation.schema import Frozen
from evaluation.scorer import Scorer, predict_sample


class Summary(Frozen):
    """One figure over the models: mean, standard deviation (n - 1), least and most."""

    mean: float
    deviation: float
    least: float
    most: float


class Spread(Frozen):
    """Every model's figures on the same sentences, and their spread.

    `differences` are the recipe's entries (besides the seed) and the training data, where the models differ in them.
    """

    sample: str
    sample_sha256: str
    sentences: int
    models: dict[str, dict[str, float]]
    summary: dict[str, Summary]
    differences: tuple[str, ...]


def _measure(sample: Sample, scorer: Scorer) -> dict[str, float]:
    truth, holds = sample.truth, predict_sample(scorer, sample).holds
    f1 = metrics.f1_scores(truth, holds)
    return {
        "macro-F1": float(metrics.macro_f1(truth, holds)),
        "micro-F1": float(metrics.micro_f1(truth, holds)),
        "exact set": float(metrics.exact_set_accuracy(truth, holds)),
        "alarms/1000": float(metrics.false_alarms(truth, holds)),
    } | {f"F1 {label}": float(f1[i]) for i, label in enumerate(sample.judges)}


def spread(sample: Sample, scorers: Mapping[str, Scorer], recipes: Sequence[Mapping[str, object]]) -> Spread:
    """Measure every model and summarise.

    Args:
        scorers: at least two, by name.
        recipes: what each was trained with.
    """
    models = {name: _measure(sample, scorer) for name, scorer in scorers.items()}
    columns = {figure: [found[figure] for found in models.values()] for figure in next(iter(models.values()))}
    entries = sorted({key for recipe in recipes for key in recipe} - {"seed"})
    return Spread(
        sample=sample.name,
        sample_sha256=sample.sha256,
        sentences=len(sample.examples),
        models=models,
        summary={
            figure: Summary(
                mean=statistics.mean(values), deviation=statistics.stdev(values), least=min(values), most=max(values)
            )
            for figure, values in columns.items()
        },
        differences=tuple(key for key in entries if len({str(recipe.get(key)) for recipe in recipes}) > 1),
    )
