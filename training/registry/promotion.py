"""Which registered model answers: promoted when it passes its gates, rolled back when it disappoints."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from evaluation.cases import Case
from evaluation.comparison import Comparison, compare
from evaluation.examples import Sample
from evaluation.gates import Gate, failed_gates, gates, relative_gates
from evaluation.page import write_report
from evaluation.report import Subject, Systems, make_report
from evaluation.scorer import Remembering
from evaluation.tables import render_gate
from model.artefact import RELEASED, open_artefact
from model.errors import ArtefactError, GateError, InputError
from model.files import write_aside
from model.present import (
    Promotion,
    Promotions,
    Withdrawal,
    bentoml_home,
    promotions_path,
    read_promotions,
    resolve_model,
    stored_folder,
)
from training.registry.store import Entry, keep

NO_BASELINES = Systems({}, None)


@dataclass(frozen=True)
class Trial:
    """A candidate against the present model: the comparison on the sentences, and every gate."""

    candidate: Entry
    comparison: Comparison
    gates: list[Gate]


def _subject(folder: Path) -> Subject:
    subject = Subject.load(folder)
    return replace(subject, scorer=Remembering(subject.scorer))


def register(artefact: Path, sample: Sample, cases: Sequence[Case]) -> Entry:
    """Measure a model and keep it in the registry with its report.

    Raises:
        ArtefactError: see `training.registry.store.keep`.
    """

    def measure(folder: Path) -> None:
        write_report(make_report(sample, Subject.load(artefact), NO_BASELINES, cases), sample, folder)

    return keep(artefact, measure)


def judge(candidate: Entry, sample: Sample, cases: Sequence[Case]) -> Trial:
    """Put a candidate and the present model to the same sentences and behaviour cases.

    Both are measured anew: a stored report may be of an earlier test split.

    Raises:
        InputError: the candidate is the present model.
        ArtefactError: the present model cannot be loaded.
    """
    present = resolve_model()
    if open_artefact(present).digest == candidate.manifest.digest:
        raise InputError(f"{candidate.manifest.version}: is the present model already")
    old, new = (_subject(folder) for folder in (present, candidate.artefact))
    before, after = (make_report(sample, each, NO_BASELINES, cases) for each in (old, new))
    comparison = compare(sample, old.scorer, new.scorer, (before.model.version, after.model.version))
    return Trial(candidate, comparison, gates(after) + relative_gates(before, after, comparison))


@contextmanager
def _changing() -> Iterator[Promotions]:
    """The promotions as they stand, while nobody else changes them."""
    bentoml_home().mkdir(parents=True, exist_ok=True)
    with promotions_path().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield read_promotions()


def _write(promotions: Promotions) -> None:
    with write_aside(promotions_path()) as stream:
        stream.write(promotions.model_dump_json(indent=2) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def promote(trial: Trial, reason: str | None = None) -> Promotion:
    """Make the candidate the present model.

    Args:
        reason: why gates that it fails are overruled; needed only then, and recorded only then.

    Raises:
        GateError: it fails gates, and no reason is given.
    """
    failed = failed_gates(trial.gates)
    if failed and reason is None:
        lines = "\n".join(f"  {render_gate(gate)}" for gate in failed)
        raise GateError(f"{trial.candidate.manifest.version}: not promoted: {len(failed)} gates failed\n{lines}")
    promotion = Promotion(
        version=trial.candidate.manifest.version,
        digest=trial.candidate.manifest.digest,
        at=_now(),
        reason=reason if failed else None,
        overruled=tuple(render_gate(gate) for gate in failed),
    )
    with _changing() as promotions:
        _write(promotions.model_copy(update={"history": (*promotions.history, promotion)}))
    return promotion


def roll_back() -> tuple[Promotion, str]:
    """Take the last promotion back; returns it, and the version that answers now.

    Models before it that cannot be loaded are taken back too: they may have been deleted, and there must be a way out.

    Raises:
        InputError: nothing was promoted.
        ArtefactError: not even the released model can be loaded; then nothing changes.
    """
    with _changing() as promotions:
        if not promotions.history:
            raise InputError("nothing was promoted here; the released model answers")
        *before, last = promotions.history
        taken = [last]
        while before:
            try:
                version = open_artefact(stored_folder(before[-1].version)).version
                break
            except ArtefactError:
                taken.append(before.pop())
        else:
            version = open_artefact(RELEASED).version
        withdrawals = [Withdrawal(promotion=each, at=_now()) for each in taken]
        _write(Promotions(history=tuple(before), withdrawn=(*promotions.withdrawn, *withdrawals)))
    return last, version
