"""The released model and `communique classify`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import communique

from model.artefact import RELEASED, open_artefact
from model.batching import BUCKET
from model.classifier import StanceClassifier
from model.engine import openvino
from model.errors import SentenceError
from model.labels import LABELS
from model.records import read_records

PLAIN = [
    ("The ministry denied that any talks had taken place.", ["denial"]),
    ("If they cross the river, our guns will answer, the general said.", ["threat"]),
    ("Norway backs the plan and will send money.", ["support"]),
    ("The ceasefire might collapse by Monday.", ["hedge"]),
    ("The delegation arrived in Geneva on Tuesday morning.", []),
]
"""Sentences that no release may get wrong."""


@pytest.fixture(scope="module")
def released() -> StanceClassifier:
    return StanceClassifier.load()


def test_the_released_folder_is_whole_and_light() -> None:
    manifest = open_artefact(RELEASED)
    assert sum(entry.bytes for entry in manifest.files.values()) < 30e6
    assert set(manifest.files) == {"light.bin", "light.xml", "tokenizer.json"}


def test_the_released_model_reads_plain_sentences(released: StanceClassifier) -> None:
    predictions = released.classify([text for text, _ in PLAIN])
    assert [list(p.labels) for p in predictions] == [labels for _, labels in PLAIN]


def test_a_sentence_gets_the_same_scores_alone_and_in_any_company(released: StanceClassifier, root: Path) -> None:
    lines = (root / "data" / "annotations" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    ids = [i for i in released.encode([json.loads(line)["text"] for line in lines]) if isinstance(i, list)]
    together = released.probabilities(ids)
    alone = np.concatenate([released.probabilities([i]) for i in ids])
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = released.probabilities([ids[i] for i in order])
    # Equal to the last bit where this was developed; 1e-3 is the promise for any machine.
    np.testing.assert_allclose(alone, together, atol=1e-3)
    np.testing.assert_allclose(shuffled, together[order], atol=1e-3)


def test_streams_and_threads_change_no_bit(released: StanceClassifier, root: Path) -> None:
    texts = [record.text for record in read_records(root / "data" / "annotations" / "dev.jsonl")][:200]
    token_ids = [ids for ids in released.encode(texts) if isinstance(ids, list)]
    expected = released.probabilities(token_ids)
    alone, both = StanceClassifier.load(threads=1), StanceClassifier.load(threads=2)
    for other in (alone, both, StanceClassifier.load(threads=2, offline=True), *both.split()):
        assert (other.probabilities(token_ids) == expected).all()
    assert alone.split() == []


def test_looking_up_before_making_floats_changes_no_bit(released: StanceClassifier, root: Path) -> None:
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    graph = core.compile_model(core.read_model(RELEASED / "light.xml"), "CPU", exact)
    for text, _ in PLAIN:
        (ids,) = released.encode([text])
        padded = ids + [0] * (-len(ids) % BUCKET)
        mask = [1] * len(ids) + [0] * (-len(ids) % BUCKET)
        expected = graph({"input_ids": np.array([padded]), "attention_mask": np.array([mask])})[0]
        assert (released._engine.logits([ids]) == expected).all()


def test_a_failed_batch_does_not_fail_the_next(released: StanceClassifier) -> None:
    expected = released.classify([PLAIN[0][0]])
    with pytest.raises(RuntimeError):
        released._engine.logits([[101] + [2000] * 600])  # more than there are positions
    assert released.classify([PLAIN[0][0]]) == expected


def test_sentences_that_cannot_be_judged_are_named(released: StanceClassifier) -> None:
    encoded = released.encode(["fine", " \n", "x" * 2001, "word " * 300])
    assert isinstance(encoded[0], list)
    problems = [item for item in encoded[1:] if isinstance(item, SentenceError)]
    assert [(p.index, p.code) for p in problems] == [(1, "empty"), (2, "too_long"), (3, "too_many_tokens")]
    with pytest.raises(SentenceError, match="sentence 1: is empty"):
        released.classify(["fine", ""])
    assert released.classify([]) == []


def test_classify_prints_one_line_a_sentence() -> None:
    done = communique("classify", *[text for text, _ in PLAIN])
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == len(PLAIN)
    assert re.fullmatch(rf"\[denial (0\.\d\d|1\.00)\] {re.escape(PLAIN[0][0])}", lines[0])
    assert lines[4] == f"[none] {PLAIN[4][0]}"


def test_classify_reads_standard_input_and_writes_json() -> None:
    done = communique("classify", "--json", input="\n".join(text for text, _ in PLAIN) + "\n\n")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["labels"] for row in rows] == [labels for _, labels in PLAIN]
    assert all(list(row["scores"]) == list(LABELS) for row in rows)
    assert {row["model"] for row in rows} == {open_artefact(RELEASED).version}


def test_wrong_input_is_one_clear_line() -> None:
    for arguments, given, message in (
        (["classify", "fine", " "], None, "sentence 1: is empty"),
        (["classify"], "", "no sentences"),
        (["classify", "--model", "/nowhere", "x"], None, "not a model folder"),
        (["clasify", "x"], None, "No such command"),
        (["classify", "fine", "caf\udce9"], None, "sentence 1: character 4 is half of one"),
    ):
        done = communique(*arguments, input=given)
        assert done.returncode in (2, 3)
        assert message in done.stderr
        assert "Traceback" not in done.stderr and done.stdout == ""


def test_what_the_disk_refuses_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").mkdir()
    (tmp_path / "a.txt").write_text("They denied it.", encoding="utf-8")
    for out, message in (("out.jsonl", "is a folder"), ("a.txt/out.jsonl", "a.txt: ")):
        done = communique("score", tmp_path / "a.txt", "--out", tmp_path / out)
        assert done.returncode == 2
        assert message in done.stderr and "Traceback" not in done.stderr
