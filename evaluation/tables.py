"""Evaluations as text for a terminal."""

from collections.abc import Iterable, Sequence

from evaluation.comparison import Comparison
from evaluation.gates import Gate, failed_gates
from evaluation.schema import MODEL, Estimate, Evaluation
from evaluation.spread import Spread


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows under a header, the first column flush left, the others right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    ]


def _number(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _labels(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "none"


def render_evaluation(evaluation: Evaluation) -> str:
    """The table of `communique evaluate`."""
    sample, judges = evaluation.sample, evaluation.sample.judges
    lines = [
        f"{sample.name}: model {evaluation.model.version}, 95 % intervals from {evaluation.bootstrap_draws} draws "
        f"of {sample.groups} groups"
    ]
    for name, part in evaluation.parts.items():
        lines += ["", f"== {name}: {part.sentences} sentences, {part.without_stance} without a stance ==", ""]
        lines += _table(
            ["", "macro-F1", "micro-F1", "exact set", "alarms/1000", *(f"F1 {label}" for label in judges)],
            (
                [
                    system,
                    _number(found.macro_f1),
                    f"{found.micro_f1.value:.3f}",
                    f"{found.exact_set_accuracy.value:.3f}",
                    f"{found.false_alarms.value:.0f}",
                    *(f"{found.labels[label].f1.value:.3f}" for label in judges),
                ]
                for system, found in part.systems.items()
            ),
        )
        lines += [""]
        lines += _table(
            ["model, by label", "precision", "recall", "F1", "AP", "support"],
            (
                [label, *map(_number, (row.precision, row.recall, row.f1, row.average_precision)), str(row.support)]
                for label, row in part.systems[MODEL].labels.items()
            ),
        )
    return "\n".join(lines) + "\n"


def render_gate(gate: Gate) -> str:
    """A failed gate: its figure, its limit, and by how much it is missed."""
    return f"{gate.name}: {gate.found:.3f}, limit {gate.limit:.3f}, missed by {gate.short:.3f}"


def render_gates(gates: Sequence[Gate]) -> str:
    """One line for all gates, and one for each that fails."""
    failed = failed_gates(gates)
    lines = [f"{len(gates) - len(failed)} of {len(gates)} gates passed"]
    lines += [f"failed: {render_gate(gate)}" for gate in failed]
    return "\n".join(lines) + "\n"


def render_comparison(comparison: Comparison) -> str:
    """The answer of `communique compare`: the verdict, and every sentence that changed."""
    lines = [
        f"{change.outcome}: {change.id}: {_labels(change.before)} → {_labels(change.after)}"
        f" (gold {_labels(change.gold)}): {change.text}\n"
        for change in comparison.changes
    ]
    return render_verdict(comparison) + "".join(lines)


def render_verdict(comparison: Comparison) -> str:
    """The verdict of a comparison with its figures, without the sentences."""
    outcomes = [change.outcome for change in comparison.changes]
    counted = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in ("broken", "mended", "still wrong"))
    lines = [
        f"{comparison.sample}: {comparison.after} against {comparison.before}: {comparison.verdict}",
        "",
        *_table(
            ["", "before", "after", "difference", "right before only", "right after only", "McNemar p"],
            [
                [
                    "macro-F1",
                    f"{comparison.before_macro_f1:.3f}",
                    f"{comparison.after_macro_f1:.3f}",
                    _number(comparison.macro_f1, "+"),
                    *("", "", ""),
                ],
                *(
                    [
                        f"F1 {label}",
                        f"{row.before:.3f}",
                        f"{row.after:.3f}",
                        _number(row.difference, "+"),
                        str(row.only_before),
                        str(row.only_after),
                        f"{row.mcnemar:.3g}",
                    ]
                    for label, row in comparison.labels.items()
                ),
            ],
        ),
        "",
        f"{len(comparison.changes)} of {comparison.sentences} sentences changed: {counted}",
    ]
    return "\n".join(lines) + "\n"


def render_spread(spread: Spread) -> str:
    """The table of `communique spread`."""
    figures = list(spread.summary)

    def row(name: str, values: Sequence[float]) -> list[str]:
        return [name, *(f"{v:.1f}" if f == "alarms/1000" else f"{v:.3f}" for f, v in zip(figures, values, strict=True))]

    summary = spread.summary.values()
    lines = [f"{spread.sample}: {spread.sentences} sentences, {len(spread.models)} models", ""]
    lines += _table(
        ["", *figures],
        [
            *(row(name, list(found.values())) for name, found in spread.models.items()),
            row("mean", [each.mean for each in summary]),
            row("standard deviation", [each.deviation for each in summary]),
            row("least", [each.least for each in summary]),
            row("most", [each.most for each in summary]),
        ],
    )
    return "\n".join(lines) + "\n"
