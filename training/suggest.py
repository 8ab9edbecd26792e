"""Which sentences of a scored archive to annotate next: those that the model doubts, and unlike each other.

Doubt is uncertainty sampling (D. Lewis and W. Gale, "A sequential algorithm for training text classifiers", 1994),
for each label by itself; variety is maximal marginal relevance (J. Carbonell and J. Goldstein, "The use of MMR,
diversity-based reranking for reordering documents and producing summaries", 1998) over TF-IDF vectors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer

from model.artefact import Manifest, open_artefact
from model.calibration import Floats, decide
from model.classifier import MAX_CHARACTERS
from model.errors import InputError
from model.files import sha256_text
from model.labels import LABELS, Label
from model.present import resolve_model
from model.records import MODEL_PREFIX, Record, Stance, spaced
from training.annotations.add import id_of
from training.annotations.check import read_benchmark
from training.annotations.language import other_language
from training.annotations.near import Sentence, near_duplicates
from training.dataset import group_of, scan_annotations
from training.scored import scored_batches

POOL = 20
"""Sentences considered for each label, for each one that is asked for: the most doubtful ones of the archive."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A sentence of the archive, its probabilities and how much the model doubts each label."""

    text: str
    document: str
    probabilities: tuple[float, ...]
    doubts: tuple[float, ...]


def doubts(probabilities: Floats, thresholds: dict[Label, float]) -> Floats:
    """How near each probability is to its label's threshold, float array (sentences, 4): 1 at it, 0 at 0 and at 1."""
    cut = np.array([thresholds[label] for label in LABELS])
    return np.asarray(np.where(probabilities >= cut, (1 - probabilities) / (1 - cut), probabilities / cut))


def _rows(archive: Path, manifest: Manifest) -> Iterator[tuple[list[str], list[str], Floats]]:
    """Texts, documents and probabilities of a scored archive, a batch at a time."""
    for path, found in scored_batches(archive, ("text", "document", "model", "model_digest", *LABELS)):
        for version, digest in zip(found["model"], found["model_digest"], strict=True):
            if digest != manifest.digest:
                raise InputError(
                    f"{path}: scored by {version}, not by {manifest.version}; name that model with --model"
                )
        yield found["text"], found["document"], np.array([found[label] for label in LABELS]).T


def _pool(archive: Path, manifest: Manifest, size: int) -> list[Scored]:
    """For each label the `size` sentences of an archive that are most in doubt, each text once."""
    pools: list[dict[str, Scored]] = [{} for _ in LABELS]
    for texts, documents, probabilities in _rows(archive, manifest):
        found = doubts(probabilities, manifest.thresholds)
        for column, pool in enumerate(pools):
            for row in np.argsort(-found[:, column], kind="stable")[:size]:
                text = spaced(texts[row])
                if len(text) <= MAX_CHARACTERS:
                    pool.setdefault(
                        text,
                        Scored(text, documents[row], tuple(probabilities[row].tolist()), tuple(found[row].tolist())),
                    )
            best = sorted(pool.values(), key=lambda scored: (-scored.doubts[column], scored.text))[:size]
            pools[column] = {scored.text: scored for scored in best}
    return list({text: scored for pool in pools for text, scored in pool.items()}.values())


def _fresh(pool: Sequence[Scored], annotations: Path, benchmarks: Sequence[Path]) -> list[Scored]:
    """The pool, most doubtful first, without what is near to the dataset, to a benchmark or to a sentence before it."""
    placed, problems = scan_annotations(annotations)
    if problems:
        raise problems[0]
    known = [Sentence(each.record.text, "dataset", str(each), group_of(each.record)) for each in placed]
    known += [sentence for path in benchmarks for sentence in read_benchmark(path)]
    ordered = sorted(pool, key=lambda scored: (-max(scored.doubts), scored.text))
    sentences = [*known, *(Sentence(scored.text, "archive", scored.document) for scored in ordered)]
    near = {pair.later - len(known) for pair in near_duplicates(sentences, len(known))}
    return [scored for at, scored in enumerate(ordered) if at not in near and other_language(scored.text) is None]


def _choose(pool: Sequence[Scored], count: int) -> Iterator[tuple[Scored, Label]]:
    """Sentences with the label each is chosen for: each label in turn takes the one with most doubt and novelty."""
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform([scored.text for scored in pool])
    doubt: Floats = np.array([scored.doubts for scored in pool])
    novelty: Floats = np.ones(len(pool))
    left: npt.NDArray[np.bool_] = np.ones(len(pool), dtype=np.bool_)
    for turn in range(min(count, len(pool))):
        column = turn % len(LABELS)
        best = int(np.argmax(np.where(left, doubt[:, column] * novelty, -1.0)))
        left[best] = False
        novelty = np.minimum(novelty, 1 - (vectors @ vectors[best].T).toarray()[:, 0])
        yield pool[best], LABELS[column]


def suggest(
    archive: Path,
    count: int,
    annotations: Path,
    model: str | Path | None = None,
    benchmarks: Sequence[Path] = (),
) -> list[Record]:
    """The sentences of a scored archive whose annotation would help most, as suggestions with the model's own labels.

    A quarter for each label, in turn. None is near to another, to a record of the dataset or to a benchmark.

    Args:
        archive: folder that `communique score --out` wrote.
        count: how many at most.
        annotations: the dataset that they are meant for.
        model: the one that scored the archive; see `model.present.resolve_model`.
        benchmarks: JSONL files whose sentences must not come near the dataset.

    Raises:
        InputError: there are no scored sentences, or another model scored them.
        RecordError: the dataset breaks a rule.
    """
    manifest = open_artefact(resolve_model(model))
    pool = _fresh(_pool(archive, manifest, POOL * count), annotations, benchmarks)
    return [_record(scored, label, manifest) for scored, label in _choose(pool, count)] if pool else []


def _record(scored: Scored, label: Label, manifest: Manifest) -> Record:
    holds = decide(np.array([scored.probabilities]), manifest.thresholds)[0]
    probability, threshold = scored.probabilities[LABELS.index(label)], manifest.thresholds[label]
    return Record(
        text=scored.text,
        stances=tuple(Stance(label=each) for each, hit in zip(LABELS, holds, strict=True) if hit),
        id=id_of(scored.text),
        # Sentences of one document stay in one split.
        group="d" + sha256_text(scored.document)[:12],
        origin="archive",
        annotator=MODEL_PREFIX + manifest.version,
        confidence=round(1 - max(scored.doubts), 4),
        note=f"model {manifest.version} doubted {label}: {probability:.2f}, threshold {threshold:.2f}",
    )
