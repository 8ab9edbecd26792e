"""Scored sentences as rows, one after the other, for standard output or a JSON Lines file."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from model.calibration import decide
from model.errors import InputError
from model.labels import LABELS
from serving.archive.documents import Document, Reject, UnusableError
from serving.archive.inputs import Input, Meter
from serving.archive.readers import ReadOptions, read_input
from serving.archive.scorer import Scorer
from serving.archive.scoring import Unit, split_document
from serving.sentences import Sentence

CHUNK = 512
"""Sentences scored together: enough to fill the engine's batches, few enough to bound memory and waiting."""


def score_rows(scorer: Scorer, inputs: Sequence[Input], options: ReadOptions, unit: Unit) -> Iterator[dict[str, Any]]:
    """One row a sentence, in order: document, offsets, text, labels and scores, or the `error` that it has instead.

    Raises:
        InputError: the first document that cannot be read.
    """
    sentences = _sentences(inputs, options, unit)
    while chunk := list(islice(sentences, CHUNK)):
        texts = [sentence.text for _, sentence, _ in chunk]
        scores = scorer.score(scorer.encode(texts, [digest for _, _, digest in chunk]))
        holds = decide(scores.probabilities, scorer.classifier.manifest.thresholds)
        for index, (document, sentence, _) in enumerate(chunk):
            row = {"document": document, "start": sentence.start, "end": sentence.end, "text": sentence.text}
            if error := scores.errors.get(index):
                yield row | {"error": error.reason}
                continue
            found = dict(zip(LABELS, scores.probabilities[index].tolist(), strict=True))
            yield row | {
                "labels": [label for label, hit in zip(LABELS, holds[index], strict=True) if hit],
                "scores": {label: round(value, 6) for label, value in found.items()},
            }


def _sentences(inputs: Sequence[Input], options: ReadOptions, unit: Unit) -> Iterator[tuple[str, Sentence, str]]:
    for document in _documents(inputs, options):
        try:
            split = split_document(document, unit)
        except UnusableError as error:
            raise InputError(f"{document.input}: {error.reason}") from None
        for sentence, digest in zip(split.sentences, split.digests, strict=True):
            yield document.id, sentence, digest


def _documents(inputs: Sequence[Input], options: ReadOptions) -> Iterator[Document]:
    for source in inputs:
        told = {"utf-8"}
        for item in read_input(source, options, Meter()):
            if isinstance(item, Reject):
                raise InputError(item.message)
            if isinstance(item, Document):
                if item.encoding not in told:
                    told.add(item.encoding)
                    print(f"{item.input}: read as {item.encoding}", file=sys.stderr)
                yield item
