from pathlib import Path

import pytest
from conftest import record_line

from model.errors import InputError, RecordError
from model.labels import LABELS
from training.dataset import FEATURES, draw, load_annotations, to_dataset
from training.splits import split_of


def test_the_dataset_is_typed_and_counted(dataset: Path) -> None:
    data = load_annotations(dataset)
    assert sum(data.counts().values()) == 144
    table = to_dataset(data.records["train"])
    assert table.features == FEATURES
    row = next(row for row in table if row["text"].endswith("may punish its neighbour."))
    assert dict(zip(LABELS, row["labels"], strict=True)) == {"threat": 1, "denial": 0, "support": 0, "hedge": 1}


def test_the_digest_follows_the_content(dataset: Path) -> None:
    before = load_annotations(dataset).sha256
    assert load_annotations(dataset).sha256 == before
    path = dataset / "dev.jsonl"
    path.write_text(path.read_text().replace("backs", "rejects"))
    assert load_annotations(dataset).sha256 != before


def test_splits_never_move_and_hold_their_shares() -> None:
    # Worked out once; another result here would reshuffle every dataset there is.
    assert {name: split_of(name) for name in ("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7")} == {
        "c0": "test",
        "c1": "train",
        "c2": "test",
        "c3": "train",
        "c4": "train",
        "c5": "train",
        "c6": "train",
        "c7": "train",
    }
    shares = [split_of(str(i)) for i in range(20000)]
    for split, share in (("train", 0.8), ("dev", 0.1), ("test", 0.1)):
        assert shares.count(split) / 20000 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line: Invalid JSON"),
        (record_line(0, "A new sentence.", ["rage"]), "stances.0.label"),
        (record_line(0, "Peru held an election.", []), "text: the same as in|id: the same as in"),
        ('{"text": "No id here.", "stances": []}', "id: missing"),
    ],
)
def test_an_error_in_the_dataset_names_file_line_field_and_reason(dataset: Path, line: str, message: str) -> None:
    path = dataset / "train.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, line]) + "\n")
    with pytest.raises(RecordError, match=rf"train\.jsonl:{len(lines) + 1}: ({message})"):
        load_annotations(dataset)


def test_a_record_in_the_wrong_split_is_refused(dataset: Path) -> None:
    wrong = next(f"x{i}" for i in range(100) if split_of(f"x{i}") == "test")
    with (dataset / "train.jsonl").open("a") as stream:
        stream.write(record_line(0, "Quite another text.", []).replace('"r0"', f'"{wrong}"') + "\n")
    with pytest.raises(RecordError, match=r"group: its hash belongs to test\.jsonl"):
        load_annotations(dataset)


def test_a_missing_split_is_named(dataset: Path) -> None:
    (dataset / "dev.jsonl").unlink()
    with pytest.raises(InputError, match=r"dev\.jsonl: cannot be read"):
        load_annotations(dataset)


def test_a_smaller_draw_is_part_of_a_larger_one_and_both_keep_the_order(dataset: Path) -> None:
    records = load_annotations(dataset).records["train"]
    few, more = draw(records, 10), draw(records, 40)
    assert (len(few), len(more)) == (10, 40)
    assert few == [record for record in more if record in few]
    assert more == [record for record in records if record in more]
    assert few != records[:10]
    with pytest.raises(InputError, match=f"{len(records) + 1} records asked for, {len(records)} are there"):
        draw(records, len(records) + 1)
