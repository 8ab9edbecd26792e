"""Sentences to probabilities, each distinct sentence once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from model.calibration import Floats
from model.classifier import StanceClassifier
from model.errors import SentenceError
from model.labels import LABELS

CACHE = 200_000
"""Distinct sentences whose probabilities are remembered: about 60 MB."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Sentences ready for the engine.

    `rows[i]` says where sentence i gets its probabilities: from `known` when it has been scored before, else from
    the position in `token_ids`, or it is the error that says why it has none.
    """

    rows: list[Floats | int | SentenceError]
    token_ids: list[list[int]]
    digests: list[str]


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities, float array (sentences, 4), columns as `LABELS`; NaN rows are those in `errors`."""

    probabilities: Floats
    errors: dict[int, SentenceError]


class Scorer:
    """Scores sentences in two steps that may run in two threads, so that tokenising overlaps inference.

    On a CPU equal sentences get equal probabilities to the last bit whoever stands beside them (see `model.batching`),
    so what the cache holds never shows in the results; on a GPU the rounding of bfloat16 may.
    """

    def __init__(self, classifier: StanceClassifier, cache: int = CACHE) -> None:
        self.classifier = classifier
        self._limit = cache
        self._known: OrderedDict[str, Floats] = OrderedDict()
        self._lock = Lock()

    def encode(self, texts: Sequence[str], digests: Sequence[str]) -> Encoded:
        """Step one: tokenise the sentences that were not scored before. `digests` tells equal texts."""
        fresh: dict[str, int] = {}
        remembered: list[Floats | None] = []
        with self._lock:
            for index, digest in enumerate(digests):
                row = self._known.get(digest)
                remembered.append(row)
                if row is None:
                    fresh.setdefault(digest, index)
                else:
                    self._known.move_to_end(digest)
        token_ids: list[list[int]] = []
        scored: list[str] = []
        where: dict[str, int | SentenceError] = {}
        encoded = self.classifier.encode([texts[index] for index in fresh.values()])
        for digest, item in zip(fresh, encoded, strict=True):
            if isinstance(item, SentenceError):
                where[digest] = item
            else:
                where[digest] = len(token_ids)
                token_ids.append(item)
                scored.append(digest)
        rows = [where[digest] if row is None else row for digest, row in zip(digests, remembered, strict=True)]
        return Encoded(rows, token_ids, scored)

    def score(self, encoded: Encoded) -> Scores:
        """Step two: run the engine."""
        fresh = self.classifier.probabilities(encoded.token_ids)
        with self._lock:
            for digest, row in zip(encoded.digests, fresh, strict=True):
                self._known[digest] = row.copy()
            while len(self._known) > self._limit:
                self._known.popitem(last=False)
        out = np.full((len(encoded.rows), len(LABELS)), np.nan)
        errors: dict[int, SentenceError] = {}
        for index, row in enumerate(encoded.rows):
            if isinstance(row, SentenceError):
                errors[index] = row
            else:
                out[index] = fresh[row] if isinstance(row, int) else row
        return Scores(out, errors)
