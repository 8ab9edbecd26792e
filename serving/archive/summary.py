"""What a scored archive says: counts and rates of each label over time and by source, cue words, clearest sentences.

DuckDB reads the Parquet files as a stream, so that memory stays bounded whatever their number.
"""

import datetime
import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import InputError
from model.labels import LABELS, Label
from serving.archive.extras import needs

WORD_SAMPLE = 2_000_000
"""Most sentences whose words are counted; of more, those with the lowest ids, which are digests and so a fair draw."""
_RARE = 5


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences of one month, year or source (`name`), and how many hold each label."""

    name: str
    sentences: int
    counts: dict[Label, int]

    def rate(self, label: Label) -> float:
        """Share of the sentences that hold the label."""
        return self.counts[label] / self.sentences if self.sentences else 0.0


@dataclass(frozen=True, slots=True)
class CueWord:
    """A word that stands more often in sentences with a label than elsewhere.

    `z` is the log-odds ratio with an informative Dirichlet prior, in standard deviations (Monroe, Colaresi and Quinn,
    "Fightin' Words", Political Analysis 2008); `sentences` those of the label that hold the word.
    """

    word: str
    sentences: int
    z: float


@dataclass(frozen=True, slots=True)
class Example:
    """One of the highest-scored sentences of a label."""

    probability: float
    text: str
    document: str
    source: str | None
    date: datetime.date | None


@dataclass(frozen=True, slots=True)
class Summary:
    """All that `communique summarize` shows. `period` is what `over_time` counts by; `undated` sentences are not in it.

    `words_of` says how many sentences the cue words come from: none where the archive was scored without its text.
    """

    models: tuple[str, ...]
    documents: int
    total: Group
    period: str
    over_time: list[Group]
    undated: int
    by_source: list[Group]
    cue_words: dict[Label, list[CueWord]]
    words_of: int
    examples: dict[Label, list[Example]]


def summarize(folder: Path, top: int = 10) -> Summary:
    """Summarise the output folder of `communique score`; `top` sources, words and sentences are listed.

    Raises:
        InputError: the folder holds no scored sentences, or files that are none.
    """
    with needs("archive"):
        import duckdb
    if not any((folder / "sentences").rglob("*.parquet")):
        raise InputError(f"{folder}: no scored sentences; expected a folder that `communique score --out` wrote")
    with duckdb.connect(config={"autoinstall_known_extensions": False, "preserve_insertion_order": False}) as base:
        try:
            return _Reader(base, folder, top).summary()
        except duckdb.Error as error:
            raise InputError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from None


class _Reader:
    def __init__(self, base: Any, folder: Path, top: int) -> None:
        self._base = base
        self._top = top
        for kind in ("sentences", "documents"):
            files = f"{glob.escape(str(folder / kind))}/**/*.parquet".replace("'", "''")
            base.execute(
                f"CREATE VIEW {kind} AS SELECT * FROM "  # noqa: S608  (a view takes no parameters)
                f"read_parquet('{files}', union_by_name = true, hive_partitioning = true, hive_types_autocast = false)"
            )
        columns = base.execute("SELECT * FROM sentences LIMIT 0").description
        self._with_text = "text" in [column[0] for column in columns]

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._base.execute(query, values).fetchall()
        return rows

    def summary(self) -> Summary:
        (total,) = self._groups("'all'", "true")
        first, last, undated = self._rows("SELECT min(date), max(date), count(*) - count(date) FROM sentences")[0]
        period = "month" if first is None or last.year - first.year < 5 else "year"
        width = {"month": "%Y-%m", "year": "%Y"}[period]
        by_source = self._groups("coalesce(source, '(none)')", "true", f"ORDER BY 2 DESC, 1 LIMIT {self._top}")
        sampled = min(total.sentences, WORD_SAMPLE) if self._with_text else 0
        share = sampled / max(total.sentences, 1)
        return Summary(
            models=tuple(row[0] for row in self._rows("SELECT DISTINCT model FROM sentences ORDER BY 1")),
            documents=self._rows("SELECT count(*) FROM documents")[0][0],
            total=total,
            period=period,
            over_time=self._groups(f"strftime(date, '{width}')", "date IS NOT NULL", "ORDER BY 1"),
            undated=undated,
            by_source=by_source,
            cue_words=self._cue_words(share) if sampled else {label: [] for label in LABELS},
            words_of=sampled,
            examples={label: self._examples(label) for label in LABELS},
        )

    def _groups(self, name: str, where: str, order: str = "") -> list[Group]:
        counts = ", ".join(f"count(*) FILTER (list_contains(labels, '{label}'))" for label in LABELS)
        rows = self._rows(
            f"SELECT {name} AS name, count(*), {counts} FROM sentences WHERE {where} GROUP BY ALL {order}"  # noqa: S608
        )
        if not rows and not order:
            return [Group("all", 0, dict.fromkeys(LABELS, 0))]
        return [Group(row[0], row[1], dict(zip(LABELS, row[2:], strict=True))) for row in rows]

    def _cue_words(self, share: float) -> dict[Label, list[CueWord]]:
        last = f"{min(int(share * 2**32), 2**32 - 1):08x}"
        # Words of at least two letters, each once a sentence.
        self._base.execute(
            r"""
            CREATE TEMP TABLE words AS
            SELECT word, count(*) AS n, """  # noqa: S608
            + ", ".join(f"count(*) FILTER (list_contains(labels, '{label}')) AS {label}" for label in LABELS)
            + r""" FROM (
                SELECT labels, unnest(list_distinct(regexp_extract_all(lower(text), '\p{L}[\p{L}''’-]*\p{L}'))) AS word
                FROM sentences WHERE sentence[1:8] <= ?
            ) GROUP BY word HAVING count(*) >= ?""",
            [last, _RARE],
        )
        return {label: self._words_of(label) for label in LABELS}

    def _words_of(self, label: Label) -> list[CueWord]:
        rows = self._rows(
            f"""
            WITH sums AS (SELECT sum(n) AS all_n, sum({label}) AS with_n FROM words),
            -- the prior is the whole archive, weighed as 500 words
            prior AS (
                SELECT word, {label} AS y, n - {label} AS rest, 500.0 * n / all_n AS a, with_n, all_n FROM words, sums
            )
            SELECT word, y, (
                ln((y + a) / (with_n + 500 - y - a)) - ln((rest + a) / (all_n - with_n + 500 - rest - a))
            ) / sqrt(1 / (y + a) + 1 / (rest + a)) AS z
            FROM prior WHERE y > 0 ORDER BY z DESC, word LIMIT ?
            """,  # noqa: S608
            self._top,
        )
        return [CueWord(*row) for row in rows if row[2] > 0]

    def _examples(self, label: Label) -> list[Example]:
        text = "text" if self._with_text else "'(text left out) ' || sentence"
        rows = self._rows(
            f"""SELECT {label}, {text}, document, source, date, text_digest FROM sentences
            WHERE list_contains(labels, '{label}') ORDER BY {label} DESC, sentence LIMIT ?""",  # noqa: S608
            self._top * 20,
        )
        distinct = {row[-1]: row for row in reversed(rows)}  # a sentence that stands in many documents once
        best = sorted(distinct.values(), key=lambda row: -row[0])[: self._top]
        return [Example(*row[:-1]) for row in best]
