"""A shard to scored rows: the work that every engine does, in steps that may overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.calibration import decide
from model.files import sha256_text
from serving.archive.documents import EXCERPT, Document, Reject, UnusableError
from serving.archive.pages import running_text
from serving.archive.scorer import Encoded, Scorer, Scores
from serving.archive.shards import Shard
from serving.sentences import Sentence, split_sentences

Unit = Literal["sentence", "document"]


@dataclass(frozen=True, slots=True)
class Split:
    """A document's sentences, with the digest of each one's text."""

    document: Document
    sentences: list[Sentence]
    digests: list[str]


@dataclass(frozen=True, slots=True)
class PreparedShard:
    """A shard read, split and tokenised: all but the engine's work."""

    shard: Shard
    splits: list[Split]
    rejects: list[Reject]
    encoded: Encoded


@dataclass(frozen=True, slots=True)
class ScoredShard:
    """A shard with the probabilities of its sentences, float array (sentences, 4), and the labels that hold.

    Rows are those of all splits one after the other; sentences that could not be scored have NaN and stand among
    the rejects.
    """

    shard: Shard
    splits: list[Split]
    rejects: list[Reject]
    scores: Scores
    holds: npt.NDArray[np.bool_]


def text_digest(text: str) -> str:
    """First half of the SHA-256 of a text, in hex: 128 bits tell sentences apart."""
    return sha256_text(text)[:32]


def split_document(document: Document, unit: Unit) -> Split:
    """The document's sentences, or all of it as one.

    Raises:
        UnusableError: there is nothing in it to be judged.
    """
    text = running_text(document)
    if unit == "sentence":
        sentences = list(split_sentences(text))
    else:
        whole = text.strip()
        start = text.index(whole)
        sentences = [Sentence(whole, start, start + len(whole))]
    if not sentences:
        raise UnusableError("no_sentences", "holds no sentence")
    return Split(document, sentences, [text_digest(sentence.text) for sentence in sentences])


def prepare(shard: Shard, scorer: Scorer, unit: Unit) -> PreparedShard:
    """Split and tokenise a shard."""
    splits = []
    rejects = list(shard.rejects)
    for document in shard.documents:
        try:
            splits.append(split_document(document, unit))
        except UnusableError as error:
            rejects.append(Reject("document", error.code, error.reason, document.input, document.line, document.id))
    texts = [sentence.text for split in splits for sentence in split.sentences]
    digests = [digest for split in splits for digest in split.digests]
    return PreparedShard(shard, splits, rejects, scorer.encode(texts, digests))


def score(prepared: PreparedShard, scorer: Scorer) -> ScoredShard:
    """Run the engine over a prepared shard."""
    scores = scorer.score(prepared.encoded)
    with np.errstate(invalid="ignore"):
        holds = decide(scores.probabilities, scorer.classifier.manifest.thresholds)
    rejects = prepared.rejects + list(_rejected_sentences(prepared.splits, scores))
    return ScoredShard(prepared.shard, prepared.splits, rejects, scores, holds)


def _rejected_sentences(splits: Sequence[Split], scores: Scores) -> Iterator[Reject]:
    row = 0
    for split in splits:
        for sentence in split.sentences:
            if error := scores.errors.get(row):
                yield Reject(
                    "sentence",
                    error.code,
                    error.reason,
                    split.document.input,
                    split.document.line,
                    split.document.id,
                    sentence.start,
                    sentence.end,
                    sentence.text[:EXCERPT],
                )
            row += 1
