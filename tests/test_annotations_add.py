import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import communique, record_line

from model.records import read_records
from training.annotations import add
from training.annotations.add import add_records
from training.dataset import load_annotations
from training.splits import SPLITS, split_of

TEXTS = [
    "Lima ordered three patrol boats out of the harbour before dawn on Tuesday.",
    "Nobody in the delegation asked who had paid for the hotel in Geneva.",
    "The grain ships will be turned back unless the tolls are settled by noon.",
    "A spokesman read out a list of forty villages without electricity.",
    "Her cabinet stood squarely with the dockers and said so in a statement.",
    "The bridge reopened to lorries, two months after the flood.",
    "Perhaps the envoys met in Muscat, perhaps they only shared a runway.",
    "He never signed the paper that the radio read out, his lawyer said.",
]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps({"stances": []} | row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_records_are_appended_to_their_splits_and_nothing_else_changes(dataset: Path, tmp_path: Path) -> None:
    # The last line of a file may lack its line break.
    (dataset / "train.jsonl").write_bytes((dataset / "train.jsonl").read_bytes().rstrip(b"\n"))
    before = content(dataset)
    file = write(tmp_path / "new.jsonl", *({"text": text} for text in TEXTS))
    done = communique("annotations", "add", file, "--annotator", "writer-9", "--annotations", dataset)
    assert done.returncode == 0, done.stderr
    ids = ["c" + hashlib.sha256(text.encode()).hexdigest()[:12] for text in TEXTS]
    counts = {split: sum(split_of(key) == split for key in ids) for split in SPLITS}
    assert done.stdout == "".join(f"{split}\t{count}\n" for split, count in counts.items())
    after = content(dataset)
    assert after.keys() == before.keys()
    assert all(after[name].startswith(old) for name, old in before.items())
    added = [record for record in load_annotations(dataset).all() if record.annotator == "writer-9"]
    assert sorted(str(record.id) for record in added) == sorted(ids)
    assert sum(counts.values()) == 8


def test_a_group_goes_together_and_given_ids_and_names_stay(dataset: Path, tmp_path: Path) -> None:
    group = next(f"g{i}" for i in range(100) if split_of(f"g{i}") == "test")
    file = write(
        tmp_path / "new.jsonl",
        {"text": TEXTS[0], "group": group, "annotator": "writer-1", "id": "mine"},
        {"text": TEXTS[0].replace("dawn", "noon"), "group": group},
    )
    counts, problems = add_records(file, dataset, "writer-9")
    assert (counts, problems) == ({"train": 0, "dev": 0, "test": 2}, [])
    one, two = read_records(dataset / "test.jsonl")[-2:]
    assert (one.id, one.annotator, two.annotator) == ("mine", "writer-1", "writer-9")


def test_any_problem_means_that_nothing_is_written_and_all_are_listed(dataset: Path, tmp_path: Path) -> None:
    before = content(dataset)
    benchmark = write(tmp_path / "benchmark.jsonl", {"text": TEXTS[5].replace("two", "six")})
    file = write(
        tmp_path / "new.jsonl",
        {"text": TEXTS[0]},
        {"text": TEXTS[1], "stances": [{"label": "anger"}]},
        {"text": "Peru held an election."},
        {"text": TEXTS[0].replace("Tuesday", "Friday")},
        {"text": TEXTS[2], "id": "r0"},
        {"text": TEXTS[5]},
        {"text": "El gobierno de la provincia no va a pagar las cuentas de los hospitales este mes."},
    )
    done = communique("annotations", "add", file, "--annotations", dataset, "--benchmark", benchmark)
    assert done.returncode == 2
    assert "nothing written: 6 problems" in done.stderr
    found = [line.removeprefix(f"{file}:") for line in done.stdout.splitlines()]
    for line, beginning in zip(
        found,
        [
            "2: stances.0.label: ",
            "3: text: the same as in ",
            f"4: text: near duplicate (0.83) of {file}:1",
            "5: id: the same as in ",
            "6: text: near duplicate ",
            "7: text: not English: looks like 'es'",
        ],
        strict=True,
    ):
        assert line.startswith(beginning)
    assert content(dataset) == before


def test_adding_twice_is_refused(dataset: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "new.jsonl", {"text": TEXTS[0]})
    assert add_records(file, dataset)[1] == []
    before = content(dataset)
    problems = add_records(file, dataset)[1]
    assert {problem.field for problem in problems} == {"id", "text"}
    assert content(dataset) == before


def test_a_correction_sent_twice_is_added_once(dataset: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "new.jsonl", {"text": TEXTS[0]}, {"text": TEXTS[1]}, {"text": TEXTS[0]})
    done = communique("annotations", "add", file, "--annotations", dataset)
    assert done.returncode == 0, done.stderr
    assert f"{file}: 1 passed over" in done.stderr
    assert sum(record.text in TEXTS for record in load_annotations(dataset).all()) == 2


def test_two_at_once_lose_nothing(dataset: Path, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.jsonl", {"text": text}) for number, text in enumerate(TEXTS)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda file: add_records(file, dataset), files))
    assert all(problems == [] for _, problems in done)
    assert sum(record.text in TEXTS for record in load_annotations(dataset).all()) == len(TEXTS)


def test_a_damaged_dataset_is_not_added_to(dataset: Path, tmp_path: Path) -> None:
    with (dataset / "dev.jsonl").open("a") as stream:
        stream.write(record_line(0, "Quite another text.", []) + "\n")
    before = content(dataset)
    _, problems = add_records(write(tmp_path / "new.jsonl", {"text": TEXTS[0]}), dataset)
    assert any("dev.jsonl" in problem.file for problem in problems)
    assert content(dataset) == before


def test_a_write_that_fails_leaves_all_three_files(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = content(dataset), []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(add.os, "fsync", full)
    groups = [next(f"g{i}" for i in range(100) if split_of(f"g{i}") == split) for split in SPLITS]
    rows = [{"text": text, "group": group} for text, group in zip(TEXTS, groups, strict=False)]
    with pytest.raises(OSError, match="No space"):
        add_records(write(tmp_path / "new.jsonl", *rows), dataset)
    assert content(dataset) == before


def test_a_dataset_can_begin_with_empty_files(tmp_path: Path) -> None:
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").touch()
    file = write(tmp_path / "new.jsonl", {"text": TEXTS[0]})
    assert sum(add_records(file, tmp_path)[0].values()) == 1


def test_labels_of_a_model_that_nobody_has_read_are_refused(dataset: Path, tmp_path: Path) -> None:
    before = content(dataset)
    file = write(
        tmp_path / "new.jsonl",
        {"text": TEXTS[0], "annotator": "writer-1"},
        {"text": TEXTS[1], "annotator": "model:0.1.0", "confidence": 0.3},
        {"text": TEXTS[2], "annotator": "model:0.1.0"},
    )
    done = communique("annotations", "add", file, "--annotations", dataset)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert f"{file}:2: annotator: 'model:0.1.0': nobody has read the labels of 2 suggested records" in line
    assert "--annotator NAME" in line
    assert content(dataset) == before

    done = communique("annotations", "add", file, "--annotations", dataset, "--annotator", "model:0.2.0")
    assert done.returncode == 2
    assert content(dataset) == before

    done = communique("annotations", "add", file, "--annotations", dataset, "--annotator", "ada")
    assert done.returncode == 0, done.stderr
    added = [record for record in load_annotations(dataset).all() if record.text in TEXTS]
    assert {record.text: record.annotator for record in added} == dict(
        zip(TEXTS[:3], ["writer-1", "ada", "ada"], strict=True)
    )
    assert all(record.confidence is None for record in added)


def test_only_a_suggestion_has_a_confidence(dataset: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "new.jsonl", {"text": TEXTS[0], "annotator": "ada", "confidence": 0.3})
    [problem] = add_records(file, dataset)[1]
    assert str(problem) == f"{file}:1: confidence: only for a suggestion, whose annotator is model:VERSION"
