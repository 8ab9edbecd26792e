"""Systems with known behaviour, good and planted bad, for the tests of the evaluation."""

import re
from collections.abc import Sequence

import numpy as np
from conftest import SENTENCES

from evaluation.examples import Example, Sample
from evaluation.report import Subject
from evaluation.schema import ModelEntry
from evaluation.scorer import Predicted, Scorer
from model.artefact import CodeEntry, DataEntry, EncoderEntry
from model.labels import LABELS

WORDS = {"threat": "punish", "denial": "denied", "support": "backs", "hedge": "may"}


class Good:
    """Right on every sentence whose stances are told by `WORDS`, and nearly sure of it."""

    def predict(self, texts: Sequence[str]) -> Predicted:
        holds = np.array([[bool(re.search(rf"\b{WORDS[label]}\b", text)) for label in LABELS] for text in texts])
        return Predicted(np.where(holds, 0.98, 0.02), holds)


class Shuffled:
    """Gives each sentence another one's answer."""

    def __init__(self, good: Scorer) -> None:
        self._good = good

    def predict(self, texts: Sequence[str]) -> Predicted:
        scores, holds = self._good.predict(texts)
        order = np.random.default_rng(0).permutation(len(texts))
        return Predicted(scores[order], holds[order])


class Inverted:
    """Says the opposite of one label."""

    def __init__(self, good: Scorer, label: str) -> None:
        self._good, self._column = good, LABELS.index(label)

    def predict(self, texts: Sequence[str]) -> Predicted:
        scores, holds = (each.copy() for each in self._good.predict(texts))
        scores[:, self._column] = 1 - scores[:, self._column]
        holds[:, self._column] = ~holds[:, self._column]
        return Predicted(scores, holds)


class Unsure:
    """Decides as well, but its probabilities are all near one half."""

    def __init__(self, good: Scorer) -> None:
        self._good = good

    def predict(self, texts: Sequence[str]) -> Predicted:
        scores, holds = self._good.predict(texts)
        return Predicted(0.5 + (scores - 0.5) / 5, holds)


class Biased:
    """Sees a threat wherever one actor is named."""

    def __init__(self, good: Scorer, actor: str) -> None:
        self._good, self._actor = good, actor

    def predict(self, texts: Sequence[str]) -> Predicted:
        scores, holds = (each.copy() for each in self._good.predict(texts))
        named = [self._actor in text for text in texts]
        scores[named, 0], holds[named, 0] = 0.9, True
        return Predicted(scores, holds)


def sample() -> Sample:
    """The sentences of the tiny dataset, every second one from a speech."""
    examples = tuple(
        Example(f"s{number}", text, tuple(labels), f"g{number // 2}", {"genre": ("wire", "speech")[number % 2]})
        for number, (text, labels) in enumerate(SENTENCES)
    )
    return Sample("tiny.jsonl", "0" * 64, LABELS, examples)


def subject(scorer: Scorer) -> Subject:
    """A system as a model that somebody trained."""
    entry = ModelEntry(
        version="2026-01-01-abcdef01",
        digest="a" * 64,
        encoder=EncoderEntry(name="an encoder", sha256="b" * 64),
        data=DataEntry(sha256="c" * 64, records={"train": 10, "dev": 5, "test": 5}),
        code=CodeEntry(version="0", commit=None, libraries={}),
        thresholds=dict.fromkeys(LABELS, 0.5),
        training={"seed": 1},
        bytes=1000,
    )
    return Subject(scorer, entry)
