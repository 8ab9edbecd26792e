"""What the dataset holds, in numbers."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from model.labels import LABELS
from model.records import GENRES, NEAR_MISSES, Record
from training.annotations.tables import section, table
from training.dataset import Annotations, group_of
from training.splits import SPLITS, Split

QUANTILES = (0, 5, 25, 50, 75, 95, 100)
_REGIONS_SHOWN = 30

KINDS = ("records", *LABELS, "none", "multi-label", "difficult")
"""What is counted of every group of records: those with each label, with none, with several, and the difficult."""

Counts = dict[str, int]


class Stats(BaseModel):
    """All counts. The innermost dicts are by split, or by the names in `KINDS`."""

    model_config = ConfigDict(frozen=True)

    splits: dict[Split, Counts]
    genres: dict[str, dict[Split, Counts]]
    near_misses: dict[str, Counts]
    regions: dict[str, Counts]
    decades: dict[str, Counts]
    groups: dict[Split, Counts]
    words: dict[Split, dict[str, float]]
    characters: dict[Split, dict[str, float]]
    word_counts: list[int]


def _kinds(records: Sequence[Record]) -> Counts:
    return {
        "records": len(records),
        **{label: sum(label in record.labels for record in records) for label in LABELS},
        "none": sum(not record.stances for record in records),
        "multi-label": sum(len(record.stances) > 1 for record in records),
        "difficult": sum(record.difficult for record in records),
    }


def _by_value(
    records: Mapping[Split, Sequence[Record]], value_of: Callable[[Record], str | None], names: Iterable[str] = ()
) -> dict[str, Counts]:
    """How many records of each split have each value; `names` first, in their order, then others, commonest first."""
    counts = {split: Counter(value_of(record) or "not given" for record in records[split]) for split in SPLITS}
    total = sum(counts.values(), Counter[str]())
    order = [*names, *(name for name, _ in sorted(total.items(), key=lambda item: (-item[1], item[0])))]
    return {name: {split: counts[split][name] for split in SPLITS} for name in dict.fromkeys(order) if total[name]}


def _groups(records: Sequence[Record]) -> Counts:
    sizes = [size for size in Counter(group_of(record) for record in records).values() if size > 1]
    return {"groups": len(sizes), "records in them": sum(sizes), "largest": max(sizes, default=0)}


def _quantiles(values: Sequence[int]) -> dict[str, float]:
    return {f"{q} %": float(v) for q, v in zip(QUANTILES, np.percentile(values, QUANTILES), strict=True)}


def count(data: Annotations) -> Stats:
    """Count everything that `Stats` names."""

    def words(record: Record) -> int:
        return len(record.text.split())

    free = {split: [record for record in data.records[split] if not record.stances] for split in SPLITS}
    genres: tuple[str | None, ...] = (*GENRES, None)
    by_genre = {
        genre or "not given": {
            split: _kinds([record for record in data.records[split] if record.genre == genre]) for split in SPLITS
        }
        for genre in genres
    }
    return Stats(
        splits={split: _kinds(data.records[split]) for split in SPLITS},
        genres={name: found for name, found in by_genre.items() if any(found[split]["records"] for split in SPLITS)},
        near_misses=_by_value(free, lambda record: record.near_miss, NEAR_MISSES),
        regions=_by_value(data.records, lambda record: record.region),
        decades=dict(sorted(_by_value(data.records, lambda record: record.decade).items())),
        groups={split: _groups(data.records[split]) for split in SPLITS},
        words={split: _quantiles([words(record) for record in data.records[split]]) for split in SPLITS},
        characters={split: _quantiles([len(record.text) for record in data.records[split]]) for split in SPLITS},
        word_counts=[words(record) for record in data.all()],
    )


def _split_table(rows: dict[str, Counts]) -> str:
    return table(["", *SPLITS, "all"], [[name, *row.values(), sum(row.values())] for name, row in rows.items()])


def render(stats: Stats) -> str:
    """The counts as text for a terminal."""
    total = {kind: sum(stats.splits[split][kind] for split in SPLITS) for kind in KINDS}
    overall = [[name, *counts.values()] for name, counts in [*stats.splits.items(), ("all", total)]]
    genres = [
        [genre if split == SPLITS[0] else "", split, *counts.values()]
        for genre, found in stats.genres.items()
        for split, counts in found.items()
    ]
    shown = dict(list(stats.regions.items())[:_REGIONS_SHOWN])
    more = len(stats.regions) - len(shown)
    lengths = [
        [f"{split}, {unit}", *(f"{value:.0f}" for value in found[split].values())]
        for unit, found in (("words", stats.words), ("characters", stats.characters))
        for split in SPLITS
    ]
    groups = [[split, *stats.groups[split].values()] for split in SPLITS]
    return "\n".join(
        [
            section("Records", table(["", *KINDS], overall)),
            section("Labels by genre and split", table(["", "", *KINDS], genres)),
            section("Records without a stance, by near miss", _split_table(stats.near_misses)),
            section("Groups of two or more records", table(["", *stats.groups[SPLITS[0]]], groups)),
            section("Decades", _split_table(stats.decades)),
            section("Regions", _split_table(shown), *([f"and {more} more: see --json"] if more > 0 else [])),
            section("Length", table(["quantile", *(f"{q} %" for q in QUANTILES)], lengths)),
        ]
    )
