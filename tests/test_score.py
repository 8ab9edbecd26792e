"""`communique score` and sentence splitting on a real article of several paragraphs."""

import json
from pathlib import Path

import pytest
from conftest import communique

from serving.sentences import split_sentences


@pytest.fixture
def article(root: Path) -> Path:
    return root / "examples" / "article.txt"


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_offsets_point_at_the_sentences_of_the_article(article: Path) -> None:
    text = article.read_text(encoding="utf-8")
    sentences = list(split_sentences(text))
    assert [text[s.start : s.end] for s in sentences] == [s.text for s in sentences]
    assert sum(len("".join(s.text.split())) for s in sentences) == len("".join(text.split()))
    assert len(sentences) == 9
    assert sentences[-1].text.startswith("Organisers expect") and sentences[-1].text.endswith("6 a.m. Friday.")


def test_offsets_count_code_points_beyond_the_basic_plane() -> None:
    text = "Fine 🙂 words. The été talks 🇫🇷 failed.\n\n  Next one."
    assert [text[s.start : s.end] for s in split_sentences(text)] == [
        "Fine 🙂 words.",
        "The été talks 🇫🇷 failed.",
        "Next one.",
    ]


def test_an_article_is_scored_with_offsets(article: Path, tmp_path: Path) -> None:
    out = tmp_path / "scored.jsonl"
    done = communique("score", article, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "9 sentences scored, 0 could not be" in done.stderr
    text = article.read_text(encoding="utf-8")
    scored = rows(out.read_text(encoding="utf-8"))
    for row in scored:
        assert text[row["start"] : row["end"]] == row["text"]
        assert set(row["scores"]) == {"threat", "denial", "support", "hedge"}
        assert row["document"] == str(article)
    by_start = {" ".join(row["text"].split()[:2]): row["labels"] for row in scored}
    assert "denial" in by_start["France's defence"]
    assert "support" in by_start["Estonia's prime"]
    assert by_start["Organisers expect"] == []


def test_jsonl_and_standard_input_give_the_same_as_the_file(article: Path, tmp_path: Path) -> None:
    text = article.read_text(encoding="utf-8")
    jsonl = tmp_path / "a.jsonl"
    jsonl.write_text(json.dumps({"id": "doc", "body": text}) + "\n", encoding="utf-8")
    from_file = communique("score", jsonl, "--text-field", "body")
    piped = communique("score", "-", "--text-field", "body", input=jsonl.read_text(encoding="utf-8"))
    plain = communique("score", "-", input=text)
    assert from_file.stderr == piped.stderr == plain.stderr == ""  # quiet when piped

    def content(done):
        return [(row["start"], row["end"], row["scores"]) for row in rows(done.stdout)]

    assert content(from_file) == content(piped) == content(plain)
    assert {row["document"] for row in rows(from_file.stdout)} == {"doc"}


def test_a_sentence_that_cannot_be_judged_is_kept_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"text": "word " * 700}) + "\n" + json.dumps({"text": "They may come."}) + "\n")
    done = communique("score", path, "--unit", "document")
    first, second = rows(done.stdout)
    assert "at most" in first["error"] and "labels" not in first
    assert "hedge" in second["labels"]
    assert "1 sentences scored, 1 could not be" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "Fine."}\n{"txt": "x"}\n', "in.jsonl:2: text: expected a string"),
        (b'{"text": "Fine."}\nnot json\n', "in.jsonl:2: line: not JSON"),
        (b'{"text": "\xff"}\n', "in.jsonl:1: line: not UTF-8 at byte 10"),
    ],
)
def test_a_wrong_line_is_named_and_no_half_file_is_left(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    done = communique("score", path, "--out", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_missing_file_is_named_before_anything_runs(tmp_path: Path) -> None:
    done = communique("score", tmp_path / "nothing.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing.txt: no such file" in done.stderr
