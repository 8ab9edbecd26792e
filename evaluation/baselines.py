"""What a model must beat: saying nothing, spotting key words, and a bag of words."""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from evaluation.examples import Example, truth_matrix
from evaluation.metrics import best_f1_threshold
from model.labels import LABELS, Label

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Scorer(Protocol):
    """Anything that can be evaluated."""

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Bools]:
        """Scores, float array (sentences, 4), and decisions, bool array of the same shape."""


class AllNone:
    """Gives no sentence any label."""

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Bools]:
        """Zero scores and no label."""
        shape = (len(texts), len(LABELS))
        return np.zeros(shape), np.zeros(shape, dtype=np.bool_)


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

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Bools]:
        """Score 1 where a word of the label is found."""
        found = np.array([[bool(pattern.search(text)) for pattern in self._patterns] for text in texts])
        return found.astype(np.float64), found


class TfidfLogistic:
    """TF-IDF of words and word pairs with one logistic regression per label; thresholds by F1 on dev."""

    def __init__(self, train: Sequence[Example], dev: Sequence[Example]) -> None:
        texts, truth = [example.text for example in train], truth_matrix(train)
        self._pipelines = []
        for column in range(len(LABELS)):
            # C chosen once among 1, 10 and 100 by dev average precision.
            pipeline = make_pipeline(
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
                LogisticRegression(C=10.0, max_iter=1000),
            )
            self._pipelines.append(pipeline.fit(texts, truth[:, column]))
        scores, dev_truth = self._scores([example.text for example in dev]), truth_matrix(dev)
        self._thresholds = np.array([best_f1_threshold(dev_truth[:, i], scores[:, i]) for i in range(len(LABELS))])

    def _scores(self, texts: Sequence[str]) -> Floats:
        return np.stack([pipeline.predict_proba(texts)[:, 1] for pipeline in self._pipelines], axis=1)

    def predict(self, texts: Sequence[str]) -> tuple[Floats, Bools]:
        """Probabilities of the regressions, cut at their thresholds."""
        scores = self._scores(texts)
        return scores, scores >= self._thresholds
