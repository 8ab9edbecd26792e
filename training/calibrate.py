"""Per-label calibration, fitted on the passages of dev.

More than half of the annotated sentences carry a stance, many of them on purpose in a form that is hard to see, since
that is what has to be learnt. Running text has fewer stances and plainer ones: probabilities fitted to all of dev
promise too much there. The dataset holds whole passages as well, every sentence labelled as the text runs;
they are the sample of what the model will be asked about.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from model.calibration import Platt
from model.errors import InputError
from model.labels import LABELS, Label
from model.records import Record
from training.dataset import group_of

PASSAGE = 8
"""Records of one group from which it is a passage, and not a set of contrasts.

Those of an archive do not count: the sentences of one document were picked out of it because the model doubted them.
"""

THRESHOLD = 0.5
"""Calibrated probability from which a label holds: likelier than not.

Thresholds of best F1 on dev swing with a few sentences (0.16 to 0.51 for threat): over four models macro-F1 on test was
the same without them (0.836), with 71 false alarms per 1,000 in place of 84.
"""

ENOUGH = 20
"""Passage records with each label from which the passages alone can be fitted to."""


def running_text(records: Sequence[Record]) -> npt.NDArray[np.bool_]:
    """Which records belong to passages, bool array (records,); all of them where the passages are too few to fit to."""
    groups = [group_of(record) for record in records]
    whole = [record.origin != "archive" for record in records]
    sizes = Counter(group for group, kept in zip(groups, whole, strict=True) if kept)
    inside = np.array([kept and sizes[group] >= PASSAGE for group, kept in zip(groups, whole, strict=True)])
    found = Counter(label for record, kept in zip(records, inside, strict=True) if kept for label in record.labels)
    return inside if min(found[label] for label in LABELS) >= ENOUGH else np.ones_like(inside)


def fit_calibration(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> dict[Label, Platt]:
    """Platt scaling per label from dev logits and truth, both (sentences, 4).

    The logits must come from the engine that will answer, so that its roundings are calibrated too.

    Raises:
        InputError: a label has no positive or no negative sentence on dev.
    """
    fitted: dict[Label, Platt] = {}
    for column, label in enumerate(LABELS):
        if truth[:, column].all() or not truth[:, column].any():
            raise InputError(f"dev split: {label}: needs sentences with and without it to be calibrated")
        # C: next to no regularisation; two parameters on hundreds of points need none.
        regression = LogisticRegression(C=1e4).fit(logits[:, [column]], truth[:, column])
        fitted[label] = Platt(slope=float(regression.coef_[0, 0]), intercept=float(regression.intercept_[0]))
    return fitted
