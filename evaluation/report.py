"""The evaluation of a model: its figures, those of what it must beat, and where they come from."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np

from evaluation.baselines import AllNone, FrozenLogistic, KeyWords, TfidfLogistic
from evaluation.behaviour import run_suites
from evaluation.bootstrap import DRAWS, group_weights
from evaluation.cases import Case
from evaluation.ceiling import Pairs, ceiling
from evaluation.examples import Sample, load_sample
from evaluation.figures import figures
from evaluation.learned import Learned
from evaluation.metrics import Bools, Floats
from evaluation.reliability import reliability
from evaluation.schema import ALL, MODEL, Evaluation, Judged, ModelEntry, Part, Report, SampleEntry
from evaluation.scorer import ModelScorer, Predicted, Scorer, predict_sample
from evaluation.selective import risk_coverage
from evaluation.slices import slice_figures
from evaluation.sweep import sweep
from model.classifier import StanceClassifier
from model.provenance import code_entry

LIBRARIES = ("openvino", "tokenizers", "numpy", "scikit-learn", "scipy")

RULES: Mapping[str, Scorer] = {"all none": AllNone(), "key words": KeyWords()}
"""Baselines that learn nothing."""

QUICK: Mapping[str, Callable[[Sample, Sample], Scorer]] = {"TF-IDF + logistic": TfidfLogistic}
"""Baselines that learn from the train and dev splits within seconds."""

LEARNED: Mapping[str, Callable[[Sample, Sample], Scorer]] = {**QUICK, "frozen encoder + logistic": FrozenLogistic}
"""All baselines that learn."""


@dataclass(frozen=True)
class Subject:
    """The model under evaluation, and what its manifest says of it."""

    scorer: Scorer
    entry: ModelEntry

    @classmethod
    def load(cls, model: str | Path | None) -> Self:
        """A folder, a tag of the registry, or None for the present one; see `StanceClassifier.load`."""
        classifier = StanceClassifier.load(model, offline=True)
        manifest = classifier.manifest
        entry = ModelEntry(
            version=manifest.version,
            digest=manifest.digest,
            encoder=manifest.encoder,
            data=manifest.data,
            code=manifest.code,
            thresholds=manifest.thresholds,
            training=manifest.training,
            bytes=sum(each.bytes for each in manifest.files.values()),
        )
        return cls(ModelScorer(classifier), entry)


@dataclass(frozen=True)
class Systems:
    """What is put to the sentences: the baselines by name, and the SHA-256 of the file that the learned ones know."""

    baselines: Mapping[str, Scorer]
    trained_on: str | None

    @classmethod
    def prepare(cls, annotations: Path | None, learned: Mapping[str, Callable[[Sample, Sample], Scorer]]) -> Self:
        """The rules, and the `learned` baselines on the train and dev splits of a dataset; None leaves these out."""
        if annotations is None:
            return cls(RULES, None)
        train, dev = (load_sample(annotations / f"{split}.jsonl") for split in ("train", "dev"))
        fitted = {name: Learned(name, make, train, dev) for name, make in learned.items()}
        return cls({**RULES, **fitted}, train.sha256)


def _parts(sample: Sample, predicted: Mapping[str, Predicted], weights: Floats) -> dict[str, Part]:
    """Every system on all sentences and on each stratum, with intervals from the same bootstrap draws."""
    truth = sample.truth
    strata = [example.facets.get("stratum") for example in sample.examples]
    inside: dict[str, Bools] = {ALL: np.ones(len(truth), dtype=np.bool_)}
    inside |= {name: np.array([name == each for each in strata]) for name in sorted({name for name in strata if name})}
    return {
        name: Part(
            sentences=int(keep.sum()),
            without_stance=int((~truth[keep].any(axis=1)).sum()),
            systems={
                system: figures(
                    truth[keep], Predicted(each.scores[keep], each.holds[keep]), weights[:, keep], sample.judges
                )
                for system, each in predicted.items()
            },
        )
        for name, keep in inside.items()
    }


def _evaluate(sample: Sample, subject: Subject, systems: Systems) -> tuple[Evaluation, Predicted, Floats]:
    """The evaluation, the model's predictions, and the bootstrap draws."""
    scorers = {**systems.baselines, MODEL: subject.scorer}
    predicted = {name: predict_sample(scorer, sample) for name, scorer in scorers.items()}
    weights = group_weights(sample.groups)
    evaluation = Evaluation(
        sample=SampleEntry(
            name=sample.name,
            sha256=sample.sha256,
            sentences=len(sample.examples),
            groups=len(set(sample.groups)),
            judges=sample.judges,
        ),
        model=subject.entry,
        code=code_entry(LIBRARIES),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        bootstrap_draws=DRAWS,
        baselines_trained_on=systems.trained_on,
        parts=_parts(sample, predicted, weights),
    )
    return evaluation, predicted[MODEL], weights


def evaluate(sample: Sample, subject: Subject, systems: Systems) -> Evaluation:
    """The model beside the baselines on a sample."""
    return _evaluate(sample, subject, systems)[0]


def make_report(
    sample: Sample,
    subject: Subject,
    systems: Systems,
    cases: Sequence[Case] = (),
    readings: Pairs | None = None,
) -> Report:
    """The whole evaluation.

    Args:
        cases: of behaviour; without them the report has no suites.
        readings: what two readers said; see `evaluation.ceiling`.
    """
    evaluation, predicted, weights = _evaluate(sample, subject, systems)
    truth = sample.truth
    suites, actors = run_suites(cases, subject.scorer)
    return Report(
        **dict(evaluation),
        calibration=dict(zip(sample.judges, reliability(truth, predicted.scores, weights), strict=True)),
        risk_coverage=risk_coverage(truth, predicted, weights),
        sweep=dict(zip(sample.judges, sweep(truth, predicted.scores), strict=True)),
        slices=slice_figures(sample, predicted, weights),
        ceiling=ceiling(sample, predicted, readings or {}),
        suites=suites,
        actors=actors,
        predictions=[
            Judged(
                id=example.id,
                gold=tuple(label for label in sample.judges if label in example.labels),
                predicted=tuple(label for label, hit in zip(sample.judges, hits, strict=True) if hit),
                probabilities=dict(zip(sample.judges, row, strict=True)),
            )
            for example, row, hits in zip(
                sample.examples, predicted.scores.tolist(), predicted.holds.tolist(), strict=True
            )
        ],
    )
