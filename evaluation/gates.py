"""The gates that a model must pass before it may answer for the project."""

from collections.abc import Iterator, Sequence

from evaluation.comparison import Comparison, compare_suites
from evaluation.schema import ALL, MODEL, Estimate, Frozen, Report


class Limits(Frozen):
    """What is asked of a model. Floors and ceilings hold for the figures themselves, not for their intervals.

    Attributes:
        macro_f1: least macro-F1.
        label_f1: least F1 of each label.
        calibration_error: most expected calibration error of each label.
        false_alarms: most false alarms per 1,000 sentences without a stance.
        flip_rate: most flips per filling, in each group of actors.
        suite: least share of cases passed, in each behaviour suite.
    """

    macro_f1: float = 0.75
    label_f1: float = 0.7
    calibration_error: float = 0.06
    false_alarms: float = 120.0
    flip_rate: float = 0.06
    suite: float = 0.5


class Gate(Frozen):
    """One figure and its limit; `short` is by how much it misses it, 0 where it passes."""

    name: str
    limit: float
    found: float
    short: float

    @property
    def passed(self) -> bool:
        """Whether the figure keeps the limit."""
        return self.short == 0


def _floor(name: str, limit: float, found: float) -> Gate:
    return Gate(name=name, limit=limit, found=found, short=max(0.0, limit - found))


def _ceiling(name: str, limit: float, found: float) -> Gate:
    return Gate(name=name, limit=limit, found=found, short=max(0.0, found - limit))


def _floors(report: Report) -> dict[str, float]:
    """Shares that should be high, by the name of their gate."""
    found = report.parts[ALL].systems[MODEL]
    return (
        {"macro-F1": found.macro_f1.value}
        | {f"F1 {label}": each.f1.value for label, each in found.labels.items()}
        | {f"suite {name}": suite.rate.value for name, suite in report.suites.items()}
    )


def _absolute(report: Report, limits: Limits) -> Iterator[Gate]:
    for name, value in _floors(report).items():
        kind = name.partition(" ")[0]
        yield _floor(name, {"macro-F1": limits.macro_f1, "F1": limits.label_f1, "suite": limits.suite}[kind], value)
    for label, found in report.calibration.items():
        yield _ceiling(f"calibration error {label}", limits.calibration_error, found.calibration_error.value)
    alarms = report.parts[ALL].systems[MODEL].false_alarms.value
    yield _ceiling("false alarms per 1,000", limits.false_alarms, alarms)
    for group, actors in report.actors.items():
        yield _ceiling(f"actor flips {group}", limits.flip_rate, actors.flip_rate.value)


def gates(report: Report, limits: Limits | None = None) -> list[Gate]:
    """Every gate that a report is put to by itself."""
    return list(_absolute(report, limits or Limits()))


def relative_gates(before: Report, after: Report, comparison: Comparison) -> list[Gate]:
    """How a model stands against an earlier one on the same sentences and behaviour cases.

    A figure may fall behind by no more than chance explains: the limit is the earlier model's figure less half the
    paired 95 % interval of the difference, so a gate fails where the whole interval lies below 0.

    Args:
        comparison: of the two on the sentences of the reports.

    Raises:
        InputError: the reports are of other behaviour cases.
    """
    suites = compare_suites(before, after)
    differences: dict[str, tuple[float, float, Estimate]] = {
        "macro-F1": (comparison.before_macro_f1, comparison.after_macro_f1, comparison.macro_f1),
        **{f"F1 {name}": (each.before, each.after, each.difference) for name, each in comparison.labels.items()},
        **{
            f"suite {name}": (before.suites[name].rate.value, after.suites[name].rate.value, each)
            for name, each in suites.items()
        },
    }
    return [
        _floor(f"{name} against {before.model.version}", old - (difference.high - difference.value), new)
        for name, (old, new, difference) in differences.items()
    ]


def failed_gates(found: Sequence[Gate]) -> list[Gate]:
    """Those that are not passed."""
    return [gate for gate in found if not gate.passed]
