import json
from pathlib import Path

import pytest
from conftest import communique

from model.errors import InputError, RecordError
from model.readings import load_readings
from model.records import Record, write_records
from training.annotations.add import id_of
from training.annotations.agreement import measure, render

# Of ten records both readers call four a threat and three none, the first alone two, the second alone one.
PAIRS = [*[("threat", "threat")] * 4, *[("", "")] * 3, *[("threat", "")] * 2, ("", "threat")]
RECORDS = [
    Record(id=f"r{number}", text="Some text.", stances=(), genre="wire" if number < 7 else "speech")
    for number in range(11)
]
IDS = {str(record.id) for record in RECORDS}


def reading(number: int, reader: str, label: str, **more: object) -> str:
    return json.dumps({"id": f"r{number}", "reader": reader, "labels": [label] if label else []} | more) + "\n"


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    path = tmp_path / "readings.jsonl"
    lines = [
        reading(number, reader, label)
        for number, pair in enumerate(PAIRS)
        for reader, label in zip(("writer-1", "reader-2"), pair, strict=True)
    ]
    lines.append(reading(7, "reader-3", "threat", settles=True, note="An ultimatum."))
    lines.append(reading(10, "writer-1", "hedge"))
    path.write_text("".join(lines))
    return path


def test_agreement_is_what_it_is_by_hand(readings: Path) -> None:
    found = measure(RECORDS, load_readings(readings, IDS))
    threat = found.overall.labels["threat"]
    assert (found.overall.records, threat.first, threat.second) == (10, 6, 5)
    assert found.overall.exact_set == pytest.approx(0.7)
    # Observed 7/10; by chance 0.6 * 0.5 + 0.4 * 0.5 = 0.5.
    assert threat.kappa == pytest.approx(0.4)
    # Observed disagreement 3/10; expected, from 11 and 9 of 20 values, 2 * 11 * 9 / (20 * 19).
    assert threat.alpha == pytest.approx(1 - 0.3 / (198 / 380))
    assert (found.disagreements, found.settled, found.single) == (3, 1, 1)


def test_a_label_that_nobody_gave_has_no_coefficient(readings: Path) -> None:
    found = measure(RECORDS, load_readings(readings, IDS))
    assert found.overall.labels["denial"].alpha is None
    assert found.overall.labels["denial"].kappa is None
    assert found.genres["wire"].exact_set == 1
    assert found.genres["wire"].labels["threat"].alpha == pytest.approx(1)
    assert found.genres["speech"].labels["threat"].kappa is not None
    assert "–" in render(found)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (reading(99, "writer-1", "hedge"), "id: no record has it"),
        (reading(0, "reader-3", "anger"), r"labels\.0: .*'anger'"),
        (reading(0, "reader-3", "hedge"), "two readings already"),
        (reading(0, "writer-1", "hedge"), "'writer-1' has read 'r0' already"),
        (reading(7, "reader-4", "hedge", settles=True), "'r7' is settled already"),
        (reading(10, "reader-4", "hedge", settles=True), "settles: expected after the two readings"),
        (reading(10, "reader-4", "hedge", why="no"), "why: "),
        (reading(10, "reader-4", "hedge").replace('["hedge"]', '["hedge", "hedge"]'), "each label at most once"),
        ("{\n", "line: "),
    ],
)
def test_a_wrong_reading_is_named(readings: Path, line: str, message: str) -> None:
    number = len(readings.read_text().splitlines()) + 1
    with readings.open("a") as stream:
        stream.write(line)
    with pytest.raises(
        RecordError, match=rf"readings\.jsonl:{number}: .*{message}|readings\.jsonl:{number}: {message}"
    ):
        load_readings(readings, IDS)


def test_without_a_second_reading_there_is_nothing_to_measure(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    path.write_text(reading(0, "writer-1", "hedge"))
    with pytest.raises(InputError, match="no record has two readings"):
        measure(RECORDS, load_readings(path, IDS))


def test_the_command_reads_beside_the_dataset_and_prints_a_table_or_json(dataset: Path) -> None:
    lines = [reading(number, reader, "threat" * (number % 2)) for number in range(6) for reader in ("writer-1", "r-2")]
    (dataset / "readings.jsonl").write_text("".join(lines))
    done = communique("annotations", "agreement", "--annotations", dataset, "--json")
    assert json.loads(done.stdout)["overall"]["labels"]["threat"]["alpha"] == 1
    assert "kappa threat" in communique("annotations", "agreement", "--annotations", dataset).stdout
    (dataset / "readings.jsonl").unlink()
    done = communique("annotations", "agreement", "--annotations", dataset)
    assert done.returncode == 2
    assert done.stderr.startswith("communique: ")
    assert "readings.jsonl: cannot be read" in done.stderr


def test_readings_of_records_outside_of_the_dataset_are_measured_too(tmp_path: Path) -> None:
    texts = [f"The talks resume on {day} May." for day in range(1, 7)]
    write_records(tmp_path / "records.jsonl", [Record(text=text, stances=()) for text in texts])
    lines = [
        json.dumps({"id": id_of(text), "reader": reader, "labels": ["hedge"] * (number % 2)}) + "\n"
        for number, text in enumerate(texts)
        for reader in ("first", "second")
    ]
    (tmp_path / "readings.jsonl").write_text("".join(lines))
    command = ("annotations", "agreement", "--records", tmp_path / "records.jsonl")
    done = communique(*command, "--readings", tmp_path / "readings.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overall"]["labels"]["hedge"] == {"first": 3, "second": 3, "alpha": 1, "kappa": 1}
    done = communique(*command)
    assert done.returncode == 2 and "--records needs --readings" in done.stderr
