"""Baselines that learn, fitted once: their answers are kept by the digests of all that gave them."""

import importlib.metadata
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from evaluation.examples import Sample
from evaluation.scorer import Predicted, Scorer
from model.encoder import DEFAULT_SHA256
from model.files import sha256_file, sha256_text, write_aside

_CODE = ("baselines.py", "embeddings.py", "metrics.py")
_LIBRARIES = ("numpy", "openvino", "scikit-learn", "tokenizers")


def cache_folder() -> Path:
    """Where answers are kept (XDG Base Directory Specification); deleting it costs time alone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "communique" / "baselines"


class Learned:
    """A baseline fitted on train and dev sentences, once it is asked something that it has not answered before.

    A baseline does not change with the model under evaluation, and fitting it takes most of the time of a report.
    """

    def __init__(self, name: str, make: Callable[[Sample, Sample], Scorer], train: Sample, dev: Sample) -> None:
        self._name = name
        self._make = make
        self._train, self._dev = train, dev

    def predict(self, texts: Sequence[str]) -> Predicted:
        """Scores and decisions for sentences, in order."""
        path = cache_folder() / f"{self._key(texts)}.json"
        with suppress(OSError, ValueError, KeyError):  # not kept yet, or damaged
            kept = json.loads(path.read_text(encoding="utf-8"))
            return Predicted(np.array(kept["scores"], dtype=np.float64), np.array(kept["holds"], dtype=np.bool_))
        found = self._make(self._train, self._dev).predict(texts)
        with suppress(OSError), write_aside(path) as stream:  # a home that cannot be written to is no reason to fail
            json.dump({"scores": found.scores.tolist(), "holds": found.holds.tolist()}, stream)
        return found

    def _key(self, texts: Sequence[str]) -> str:
        return sha256_text(
            self._name,
            *(self._train.sha256, self._dev.sha256, DEFAULT_SHA256),
            *(sha256_file(Path(__file__).parent / name) for name in _CODE),
            *(importlib.metadata.version(name) for name in _LIBRARIES),
            *texts,
        )
