"""What a model must beat: saying nothing, spotting key words, a bag of words, an encoder that was not fine-tuned."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from evaluation.embeddings import FrozenEncoder
from evaluation.examples import Sample
from evaluation.metrics import Floats, best_f1_threshold
from evaluation.scorer import Predicted
from model.labels import LABELS, Label

FROZEN_SENTENCES = 5000
"""Embedding sentences is what takes the time of a report, and the bag of words is the baseline to beat in any case: of
12,569 train sentences, all gave a dev macro average precision of 0.673, every third one 0.641, TF-IDF 0.803."""


class AllNone:
    """Gives no sentence any label."""

    def predict(self, texts: Sequence[str]) -> Predicted:
        """Zero scores and no label."""
        shape = (len(texts), len(LABELS))
        return Predicted(np.zeros(shape), np.zeros(shape, dtype=np.bool_))


KEY_WORDS: dict[Label, str] = {
    "threat": r"threat(?:en(?:s|ed|ing)?|s)?|warn(?:s|ed|ing)?|retaliat\w+|consequences|ultimatum|punish\w*|or else",
    "denial": r"den(?:y|ies|ied|ying|ial|ials)|refut\w+|dismiss\w*|baseless|fabricat\w+|untrue|false|no truth",
    "support": r"support(?:s|ed|ing)?|back(?:s|ed|ing)|endors\w+|welcom\w+|solidarity|stand(?:s|ing)? with|pledg\w+",
    "hedge": r"may|might|could|possibl[ey]|perhaps|likely|apparently|reportedly|allegedly|appears?|seems?|suspect\w*",
}
"""A label holds where one of its words stands: what an analyst's first search would be."""


class KeyWords:
    """Looks for the words of `KEY_WORDS`, letter case aside."""

    def __init__(self) -> None:
        self._patterns = [re.compile(rf"\b(?:{KEY_WORDS[label]})\b", re.IGNORECASE) for label in LABELS]

    def predict(self, texts: Sequence[str]) -> Predicted:
        """Score 1 where a word of the label is found."""
        found = np.array([[bool(pattern.search(text)) for pattern in self._patterns] for text in texts])
        return Predicted(found.astype(np.float64), found)


class _Logistic:
    """One logistic regression per label over some features; thresholds by F1 on dev.

    `features` turns texts into a matrix (texts, width). C: of 1, 10 and 100, nothing is gained on dev beyond 10.
    """

    def __init__(self, features: Callable[[Sequence[str]], Any], train: Sample, dev: Sample) -> None:
        self._features = features
        matrix, truth = features(train.texts), train.truth
        self._regressions = [
            # liblinear: the same optimum as the default solver, five times sooner on sparse features.
            LogisticRegression(C=10.0, max_iter=1000, solver="liblinear").fit(matrix, truth[:, column])
            for column in range(len(LABELS))
        ]
        scores, dev_truth = self._scores(dev.texts), dev.truth
        self._thresholds = np.array([best_f1_threshold(dev_truth[:, i], scores[:, i]) for i in range(len(LABELS))])

    def _scores(self, texts: Sequence[str]) -> Floats:
        matrix = self._features(texts)
        return np.stack([regression.predict_proba(matrix)[:, 1] for regression in self._regressions], axis=1)

    def predict(self, texts: Sequence[str]) -> Predicted:
        """Probabilities of the regressions, cut at their thresholds."""
        scores = self._scores(texts)
        return Predicted(scores, scores >= self._thresholds)


class TfidfLogistic(_Logistic):
    """TF-IDF of words and word pairs with one logistic regression per label."""

    def __init__(self, train: Sample, dev: Sample) -> None:
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(train.texts)
        super().__init__(vectorizer.transform, train, dev)


class FrozenLogistic(_Logistic):
    """The packaged encoder as it was pretrained, with one logistic regression per label on its embeddings.

    It learns from an even sample of at most `FROZEN_SENTENCES`.
    """

    def __init__(self, train: Sample, dev: Sample) -> None:
        step = -(-len(train.examples) // FROZEN_SENTENCES)
        super().__init__(FrozenEncoder().embed, replace(train, examples=train.examples[::step]), dev)
