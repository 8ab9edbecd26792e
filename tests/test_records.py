import json
from pathlib import Path

import pytest

from model.errors import RecordError
from model.records import Record, Stance, parse_record, read_records, write_records

GOOD = {
    "id": "r1",
    "text": "Oslo may back the plan.",
    "stances": [{"label": "support", "cue": "back", "holder": "Oslo", "target": "the plan"}, {"label": "hedge"}],
    "genre": "wire",
    "decade": "1990s",
}


def test_a_record_survives_a_round_trip(tmp_path: Path) -> None:
    record = parse_record(json.dumps(GOOD))
    write_records(tmp_path / "r.jsonl", [record])
    assert read_records(tmp_path / "r.jsonl") == [record]
    assert record.labels == ("support", "hedge")
    assert record.stances[0] == Stance(label="support", cue="back", holder="Oslo", target="the plan")


def test_labels_come_in_column_order_whatever_the_file_says() -> None:
    record = Record(text="x y", stances=(Stance(label="hedge"), Stance(label="threat")))
    assert record.labels == ("threat", "hedge")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"text": ""}, "text", "at least 1"),
        ({"text": " padded"}, "text", "pattern"),
        ({"text": None}, "text", "string"),
        ({"stances": None}, "stances", "valid array"),
        ({"stances": [{"label": "anger"}]}, "stances.0.label", "'threat', 'denial', 'support' or 'hedge'"),
        ({"stances": [{"label": "hedge"}, {"label": "hedge"}]}, "stances", "at most once"),
        ({"stances": [{"label": "hedge", "cue": "might"}]}, "stances.0.cue", "letter for letter"),
        ({"genre": "poem"}, "genre", "'wire'"),
        ({"decade": "90s"}, "decade", "pattern"),
        ({"near_miss": "refusal"}, "near_miss", "without stances"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)
def test_a_wrong_record_is_refused_with_file_line_field_and_reason(change: dict, field: str, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_record(json.dumps(GOOD | change), "some.jsonl", 7)
    assert str(caught.value).startswith(f"some.jsonl:7: {field}: ")
    assert reason in str(caught.value)


def test_a_line_that_is_not_json_or_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\n{oops\n")
    with pytest.raises(RecordError, match=r"r\.jsonl:3: "):
        read_records(path)
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\n")
    with pytest.raises(RecordError, match=r"r\.jsonl:2: line: not UTF-8 at byte 0"):
        read_records(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("old")

    def broken():
        yield parse_record(json.dumps(GOOD))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_records(path, broken())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
