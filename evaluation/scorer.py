"""What can be evaluated: anything that gives sentences probabilities and labels."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from evaluation.examples import Sample
from evaluation.metrics import Bools, Floats
from model.classifier import StanceClassifier
from model.errors import InputError, SentenceError
from model.labels import LABELS


class Predicted(NamedTuple):
    """Scores, float array (sentences, 4), and decisions, bool array of the same shape, columns as `LABELS`."""

    scores: Floats
    holds: Bools


class Scorer(Protocol):
    """Anything that can be evaluated."""

    def predict(self, texts: Sequence[str]) -> Predicted:
        """Scores and decisions for sentences, in order."""


class ModelScorer:
    """A loaded model."""

    def __init__(self, classifier: StanceClassifier) -> None:
        self._classifier = classifier

    def predict(self, texts: Sequence[str]) -> Predicted:
        """Calibrated probabilities, and the labels at the model's own thresholds."""
        found = self._classifier.classify(texts)
        scores = np.array([[prediction.scores[label] for label in LABELS] for prediction in found])
        return Predicted(scores, np.array([[label in prediction.labels for label in LABELS] for prediction in found]))


class Remembering:
    """A scorer that is asked about every text once, however often its answer is needed."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._known: dict[str, tuple[Floats, Bools]] = {}

    def predict(self, texts: Sequence[str]) -> Predicted:
        """What the scorer says."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known |= dict(zip(new, zip(*self._scorer.predict(new), strict=True), strict=True))
        found = [self._known[text] for text in texts]
        return Predicted(np.array([scores for scores, _ in found]), np.array([holds for _, holds in found]))


def predict_sample(scorer: Scorer, sample: Sample) -> Predicted:
    """Predictions for a sample, columns as its judged labels, (sentences, judged labels).

    Raises:
        InputError: a sentence that the model cannot judge, named by its id.
    """
    try:
        scores, holds = scorer.predict(sample.texts)
    except SentenceError as error:
        raise InputError(f"{sample.name}: {sample.examples[error.index].id}: {error.reason}") from None
    return Predicted(scores[:, sample.columns], holds[:, sample.columns])
