"""Cross-validation in which the records of one group stay together."""

import hashlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import hstack
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from evaluation.metrics import Bools, Floats
from model.errors import InputError
from model.records import Record
from training.dataset import group_of

Ints = npt.NDArray[np.int64]


def folds_of(records: Sequence[Record], folds: int) -> Ints:
    """The fold of each record, by the hash of its group: it depends on nothing else in the dataset."""
    # The prefix makes the folds independent of the splits, which are cut from the bare hash.
    digests = (hashlib.sha256(f"fold {group_of(record)}".encode()).digest() for record in records)
    return np.array([int.from_bytes(digest[:8], "big") % folds for digest in digests], dtype=np.int64)


def bag_of_words() -> Any:
    """TF-IDF of words and word pairs, as in the baseline of `evaluation.baselines`."""
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)


def regression() -> Any:
    """Logistic regression for one label."""
    # C: of 0.3, 1, 3 and 10 the best by out-of-fold average precision. liblinear: quick on sparse features.
    return LogisticRegression(C=10.0, solver="liblinear")


def _narrow(matrix: Any) -> Any:
    """A sparse matrix with 32-bit indices: liblinear takes no others, and vectorisers of dicts make 64-bit ones."""
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def out_of_fold(
    inputs: Sequence[Any], vectoriser: Any, truth: Bools, folds: Ints, dense: Floats | None = None
) -> Floats:
    """Probabilities for every record from regressions that saw neither it nor its group, float array (records, 4).

    Args:
        inputs: what the vectoriser turns into features: texts, or dicts.
        vectoriser: a scikit-learn vectoriser; fitted anew without each fold.
        dense: further features, float array (records, features).

    Raises:
        InputError: there are too few records.
    """
    least = 10 * len(np.unique(folds))
    if len(inputs) < least:
        raise InputError(f"{len(inputs)} records are too few for cross-validation; at least {least} are needed")
    probabilities = np.zeros(truth.shape)
    numbers = tqdm(np.unique(folds), desc="folds", disable=not sys.stderr.isatty(), leave=False)
    for fold in numbers:
        out = folds == fold
        fresh = clone(vectoriser)
        features = _narrow(fresh.fit_transform([inputs[i] for i in np.flatnonzero(~out).tolist()]))
        held = _narrow(fresh.transform([inputs[i] for i in np.flatnonzero(out).tolist()]))
        if dense is not None:
            features, held = hstack([features, dense[~out]], "csr"), hstack([held, dense[out]], "csr")
        for column in range(truth.shape[1]):
            known = truth[~out, column]
            if known.all() or not known.any() or features.shape[1] == 0:
                # Nothing to learn from: the label's share.
                probabilities[out, column] = known.mean()
            else:
                fitted = regression().fit(features, known)
                probabilities[out, column] = fitted.predict_proba(held)[:, 1]
    return probabilities
