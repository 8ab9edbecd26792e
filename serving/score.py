"""Files in, one JSON object per sentence out."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from model.classifier import StanceClassifier
from model.errors import InputError, RecordError, SentenceError
from serving.sentences import Sentence, split_sentences

CHUNK = 512
"""Sentences scored together: enough to fill the engine's batches, few enough to bound memory and waiting."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text, the name of where it came from, and whether it is running text or one sentence already."""

    id: str
    text: str
    whole: bool


def read_text(lines: Iterable[str], name: str) -> Iterator[Document]:
    """A plain text file: one document of running text."""
    try:
        yield Document(name, "".join(lines), whole=False)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from None


def read_jsonl(lines: Iterable[str], name: str, text_field: str, whole: bool) -> Iterator[Document]:
    """A JSON Lines file: one document a line; its `id` where it has one, else file and line number.

    Raises:
        RecordError: a line is not a JSON object with a string in `text_field`.
    """
    try:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise RecordError(name, number, "line", f"not JSON: {error}") from None
            if not isinstance(row, dict) or not isinstance(row.get(text_field), str):
                found = sorted(row) if isinstance(row, dict) else type(row).__name__
                raise RecordError(name, number, text_field, f"expected a string in an object, found {found}")
            yield Document(str(row.get("id", f"{name}:{number}")), row[text_field], whole)
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from None


def read_documents(path: Path, stdin: TextIO, text_field: str, whole: bool) -> Iterator[Document]:
    """The documents of one input: `.jsonl` by its name, `-` for standard input, anything else as running text.

    Standard input is taken as JSON Lines when its first character is `{`.

    Raises:
        InputError: the file cannot be read.
    """
    if str(path) == "-":
        first = stdin.readline()
        lines = chain([first], stdin)
        if first.lstrip().startswith("{"):
            yield from read_jsonl(lines, "-", text_field, whole)
        else:
            yield from read_text(lines, "-")
        return
    try:
        with path.open(encoding="utf-8") as stream:
            if path.suffix in (".jsonl", ".ndjson"):
                yield from read_jsonl(stream, str(path), text_field, whole)
            else:
                yield from read_text(stream, str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def score_documents(classifier: StanceClassifier, documents: Iterable[Document]) -> Iterator[dict[str, object]]:
    """One row per sentence, in order: document, offsets, text, labels and scores, or the reason it has none."""
    chunk: list[tuple[str, Sentence]] = []
    for document in documents:
        text = document.text
        found = [Sentence(text, 0, len(text))] if document.whole else split_sentences(text)
        for sentence in found:
            chunk.append((document.id, sentence))
            if len(chunk) == CHUNK:
                yield from _score_chunk(classifier, chunk)
                chunk = []
    yield from _score_chunk(classifier, chunk)


def _score_chunk(classifier: StanceClassifier, chunk: list[tuple[str, Sentence]]) -> Iterator[dict[str, object]]:
    encoded = classifier.encode([sentence.text for _, sentence in chunk])
    predictions = iter(classifier.predict([item for item in encoded if not isinstance(item, SentenceError)]))
    for (document, sentence), item in zip(chunk, encoded, strict=True):
        row: dict[str, object] = {
            "document": document,
            "start": sentence.start,
            "end": sentence.end,
            "text": sentence.text,
        }
        if isinstance(item, SentenceError):
            row["error"] = item.reason
        else:
            prediction = next(predictions)
            row |= {"labels": prediction.labels, "scores": {k: round(v, 6) for k, v in prediction.scores.items()}}
        yield row
