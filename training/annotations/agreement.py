"""How far two independent readers agree.

Krippendorff's alpha (K. Krippendorff, "Content analysis", 2004, chapter 11) for nominal data and Cohen's kappa
(J. Cohen, "A coefficient of agreement for nominal scales", 1960), each per label.
"""

from collections.abc import Mapping, Sequence

import krippendorff
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import cohen_kappa_score

from model.errors import InputError
from model.labels import LABELS, Label
from model.readings import Read
from model.records import GENRES, Record
from training.annotations.tables import section, table


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelAgreement(_Frozen):
    """One label: how often the first and the second reader gave it; alpha and kappa are None where undefined."""

    first: int
    second: int
    alpha: float | None
    kappa: float | None


class SliceAgreement(_Frozen):
    """The agreement on some of the records. `exact_set`: the share in which both gave the same labels."""

    records: int
    exact_set: float
    labels: dict[Label, LabelAgreement]


class Agreement(_Frozen):
    """The whole account. Records with one reading so far are counted in `single` and nowhere else."""

    overall: SliceAgreement
    genres: dict[str, SliceAgreement]
    single: int
    disagreements: int
    settled: int


def _label_agreement(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> LabelAgreement:
    alpha = kappa = None
    # With a single value in the data there is no chance agreement to compare with: both are 0 / 0.
    if len(np.unique([one, other])) > 1:
        alpha = float(krippendorff.alpha([one.astype(int), other.astype(int)], level_of_measurement="nominal"))
        kappa = float(cohen_kappa_score(one, other))
    return LabelAgreement(first=int(one.sum()), second=int(other.sum()), alpha=alpha, kappa=kappa)


def _slice(pairs: Sequence[tuple[frozenset[Label], frozenset[Label]]]) -> SliceAgreement:
    given = np.array([[[label in labels for label in LABELS] for labels in pair] for pair in pairs], dtype=np.bool_)
    return SliceAgreement(
        records=len(pairs),
        exact_set=float(np.mean([one == other for one, other in pairs])),
        labels={label: _label_agreement(given[:, 0, i], given[:, 1, i]) for i, label in enumerate(LABELS)},
    )


def measure(records: Sequence[Record], readings: Mapping[str, Read]) -> Agreement:
    """The agreement of the first with the second readings; readings that settle are not counted in it.

    Raises:
        InputError: no record has two readings.
    """
    pairs = {
        key: (frozenset(read.independent[0].labels), frozenset(read.independent[1].labels))
        for key, read in readings.items()
        if len(read.independent) == 2
    }
    if not pairs:
        raise InputError("readings: no record has two readings yet")
    genre_of = {record.id: record.genre for record in records}
    by_genre = {genre: [pair for key, pair in pairs.items() if genre_of[key] == genre] for genre in GENRES}
    return Agreement(
        overall=_slice(list(pairs.values())),
        genres={genre: _slice(found) for genre, found in by_genre.items() if found},
        single=len(readings) - len(pairs),
        disagreements=sum(one != other for one, other in pairs.values()),
        settled=sum(read.settled is not None for read in readings.values()),
    )


def render(agreement: Agreement) -> str:
    """The account as text for a terminal."""
    slices = {"all": agreement.overall, **agreement.genres}
    header = ["", "records", "exact set"]
    header += [f"{name} {label}" for label in LABELS for name in ("alpha", "kappa")]
    rows = [
        [name, part.records, part.exact_set]
        + [value for label in LABELS for value in (part.labels[label].alpha, part.labels[label].kappa)]
        for name, part in slices.items()
    ]
    given = [[label, found.first, found.second] for label, found in agreement.overall.labels.items()]
    state = [
        ["disagreements", agreement.disagreements],
        ["settled by a third reading", agreement.settled],
        ["with one reading only, not counted", agreement.single],
    ]
    return "\n".join(
        [
            section("Krippendorff's alpha and Cohen's kappa per label", table(header, rows)),
            section("Labels given", table(["", "first reader", "second reader"], given)),
            section("Records", table(["", "records"], state)),
        ]
    )
