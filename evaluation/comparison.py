"""Is one model better than another? The same sentences put to both."""

from typing import Literal

import numpy as np
from scipy.stats import binomtest

from evaluation import metrics
from evaluation.bootstrap import DRAWS, group_weights
from evaluation.examples import Sample
from evaluation.figures import estimates
from evaluation.metrics import Bools
from evaluation.schema import Estimate, Frozen, Report
from evaluation.scorer import Scorer, predict_sample
from model.errors import InputError
from model.labels import Label

Verdict = Literal["better", "worse", "no difference shown"]


class LabelComparison(Frozen):
    """One label. `only_before` and `only_after` count the sentences that one of the two alone judges rightly."""

    before: float
    after: float
    difference: Estimate
    only_before: int
    only_after: int
    mcnemar: float


class Change(Frozen):
    """A sentence that the two label differently."""

    id: str
    text: str
    gold: tuple[Label, ...]
    before: tuple[Label, ...]
    after: tuple[Label, ...]
    outcome: Literal["mended", "broken", "still wrong"]


class Comparison(Frozen):
    """Two models on the same sentences; every difference is after minus before, `labels` compares F1.

    The verdict is on macro-F1: better or worse where the interval of its difference leaves out 0.
    """

    sample: str
    sample_sha256: str
    sentences: int
    before: str
    after: str
    bootstrap_draws: int
    before_macro_f1: float
    after_macro_f1: float
    macro_f1: Estimate
    labels: dict[Label, LabelComparison]
    verdict: Verdict
    changes: list[Change]


def mcnemar(only_before: int, only_after: int) -> float:
    """Exact two-sided p value: would a fair coin fall so unevenly over the sentences that one alone gets right?

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947. It
    takes sentences as independent, which those of one group are not quite; the bootstrap does not.
    """
    discordant = only_before + only_after
    return float(binomtest(only_before, discordant).pvalue) if discordant else 1.0


def _verdict(difference: Estimate) -> Verdict:
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "no difference shown"


def compare(sample: Sample, before: Scorer, after: Scorer, names: tuple[str, str]) -> Comparison:
    """Compare two systems by a paired bootstrap over groups, and McNemar's test for each label.

    Args:
        names: of the two, for the report.
    """
    truth = sample.truth
    old, new = (predict_sample(scorer, sample).holds for scorer in (before, after))
    weights = group_weights(sample.groups)
    macro = [metrics.macro_f1(truth, each) for each in (old, new)]
    f1 = [metrics.f1_scores(truth, each) for each in (old, new)]
    macro_drawn = metrics.macro_f1(truth, new, weights) - metrics.macro_f1(truth, old, weights)
    drawn = metrics.f1_scores(truth, new, weights) - metrics.f1_scores(truth, old, weights)
    difference = estimates(f1[1] - f1[0], drawn)
    alone = [((one == truth) & (other != truth)).sum(axis=0) for one, other in ((old, new), (new, old))]
    overall = estimates(macro[1] - macro[0], macro_drawn)[0]
    return Comparison(
        sample=sample.name,
        sample_sha256=sample.sha256,
        sentences=len(sample.examples),
        before=names[0],
        after=names[1],
        bootstrap_draws=DRAWS,
        before_macro_f1=float(macro[0]),
        after_macro_f1=float(macro[1]),
        macro_f1=overall,
        labels={
            label: LabelComparison(
                before=float(f1[0][i]),
                after=float(f1[1][i]),
                difference=difference[i],
                only_before=int(alone[0][i]),
                only_after=int(alone[1][i]),
                mcnemar=mcnemar(int(alone[0][i]), int(alone[1][i])),
            )
            for i, label in enumerate(sample.judges)
        },
        verdict=_verdict(overall),
        changes=_changes(sample, old, new),
    )


def compare_suites(before: Report, after: Report) -> dict[str, Estimate]:
    """Difference of the share of cases passed, after minus before, by suite: a paired bootstrap over the cases.

    Raises:
        InputError: the reports are not of the same suites.
    """
    sizes = [{name: suite.cases for name, suite in report.suites.items()} for report in (before, after)]
    if sizes[0] != sizes[1]:
        raise InputError(f"reports of other behaviour cases cannot be compared: {sizes[0]}, {sizes[1]}")
    found = {}
    for name, cases in sizes[0].items():
        old, new = ({failure.id for failure in report.suites[name].failures} for report in (before, after))
        change = np.zeros(cases)
        broken, mended = len(new - old), len(old - new)
        change[:broken], change[broken : broken + mended] = -1, 1
        weights = group_weights([str(case) for case in range(cases)])
        found[name] = estimates(change.mean(), weights @ change / cases)[0]
    return found


def _changes(sample: Sample, old: Bools, new: Bools) -> list[Change]:
    truth = sample.truth

    def named(row: Bools) -> tuple[Label, ...]:
        return tuple(label for label, hit in zip(sample.judges, row, strict=True) if hit)

    found = []
    for at in np.nonzero((old != new).any(axis=1))[0]:
        right_before, right_after = ((each[at] == truth[at]).all() for each in (old, new))
        outcome: Literal["mended", "broken", "still wrong"] = (
            "broken" if right_before else "mended" if right_after else "still wrong"
        )
        example = sample.examples[at]
        found.append(
            Change(
                id=example.id,
                text=example.text,
                gold=named(truth[at]),
                before=named(old[at]),
                after=named(new[at]),
                outcome=outcome,
            )
        )
    return sorted(found, key=lambda change: ("broken", "mended", "still wrong").index(change.outcome))
