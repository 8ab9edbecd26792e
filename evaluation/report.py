"""The evaluation of several systems on the same sentences, as one typed report."""

import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from evaluation import metrics
from evaluation.baselines import AllNone, Bools, Floats, KeyWords, Scorer, TfidfLogistic
from evaluation.bootstrap import DRAWS, group_weights, interval
from evaluation.examples import Example, load_examples, truth_matrix
from model.classifier import StanceClassifier
from model.files import sha256_file
from model.labels import LABELS, Label

ALL = "all"
"""Name of the slice that holds every sentence."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Frozen):
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class LabelFigures(_Frozen):
    """What was measured for one label; `support` counts the sentences that carry it."""

    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    support: int


class Figures(_Frozen):
    """One system on one slice. `false_alarms` is per 1,000 sentences without a stance."""

    labels: dict[Label, LabelFigures]
    macro_f1: Estimate
    micro_f1: Estimate
    exact_set_accuracy: Estimate
    false_alarms: Estimate


class Slice(_Frozen):
    """All systems on one part of the data."""

    sentences: int
    without_stance: int
    systems: dict[str, Figures]


class Report(_Frozen):
    """The whole evaluation, and what is needed to repeat it."""

    data: str
    data_sha256: str
    model_version: str
    model_digest: str
    baselines_trained_on: str | None
    created: str
    machine: str
    libraries: dict[str, str]
    bootstrap_draws: int
    slices: dict[str, Slice]


class _Model:
    def __init__(self, classifier: StanceClassifier) -> None:
        self._classifier = classifier

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Bools]:
        found = self._classifier.classify(texts)
        scores = np.array([[prediction.scores[label] for label in LABELS] for prediction in found])
        return scores, np.array([[label in prediction.labels for label in LABELS] for prediction in found])


def figures(truth: Bools, scores: Floats, predicted: Bools, weights: Floats) -> Figures:
    """All figures of one system; `weights` are the bootstrap draws, (draws, sentences)."""

    def estimate(metric: Callable[..., Floats], given: Floats | Bools) -> list[Estimate]:
        values = np.atleast_1d(metric(truth, given))
        drawn = metric(truth, given, weights).reshape(len(weights), -1)
        bounds = [interval(drawn[:, column]) for column in range(drawn.shape[1])]
        return [Estimate(value=float(v), low=lo, high=hi) for v, (lo, hi) in zip(values, bounds, strict=True)]

    def macro_f1(truth: Bools, predicted: Bools, weights: Floats | None = None) -> Floats:
        return np.asarray(metrics.f1_scores(truth, predicted, weights).mean(axis=-1))

    precision, recall, f1 = (
        estimate(metric, predicted) for metric in (metrics.precision_scores, metrics.recall_scores, metrics.f1_scores)
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
            for i, label in enumerate(LABELS)
        },
        macro_f1=estimate(macro_f1, predicted)[0],
        micro_f1=estimate(metrics.micro_f1, predicted)[0],
        exact_set_accuracy=estimate(metrics.exact_set_accuracy, predicted)[0],
        false_alarms=estimate(metrics.false_alarms, predicted)[0],
    )


def compare_systems(examples: Sequence[Example], systems: Mapping[str, Scorer]) -> dict[str, Slice]:
    """Every system on all sentences and on each stratum, with intervals from the same bootstrap draws."""
    truth = truth_matrix(examples)
    weights = group_weights([example.group for example in examples])
    predicted = {name: system.predict([example.text for example in examples]) for name, system in systems.items()}
    strata = sorted({example.stratum for example in examples if example.stratum is not None})
    parts = {ALL: np.ones(len(examples), dtype=np.bool_)}
    parts |= {name: np.array([example.stratum == name for example in examples]) for name in strata}
    return {
        name: Slice(
            sentences=int(keep.sum()),
            without_stance=int((~truth[keep].any(axis=1)).sum()),
            systems={
                system: figures(truth[keep], scores[keep], holds[keep], weights[:, keep])
                for system, (scores, holds) in predicted.items()
            },
        )
        for name, keep in parts.items()
    }


def evaluate(data: Path, annotations: Path | None, model: Path | None) -> Report:
    """Evaluate a model folder (the released one for None) and the baselines on a JSONL file.

    Args:
        data: see `evaluation.examples.load_examples`.
        annotations: folder whose train and dev splits the TF-IDF baseline learns from; None leaves it out.
    """
    examples = load_examples(data)
    classifier = StanceClassifier.load(model)
    systems: dict[str, Scorer] = {"all none": AllNone(), "key words": KeyWords()}
    if annotations is not None:
        systems["TF-IDF + logistic"] = TfidfLogistic(
            load_examples(annotations / "train.jsonl"), load_examples(annotations / "dev.jsonl")
        )
    systems["model"] = _Model(classifier)
    return Report(
        data=data.name,
        data_sha256=sha256_file(data),
        model_version=classifier.manifest.version,
        model_digest=classifier.manifest.digest,
        baselines_trained_on=None if annotations is None else sha256_file(annotations / "train.jsonl"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        libraries={name: importlib.metadata.version(name) for name in ("communique", "openvino", "scikit-learn")},
        bootstrap_draws=DRAWS,
        slices=compare_systems(examples, systems),
    )


def render(report: Report) -> str:
    """The report as text for a terminal."""
    lines = [f"{report.data}: model {report.model_version}, 95 % intervals from {report.bootstrap_draws} draws"]
    for name, part in report.slices.items():
        lines += ["", f"== {name}: {part.sentences} sentences, {part.without_stance} without a stance ==", ""]
        header = f"{'':18} {'macro-F1':>18} {'micro-F1':>9} {'exact set':>10} {'alarms/1000':>12}  "
        lines.append(header + " ".join(f"{'F1 ' + label:>11}" for label in LABELS))
        for system, found in part.systems.items():
            macro = found.macro_f1
            lines.append(
                f"{system:18} {macro.value:.3f} [{macro.low:.3f}, {macro.high:.3f}] {found.micro_f1.value:9.3f}"
                f" {found.exact_set_accuracy.value:10.3f} {found.false_alarms.value:12.0f}  "
                + " ".join(f"{found.labels[label].f1.value:11.3f}" for label in LABELS)
            )
        lines += ["", f"{'model, by label':18} {'precision':>22} {'recall':>22} {'F1':>22} {'AP':>22} {'support':>8}"]
        for label, row in part.systems["model"].labels.items():
            cells = " ".join(
                f"{e.value:>7.3f} [{e.low:.3f}, {e.high:.3f}]"[:23].rjust(22)
                for e in (row.precision, row.recall, row.f1, row.average_precision)
            )
            lines.append(f"{label:18} {cells} {row.support:8}")
    return "\n".join(lines) + "\n"
