import json
from pathlib import Path

import pytest
from conftest import communique, record_line

from model.errors import InputError
from training.annotations.check import check_annotations
from training.annotations.language import other_language
from training.annotations.near import Sentence, near_duplicates
from training.annotations.shortcuts import find_shortcuts
from training.annotations.shortcuts import render as render_shortcuts
from training.annotations.stats import count
from training.annotations.stats import render as render_stats
from training.annotations.suspects import find_suspects, read_scores
from training.dataset import load_annotations
from training.splits import split_of

LONG = "The foreign ministry said on Monday that the ferry to the island would sail again once the harbour was dredged."


def named(split: str, start: int = 0) -> str:
    """An id whose hash belongs to a split."""
    return next(f"n{i}" for i in range(start, start + 1000) if split_of(f"n{i}") == split)


SENTENCES = [
    "Peru held an election.",
    "Nobody in the delegation asked who had paid for the hotel in Geneva.",
    "The grain ships will be turned back unless the tolls are settled by noon.",
    "A spokesman read out a list of forty villages without electricity.",
    "Her cabinet stood squarely with the dockers and said so in a statement.",
    "Perhaps the envoys met in Muscat, perhaps they only shared a runway.",
]


@pytest.fixture
def distinct(tmp_path: Path) -> Path:
    """A dataset without near duplicates: the shared one is made from templates."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    for number, text in enumerate(SENTENCES):
        split = ("train", "dev", "test")[number % 3]
        with (folder / f"{split}.jsonl").open("a") as stream:
            stream.write(json.dumps({"id": named(split, 1000 + 100 * number), "text": text, "stances": []}) + "\n")
    return folder


def append(folder: Path, split: str, text: str, **more: object) -> str:
    """Add a record of no stance to a split; the id fits unless one is given."""
    row = {"id": named(split), "text": text, "stances": []} | more
    path = folder / f"{split}.jsonl"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    return f"{path}:{len(path.read_text(encoding='utf-8').splitlines())}"


def test_a_good_dataset_has_no_problems(distinct: Path) -> None:
    assert check_annotations(distinct) == []
    done = communique("annotations", "check", "--annotations", distinct)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no problems" in done.stderr


def test_all_problems_are_listed_each_on_one_line_and_the_exit_code_is_2(distinct: Path) -> None:
    first = append(distinct, "train", LONG, near_miss="tea")
    second = append(distinct, "dev", "A record in the wrong file.", id=named("test"))
    third = append(distinct, "test", "Peru  HELD an election.", id=named("test", 500))
    fourth = append(distinct, "test", "Short.", id="x", stances=[{"label": "threat", "cue": "long"}])
    done = communique("annotations", "check", "--annotations", distinct)
    assert done.returncode == 2
    assert "4 problems" in done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [first, "near_miss"],
        [second, "group"],
        [third, "text"],
        [fourth, "stances.0.cue"],
    ]


def test_a_near_duplicate_is_named_with_its_like_unless_they_are_of_one_group(distinct: Path) -> None:
    first = append(distinct, "train", LONG, id=named("train"))
    changed = LONG.replace("Monday", "Friday")
    second = append(distinct, "train", changed, id=named("train", 500))
    [problem] = check_annotations(distinct)
    assert str(problem).startswith(f"{second}: text: near duplicate (0.8")
    assert f"of {first}, which is of another group" in str(problem)

    path = distinct / "train.jsonl"
    path.write_text(
        path.read_text().replace(f'"id": "{named("train", 500)}"', f'"id": "x", "group": "{named("train")}"')
    )
    assert check_annotations(distinct) == []


def test_punctuation_and_letter_case_do_not_make_a_text_new(distinct: Path) -> None:
    append(distinct, "train", LONG)
    second = append(distinct, "train", LONG.upper().replace(".", "!").replace(" on ", " – on "), id=named("train", 500))
    [problem] = check_annotations(distinct)
    assert str(problem).startswith(f"{second}: text: the same words as")


def test_a_leak_across_splits_and_into_a_benchmark_is_named(distinct: Path, tmp_path: Path) -> None:
    first = append(distinct, "train", LONG)
    second = append(distinct, "test", LONG.replace("ferry", "boat"))
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text(json.dumps({"text": LONG.removesuffix("."), "labels": [], "more": 1}) + "\n")
    problems = [str(problem) for problem in check_annotations(distinct, [benchmark])]
    assert len(problems) == 3
    assert problems[0].startswith(f"{first}: text: the same words as the benchmark sentence {benchmark}:1")
    assert problems[1].endswith(f"of the benchmark sentence {benchmark}:1: leak into a benchmark")
    assert problems[2].endswith(f"of {first}: leak from train to test")
    assert all(problem.startswith(second) for problem in problems[1:])


def test_an_empty_split_and_a_benchmark_without_text_are_clear_errors(distinct: Path, tmp_path: Path) -> None:
    bad = tmp_path / "b.jsonl"
    bad.write_text('{"txt": "no"}\n')
    with pytest.raises(InputError, match=r"b\.jsonl:1: text: expected"):
        check_annotations(distinct, [bad])
    (distinct / "dev.jsonl").write_text("")
    with pytest.raises(InputError, match=r"dev\.jsonl: no records"):
        check_annotations(distinct)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Le président a déclaré lundi que son pays ne céderait pas aux menaces.", "fr"),
        ("Der Außenminister sagte, man werde die Sanktionen nicht hinnehmen.", "de"),
        ("Министр отверг обвинения в адрес армии и назвал их вымыслом.", "ru"),
        ("Слава Україні", None),  # too short to judge
        ("Kigali MPs vote 71-2 for East African pact", None),
        ("bulldozer a come Monday, MP say. Any zinc weh still deh deh flat", None),
        ("#ConMisHijosNoTeMetas marcha today, @PoliciaPeru says Av. Abancay stays closed since 3pm", None),
        (LONG, None),
    ],
)
def test_only_a_clear_case_counts_as_another_language(text: str, language: str | None) -> None:
    assert other_language(text) == language


def test_a_cluster_of_copies_gives_one_pair_for_each_later_member() -> None:
    sentences = [Sentence(f"{LONG} {number}", "train", str(number), str(number)) for number in range(50)]
    pairs = list(near_duplicates(sentences))
    assert [pair.later for pair in pairs] == list(range(1, 50))
    assert next(iter(near_duplicates(sentences, start=49))).later == 49
    assert list(near_duplicates([])) == []


def test_the_counts_add_up(dataset: Path, tmp_path: Path) -> None:
    append(dataset, "train", LONG, genre="wire", near_miss="plain-negative", decade="1990s", difficult=True)
    stats = count(load_annotations(dataset))
    total = {kind: sum(found[kind] for found in stats.splits.values()) for kind in stats.splits["train"]}
    assert total == {
        "records": 145,
        "threat": 48,
        "denial": 24,
        "support": 24,
        "hedge": 48,
        "none": 25,
        "multi-label": 24,
        "difficult": 1,
    }
    assert stats.genres["wire"]["train"]["none"] == 1
    assert stats.near_misses["plain-negative"] == {"train": 1, "dev": 0, "test": 0}
    assert stats.words["train"]["100 %"] == len(LONG.split())
    assert "plain-negative" in render_stats(stats)
    done = communique("annotations", "stats", "--annotations", dataset, "--json", "--out", tmp_path / "out")
    assert json.loads(done.stdout)["splits"] == stats.splits
    assert (tmp_path / "out" / "stats.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stats.png"]


def flipped(dataset: Path) -> set[str]:
    """Turn the label of five records of the test dataset round; their ids."""
    path = dataset / "train.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    wrong = [row for row in rows if row["text"].endswith("denied the report.")][:5]
    for row in wrong:
        row["stances"] = [{"label": "support"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {row["id"] for row in wrong}


def test_planted_label_errors_come_first(dataset: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    wrong, out = flipped(dataset), tmp_path / "review.jsonl"
    done = communique("annotations", "suspects", "--annotations", dataset, "--encoder", tiny_encoder, "--out", out)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["record"]["id"] for row in rows[:5]} == wrong
    assert rows[0]["given"] == ["support"]
    assert "denial" in rows[0]["suggested"]
    assert rows[0]["probabilities"]["denial"] > 0.5 > rows[0]["probabilities"]["support"]
    assert [row["quality"] for row in rows] == sorted(row["quality"] for row in rows)


def test_suspects_from_scores_made_elsewhere(dataset: Path, tmp_path: Path) -> None:
    wrong = flipped(dataset)
    records = load_annotations(dataset).all()
    path = tmp_path / "scores.jsonl"

    def scores(record_id: str, text: str) -> dict[str, float]:
        held = {
            "threat": "punish" in text,
            "denial": "denied" in text,
            "support": "backs" in text,
            "hedge": "may" in text,
        }
        return {label: 0.95 if holds else 0.05 for label, holds in held.items()}

    rows = [{"id": record.id, "scores": scores(str(record.id), record.text)} for record in records]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    suspects = find_suspects(records, read_scores(path, records))
    assert {suspect.record.id for suspect in suspects} == wrong
    assert {suspect.suggested for suspect in suspects} == {("denial",)}

    for change, message in (
        ({"id": "nobody"}, "id: no record has it"),
        ({"scores": {"threat": 2}}, "scores.threat: expected a probability"),
        ({"id": rows[0]["id"]}, "has scores already"),
    ):
        path.write_text("".join(json.dumps(row) + "\n" for row in [rows[0], rows[1] | change]))
        with pytest.raises(InputError, match=message):
            read_scores(path, records)
    path.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="143 of 144 records have no scores"):
        read_scores(path, records)


def test_shortcuts_show_where_a_topic_gives_a_label_away_and_where_it_does_not(dataset: Path) -> None:
    for split in ("train", "dev", "test"):
        path = dataset / f"{split}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["topic"] = "war" if {"label": "threat"} in row["stances"] else "peace"
            row["genre"] = "wire"
            if "denied" in row["text"]:
                row["stances"] = [{"label": "denial", "cue": "denied the report"}]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = find_shortcuts(load_annotations(dataset).all(), folds=3)
    assert found.chance["threat"] == pytest.approx(1 / 3)
    assert found.surface["topic"]["threat"] == pytest.approx(1)
    assert found.surface["genre"]["threat"] < 0.5
    assert found.words["all words"]["denial"] == pytest.approx(1)
    assert "punish" in [word for word, _ in found.top_words["threat"]]
    assert "without the cues" in render_shortcuts(found)
    assert found.openings == []


def test_openings_that_many_records_share_are_listed(dataset: Path) -> None:
    for number in range(7):
        word = ("ash", "oak", "elm", "fir", "yew", "box", "bay")[number]
        line = record_line(0, f"According to the daily bulletin {word * 9} fell.", []).replace('"r0"', f'"o{number}"')
        with (dataset / f"{split_of(f'o{number}')}.jsonl").open("a") as stream:
            stream.write(line + "\n")
    [opening] = find_shortcuts(load_annotations(dataset).all(), folds=2).openings
    assert (opening.words, opening.records) == ("according to the daily bulletin", 7)
