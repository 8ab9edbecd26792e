"""Which sentences share a batch.

The padded length of a sentence depends on its own token count alone (rounded up to a multiple of `BUCKET`), and only
sentences of one padded length share a batch. Then every kernel sees the same row whoever stands beside it, and with
static activation ranges the logits are equal to the last bit alone, in a batch of 64 or over HTTP (measured with
OpenVINO 2026.4: padding to the longest in the batch moved int8 logits by up to 0.2). It also wastes fewer
multiplications on padding than batches sorted by length.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BUCKET = 8
"""Lengths are rounded up to this many tokens: fewer distinct shapes for the engine to prepare kernels for."""

TOKEN_BUDGET = 1024
"""Padded tokens in one batch: on two cores as many sentences a second as with 2,048 or 4,096 (measured), less memory
and less waiting."""


ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Sentences in a batch: the engine prepares kernels for each shape and keeps them, some megabytes a shape, so that
free choice of the number would cost more time and memory than batches of exactly these."""


@dataclass(frozen=True)
class Batch:
    """Positions of the sentences that go through the engine together, and the length they are padded to."""

    indices: tuple[int, ...]
    padded_length: int


def padded_length(tokens: int) -> int:
    """The token count rounded up to a whole number of buckets."""
    return -(-tokens // BUCKET) * BUCKET


def batch_rows(available: int) -> int:
    """How many of the available sentences of one padded length, at least one, the next batch takes."""
    return ROWS[bisect_right(ROWS, available) - 1]


def plan_batches(lengths: Sequence[int], token_budget: int = TOKEN_BUDGET) -> list[Batch]:
    """Batches that cover all positions once, shortest sentences first, each within the token budget.

    Args:
        lengths: token count of each sentence.
        token_budget: most padded tokens in a batch; a sentence longer than this is a batch of its own.
    """
    buckets: dict[int, list[int]] = {}
    for index, tokens in enumerate(lengths):
        buckets.setdefault(padded_length(tokens), []).append(index)
    batches = []
    for length in sorted(buckets):
        room = max(1, token_budget // length)
        members = buckets[length]
        at = 0
        while at < len(members):
            rows = batch_rows(min(room, len(members) - at))
            batches.append(Batch(tuple(members[at : at + rows]), length))
            at += rows
    return batches


def pad(batch: Batch, token_ids: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ids of a batch's sentences and the mask that is 1 on them, integer arrays (rows, padded length), 0 elsewhere."""
    ids = np.zeros((len(batch.indices), batch.padded_length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, index in enumerate(batch.indices):
        tokens = token_ids[index]
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask
