"""`communique suggest`: doubtful sentences, none like another, ready to be read by people and added."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SENTENCES, accept_predictions, communique, write_dataset

from model.artefact import RELEASED
from model.classifier import StanceClassifier
from model.labels import LABELS
from model.records import read_records
from training.suggest import doubts

PLACES = ["Lima", "Oslo", "Cairo", "Delhi", "Quito", "Accra", "Minsk", "Paris"]
ARCHIVE = [
    *(f"Ministers in {place} could answer the blockade with measures of their own next week." for place in PLACES[:4]),
    "The union says that it is not against the reform as such.",
    "Nobody in the cabinet seems to have believed the first report.",
    "The general spoke of a response that the other side would remember.",
    "She praised the draft, though she did not say how she would vote.",
    "Officials called the story about the camp an invention of their rivals.",
    "The delegation left without a word about the loan.",
    "Whoever sends weapons there should think of his own harbours.",
    "The mayor is said to have promised help for the strikers.",
    "There were, the spokesman insisted, no prisoners in the building.",
    "Perhaps the convoy never reached the border at all.",
    "Le ministre a déclaré que le gouvernement ne reconnaîtrait jamais les résultats de cette élection.",
    "The harbour pilots reported calm water and a light wind from the south on Tuesday.",
    SENTENCES[0][0],
]
BENCHMARK = "The delegation left without a word about the loan!"


def test_doubt_is_greatest_at_the_threshold() -> None:
    thresholds = dict(zip(LABELS, (0.5, 0.2, 0.5, 0.8), strict=True))
    found = doubts(np.array([[0.5, 0.2, 0.75, 0.4], [0.0, 1.0, 0.25, 0.9]]), thresholds)
    assert found == pytest.approx(np.array([[1, 1, 0.5, 0.5], [0, 0, 0.5, 0.5]]))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    rows = [json.dumps({"id": f"d{number}", "text": text}) for number, text in enumerate(ARCHIVE)]
    (folder / "news.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    done = communique("score", folder / "news.jsonl", "--out", folder / "scored")
    assert done.returncode == 0, done.stderr
    return folder / "scored"


def test_suggestions_are_doubtful_distinct_and_fit_to_be_added(scored: Path, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "annotations")
    (tmp_path / "benchmark.jsonl").write_text(json.dumps({"text": BENCHMARK}) + "\n")
    options = ("--annotations", dataset, "--benchmark", tmp_path / "benchmark.jsonl")
    out = tmp_path / "suggested.jsonl"
    done = communique("suggest", scored, "--out", out, "--count", "50", *options)
    assert done.returncode == 0, done.stderr
    records = read_records(out)
    texts = [record.text for record in records]
    # One of the four that differ in a name; neither the dataset's, nor the benchmark's, nor the French one.
    assert sum(text.startswith("Ministers in") for text in texts) == 1
    assert set(texts) <= set(ARCHIVE) - {SENTENCES[0][0], ARCHIVE[9], ARCHIVE[14]}
    assert len(texts) == len(set(texts)) == len(ARCHIVE) - 6
    classifier = StanceClassifier.load()
    assert [record.labels for record in records] == [each.labels for each in classifier.classify(texts)]
    assert {record.suggested_by for record in records} == {classifier.manifest.version}

    few = tmp_path / "few.jsonl"
    assert communique("suggest", scored, "--out", few, "--count", "4", *options).returncode == 0
    assert read_records(few) == records[:4]
    # The first is the one whose threat is most in doubt.
    found = classifier.classify(texts)
    scores = np.array([[each.scores[label] for label in LABELS] for each in found])
    doubt = doubts(scores, classifier.manifest.thresholds)
    assert np.argmax(doubt[:, LABELS.index("threat")]) == 0
    assert [record.confidence for record in records] == pytest.approx(1 - doubt.max(axis=1), abs=1e-3)

    # Nobody has read them yet.
    unread = communique("annotations", "add", out, *options)
    assert unread.returncode == 2
    assert f"nobody has read the labels of {len(records)} suggested records" in unread.stderr

    # To a tool, where a person accepts them all, and back, then into the dataset.
    tasks, new = tmp_path / "tasks.json", tmp_path / "new.jsonl"
    assert communique("annotations", "export", "label-studio", "--records", out, "--out", tasks).returncode == 0
    accept_predictions(tasks, tasks)
    assert communique("annotations", "import", "label-studio", tasks, "--out", new).returncode == 0
    assert read_records(new) == [
        record.model_copy(update={"annotator": None, "confidence": None}) for record in records
    ]
    added = communique("annotations", "add", new, "--annotator", "ada", *options)
    assert added.returncode == 0, added.stdout + added.stderr
    assert sum(int(line.split("\t")[1]) for line in added.stdout.splitlines()) == len(records)


def test_an_archive_of_another_model_is_refused(scored: Path, dataset: Path, tmp_path: Path) -> None:
    other, out = Path(shutil.copytree(RELEASED, tmp_path / "other")), tmp_path / "out.jsonl"
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["thresholds"]["threat"] += 0.01
    (other / "manifest.json").write_text(json.dumps(manifest))
    done = communique("suggest", scored, "--out", out, "--annotations", dataset, "--model", other)
    assert done.returncode == 2
    assert "name that model with --model" in done.stderr
    assert not out.exists()


def test_a_folder_without_scored_sentences_is_refused(dataset: Path, tmp_path: Path) -> None:
    done = communique("suggest", tmp_path, "--out", tmp_path / "out.jsonl", "--annotations", dataset)
    assert done.returncode == 2
    assert "no scored sentences" in done.stderr
