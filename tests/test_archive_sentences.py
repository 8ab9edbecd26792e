"""Sentence splitting on tricky cases of our own, and offsets that always point at the original."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import sentencex

from serving.archive.documents import Document
from serving.archive.pages import running_text
from serving.sentences import split_sentences

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "tricky_sentences.jsonl").read_text(encoding="utf-8").splitlines()
]


def spans_of(text: str, pieces: list[str]) -> set[tuple[int, int]]:
    found, at = set(), 0
    for piece in pieces:
        start = text.index(piece, at)
        at = start + len(piece)
        found.add((start, at))
    return found


def f1(split) -> float:
    hits = found = wanted = 0
    for case in CASES:
        gold, ours = spans_of(case["text"], case["sentences"]), spans_of(case["text"], split(case["text"]))
        hits += len(gold & ours)
        found += len(ours)
        wanted += len(gold)
    return 2 * hits / (found + wanted)


def by_sentencex(text: str) -> list[str]:
    return [piece.strip() for piece in sentencex.segment("en", text) if piece.strip()]


def ours(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


def test_tricky_cases_are_split_better_than_by_sentencex_alone() -> None:
    assert len(CASES) >= 60
    assert f1(ours) >= 0.97
    assert f1(ours) > f1(by_sentencex) + 0.1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:30])
def test_offsets_point_at_the_original_and_nothing_but_markers_is_lost(case: dict) -> None:
    text = case["text"]
    sentences = list(split_sentences(text))
    assert [text[s.start : s.end] for s in sentences] == [s.text for s in sentences]
    assert all(a.end <= b.start for a, b in pairwise(sentences))
    assert all(s.text == s.text.strip() != "" for s in sentences)


def test_kinds_tell_headlines_items_and_turns_from_prose() -> None:
    text = "Talks Collapse in Bern\nThe envoys left.\n\n- Ceasefire ends\n- Aid stops\n\nOSEI: We deny it."
    assert [(s.kind, s.text) for s in split_sentences(text)] == [
        ("headline", "Talks Collapse in Bern"),
        ("prose", "The envoys left."),
        ("item", "Ceasefire ends"),
        ("item", "Aid stops"),
        ("turn", "OSEI: We deny it."),
    ]


def test_markdown_loses_code_and_front_matter_but_no_offset() -> None:
    text = "---\ntitle: x\n---\n# Border reopens\n\nLorries crossed.\n\n```\nx. Y.\n```\n\n<!-- no. -->It may last.\n"
    document = Document("d", text, "markdown", "d.md", None, None, None, "utf-8")
    found = [(text[s.start : s.end], s.kind) for s in split_sentences(running_text(document))]
    assert found == [("Border reopens", "headline"), ("Lorries crossed.", "prose"), ("It may last.", "prose")]


def test_a_long_text_without_any_stop_is_split_in_linear_time() -> None:
    text = "word " * 200_000
    assert len(list(split_sentences(text))) == 1
    assert len(list(split_sentences("a\n" * 100_000))) == 1
    assert len(list(split_sentences("(a " * 50_000))) == 1
