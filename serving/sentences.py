"""Running text to sentences with character offsets."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import sentencex

# A known fault of sentencex: it ends a sentence after "4 a.m." even when the day or the zone follows.
_TIME_OF_DAY = re.compile(r"\d\s?[ap]\.m\.$")
_GOES_ON = re.compile(
    r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June|July|August|September"
    r"|October|November|December|[A-Z]{2,4}T|Eastern|Pacific|Central)\b"
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and where it stands: `text == document[start:end]`, offsets in Unicode code points."""

    text: str
    start: int
    end: int


def split_sentences(document: str) -> Iterator[Sentence]:
    """The sentences of an English document in order, white space around each left out.

    A line break inside a paragraph is white space, as in hard-wrapped wire copy; a blank line ends a sentence.
    """
    held: tuple[int, int] | None = None
    for start, end in _boundaries(document):
        if held and _TIME_OF_DAY.search(document[held[0] : held[1]]) and _GOES_ON.match(document[start:end]):
            held = held[0], end
            continue
        if held:
            yield Sentence(document[slice(*held)], *held)
        held = start, end
    if held:
        yield Sentence(document[slice(*held)], *held)


def _boundaries(document: str) -> Iterator[tuple[int, int]]:
    for boundary in sentencex.get_sentence_boundaries("en", document):
        start, end = boundary["start_index"], boundary["end_index"]
        piece = document[start:end]
        if stripped := piece.strip():
            start += len(piece) - len(piece.lstrip())
            yield start, start + len(stripped)
