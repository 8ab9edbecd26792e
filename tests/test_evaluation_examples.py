"""Labelled files that are not ours: JSONL and CSV, mapping files, and what is said of wrong ones."""

import json
from pathlib import Path

import pytest
from conftest import communique, record_line

from evaluation.examples import load_sample
from evaluation.scheme import Scheme, load_scheme
from model.errors import CommuniqueError
from model.labels import LABELS

MAPPING = """
judges = ["threat"]
[fields]
text = "sentence"
labels = "class"
genre = "section"
[values]
threatening = ["threat"]
neutral = []
"""


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_records_bring_their_fields(tmp_path: Path) -> None:
    line = record_line(1, "Peru may wait.", ["hedge"], genre="wire", region="Peru", difficult=True, group="g")
    (example,) = load_sample(write(tmp_path / "a.jsonl", line)).examples
    assert (example.labels, example.group) == (("hedge",), "g")
    assert example.facets == {"genre": "wire", "region": "Peru", "difficult": "yes", "origin": "written"}


def test_plain_json_takes_what_it_finds(tmp_path: Path) -> None:
    sample = load_sample(
        write(
            tmp_path / "a.jsonl",
            '{"text": "Peru may punish us.", "labels": ["hedge", "threat"], "stratum": "hard", "other": 1}',
            '{"text": "It rained.", "labels": [], "id": 7, "group": "g"}',
        )
    )
    assert [example.labels for example in sample.examples] == [("threat", "hedge"), ()]
    assert [example.id for example in sample.examples] == ["a.jsonl:1", "7"]
    assert sample.examples[0].facets == {"stratum": "hard"}
    assert sample.judges == LABELS
    assert sample.truth.tolist() == [[True, False, False, True], [False] * 4]


def test_csv_with_several_labels_in_a_field(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv", "text,labels,genre", '"Peru, they say, may punish us.",threat; hedge,wire', "It rained.,,"
    )
    sample = load_sample(path)
    assert [example.labels for example in sample.examples] == [("threat", "hedge"), ()]
    assert sample.examples[0].text == "Peru, they say, may punish us."
    assert [example.facets for example in sample.examples] == [{"genre": "wire"}, {}]


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_mapping_file_reads_another_scheme(tmp_path: Path, suffix: str) -> None:
    content = MAPPING if suffix == "toml" else json.dumps(load_scheme_text(MAPPING))
    scheme = load_scheme(write(tmp_path / f"m.{suffix}", content))
    path = write(
        tmp_path / "a.csv", "sentence,class,section", "They will pay.,threatening,wire", "It rained.,neutral,wire"
    )
    sample = load_sample(path, scheme)
    assert sample.judges == ("threat",)
    assert sample.truth.tolist() == [[True], [False]]
    assert sample.examples[0].facets == {"genre": "wire"}


def load_scheme_text(text: str) -> dict[str, object]:
    import tomllib

    return tomllib.loads(text)


def test_numbers_and_truth_values_can_be_mapped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "A.", "labels": 1}', '{"text": "B.", "labels": false}')
    scheme = Scheme(values={"1": ["denial"], "false": []})
    assert load_sample(path, scheme).truth.tolist() == [[True], [False]]


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.jsonl", ['{"text": "A.", "labels": ["anger"]}'], r"a.jsonl:1: labels: expected threat, .* found 'anger'"),
        ("a.jsonl", ['{"text": "A.", "labels": []}', '{"text": "B."}'], "a.jsonl:2: labels: missing"),
        ("a.jsonl", ['{"text": " ", "labels": []}'], "a.jsonl:1: text: expected a sentence"),
        ("a.jsonl", ["[1]"], "a.jsonl:1: line: expected a JSON object, found list"),
        ("a.jsonl", ["{"], "a.jsonl:1: line: not JSON"),
        ("a.jsonl", [""], "no sentences"),
        ("a.csv", ["text,labels", "A.,threat,more"], "a.csv:2: line: expected 2 columns"),
        ("a.csv", ["text,labels", "A."], "a.csv:2: line: expected 2 columns"),
        ("a.csv", ["text,labels", '"A.,threat'], "a.csv:2: line: "),
        ("a.csv", ["text,label", "A.,threat"], "a.csv:2: labels: missing"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, name: str, lines: list[str], message: str) -> None:
    with pytest.raises(CommuniqueError, match=message):
        load_sample(write(tmp_path / name, *lines))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('judges = ["anger"]', r"judges\.0: Input should be 'threat'"),
        ('judge = ["threat"]', "judge: Extra inputs"),
        ('judges = ["threat"]\n[values]\nx = ["hedge"]', r"values\.x: hedge: not among judges \(threat\)"),
        ("judges = [", "m.toml: "),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CommuniqueError, match=message) as caught:
        load_scheme(write(tmp_path / "m.toml", content))
    assert "\n" not in str(caught.value)


def test_evaluate_leaves_out_labels_that_the_set_does_not_judge(tiny_model: Path, tmp_path: Path) -> None:
    data = write(
        tmp_path / "a.csv",
        "sentence,class",
        *(f"{actor} will punish its neighbour.,threatening" for actor in ("Kenya", "Peru")),
        *(f"{actor} may hold an election.,neutral" for actor in ("Kenya", "Peru")),
    )
    mapping = write(tmp_path / "m.toml", MAPPING)
    done = communique(
        *("evaluate", "--model", tiny_model, "--data", data, "--mapping", mapping, "--json", "-"),
        *("--annotations", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "baselines that learn are left out" in done.stderr
    found = json.loads(done.stdout)
    assert found["sample"]["judges"] == ["threat"]
    assert list(found["parts"]["all"]["systems"]) == ["all none", "key words", "model"]
    assert list(found["parts"]["all"]["systems"]["model"]["labels"]) == ["threat"]
    assert found["parts"]["all"]["without_stance"] == 2  # hedges are not judged, so these are free of stances


def test_a_sentence_that_cannot_be_judged_is_named(tiny_model: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "a.jsonl", json.dumps({"id": "long", "text": "word " * 500, "labels": []}))
    done = communique("evaluate", "--model", tiny_model, "--data", data, "--annotations", tmp_path)
    assert done.returncode == 2
    assert "a.jsonl: long: has " in done.stderr
    assert "Traceback" not in done.stderr
