"""Where the model is weaker than elsewhere."""

from collections.abc import Iterator

import numpy as np
from countryinfo import CountryInfo, CountryNotFoundError

from evaluation import metrics
from evaluation.examples import FACETS, Example, Sample
from evaluation.figures import estimates
from evaluation.metrics import Bools, Floats
from evaluation.schema import Dimension, SliceFigures
from evaluation.scorer import Predicted

MIN_SENTENCES = 20
"""Smaller slices of a dimension are pooled."""

MIN_POSITIVES = 5
"""A label counts in a slice that has this many sentences with it, and as many elsewhere."""

LENGTHS = {10: "1–10 words", 20: "11–20 words", 30: "21–30 words", 40: "31–40 words"}
"""Length bands by the most words in them; longer sentences are a band of their own."""

_LONGER = "over 40 words"
_COUNTS = ("none", "one", "two", "three or more")
_ORDER = {value: place for place, value in enumerate((*LENGTHS.values(), _LONGER, *_COUNTS))}

DIMENSIONS: tuple[Dimension, ...] = (*FACETS, "length", "labels")


def _region(name: str) -> str:
    """The United Nations' subregion of a country, so that a slice has enough sentences; another name stays itself."""
    try:
        return str(CountryInfo(name).subregion())
    except CountryNotFoundError:
        return name


def _value(example: Example, dimension: Dimension) -> str | None:
    """The slice of a dimension that a sentence belongs to; None where the file does not say."""
    if dimension == "length":
        words = len(example.text.split())
        return next((name for most, name in LENGTHS.items() if words <= most), _LONGER)
    if dimension == "labels":
        return _COUNTS[min(len(example.labels), 3)]
    given = example.facets.get(dimension)
    return _region(given) if dimension == "region" and given else given


def _parts(sample: Sample) -> Iterator[tuple[Dimension, str, Bools]]:
    """Dimension, value and membership, bool array (sentences,), of each slice."""
    for dimension in DIMENSIONS:
        values = [_value(example, dimension) for example in sample.examples]
        names = sorted({value for value in values if value}, key=lambda value: (_ORDER.get(value, 0), value))
        found = {name: np.array([value == name for value in values]) for name in names}
        small = {value: inside for value, inside in found.items() if inside.sum() < MIN_SENTENCES}
        parts = {value: inside for value, inside in found.items() if value not in small}
        pooled = np.any(list(small.values()), axis=0) if small else np.zeros(0, dtype=np.bool_)
        if pooled.sum() >= MIN_SENTENCES:
            parts[f"{len(small)} others"] = pooled
        # A slice that is everything says nothing new.
        yield from ((dimension, value, inside) for value, inside in parts.items() if not inside.all())


def slice_figures(sample: Sample, predicted: Predicted, weights: Floats) -> list[SliceFigures]:
    """The model on every slice of `DIMENSIONS`, weights (draws, sentences).

    A dimension that the file says nothing of has no slices. Slices below `MIN_SENTENCES` are pooled within their
    dimension, and left out where they do not reach it together either.
    """
    truth, holds = sample.truth, predicted.holds
    found = []
    for dimension, value, inside in _parts(sample):
        enough = (truth[inside].sum(axis=0) >= MIN_POSITIVES) & (truth[~inside].sum(axis=0) >= MIN_POSITIVES)
        here, there = ((truth[part][:, enough], holds[part][:, enough], weights[:, part]) for part in (inside, ~inside))
        macro = gap = alarms = None
        if enough.any():
            value_here, drawn_here = metrics.macro_f1(*here[:2]), metrics.macro_f1(*here)
            macro = estimates(value_here, drawn_here)[0]
            gap = estimates(value_here - metrics.macro_f1(*there[:2]), drawn_here - metrics.macro_f1(*there))[0]
        part = (truth[inside], holds[inside])
        free = int((~truth[inside].any(axis=1)).sum())
        if free >= MIN_POSITIVES:
            alarms = estimates(metrics.false_alarms(*part), metrics.false_alarms(*part, weights[:, inside]))[0]
        exact = metrics.exact_set_accuracy(*part), metrics.exact_set_accuracy(*part, weights[:, inside])
        found.append(
            SliceFigures(
                dimension=dimension,
                value=value,
                sentences=int(inside.sum()),
                without_stance=free,
                labels=tuple(label for label, kept in zip(sample.judges, enough, strict=True) if kept),
                macro_f1=macro,
                gap=gap,
                exact_set_accuracy=estimates(*exact)[0],
                false_alarms=alarms,
            )
        )
    return found


def comparable(slices: list[SliceFigures]) -> list[SliceFigures]:
    """The slices that can be compared with the rest.

    Those by number of labels are chosen by the truth, which decides precision, so they are not among them.
    """
    return [each for each in slices if each.gap is not None and each.dimension != "labels"]


def worst_slices(slices: list[SliceFigures], number: int = 5) -> list[SliceFigures]:
    """The slices that fall furthest behind the rest, by the upper end of the gap's interval."""
    behind = [each for each in comparable(slices) if each.gap is not None and each.gap.value < 0]
    return sorted(behind, key=lambda each: each.gap.high if each.gap else 0.0)[:number]
