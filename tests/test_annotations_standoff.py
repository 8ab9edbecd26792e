"""Annotations apart from their text: `communique annotations detach` and `attach`, and training on what they give."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import SENTENCES, TINY, communique

from model.artefact import open_artefact
from model.classifier import StanceClassifier
from model.files import sha256_file
from model.records import Record, Stance, read_records, write_records
from training.beyond import read_further
from training.dataset import load_annotations

RECORDS = [
    Record(
        text="Oslo  may back the plan, and “they” back\tit, said Bergen 🙂 again.",
        stances=(Stance(label="support", cue="back the plan"), Stance(label="hedge", cue="may", holder="Oslo  may")),
        difficult=True,
        origin="a newspaper",
        note="“they” is the council",
        annotator="ada",
    ),
    Record(text="The talks resume on 4 May.", stances=(), near_miss="month-name"),
]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _texts(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def test_the_text_goes_and_comes_back(tmp_path: Path) -> None:
    write_records(tmp_path / "private.jsonl", RECORDS)
    done = communique("annotations", "detach", tmp_path / "private.jsonl", "--out", tmp_path / "standoff.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "2 records\n")
    first, second = _lines(tmp_path / "standoff.jsonl")
    spaced = " ".join(RECORDS[0].text.split())
    assert first["sha256"] == hashlib.sha256(spaced.encode()).hexdigest()
    assert first["stances"][0] == {"label": "support", "cue": [9, 22]}
    assert "back" not in json.dumps(first) and "note" not in first and "text" not in second
    # Line breaks and double spaces do not part a text from its annotations.
    texts = _texts(tmp_path / "texts.jsonl", ["Another sentence.", RECORDS[1].text, RECORDS[0].text.replace(" ", "\n")])
    attach = ("annotations", "attach", tmp_path / "standoff.jsonl")
    done = communique(*attach, texts, "--out", tmp_path / "back.jsonl")
    assert (done.returncode, done.stderr) == (0, "2 records, 0 without their text left out\n")
    back = read_records(tmp_path / "back.jsonl")
    assert back[0].text == spaced and back[1] == RECORDS[1]
    assert back[0].stances[1] == Stance(label="hedge", cue="may", holder="Oslo may")
    assert (back[0].difficult, back[0].origin, back[0].annotator) == (True, "a newspaper", "ada")
    done = communique(*attach, _texts(tmp_path / "one.jsonl", [RECORDS[1].text]), "--out", tmp_path / "one-back.jsonl")
    assert (done.returncode, done.stderr) == (0, "1 records, 1 without their text left out\n")
    done = communique(*attach, _texts(tmp_path / "none.jsonl", ["No."]), "--out", tmp_path / "none-back.jsonl")
    assert done.returncode == 2 and "none of its 2 sentences stands in" in done.stderr
    assert not (tmp_path / "none-back.jsonl").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": 5}, "sha256: expected 64 hexadecimal digits, found 5"),
        ({"sha256": []}, "sha256: expected 64 hexadecimal digits, found []"),
        ({"sha256": "z" * 64}, "sha256: expected 64 hexadecimal digits, found 'zzz"),
        ({"text": "Another sentence."}, "text: expected none"),
        ({"stances": [{"label": "hedge", "cue": [5, 500]}]}, "cue: expected offsets [start, end] in the text"),
        ({"stances": [{"label": "hedge", "cue": "may"}]}, "cue: expected offsets [start, end] in the text"),
        ({"stances": [{"label": "anger"}]}, "stances.0.label: Input should be"),
        ({"stances": None}, "stances: Input should be"),
    ],
)
def test_a_wrong_line_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_records(tmp_path / "private.jsonl", RECORDS[1:])
    communique("annotations", "detach", tmp_path / "private.jsonl", "--out", tmp_path / "standoff.jsonl")
    (tmp_path / "standoff.jsonl").write_text(json.dumps(_lines(tmp_path / "standoff.jsonl")[0] | change) + "\n")
    done = communique(
        *("annotations", "attach", tmp_path / "standoff.jsonl", tmp_path / "private.jsonl"),
        *("--out", tmp_path / "back.jsonl"),
    )
    assert done.returncode == 2
    assert f"standoff.jsonl:1: {message}" in done.stderr


def test_a_scored_archive_brings_the_text(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "article.txt").write_text("France denied the report. It may send troops.\n")
    done = communique("score", tmp_path / "article.txt", "--out", tmp_path / "scored", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    row = {"sha256": hashlib.sha256(b"It may send troops.").hexdigest(), "stances": [{"label": "hedge", "cue": [3, 6]}]}
    (tmp_path / "standoff.jsonl").write_text(json.dumps(row) + "\n")
    done = communique(
        *("annotations", "attach", tmp_path / "standoff.jsonl", tmp_path / "scored", "--out", tmp_path / "back.jsonl")
    )
    assert done.returncode == 0, done.stderr
    assert read_records(tmp_path / "back.jsonl") == [
        Record(text="It may send troops.", stances=(Stance(label="hedge", cue="may"),))
    ]


def test_the_only_copy_of_the_text_is_not_replaced(tmp_path: Path) -> None:
    write_records(tmp_path / "private.jsonl", RECORDS)
    done = communique("annotations", "detach", tmp_path / "private.jsonl", "--out", tmp_path / "private.jsonl")
    assert done.returncode == 2 and "would replace the records" in done.stderr
    assert read_records(tmp_path / "private.jsonl") == RECORDS


def test_training_learns_from_further_records_and_leaves_out_what_is_held_out(
    tiny_encoder: Path, dataset: Path, tmp_path: Path
) -> None:
    """Half of the records are outside of the dataset: they are learnt, but for those near to a held-out sentence."""
    records = read_records(dataset / "train.jsonl")
    write_records(dataset / "train.jsonl", records[::2])
    held_out = read_records(dataset / "test.jsonl")[0]
    also = tmp_path / "private.jsonl"
    write_records(also, [*records[1::2], held_out])
    command = ("train", "--annotations", dataset, "--encoder", tiny_encoder, "--also", also, *TINY)
    done = communique(*command, "--out", tmp_path / "m")
    assert done.returncode == 0, done.stderr
    assert "more are near to held-out sentences and left out" in done.stderr
    assert open_artefact(tmp_path / "m").training["also"] == sha256_file(also)
    predictions = StanceClassifier.load(tmp_path / "m").classify([text for text, _ in SENTENCES])
    assert sum(list(p.labels) == labels for p, (_, labels) in zip(predictions, SENTENCES, strict=True)) > 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "It is so.", "stances": [{"label": "anger"}]}\n', "private.jsonl:1: stances.0.label"),
        ('{"text": "It is so.", "stances": [], "annotator": "model:2"}\n', "private.jsonl:1: annotator: expected who"),
        ("", "private.jsonl: no records"),
    ],
)
def test_further_records_that_nobody_has_annotated_are_refused(
    content: str, message: str, tiny_encoder: Path, dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "private.jsonl").write_text(content)
    done = communique(
        *("train", "--annotations", dataset, "--encoder", tiny_encoder, "--out", tmp_path / "n"),
        *("--also", tmp_path / "private.jsonl"),
    )
    assert done.returncode == 2 and message in done.stderr


def test_a_record_of_the_dataset_is_not_learnt_twice(dataset: Path, tmp_path: Path) -> None:
    data = load_annotations(dataset)
    write_records(tmp_path / "private.jsonl", [*data.records["train"][:3], RECORDS[1], RECORDS[1]])
    assert read_further([tmp_path / "private.jsonl"], data.all()) == [RECORDS[1]]


def test_a_benchmark_without_further_sentences_is_a_mistake(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "benchmark.jsonl").write_text('{"text": "It is so."}\n')
    done = communique(
        *("train", "--annotations", dataset, "--out", tmp_path / "m", "--benchmark", tmp_path / "benchmark.jsonl")
    )
    assert done.returncode == 2
    assert "--benchmark keeps sentences of --also and --taught out" in done.stderr
