"""What larger models, or several together, say of sentences, for a small one to learn from.

Distillation (G. Hinton et al., "Distilling the knowledge in a neural network", 2015): the probabilities of larger
models tell more of a sentence than its labels do, above all how near it is to the other answer, and they can be had of
sentences that nobody has annotated. The teachers are asked once; any number of students learn from the file.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, logit
from tqdm import tqdm

from model.artefact import TOKENIZER, TORCH_WEIGHTS, open_artefact
from model.calibration import Floats
from model.classifier import MAX_CHARACTERS, StanceClassifier, load_tokenizer
from model.errors import InputError, RecordError, SentenceError
from model.files import sha256_text
from model.labels import LABELS
from model.present import resolve_model
from model.records import Record, read_texts, spaced
from model.torch_engine import TorchEngine
from training.annotations.language import other_language
from training.scored import sentences_of

_CERTAIN = 1e-6
"""Probabilities nearer than this to 0 or 1 count as this near: log-odds must be finite."""

_ASKED_TOGETHER = 1024
"""Sentences between two writes: what a stopped run loses at most."""


@dataclass(frozen=True)
class Taught:
    """What teachers said of sentences: probabilities in the order of `LABELS` by text, and the teachers' digests."""

    probabilities: dict[str, tuple[float, ...]]
    teachers: str


def load_teacher(model: str | Path) -> StanceClassifier:
    """A model with its torch weights where it has them, on a GPU where there is one; else its light engine, in int8.

    int8 costs a large encoder more than a small one: of all-mpnet-base-v2's labels 1.5 % became others.

    Raises:
        InputError, ArtefactError: see `model.classifier.StanceClassifier.load`.
    """
    folder = resolve_model(model)
    manifest = open_artefact(folder)
    if not (folder / TORCH_WEIGHTS).is_file():
        return StanceClassifier.load(folder, offline=True)
    engine = TorchEngine(folder, "cuda" if torch.cuda.is_available() else "cpu")
    return StanceClassifier(manifest, load_tokenizer(folder / TOKENIZER), engine)


def ask(teachers: Sequence[StanceClassifier], sentences: Sequence[str]) -> Floats:
    """Mean log-odds of the teachers' calibrated probabilities, as probabilities (sentences, 4).

    Args:
        teachers: at least one; of a sentence too long for one of them it reads the beginning.
    """
    log_odds = np.zeros((len(sentences), len(LABELS)))
    for teacher in teachers:
        token_ids = [
            teacher.encode_beginning(sentence) if isinstance(item, SentenceError) else item
            for sentence, item in zip(sentences, teacher.encode(sentences), strict=True)
        ]
        log_odds += logit(np.clip(teacher.probabilities(token_ids), _CERTAIN, 1 - _CERTAIN))
    taught: Floats = expit(log_odds / len(teachers))
    return taught


def teach(models: Sequence[str | Path], inputs: Sequence[Path], out: Path, count: int | None = None) -> int:
    """Ask teachers about sentences, and add the answers to `out`; how many were added.

    Sentences that stand in `out` are not asked again, so a run that was stopped goes on, and a dataset that grew costs
    only what is new. What is no English sentence of at most `model.classifier.MAX_CHARACTERS` is left out.

    Args:
        models: see `load_teacher`.
        inputs: JSONL files with `text`, such as the annotations, and folders that `communique score --out` wrote.
        count: at most so many sentences of these inputs, drawn by their hash; None takes all.

    Raises:
        InputError, RecordError: an input cannot be read, or `out` holds the answers of other teachers.
        ArtefactError: see `load_teacher`.
    """
    teachers = [load_teacher(model) for model in models]
    names = _names(teachers)
    texts = dict.fromkeys(spaced(text) for path in inputs for text in sentences_of(path))
    if not texts:
        raise InputError(f"{', '.join(map(str, inputs))}: no sentences")
    fit = [text for text in texts if len(text) <= MAX_CHARACTERS and other_language(text) is None]
    if count is not None:
        fit = sorted(fit, key=sha256_text)[:count]
    known: set[str] = set()
    if out.exists():
        _cut_torn(out)
        before = read_taught(out)
        if before.probabilities and before.teachers != names:
            raise InputError(f"{out}: holds the answers of {before.teachers}, not of {names}; name another file")
        known.update(before.probabilities)
    new = [text for text in fit if text not in known]
    print(
        f"asking {names} about {len(new)} sentences; {len(fit) - len(new)} answered before, "
        f"{len(texts) - len(fit)} left out or not drawn",
        file=sys.stderr,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        out.open("a", encoding="utf-8", newline="\n") as stream,
        tqdm(total=len(new), unit=" sentences", disable=None, file=sys.stderr) as bar,
    ):
        for at in range(0, len(new), _ASKED_TOGETHER):
            some = new[at : at + _ASKED_TOGETHER]
            for text, row in zip(some, ask(teachers, some).tolist(), strict=True):
                scores = {label: round(p, 6) for label, p in zip(LABELS, row, strict=True)}
                stream.write(json.dumps({"text": text, "scores": scores, "teachers": names}, ensure_ascii=False) + "\n")
            stream.flush()
            bar.update(len(some))
    return len(new)


def _names(teachers: Iterable[StanceClassifier]) -> str:
    return ", ".join(sorted(teacher.manifest.digest for teacher in teachers))


def _cut_torn(path: Path) -> None:
    """Take away the line that a killed run left half written; a file of another kind is left as it is."""
    with path.open("rb+") as stream:
        content = stream.read()
        first, ended, _ = content.partition(b"\n")
        if ended and b'"teachers": ' in first:
            stream.truncate(content.rfind(b"\n") + 1)


def read_taught(path: Path) -> Taught:
    """The answers that `teach` wrote.

    Raises:
        InputError: the file cannot be read.
        RecordError: a line is not of its kind, or of other teachers than the first.
    """
    probabilities: dict[str, tuple[float, ...]] = {}
    teachers = ""
    for number, text, row in read_texts(path):
        scores, names = row.get("scores"), row.get("teachers")
        if not isinstance(names, str) or (teachers and names != teachers):
            raise RecordError(path, number, "teachers", f"expected {teachers or 'their digests'}, found {names!r:.140}")
        answer: tuple[float, ...] = ()
        with suppress(TypeError, KeyError, ValueError):
            answer = tuple(float(scores[label]) for label in LABELS)  # type: ignore[index]
        if not answer or not all(0 <= p <= 1 for p in answer):
            expected = f"a probability for each of {', '.join(LABELS)}"
            raise RecordError(path, number, "scores", f"expected {expected}, found {scores!r:.80}")
        teachers = names
        probabilities[text] = answer
    return Taught(probabilities, teachers)


def unannotated(taught: Taught, annotated: Iterable[Record]) -> list[Record]:
    """The sentences of `taught` beyond the annotated ones, as records without stances."""
    known = {spaced(record.text) for record in annotated}
    return [Record(text=text, stances=()) for text in taught.probabilities if text not in known]


def soft_targets(taught: Taught, records: Sequence[Record], truth: npt.NDArray[np.bool_], weight: float) -> Floats:
    """What to learn of each record, (records, 4): `truth` where the teachers were not asked, else mixed with theirs.

    Args:
        truth: which labels hold, (records, 4).
        weight: share of the teachers.
    """
    mixed = np.array(truth, dtype=float)
    for at, record in enumerate(records):
        if (answer := taught.probabilities.get(spaced(record.text))) is not None:
            mixed[at] = weight * np.array(answer) + (1 - weight) * mixed[at]
    return mixed
