"""Runs over archives: what comes out, what balances, and that no interruption loses or doubles a row."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pytest
from archives import contents, rejects, table, write_archive
from conftest import communique
from pyarrow import parquet
from servers import script

from model.classifier import StanceClassifier
from model.errors import InputError
from model.labels import LABELS
from serving.archive.ahead import ahead
from serving.archive.documents import Fields
from serving.archive.output import Layout
from serving.archive.readers import ReadOptions
from serving.archive.run import Settings, score_archive
from serving.archive.scorer import Scorer
from serving.archive.shards import Shard
from serving.archive.store import Counts, Store, TooManyRejectsError

NAMED = Fields("text", "id", "day", "outlet")
SMALL = Settings(read=ReadOptions(NAMED), shard_characters=3000)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "in", 160)


@pytest.fixture(scope="module")
def unbroken(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "out"
    score_archive([str(archive)], out, SMALL)
    return out


def test_rows_carry_ids_offsets_labels_and_what_scored_them(archive: Path, unbroken: Path) -> None:
    rows = table(unbroken)
    texts = {json.loads(line)["id"]: json.loads(line)["text"] for line in good_lines(archive)}
    for row in rows.to_pylist():
        if row["document"] in texts:
            assert texts[row["document"]][row["start"] : row["end"]] == row["text"]
            assert row["source"].startswith("Wire ") and row["date"].year == 2024
        assert all(0 <= row[label] <= 1 for label in LABELS)
    assert pc.count_distinct(rows["sentence"]).as_py() == rows.num_rows
    run = json.loads((unbroken / "run.json").read_text())
    for column in ("model", "model_digest", "thresholds_digest"):
        assert rows[column].unique().to_pylist() == [run[column]]
    assert {"item", "prose"} <= set(rows["kind"].to_pylist())


def good_lines(archive: Path) -> list[str]:
    return [line for line in (archive / "news.jsonl").read_text().splitlines() if line != "{broken"]


def test_labels_and_probabilities_are_those_of_the_classifier(unbroken: Path) -> None:
    rows = table(unbroken).to_pylist()[::9]
    for row, prediction in zip(rows, StanceClassifier.load().classify([row["text"] for row in rows]), strict=True):
        assert tuple(row["labels"]) == prediction.labels
        assert [row[label] for label in LABELS] == pytest.approx(list(prediction.scores.values()), abs=1e-6)


def test_document_rows_sum_up_their_sentences(unbroken: Path) -> None:
    documents = {row["document"]: row for row in table(unbroken, "documents").to_pylist()}
    sentences: dict[str, list[dict]] = {name: [] for name in documents}
    for row in table(unbroken).to_pylist():
        sentences[row["document"]].append(row)
    for name, row in documents.items():
        assert row["sentences"] == len(sentences[name])
        assert row["none"] == sum(not sentence["labels"] for sentence in sentences[name])
        for label in LABELS:
            assert row[label] == sum(label in sentence["labels"] for sentence in sentences[name])
            assert row[f"max_{label}"] == max(sentence[label] for sentence in sentences[name])


def test_everything_in_is_scored_or_rejected_with_its_reason(archive: Path, unbroken: Path) -> None:
    found = json.loads((unbroken / "reconciliation.json").read_text())
    lines = (archive / "news.jsonl").read_text().splitlines()
    broken = lines.count("{broken")
    assert found["documents"] == {"read": len(lines) + 1, "scored": len(lines) + 1 - broken, "rejected": broken}
    assert found["sentences"]["scored"] == table(unbroken).num_rows
    long = [row for row in rejects(unbroken) if row["level"] == "sentence"]
    assert len(long) == found["sentences"]["rejected"] == sum(line.count("word word") > 0 for line in lines)
    assert {row["code"] for row in long} == {"too_long"} and all(len(row["excerpt"]) <= 200 for row in long)
    places = [row["line"] for row in rejects(unbroken) if row["level"] == "document"]
    assert [lines[place - 1] for place in places] == ["{broken"] * broken


def test_parts_by_source_and_month_hold_all_rows(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    for partition, folders in (
        ("source", {"source=Wire 0%2Fé", "source=__HIVE_DEFAULT_PARTITION__"}),
        ("month", {"month=2024-05"}),
    ):
        out = tmp_path / partition
        settings = Settings(SMALL.read, layout=Layout(with_text=False, partition=partition))  # type: ignore[arg-type]
        score_archive([str(archive)], out, settings)
        assert folders <= {path.name.replace("%C3%A9", "é") for path in (out / "sentences").iterdir()}
        rows = parquet.read_table(out / "sentences", partitioning="hive")
        assert sorted(rows["sentence"].to_pylist()) == sorted(table(unbroken)["sentence"].to_pylist())
        assert "text" not in rows.column_names
        if partition == "source":
            assert set(rows["source"].to_pylist()) == {None, "Wire 0/é", "Wire 1/é", "Wire 2/é"}


def test_unit_document_judges_each_text_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": " One. Two. "}\n')
    score_archive([str(tmp_path / "a.jsonl")], tmp_path / "out", Settings(unit="document"))
    (row,) = table(tmp_path / "out").to_pylist()
    assert (row["text"], row["start"], row["end"]) == ("One. Two.", 1, 10)


def test_a_finished_run_again_scores_nothing_and_changes_nothing(
    archive: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(unbroken, out)
    monkeypatch.setattr("serving.archive.run.score", lambda *_: pytest.fail("scored again"))
    score_archive([str(archive)], out, SMALL)
    assert contents(out) == contents(unbroken)


def test_lost_and_stray_files_are_mended(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(unbroken, out)
    files = sorted((out / "sentences").iterdir())
    files[0].unlink()
    files[1].write_bytes(b"cut off")
    sorted(out.glob("marks/*/*.json"))[2].unlink()
    for half in ("sentences/.part-00000-000009.parquet.x.part", ".reconciliation.json.x.part"):
        (out / half).write_bytes(b"half")
    (out / "sentences" / "part-00009-000009.parquet").write_bytes(files[2].read_bytes())
    score_archive([str(archive)], out, SMALL)
    assert contents(out) == contents(unbroken)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(SMALL.read, unit="document", shard_characters=3000), "settings is unit sentence there and document"),
        (Settings(SMALL.read, shard_characters=4000), "shard_characters 3000 there and 4000 now"),
    ],
)
def test_a_changed_setting_never_mixes(archive: Path, unbroken: Path, settings: Settings, said: str) -> None:
    before = contents(unbroken)
    with pytest.raises(InputError, match=said):
        score_archive([str(archive)], unbroken, settings)
    assert contents(unbroken) == before


def test_a_changed_model_never_mixes(archive: Path, unbroken: Path, root: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(root / "model" / "released", model)
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["thresholds"]["threat"] = 0.9
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="was made otherwise: model is"):
        score_archive([str(archive)], unbroken, SMALL, model=model)


def test_a_changed_input_never_mixes(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    inside, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(archive, inside)
    score_archive([str(inside)], out, SMALL)
    news = (inside / "news.jsonl").read_text()
    (inside / "news.jsonl").write_text(news.replace("Item 0.", "Item 9."))
    with pytest.raises(InputError, match="has changed since shard 00000-000000"):
        score_archive([str(inside)], out, SMALL)
    (inside / "more.txt").write_text("More.")
    with pytest.raises(InputError, match="inputs is"):
        score_archive([str(inside)], out, SMALL)


def test_marks_stay_in_order_beyond_the_padding_of_their_names(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    nothing = Counts(documents=0, documents_rejected=0, sentences=0, sentences_rejected=0, passed_over=0, encodings={})
    places = [(10_001, 0), (10_001, 1), (99_999, 0), (100_000, 0), (100_000, 1)]
    store.marks.mkdir(parents=True)
    for task, index in reversed(places):
        store.write(Shard(task, index), [], [], nothing)
    assert [(mark.task, mark.shard) for mark in store.all_marks()] == places


def test_a_folder_of_something_else_is_refused_untouched(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("dear")
    with pytest.raises(InputError, match=r"holds thesis\.doc and no run\.json"):
        score_archive([str(archive)], tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_too_many_errors_stop_the_run_and_a_higher_limit_goes_on(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TooManyRejectsError, match="more than --max-errors 2"):
        score_archive([str(archive)], out, SMALL, max_errors=2)
    assert rejects(out)
    score_archive([str(archive)], out, SMALL)
    assert contents(out) == contents(unbroken)


def run_until(out: Path, archive: Path, end: int, marks: int, wait: float) -> int:
    """Start a run, send it a signal `wait` seconds after it has `marks` new marks, and give its exit code."""
    had = len(list(out.glob("marks/*/*.json")))
    command = [script("communique"), "score", str(archive), "--out", str(out), *OPTIONS]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while run.poll() is None and len(list(out.glob("marks/*/*.json"))) < had + marks:
        time.sleep(0.005)
    time.sleep(wait)
    run.send_signal(end)
    _, said = run.communicate(timeout=120)
    assert "Traceback" not in said
    if end == signal.SIGINT and run.returncode != 0:
        assert "the same command goes on from there" in said
    return run.returncode


OPTIONS = ["--shard-size", "3000", "--id-field", "id", "--date-field", "day", "--source-field", "outlet"]


def test_control_c_ends_with_what_is_done_and_the_same_command_goes_on(
    archive: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run_until(out, archive, signal.SIGINT, 1, 0.0) == 130
    done = len(list(out.glob("marks/*/*.json")))
    assert 1 <= done < len(list(unbroken.glob("marks/*/*.json")))
    assert not list(out.rglob("*.part"))
    finished = communique("score", archive, "--out", out, *OPTIONS)
    assert finished.returncode == 0, finished.stderr
    assert "documents: 161 in = 154 scored + 7 rejected" in finished.stdout
    assert contents(out) == contents(unbroken)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_and_double_nothing(
    archive: Path, unbroken: Path, tmp_path: Path, kills: int
) -> None:
    out = tmp_path / "out"
    chance = random.Random(kills)
    for _ in range(kills):
        run_until(out, archive, signal.SIGKILL, chance.choice([0, 1, 1, 2]), chance.random() * 0.4)
        if chance.random() < 0.3:
            for path in sorted(out.glob("marks/*/*.json"))[-2:]:
                path.unlink()  # so that twenty kills all find work to interrupt
    finished = communique("score", archive, "--out", out, *OPTIONS)
    assert finished.returncode == 0, finished.stderr
    assert contents(out) == contents(unbroken)


def test_identical_sentences_are_scored_once_and_the_memory_of_them_is_bounded() -> None:
    classifier = StanceClassifier.load()
    scored: list[int] = []
    engine = classifier.probabilities
    classifier.probabilities = lambda ids: (scored.append(len(ids)), engine(ids))[1]  # type: ignore[method-assign]
    scorer = Scorer(classifier, cache=3)

    def score(*texts: str) -> list[list[float]]:
        return scorer.score(scorer.encode(texts, texts)).probabilities.tolist()

    first = score("They may come.", "It rained.", "They may come.")
    assert scored == [2] and first[0] == first[2] != first[1]
    assert score("It rained.", "They may come.", "Nobody left.") == [first[1], first[0], score("Nobody left.")[0]]
    score("One more.", "And one more.")  # pushes the two that were used longest ago out
    assert scored == [2, 1, 0, 2]
    assert score("It rained.") == [first[1]]
    assert scored[-1] == 1


def test_an_output_that_is_a_file_is_refused(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="expected a folder"):
        score_archive([str(archive)], tmp_path / "out", SMALL)
    assert (tmp_path / "out").read_text() == "mine"


def test_two_runs_do_not_write_into_one_folder(archive: Path, unbroken: Path) -> None:
    import fcntl

    with (unbroken / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing there"):
            score_archive([str(archive)], unbroken, SMALL)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_later(archive: Path, unbroken: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        full = communique("score", archive, "--out", disk / "out", *OPTIONS)
        assert full.returncode == 2
        assert "No space left on device" in full.stderr and "the same command goes on" in full.stderr
        assert "Traceback" not in full.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        finished = communique("score", archive, "--out", disk / "out", *OPTIONS)
        assert finished.returncode == 0, finished.stderr
        assert contents(disk / "out") == contents(unbroken)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_plain_scoring_needs_no_extra(root: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\nfor name in 'pyarrow duckdb fastwarc trafilatura fsspec charset_normalizer ray backports'"
        ".split():\n    sys.modules[name] = None\n"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    article = root / "examples" / "article.txt"
    done = communique("score", article, env=environment)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 9
    refused = communique("score", article, "--out", tmp_path / "out", env=environment)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert 'pip install "communique[archive]"' in refused.stderr


def test_options_for_a_folder_are_refused_without_one(root: Path) -> None:
    done = communique("score", root / "examples" / "article.txt", "--max-errors", "3")
    assert done.returncode == 2 and "--max-errors needs --out FOLDER" in done.stderr


def test_work_done_ahead_keeps_order_and_raises_where_it_failed() -> None:
    def numbers():
        yield from range(5)
        raise ValueError("six")

    got = []
    with pytest.raises(ValueError, match="six"):
        for number in ahead(numbers()):
            got.append(number)  # noqa: PERF402
    assert got == [0, 1, 2, 3, 4]
    early = ahead(iter(range(10**9)))
    assert next(early) == 0
    early.close()


def test_progress_is_plain_lines_without_a_terminal(archive: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from serving.archive import progress, run\n"
        "progress._EVERY = 0.0\n"
        "run.score_archive([sys.argv[1]], Path(sys.argv[2]), run.Settings(shard_characters=3000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, archive, tmp_path / "out"], capture_output=True, text=True, check=True
    )
    assert "\r" not in done.stderr
    first = done.stderr.splitlines()[0]
    assert "sentences, " in first and "/s, " in first and "% of the input, " in first and "min left" in first
