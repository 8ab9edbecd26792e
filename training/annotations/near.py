"""Near duplicates: sentences that share most of their letter sequences.

MinHash with locality-sensitive hashing finds the candidates (A. Broder, "On the resemblance and containment of
documents", 1997; J. Leskovec, A. Rajaraman and J. Ullman, "Mining of Massive Datasets", chapter 3), the exact
Jaccard similarity decides.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

SHINGLE = 5
"""Letters in one shingle: short enough that a changed word leaves most of a sentence's shingles alone."""

SIMILARITY = 0.75
"""Jaccard similarity from which two sentences are near duplicates. A sentence of 100 letters with one word
exchanged has about 0.78; the closest two of 15,836 records of different groups had 0.61."""

# A pair at `SIMILARITY` shares a band, and so is compared, with probability 1 - (1 - 0.75 ** 5) ** 25 = 0.999.
_BANDS, _ROWS = 25, 5


@dataclass(frozen=True)
class Sentence:
    """A sentence to compare. Sentences of one `group` may be close; `part` is the split or benchmark it lies in."""

    text: str
    part: str
    where: str
    group: str | None = None


@dataclass(frozen=True)
class Pair:
    """Positions of two near duplicates, the later first, and their similarity (1 for the same words)."""

    later: int
    earlier: int
    similarity: float


def fold(text: str) -> str:
    """The words alone: no letter case, no punctuation, single spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


@lru_cache(maxsize=4096)
def _shingles(folded: str) -> frozenset[str]:
    return frozenset(folded[at : at + SHINGLE] for at in range(max(1, len(folded) - SHINGLE + 1)))


def _similarity(one: str, other: str) -> float:
    a, b = _shingles(one), _shingles(other)
    return len(a & b) / len(a | b)


def _buckets(folded: Sequence[str]) -> npt.NDArray[np.int64]:
    """The bucket of each text in each band, integer array (texts, bands); -1 where a text is alone in it."""
    digests = RMinHash.digest_matrix_from_token_sets((_shingles(text) for text in folded), _BANDS * _ROWS, 1)
    signatures = np.array(digests.to_rows(), dtype=np.uint64).reshape(len(folded), _BANDS, _ROWS)
    # One number for each band; a collision only costs a comparison.
    keys = signatures @ np.random.default_rng(1).integers(2**63, size=_ROWS, dtype=np.uint64)
    buckets = np.full((len(folded), _BANDS), -1, dtype=np.int64)
    for band in range(_BANDS):
        _, member, sizes = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(sizes[member] > 1, member, -1)
    return buckets


def near_duplicates(sentences: Sequence[Sentence], start: int = 0) -> Iterator[Pair]:
    """Pairs of near duplicates that are not of one group.

    Each sentence from position `start` on is compared with those before it, and is paired with at most one in each
    part: enough to say that it must go or change, and a large cluster costs no more than its size.
    """
    folded = [fold(sentence.text) for sentence in sentences]
    parts = list(dict.fromkeys(sentence.part for sentence in sentences))
    members: dict[tuple[str, int, int], list[int]] = {}
    for later, row in enumerate(_buckets(folded).tolist() if folded else ()):
        sentence = sentences[later]
        shared = [(band, bucket) for band, bucket in enumerate(row) if bucket >= 0]
        for part in parts if later >= start else ():
            tried: set[int] = set()
            for earlier in (at for key in shared for at in members.get((part, *key), ())):
                close = sentence.group is not None and sentence.group == sentences[earlier].group
                if close or earlier in tried:
                    continue
                tried.add(earlier)
                similarity = _similarity(folded[later], folded[earlier])
                if similarity >= SIMILARITY:
                    yield Pair(later, earlier, similarity)
                    break
        for key in shared:
            members.setdefault((sentence.part, *key), []).append(later)
