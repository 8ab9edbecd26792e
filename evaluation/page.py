"""The report as files: `report.json`, `report.html`, `MODEL_CARD.md`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from evaluation.examples import Sample
from evaluation.gates import gates
from evaluation.plots import COLOURS, draw
from evaluation.schema import ALL, MODEL, Estimate, Judged, Report
from evaluation.slices import worst_slices
from model.files import write_aside
from model.labels import Label

MOST_ERRORS = 2000
"""Errors that `report.html` shows, so that a browser can open it."""


@dataclass(frozen=True)
class Error:
    """A sentence whose label set is wrong. `margin` is the largest probability on the wrong side of the truth."""

    text: str
    judged: Judged
    missed: tuple[Label, ...]
    invented: tuple[Label, ...]
    margin: float


def _errors(report: Report, sample: Sample) -> Iterator[Error]:
    for example, judged in zip(sample.examples, report.predictions, strict=True):
        missed = tuple(label for label in judged.gold if label not in judged.predicted)
        invented = tuple(label for label in judged.predicted if label not in judged.gold)
        if missed or invented:
            margins = [1 - judged.probabilities[label] for label in missed]
            margins += [judged.probabilities[label] for label in invented]
            yield Error(example.text, judged, missed, invented, max(margins))


def _number(value: float, digits: int = 3, sign: str = "") -> str:
    return f"{value:{sign}.{digits}f}".replace("-", "−")


def _interval(estimate: Estimate, digits: int = 3, sign: str = "") -> str:
    value, low, high = (_number(each, digits, sign) for each in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _cell(text: str) -> str:
    """Text that stays within one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evaluation"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": _number, "interval": _interval, "cell": _cell}
    return environment


def write_report(report: Report, sample: Sample, folder: Path) -> list[Path]:
    """Write the three files into a folder, and return their paths.

    Args:
        sample: the sentences that the report is of; `report.html` quotes those judged wrongly.
    """
    errors = sorted(_errors(report, sample), key=lambda error: -error.margin)
    whole = report.parts[ALL]
    content: dict[str, Any] = {
        "report": report,
        "whole": whole,
        "model": whole.systems[MODEL],
        "gates": gates(report),
        "worst": worst_slices(report.slices),
        "errors": errors[:MOST_ERRORS],
        "wrong": len(errors),
        "plots": draw(report),
        "colours": COLOURS,
    }
    environment = _environment()
    rendered = {
        "report.json": report.model_dump_json(indent=2) + "\n",
        "report.html": environment.get_template("report.html").render(content),
        "MODEL_CARD.md": environment.get_template("MODEL_CARD.md").render(content),
    }
    for name, text in rendered.items():
        with write_aside(folder / name) as stream:
            stream.write(text)
    return [folder / name for name in rendered]
