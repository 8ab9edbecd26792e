"""A summary as a table for the terminal, as CSV, and as one page of HTML."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from model.labels import LABELS
from serving.archive.extras import needs
from serving.archive.summary import Group, Summary

_COLOURS = dict(zip(LABELS, ("#b3261e", "#7b3fa0", "#1b7f4d", "#a66b00"), strict=True))


def as_text(summary: Summary) -> str:
    """Tables for reading."""
    lines = [f"{summary.total.sentences:,} sentences of {summary.documents:,} documents, model {_models(summary)}"]
    for title, groups in _tables(summary):
        wide = max(len(title), *(len(group.name) for group in groups))
        lines += ["", f"{title:<{wide}}  {'sentences':>11}" + "".join(f"  {label:>8} {'':>6}" for label in LABELS)]
        for group in groups:
            cells = "".join(f"  {group.counts[label]:>8,} {group.rate(label):>6.1%}" for label in LABELS)
            lines.append(f"{group.name:<{wide}}  {group.sentences:>11,}{cells}")
    if summary.undated:
        lines += ["", f"{summary.undated:,} sentences have no date"]
    for label in LABELS:
        words = ", ".join(f"{word.word} ({word.sentences:,})" for word in summary.cue_words[label])
        lines += ["", f"{label}: {words}" if words else label]
        lines += [f"  {found.probability:.3f}  {' '.join(found.text.split())}" for found in summary.examples[label]]
    return "\n".join(lines)


def write_csv(summary: Summary, stream: IO[str]) -> None:
    """One row per group and label: table, name, label, sentences, count, rate."""
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["table", "name", "label", "sentences", "count", "rate"])
    for title, groups in _tables(summary):
        for group in groups:
            for label in LABELS:
                rate = f"{group.rate(label):.6f}"
                rows.writerow([title, group.name, label, group.sentences, group.counts[label], rate])


def as_html(summary: Summary) -> str:
    """One page that needs nothing else: tables, SVG plots, the cue words and sentences."""
    with needs("archive"):
        import jinja2
    folder = Path(__file__).parent
    environment = jinja2.Environment(autoescape=True, loader=jinja2.FileSystemLoader(folder), trim_blocks=True)
    plots = {"over_time": _over_time(summary), "by_source": _by_source(summary)}
    page = environment.get_template("summary.html")
    return page.render(
        summary=summary,
        models=_models(summary),
        tables=list(_tables(summary)),
        plots=plots,
        labels=LABELS,
        colours=_COLOURS,
    )


def _models(summary: Summary) -> str:
    return ", ".join(summary.models)


def _tables(summary: Summary) -> Iterator[tuple[str, list[Group]]]:
    yield "all", [summary.total]
    if summary.over_time:
        yield summary.period, summary.over_time
    if [group.name for group in summary.by_source] != ["(none)"]:
        yield "source", summary.by_source


def _over_time(summary: Summary) -> str:
    """Rate of each label by month or year, as SVG; empty where nothing is dated."""
    if len(summary.over_time) < 2:
        return ""
    figure, axes = _figure(4.0)
    names = [group.name for group in summary.over_time]
    for label in LABELS:
        axes.plot(
            names, [100 * g.rate(label) for g in summary.over_time], color=_COLOURS[label], label=label, marker="."
        )
    axes.set_xticks(range(0, len(names), -(-len(names) // 12)))
    axes.set_ylabel("% of sentences")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, ncols=len(LABELS), loc="upper left", bbox_to_anchor=(0, 1.12))
    return _svg(figure)


def _by_source(summary: Summary) -> str:
    """Rate of each label by source, as SVG; empty where there is one source or none."""
    groups = summary.by_source[::-1]
    if len(groups) < 2:
        return ""
    figure, axes = _figure(1.0 + 0.45 * len(groups))
    for row, label in enumerate(LABELS[::-1]):
        places = [index + 0.2 * (row - 1.5) for index in range(len(groups))]
        axes.barh(places, [100 * group.rate(label) for group in groups], height=0.18, color=_COLOURS[label])
    axes.set_yticks(range(len(groups)), [group.name[:40].replace("$", r"\$") for group in groups])
    axes.set_xlabel("% of sentences")
    return _svg(figure)


def _figure(height: float) -> tuple[Any, Any]:
    with needs("archive"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    sink = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "communique", "svg.fonttype": "none"}):  # equal figures, equal bytes
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    return sink.getvalue().partition("?>")[2].partition(">")[2]  # without XML declaration and doctype
