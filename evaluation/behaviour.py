"""The behaviour cases put to a model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.bootstrap import group_weights
from evaluation.cases import Actors, Case, Direction, Invariance, MustPass
from evaluation.figures import estimates
from evaluation.metrics import Bools, Floats, ratio
from evaluation.reliability import wilson
from evaluation.schema import ActorFigures, ActorShift, CaseFailure, SuiteFigures
from evaluation.scorer import Predicted, Scorer
from model.labels import LABELS

CHANGE = 0.05
"""How far an edit must move a probability at least."""

SATURATED = 0.95
"""A probability beyond this (or, going down, below 1 minus this) need not move further."""

STRONGEST = 3
"""How many actors are named for each group."""


@dataclass(frozen=True)
class Answer:
    """The model's answer to one text: probabilities (4,) and decisions (4,)."""

    scores: Floats
    holds: Bools

    def __str__(self) -> str:
        return ", ".join(label for label, hit in zip(LABELS, self.holds, strict=True) if hit) or "none"


Answers = Mapping[str, Answer]


def _must_pass(case: MustPass, answers: Answers) -> CaseFailure | None:
    answer = answers[case.text]
    found = {label for label, hit in zip(LABELS, answer.holds, strict=True) if hit}
    if case.labels is not None:
        passed, expected = found == set(case.labels), ", ".join(case.labels) or "none"
    else:
        passed = found >= set(case.has) and not found & set(case.lacks)
        expected = ", ".join([*case.has, *(f"no {label}" for label in case.lacks)])
    return None if passed else CaseFailure(id=case.id, reason=f"expected {expected}, found {answer}", texts=case.texts)


def _same_labels(case: Invariance | Actors, answers: Answers) -> CaseFailure | None:
    found = {text: str(answers[text]) for text in case.texts}
    (commonest, _), *others = Counter(found.values()).most_common()
    if not others:
        return None
    like = next(text for text, labels in found.items() if labels == commonest)
    apart = {text: labels for text, labels in found.items() if labels != commonest}
    reason = f"{commonest}, but {'; '.join(sorted(set(apart.values())))} in {len(apart)} of {len(found)} texts"
    return CaseFailure(id=case.id, reason=reason, texts=(like, *apart))


def _direction(case: Direction, answers: Answers) -> CaseFailure | None:
    column = LABELS.index(case.label)
    before, after = (float(answers[text].scores[column]) for text in case.texts)
    up = case.change == "up"
    moved = after - before if up else before - after
    saturated = after >= SATURATED if up else after <= 1 - SATURATED
    if moved >= CHANGE or saturated:
        return None
    reason = f"expected {case.label} to go {case.change}, found {before:.2f} → {after:.2f}"
    return CaseFailure(id=case.id, reason=reason, texts=case.texts)


def _judge(case: Case, answers: Answers) -> CaseFailure | None:
    match case:
        case MustPass():
            return _must_pass(case, answers)
        case Direction():
            return _direction(case, answers)
        case _:
            return _same_labels(case, answers)


def _suite(cases: Sequence[Case], answers: Answers) -> SuiteFigures:
    failures = [failure for case in cases if (failure := _judge(case, answers)) is not None]
    passed = len(cases) - len(failures)
    return SuiteFigures(cases=len(cases), passed=passed, rate=wilson(passed, len(cases)), failures=failures)


def _strongest(cases: Sequence[Actors], moved: Sequence[Floats]) -> list[ActorShift]:
    """The largest mean changes; `moved` has, for each case, distances from its mean, (fillings, 4)."""
    rows = np.concatenate(moved)
    actors = np.array([actor for case in cases for actor in case.actors])
    shifts = [
        ActorShift(actor=str(actor), label=label, change=float(rows[actors == actor, column].mean()))
        for actor in np.unique(actors)
        for column, label in enumerate(LABELS)
    ]
    return sorted(shifts, key=lambda shift: -abs(shift.change))[:STRONGEST]


def _group(cases: Sequence[Actors], answers: Answers) -> ActorFigures:
    flipped, moved = [], []
    for case in cases:
        sets = [str(answers[text]) for text in case.texts]
        flipped.append(len(sets) - Counter(sets).most_common(1)[0][1])
        scores = np.array([answers[text].scores for text in case.texts])
        moved.append(scores - scores.mean(axis=0))
    fillings = np.array([len(case.texts) for case in cases], dtype=np.float64)
    # Fillings of one sentence are not independent: sentences are drawn.
    weights = group_weights([case.id for case in cases])
    flips, changes = np.array(flipped, dtype=np.float64), np.array([np.abs(each).mean(axis=1).sum() for each in moved])
    rate, change = (
        estimates(total.sum() / fillings.sum(), ratio(weights @ total, weights @ fillings))[0]
        for total in (flips, changes)
    )
    return ActorFigures(
        cases=len(cases),
        fillings=int(fillings.sum()),
        flip_rate=rate,
        probability_change=change,
        strongest=_strongest(cases, moved),
    )


def run_suites(cases: Sequence[Case], scorer: Scorer) -> tuple[dict[str, SuiteFigures], dict[str, ActorFigures]]:
    """Pass rates by suite, and the effect of swapping actors by group of actors."""
    texts = sorted({text for case in cases for text in case.texts})
    predicted: Predicted = scorer.predict(texts)
    answers = {text: Answer(*row) for text, row in zip(texts, zip(*predicted, strict=True), strict=True)}
    suites = {case.suite: [each for each in cases if each.suite == case.suite] for case in cases}
    swaps = [case for case in cases if isinstance(case, Actors)]
    groups = {case.group: [each for each in swaps if each.group == case.group] for case in swaps}
    return (
        {name: _suite(members, answers) for name, members in sorted(suites.items())},
        {name: _group(members, answers) for name, members in sorted(groups.items())},
    )
