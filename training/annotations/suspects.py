"""Records whose labels look wrong: confident learning on out-of-fold probabilities.

C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021; per label
as in cleanlab's `multilabel_classification`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

from evaluation.embeddings import FrozenEncoder
from evaluation.metrics import Bools, Floats
from model.errors import InputError, RecordError
from model.labels import LABELS, Label
from model.records import Record, json_objects
from training.annotations.folds import bag_of_words, folds_of, out_of_fold
from training.dataset import truth_of


@dataclass(frozen=True)
class Suspect:
    """A record to read again.

    Attributes:
        suggested: the labels with each doubtful decision turned round.
        probabilities: out-of-fold probability of each label.
        quality: the lowest probability that the model gives to one of the doubtful decisions; the worst is 0.
    """

    record: Record
    suggested: tuple[Label, ...]
    probabilities: dict[Label, float]
    quality: float

    def to_json(self) -> str:
        """One line of the review file: the record, and beside it what is given, suggested and probable."""
        row = {
            "record": json.loads(self.record.to_json()),
            "given": self.record.labels,
            "suggested": self.suggested,
            "probabilities": {label: round(value, 4) for label, value in self.probabilities.items()},
            "quality": round(self.quality, 4),
        }
        return json.dumps(row, ensure_ascii=False)


def read_scores(path: Path, records: Sequence[Record]) -> Floats:
    """Out-of-fold probabilities made elsewhere, float array (records, 4).

    Args:
        path: JSONL of `{"id": …, "scores": {"threat": 0.1, …}}`, one line for every record and no other.

    Raises:
        InputError: a record has no scores.
        RecordError: a line is wrong.
    """
    rows = {record.id: index for index, record in enumerate(records)}
    scores = np.full((len(records), len(LABELS)), np.nan)
    for number, given in json_objects(path):
        key = given.get("id")
        if not isinstance(key, str) or key not in rows:
            raise RecordError(path, number, "id", f"no record has it (found {key!r})")
        if not np.isnan(scores[rows[key]]).all():
            raise RecordError(path, number, "id", f"{key!r} has scores already")
        scores[rows[key]] = [_probability(given.get("scores"), label, path, number) for label in LABELS]
    missing = [record.id for record, row in zip(records, scores, strict=True) if np.isnan(row).any()]
    if missing:
        raise InputError(f"{path}: {len(missing)} of {len(records)} records have no scores, the first is {missing[0]}")
    return scores


def _probability(scores: Any, label: Label, path: Path, number: int) -> float:
    value = scores.get(label) if isinstance(scores, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise RecordError(path, number, f"scores.{label}", f"expected a probability from 0 to 1 (found {value!r})")
    return float(value)


def feature_scores(records: Sequence[Record], folds: int, encoder_folder: Path | None = None) -> Floats:
    """Out-of-fold probabilities, float array (records, 4), from frozen embeddings and TF-IDF of words.

    Args:
        folds: number of folds; the records of a group share one.
        encoder_folder: see `model.encoder.find_encoder`.
    """
    texts = [record.text for record in records]
    dense = FrozenEncoder(encoder_folder).embed(texts)
    return out_of_fold(texts, bag_of_words(), truth_of(records), folds_of(records, folds), dense)


def find_suspects(records: Sequence[Record], scores: Floats) -> list[Suspect]:
    """Records with a doubtful label, the worst first.

    Args:
        scores: out-of-fold probabilities, float array (records, 4).
    """
    truth = truth_of(records)
    given = [np.flatnonzero(row).tolist() for row in truth]
    # One process: starting more costs longer than four labels take.
    doubtful: Bools = find_multilabel_issues_per_class(labels=given, pred_probs=scores, n_jobs=1)
    # The probability of the decision that was given, for each label.
    belief = np.where(truth, scores, 1 - scores)
    found = []
    for index in np.flatnonzero(doubtful.any(axis=1)).tolist():
        holds = truth[index] ^ doubtful[index]
        found.append(
            Suspect(
                records[index],
                tuple(label for label, held in zip(LABELS, holds, strict=True) if held),
                dict(zip(LABELS, scores[index].tolist(), strict=True)),
                float(belief[index][doubtful[index]].min()),
            )
        )
    return sorted(found, key=lambda suspect: suspect.quality)
