"""Whether anything but the stance itself gives a label away.

A model may learn the topic, the region or the length instead of the stance where these go together in the data
(R. Geirhos et al., "Shortcut learning in deep neural networks", 2020). Each part here is cross-validated by group and
stands beside chance: the average precision of a random order is the label's share.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.feature_extraction import DictVectorizer

from evaluation.metrics import average_precision
from model.labels import LABELS, Label
from model.records import Record
from training.annotations.folds import bag_of_words, folds_of, out_of_fold, regression
from training.annotations.tables import section, table
from training.dataset import truth_of

OPENING_WORDS = 5
OPENING_LIMIT = 5
"""Openings are listed from more than this many records."""
TOP_WORDS = 25

_Features = dict[str, str | int]


class Opening(BaseModel):
    """First words that many records share, and how many of them carry each label."""

    model_config = ConfigDict(frozen=True)

    words: str
    records: int
    labels: dict[Label, int]


class Shortcuts(BaseModel):
    """The whole account.

    Attributes:
        chance: share of the records that carry the label.
        surface: average precision of a classifier that sees only what the name says.
        words: the same of bags of words, whole and with the annotated cues taken out.
        top_words: per label the words and word pairs with the greatest weights.
    """

    model_config = ConfigDict(frozen=True)

    records: int
    chance: dict[Label, float]
    surface: dict[str, dict[Label, float]]
    words: dict[str, dict[Label, float]]
    top_words: dict[Label, list[tuple[str, float]]]
    openings: list[Opening]


def _length(record: Record) -> _Features:
    # Classes rather than numbers, so that "neither short nor long" can be learnt as well.
    return {"words": str(len(record.text.split()) // 4), "characters": str(len(record.text) // 25)}


def _punctuation(record: Record) -> _Features:
    # Not inside words: the apostrophe of "didn't" is a negation.
    return dict(Counter(re.findall(r"(?<!\w)[^\w\s]|[^\w\s](?!\w)", record.text)))


def _actors(record: Record) -> _Features:
    """Capitalised words inside the sentence: names and offices."""
    words = re.findall(r"[^\W\d_][\w’'-]*", record.text)
    capitalised = [word for word in words[1:] if word[0].isupper()]
    # In a headline set in capitals every word would count.
    return {} if len(capitalised) > len(words) / 2 else dict.fromkeys(capitalised, 1)


_SURFACE: dict[str, Callable[[Record], _Features]] = {
    "topic": lambda record: {"topic": str(record.topic)},
    "region": lambda record: {"region": str(record.region)},
    "genre": lambda record: {"genre": str(record.genre)},
    "decade": lambda record: {"decade": str(record.decade)},
    "length": _length,
    "punctuation": _punctuation,
    "actor words": _actors,
}


def _without_cues(record: Record) -> str:
    text = record.text
    for stance in record.stances:
        if stance.cue is not None:
            text = text.replace(stance.cue, " ", 1)
    return text


def _by_label(values: Sequence[float]) -> dict[Label, float]:
    return dict(zip(LABELS, map(float, values), strict=True))


def _top_words(records: Sequence[Record]) -> dict[Label, list[tuple[str, float]]]:
    vectoriser, truth = bag_of_words(), truth_of(records)
    features = vectoriser.fit_transform([record.text for record in records])
    names = vectoriser.get_feature_names_out()
    top: dict[Label, list[tuple[str, float]]] = {label: [] for label in LABELS}
    for column, label in enumerate(LABELS):
        if truth[:, column].any() and not truth[:, column].all():
            weights = regression().fit(features, truth[:, column]).coef_[0]
            best = np.argsort(-weights)[:TOP_WORDS]
            top[label] = [(str(names[i]), round(float(weights[i]), 2)) for i in best]
    return top


def _openings(records: Sequence[Record]) -> list[Opening]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        words = re.findall(r"[\w'’]+", record.text.casefold())
        if len(words) >= OPENING_WORDS:
            groups.setdefault(" ".join(words[:OPENING_WORDS]), []).append(record)
    found = [
        Opening(
            words=words,
            records=len(members),
            labels={label: sum(label in member.labels for member in members) for label in LABELS},
        )
        for words, members in groups.items()
        if len(members) > OPENING_LIMIT
    ]
    return sorted(found, key=lambda opening: (-opening.records, opening.words))


def find_shortcuts(records: Sequence[Record], folds: int = 5) -> Shortcuts:
    """The evidence for and against shortcuts, from `folds`-fold cross-validation by group."""
    truth, fold_numbers = truth_of(records), folds_of(records, folds)

    def precision(inputs: Sequence[object], vectoriser: object) -> dict[Label, float]:
        return _by_label(average_precision(truth, out_of_fold(inputs, vectoriser, truth, fold_numbers)).tolist())

    described = {name: [describe(record) for record in records] for name, describe in _SURFACE.items()}
    described["all of these"] = [
        {f"{name} {key}": value for name, rows in described.items() for key, value in rows[index].items()}
        for index in range(len(records))
    ]
    return Shortcuts(
        records=len(records),
        chance=_by_label(truth.mean(axis=0).tolist()),
        surface={name: precision(rows, DictVectorizer()) for name, rows in described.items()},
        words={
            "all words": precision([record.text for record in records], bag_of_words()),
            "without the cues": precision([_without_cues(record) for record in records], bag_of_words()),
        },
        top_words=_top_words(records),
        openings=_openings(records),
    )


def render(shortcuts: Shortcuts) -> str:
    """The account as text for a terminal."""
    chance = ["chance", *shortcuts.chance.values()]
    parts = [
        section(
            f"{title}: average precision out of fold, {shortcuts.records} records",
            table(["", *LABELS], [chance, *([name, *found.values()] for name, found in rows.items())]),
        )
        for title, rows in (("What stands around the stance", shortcuts.surface), ("Words", shortcuts.words))
    ]
    columns = [[f"{word} {weight}" for word, weight in shortcuts.top_words[label]] for label in LABELS]
    ranks = [
        [str(rank + 1), *(column[rank] if rank < len(column) else "" for column in columns)]
        for rank in range(max(map(len, columns)))
    ]
    parts.append(section("Words with the greatest weights", table(["", *LABELS], ranks)))
    openings = [[opening.words, opening.records, *opening.labels.values()] for opening in shortcuts.openings]
    parts.append(
        section(
            f"Openings of {OPENING_WORDS} words in more than {OPENING_LIMIT} records",
            table(["", "records", *LABELS], openings) if openings else "none",
        )
    )
    return "\n".join(parts)
