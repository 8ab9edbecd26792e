"""`communique summarize`: its figures are those of the rows, counted another way."""

import csv
import io
import re
from collections import Counter
from pathlib import Path

import pytest
from archives import table, write_archive
from conftest import communique

from model.errors import InputError
from model.labels import LABELS
from serving.archive.documents import Fields
from serving.archive.output import Layout
from serving.archive.readers import ReadOptions
from serving.archive.run import Settings, score_archive
from serving.archive.summary import Summary, summarize
from serving.archive.summary_output import as_html, as_text, write_csv

READ = ReadOptions(Fields("text", "id", "day", "outlet"))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("it's [odd]")
    archive = write_archive(folder / "in", 160)
    score_archive([str(archive)], folder / "out", Settings(READ, layout=Layout(partition="source")))
    return folder / "out"


@pytest.fixture(scope="module")
def summary(scored: Path) -> Summary:
    return summarize(scored)


def test_counts_are_those_of_the_rows(scored: Path, summary: Summary) -> None:
    from pyarrow import parquet

    rows = parquet.read_table(scored / "sentences", partitioning="hive").to_pylist()
    assert summary.total.sentences == len(rows)
    assert summary.documents == table(scored, "documents").num_rows
    for label in LABELS:
        assert summary.total.counts[label] == sum(label in row["labels"] for row in rows)
    months = Counter(f"{row['date']:%Y-%m}" for row in rows if row["date"])
    assert {group.name: group.sentences for group in summary.over_time} == months
    assert summary.undated == sum(row["date"] is None for row in rows) == 2
    sources = Counter(row["source"] or "(none)" for row in rows)
    assert {group.name: group.sentences for group in summary.by_source} == sources
    hedged = Counter(row["source"] or "(none)" for row in rows if "hedge" in row["labels"])
    assert {group.name: group.counts["hedge"] for group in summary.by_source if group.counts["hedge"]} == hedged


def test_examples_are_the_highest_scored_each_once(scored: Path, summary: Summary) -> None:
    rows = table(scored).to_pylist()
    for label in LABELS:
        held = [row for row in rows if label in row["labels"]]
        examples = summary.examples[label]
        assert len({example.text for example in examples}) == len(examples)
        assert [e.probability for e in examples] == sorted((e.probability for e in examples), reverse=True)
        if held:
            assert examples[0].probability == max(row[label] for row in held)


def test_cue_words_lean_to_their_label(summary: Summary) -> None:
    """The templates' cues stand in labelled sentences alone, so they must come out where a label was given."""
    assert summary.total.counts["hedge"] and summary.total.counts["support"]
    assert "may" in [word.word for word in summary.cue_words["hedge"]]
    assert "treaty" in [word.word for word in summary.cue_words["support"]]
    assert all(word.z > 0 for label in LABELS for word in summary.cue_words[label])


def test_csv_and_page_say_the_same(summary: Summary) -> None:
    sink = io.StringIO()
    write_csv(summary, sink)
    rows = list(csv.DictReader(io.StringIO(sink.getvalue())))
    assert {row["table"] for row in rows} == {"all", "month", "source"}
    for row in rows:
        assert float(row["rate"]) == pytest.approx(int(row["count"]) / int(row["sentences"]), abs=1e-6)
    page = as_html(summary)
    assert page.count("<svg") == page.count("</svg>") == 2
    assert not re.search(r"<(?:script|link|img)|url\(\"?http", page)
    assert page == as_html(summary)
    assert f"{summary.total.sentences:,} sentences" in page
    assert as_text(summary).count("\n") > 20


def test_text_of_the_archive_is_escaped_on_the_page(tmp_path: Path) -> None:
    attack = "They may send <script>alert(1)</script> troops & more."
    lines = "".join(f'{{"text": "{attack}", "s": "<b>{n}", "d": "2024-0{n}-01"}}\n' for n in (1, 2, 3))
    (tmp_path / "a.jsonl").write_text(lines)
    settings = Settings(ReadOptions(Fields(date="d", source="s")))
    score_archive([str(tmp_path / "a.jsonl")], tmp_path / "out", settings)
    page = as_html(summarize(tmp_path / "out"))
    assert "<script>" not in page and "<b>" not in page


def test_an_archive_scored_without_text_still_has_counts(scored: Path, summary: Summary, tmp_path: Path) -> None:
    archive = scored.parent / "in"
    score_archive([str(archive)], tmp_path / "out", Settings(READ, layout=Layout(with_text=False)))
    bare = summarize(tmp_path / "out")
    assert (bare.total, bare.over_time) == (summary.total, summary.over_time)
    assert bare.words_of == 0 and not any(bare.cue_words.values())
    assert bare.examples["hedge"][0].text.startswith("(text left out)")


def test_the_command_writes_all_three(scored: Path, tmp_path: Path) -> None:
    page, cells = tmp_path / "a.html", tmp_path / "a.csv"
    done = communique("summarize", scored, "--html", page, "--csv", cells, "--top", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "sentences of" in done.stdout
    assert page.stat().st_size > 5000 and cells.stat().st_size > 300


def test_a_folder_without_scores_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no scored sentences"):
        summarize(tmp_path)
    (tmp_path / "sentences").mkdir()
    (tmp_path / "documents").mkdir()
    for kind in ("sentences", "documents"):
        (tmp_path / kind / "a.parquet").write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be read"):
        summarize(tmp_path)
