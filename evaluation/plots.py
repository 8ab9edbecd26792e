"""The report's plots, as SVG."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.schema import ALL, Estimate, Report
from evaluation.slices import comparable, worst_slices
from model.labels import Label

COLOURS: Mapping[Label, str] = {"threat": "#c62828", "denial": "#7b1fa2", "support": "#2e7d32", "hedge": "#b26a00"}
"""As on the service's page."""

_INK, _FAINT = "#1d1d1f", "#c8c4bb"

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#8a867d",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ebe8e1",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "path",
    # Equal reports give equal bytes.
    "svg.hashsalt": "communique",
}


def _figure(width: float, height: float) -> Figure:
    """An empty figure, in inches; without pyplot it needs no display."""
    return Figure(figsize=(width, height), layout="constrained")


def _uri(figure: Figure) -> str:
    """A drawn figure as a data URI for an `img`."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _rows(axes: Axes, names: Sequence[str], found: Sequence[Estimate], colours: Sequence[str]) -> None:
    """Values with their intervals, one a row, the first on top."""
    for row, (each, colour) in enumerate(zip(found, colours, strict=True)):
        axes.plot([each.low, each.high], [row, row], color=colour, linewidth=2, solid_capstyle="round", alpha=0.55)
        # A share of 0 or 1 lies on the edge: the point is drawn whole.
        axes.plot(each.value, row, "o", color=colour, markersize=5.5, clip_on=False)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _systems(report: Report) -> Figure:
    found = {name: system.macro_f1 for name, system in report.parts[ALL].systems.items()}
    if report.ceiling is not None:
        found["reader against reader"] = report.ceiling.between_readers.macro_f1
        found["blind reader"] = report.ceiling.reader.macro_f1
    figure = _figure(7.2, 0.4 + 0.34 * len(found))
    axes = figure.subplots()
    colours = [_INK if name == "model" else "#8a867d" for name in found]
    _rows(axes, list(found), list(found.values()), colours)
    axes.set(xlim=(0, 1), xlabel="macro-F1 and its 95 % interval")
    return figure


def _calibration(report: Report) -> Figure:
    labels = report.sample.judges
    figure = _figure(9.6, 3.1)
    grid = figure.subplots(2, len(labels), height_ratios=(4, 1), sharex=True, squeeze=False)
    for (curve, counts), label in zip(grid.T, labels, strict=True):
        bins = report.calibration[label].bins
        x, y = [each.probability for each in bins], [each.frequency.value for each in bins]
        below = [max(0.0, each.frequency.value - each.frequency.low) for each in bins]
        above = [max(0.0, each.frequency.high - each.frequency.value) for each in bins]
        curve.plot([0, 1], [0, 1], color=_FAINT, linewidth=1)
        curve.errorbar(x, y, [below, above], fmt="o-", color=COLOURS[label], markersize=4, linewidth=1.2)
        curve.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=label)
        counts.bar(
            [(each.low + each.high) / 2 for each in bins],
            [each.sentences for each in bins],
            width=0.09,
            color=COLOURS[label],
            alpha=0.6,
        )
        counts.set(yscale="log", xlabel="probability")
        counts.grid(visible=False)
    grid[0, 0].set_ylabel("share that holds")
    grid[1, 0].set_ylabel("sentences")
    return figure


def _sweep(report: Report) -> Figure:
    labels = report.sample.judges
    figure = _figure(9.6, 2.5)
    row = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for axes, label in zip(row, labels, strict=True):
        points = report.sweep[label]
        cuts = [each.threshold for each in points]
        axes.axvline(report.model.thresholds[label], color=_FAINT, linewidth=3)
        axes.plot(cuts, [each.precision for each in points], color=COLOURS[label], linestyle=":", label="precision")
        axes.plot(cuts, [each.recall for each in points], color=COLOURS[label], linestyle="--", label="recall")
        axes.plot(cuts, [each.f1 for each in points], color=COLOURS[label], label="F1")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold", title=label)
    row[0].legend(loc="lower left", fontsize=8)
    return figure


def _risk_coverage(report: Report) -> Figure:
    points = report.risk_coverage.points
    figure = _figure(5.6, 2.7)
    axes = figure.subplots()
    coverage = [100 * each.coverage for each in points]
    low, high = ([getattr(each.risk, end) for each in points] for end in ("low", "high"))
    axes.fill_between(coverage, low, high, color="#3d5a80", alpha=0.15, linewidth=0)
    axes.plot(coverage, [each.risk.value for each in points], color="#3d5a80", marker="o", markersize=3)
    axes.set(xlim=(0, 100), ylim=(0, None), xlabel="sentences kept, surest first, %", ylabel="share with a wrong set")
    return figure


def _slices(report: Report) -> Figure:
    worst = {(each.dimension, each.value) for each in worst_slices(report.slices)}
    found = comparable(report.slices)
    figure = _figure(7.6, 0.6 + 0.2 * len(found))
    axes = figure.subplots()
    _rows(
        axes,
        [f"{each.dimension}: {each.value} ({each.sentences})" for each in found],
        [each.gap for each in found if each.gap is not None],
        ["#c62828" if (each.dimension, each.value) in worst else "#8a867d" for each in found],
    )
    axes.axvline(0, color=_FAINT, zorder=0)
    axes.set_xlabel("macro-F1 here minus elsewhere, same labels; 95 % interval")
    return figure


def _suites(report: Report) -> Figure:
    found = dict(sorted(report.suites.items(), key=lambda item: item[1].rate.value))
    figure = _figure(7.2, 0.5 + 0.27 * len(found))
    axes = figure.subplots()
    names = [f"{name} ({suite.cases})" for name, suite in found.items()]
    _rows(axes, names, [suite.rate for suite in found.values()], ["#3d5a80"] * len(found))
    axes.set(xlim=(0, 1), xlabel="share of cases passed and its 95 % interval")
    return figure


_PLOTS: Mapping[str, Callable[[Report], Figure]] = {
    "systems": _systems,
    "calibration": _calibration,
    "sweep": _sweep,
    "risk_coverage": _risk_coverage,
    "slices": _slices,
    "suites": _suites,
}


def draw(report: Report) -> dict[str, str]:
    """Every plot by name, as a data URI for an `img`; those that have nothing to show are left out."""
    empty = {"slices": not comparable(report.slices), "suites": not report.suites}
    with mpl.rc_context(_STYLE):
        return {name: _uri(plot(report)) for name, plot in _PLOTS.items() if not empty.get(name)}
