"""What models that are there already say of the training sentences, for a new one to learn from.

Distillation (G. Hinton et al., "Distilling the knowledge in a neural network", 2015): the probabilities of larger
models, or of several, tell more of a sentence than its labels do, above all how near it is to the other answer.
"""

import sys
from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from model.calibration import Floats
from model.classifier import StanceClassifier
from model.errors import SentenceError
from model.labels import LABELS
from training.work import leads

_CERTAIN = 1e-6
"""Probabilities nearer than this to 0 or 1 count as this near: log-odds must be finite."""


def teach(teachers: Sequence[StanceClassifier], sentences: Sequence[str]) -> Floats:
    """Mean log-odds of the teachers' calibrated probabilities, as probabilities (sentences, 4).

    Args:
        teachers: at least one; of a sentence too long for one of them it reads the beginning.
    """
    log_odds = np.zeros((len(sentences), len(LABELS)))
    for teacher in teachers:
        if leads():
            print(f"asking teacher {teacher.manifest.version} about {len(sentences)} sentences", file=sys.stderr)
        token_ids = [
            teacher.encode_beginning(sentence) if isinstance(item, SentenceError) else item
            for sentence, item in zip(sentences, teacher.encode(sentences), strict=True)
        ]
        log_odds += logit(np.clip(teacher.probabilities(token_ids), _CERTAIN, 1 - _CERTAIN))
    taught: Floats = expit(log_odds / len(teachers))
    return taught
