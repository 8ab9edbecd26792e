"""How far a run has come: a bar on a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Sequence
from typing import Self

from tqdm import tqdm

from serving.archive.shards import Task

_EVERY = 30.0
"""Seconds between plain lines."""


class Progress:
    """Sentences a second and time left, judged by the bytes of input read so far."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        sizes = [[source.size for source in task.inputs] for task in tasks]
        known = all(size is not None for task in sizes for size in task)
        self._total = sum(size or 0 for task in sizes for size in task) if known else None
        self._read: dict[int, int] = {}
        self._sizes = {task.index: sum(size or 0 for size in row) for task, row in zip(tasks, sizes, strict=True)}
        self._sentences = 0
        self._skipped_bytes = 0
        self._began = time.monotonic()
        self._told = self._began
        self._bar = tqdm(
            total=self._total, unit="B", unit_scale=True, file=sys.stderr, disable=None, desc="scoring", leave=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def skipped(self, task: int, bytes_read: int) -> None:
        """A shard was found done."""
        self._skipped_bytes += self._advance(task, bytes_read)

    def scored(self, task: int, bytes_read: int, sentences: int) -> None:
        """A shard was scored."""
        self._advance(task, bytes_read)
        self._sentences += sentences
        now = time.monotonic()
        rate = self._sentences / max(now - self._began, 1e-9)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{self._sentences:,} sentences, {rate:,.0f}/s")
        elif now - self._told >= _EVERY:
            self._told = now
            print(f"{self._sentences:,} sentences, {rate:,.0f}/s{self._left(now)}", file=sys.stderr, flush=True)

    def _advance(self, task: int, bytes_read: int) -> int:
        read = min(bytes_read, self._sizes[task]) if self._total is not None else bytes_read
        more = max(0, read - self._read.get(task, 0))
        self._read[task] = self._read.get(task, 0) + more
        self._bar.update(more)
        return more

    def _left(self, now: float) -> str:
        read = sum(self._read.values())
        fresh = read - self._skipped_bytes
        if not self._total or not fresh:
            return ""
        minutes = (self._total - read) * (now - self._began) / fresh / 60
        return f", {read / self._total:.0%} of the input, {minutes:,.0f} min left"
