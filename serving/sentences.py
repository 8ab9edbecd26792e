"""Running text to sentences with character offsets.

The text is first cut into blocks that no sentence crosses: paragraphs, headlines, list items, speaker turns. Inside a
block sentencex finds the ends of sentences; its known faults are mended in `_joins` and `_LATE_ENDS`, judged on
`tests/tricky_sentences.jsonl`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import sentencex

BlockKind = Literal["prose", "headline", "item", "turn"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and where it stands: `text == document[start:end]`, offsets in Unicode code points."""

    text: str
    start: int
    end: int
    kind: BlockKind = "prose"


_ITEM = re.compile(r"\s*(?:[-*+•‣▪◦·]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)])\s+(?=\S)")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(?=\S)")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}$")
_TURN = re.compile(
    r"\s*(?:[—–]\s+(?=\S)"
    r"|(?:Q|A|[A-Z][\w.'’-]*(?: (?:[A-Z][\w.'’-]*|of|the|de|van|von|al)){0,5})(?: \([^)\n]{1,40}\))?:\s)"
)
_ENDED = re.compile(r"[.!?…:;][\"'”’»)\]]*\s*$")
_HEADLINE_WORDS = 16
_LITTLE = {"about", "after", "against", "amid", "before", "from", "into", "more", "over", "than", "that", "with"}

_TIME_OF_DAY = re.compile(r"\d\s?[ap]\.m\.$")
_GOES_ON = re.compile(
    r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May \d|June|July|August|September"
    r"|October|November|December|[A-Z]{2,4}T|Eastern|Pacific|Central)\b"
)
_BEFORE_NUMBER = re.compile(
    r"\b(?:approx|[Nn]os?|[Vv]ols?|pp?|[Ff]igs?|[Ss]ecs?|[Aa]rts?|ca|cf|est|[Pp]aras?|[Cc]h|Op)\.$"
)
_LATE_ENDS = re.compile(
    r"(?:^|(?<=[.!?]\s))\([^()]*[.!?]\)\s+(?=[A-Z“\"‘])"  # a bracketed sentence, then another
    r"|\b(?:no|it|so|is)\.[\"”’]?\s+(?=[A-Z])"  # a plain word that sentencex takes for an abbreviation
)


def split_sentences(document: str) -> Iterator[Sentence]:
    """The sentences of an English document in order, white space and list markers around each left out.

    A line break inside a paragraph is white space, as in hard-wrapped wire copy; a blank line, a list item, a
    headline and a speaker's turn end a sentence.
    """
    for start, end, kind in _blocks(document):
        block = document[start:end]
        spans = [(0, len(block))] if kind == "headline" else _spans(block)
        for left, right in spans:
            text = block[left:right].strip()
            if text:
                at = start + block.index(text, left)
                yield Sentence(text, at, at + len(text), kind)


def _blocks(document: str) -> Iterator[tuple[int, int, BlockKind]]:
    """Start, end and kind of each block."""
    paragraph: list[tuple[int, str]] = []
    at = 0
    for line in document.splitlines(keepends=True):
        if not line.strip() or _RULE.match(line):
            yield from _parts(paragraph)
            paragraph = []
        else:
            paragraph.append((at, line))
        at += len(line)
    yield from _parts(paragraph)


def _parts(paragraph: list[tuple[int, str]]) -> Iterator[tuple[int, int, BlockKind]]:
    """A paragraph cut before its list items, turns and headings, and after a headline."""
    begun: int | None = None
    end = 0
    kind: BlockKind = "prose"
    for index, (at, line) in enumerate(paragraph):
        before = paragraph[index - 1][1] if index else None
        after = paragraph[index + 1][1] if index + 1 < len(paragraph) else None
        marker, found = _marker(line, before, after, kind)
        if found is not None or kind == "headline":
            if begun is not None:
                yield begun, end, kind
            begun, kind = None, found or "prose"
        if begun is None:
            begun = at + marker
            if kind == "prose" and _is_headline(line, after):
                kind = "headline"
        end = at + len(line)
    if begun is not None:
        yield begun, end, kind


def _marker(line: str, before: str | None, after: str | None, kind: BlockKind) -> tuple[int, BlockKind | None]:
    """How many characters of the line are a marker, and the kind of block that begins here, None where none does."""
    if heading := _HEADING.match(line):
        return heading.end(), "headline"
    fresh = before is None or bool(_ENDED.search(before))
    item = _ITEM.match(line)
    # In wrapped prose a line may happen to begin with "4. " or "- ": a list has punctuation before it or goes on.
    if item and (fresh or kind in ("item", "headline") or (after and _ITEM.match(after))):
        return item.end(), "item"
    if (turn := _TURN.match(line)) and (fresh or kind == "turn"):
        return (turn.end() if line.lstrip()[0] in "—–" else 0), "turn"
    return 0, None


def _is_headline(line: str, after: str | None) -> bool:
    """A line without a full stop that stands alone, or in capitalised words above a line that begins anew."""
    words = line.split()
    if len(words) > _HEADLINE_WORDS or _ENDED.search(line) or line.rstrip().endswith((",", "”", '"', "’")):
        return False
    if after is None:
        return True
    long_words = [word for word in words if len(word) > 3 and word[0].isalpha() and word not in _LITTLE]
    return len(words) > 1 and bool(long_words) and all(w[0].isupper() for w in long_words) and not after[0].islower()


def _spans(block: str) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of one block: sentencex's, cut where it missed an end and joined where it made one."""
    ends = {boundary["end_index"] for boundary in sentencex.get_sentence_boundaries("en", block)}
    ends |= {found.end() for found in _LATE_ENDS.finditer(block)}
    kept = 0
    for end, following in pairwise([*sorted(ends | {len(block)}), len(block)]):
        if end == len(block) or not _joins(block[kept:end].rstrip(), block[end:following].lstrip()):
            yield kept, end
            kept = end


def _joins(left: str, right: str) -> bool:
    """Whether what sentencex took for the end of a sentence is none."""
    if _TIME_OF_DAY.search(left):
        return bool(_GOES_ON.match(right))
    if _BEFORE_NUMBER.search(left) and right[:1].isdigit():
        return True
    return left.endswith(".") and right[:1].islower()
