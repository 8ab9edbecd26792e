"""Sentences of many requests, merged into the engine's batches.

It goes round the waiting requests: the request whose turn it is decides the padded length of the next batch (its
shortest sentences first), and sentences of the same padded length from every other waiting request fill the batch up to
the token budget. A sentence alone therefore never waits for company, a request of thousands never holds up a single
sentence for longer than one batch, and since only sentences of one padded length share a batch the answers do not
depend on who was waiting (see `model.batching`).

A batch alone is answered by an engine that has all cores, so that it is done soonest. Where as much again waits, two
batches are answered at once by two engines with half of the cores each: cores that share a batch wait for the one that
is late, and one always is, since the event loop needs it too.

Why not BentoML's adaptive batching: it counts sentences and not their length, so it can neither bound a batch's work
nor keep padded lengths apart; its queue has no bound, so overload is noticed when it is too late; one sentence that
raises fails every request of its batch; it learns its batch sizes anew after each start. `benchmarks/serving.py` puts
the textbook service on the same engine beside this one: on 2026-11-28, on two cores, a client with 32 sentences a
request got 521 sentences a second here and 214 there, 64 clients with a sentence each 441 and 332.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from model.batching import TOKEN_BUDGET, batch_rows, padded_length
from model.calibration import Floats

logger = logging.getLogger(__name__)

Answer = Callable[[Sequence[Sequence[int]]], Floats]
"""Token ids of one batch's sentences to calibrated probabilities, (rows, 4)."""

Split = Callable[[], Sequence[Answer]]
"""Makes two that answer at the same time, each by one thread at a time; or none."""

Rows = list[list[float]]
"""Calibrated probabilities, a row of four a sentence."""


class OverloadedError(Exception):
    """Too much is waiting. `retry_after` is the number of seconds that working it off takes."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too much is waiting; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """What one batch was: its sentences' probabilities, tokens without and with padding, seconds in the engine; and
    the padded tokens that wait after it.
    """

    scores: Floats
    tokens: int
    padded_tokens: int
    seconds: float
    waiting_tokens: int


class _Job:
    """One request's sentences: what waits, by padded length, and the scores that have come."""

    __slots__ = ("done", "loop", "missing", "scores", "token_ids", "waiting")

    def __init__(self, token_ids: Sequence[Sequence[int]], loop: asyncio.AbstractEventLoop) -> None:
        self.token_ids = token_ids
        self.waiting: dict[int, deque[int]] = {}
        for index, ids in enumerate(token_ids):
            self.waiting.setdefault(padded_length(len(ids)), deque()).append(index)
        self.scores: Rows = [[]] * len(token_ids)
        self.missing = len(token_ids)
        self.loop = loop
        self.done: asyncio.Future[Rows] = loop.create_future()

    @property
    def tokens(self) -> int:
        """Padded tokens that still wait."""
        return sum(length * len(queue) for length, queue in self.waiting.items())


@dataclass(frozen=True, slots=True)
class _Batch:
    """Sentences of one padded length, by the jobs that they are of."""

    padded_length: int
    parts: list[tuple[_Job, list[int]]]

    @property
    def token_ids(self) -> list[Sequence[int]]:
        return [job.token_ids[index] for job, taken in self.parts for index in taken]

    @property
    def padded_tokens(self) -> int:
        return self.padded_length * sum(len(taken) for _, taken in self.parts)


_MERGED_SHARE = 0.4
"""Share of the waiting requests, from the one whose turn it is on, that a batch is filled from.

With all of them, who comes with a common length overtakes most of the queue, and the slowest in a hundred take nearly
twice the median; with fewer, they are closer together, at the price of smaller batches.
"""

_MERGED_AT_LEAST = 16
"""So many are always merged: a short queue has nobody to overtake for long."""


def _ignore(_: BatchFigures) -> None:
    """What is done with the figures of a batch when nobody asked for them."""


class Scheduler:
    """Runs `answer` on merged batches in threads of its own, from `start` to `stop`.

    Args:
        answer: called in one thread only, and never while one of what `split` made answers a batch.
        split: called once, in the second thread, while batches are answered already; it may try what it makes. Where
            it fails that is logged, and `answer` goes on alone.
        token_budget: most padded tokens in a batch; a longer sentence is a batch of its own.
        max_waiting_tokens: most padded tokens that may wait; None for no bound.
        on_batch: called after every batch, never twice at once.
        on_idle: called when nothing is left to do, never while `on_batch` is.
    """

    def __init__(
        self,
        answer: Answer,
        split: Split = tuple,
        token_budget: int = TOKEN_BUDGET,
        max_waiting_tokens: int | None = None,
        on_batch: Callable[[BatchFigures], None] = _ignore,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._answer = answer
        self._split = split
        self._pair: Sequence[Answer] = ()
        self._token_budget = token_budget
        self._max_waiting_tokens = max_waiting_tokens
        self._on_batch = on_batch
        self._on_idle = on_idle
        # A dictionary as an ordered set: whose turn it is comes first.
        self._turns: dict[_Job, None] = {}
        self._waiting_tokens = 0
        self._tokens_a_second = 10_000.0
        self._running = 0
        self._alone = False
        # One lock guards all of the above, the other what is told about batches.
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        # What the first thread waits for, and the second.
        self._work_there = threading.Condition(self._lock)
        self._work_beside = threading.Condition(self._lock)
        self._stopping = False
        self._threads = [
            threading.Thread(target=target, name=f"communique-{name}", daemon=True)
            for name, target in (("engine", self._work), ("second", self._help))
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is waiting, then end the threads."""
        with self._lock:
            self._stopping = True
            self._work_there.notify()
            self._work_beside.notify()
        for thread in self._threads:
            thread.join()

    @property
    def waiting_tokens(self) -> int:
        """Padded tokens that wait for the engine now."""
        return self._waiting_tokens

    def check_room(self, tokens: int = 1) -> None:
        """Raise `OverloadedError` when so many more padded tokens may not wait."""
        if self._max_waiting_tokens is not None and self._waiting_tokens + tokens > self._max_waiting_tokens:
            raise OverloadedError(max(1, math.ceil(self._waiting_tokens / self._tokens_a_second)))

    async def score(self, token_ids: Sequence[Sequence[int]]) -> Rows:
        """Calibrated probabilities of each sentence, in order. Cancelling frees what still waits.

        Raises:
            OverloadedError: there is no room for all of them; none was taken.
        """
        if not token_ids:
            return []
        job = _Job(token_ids, asyncio.get_running_loop())
        tokens = job.tokens
        with self._lock:
            self.check_room(tokens)
            self._waiting_tokens += tokens
            self._turns[job] = None
            self._work_there.notify()
            if self._running and not self._alone:
                self._work_beside.notify()
        try:
            return await job.done
        except asyncio.CancelledError:
            with self._lock:
                self._drop(job)
            raise

    def _drop(self, job: _Job) -> None:
        """Forget what still waits of a job."""
        if self._turns.pop(job, job) is None:
            self._waiting_tokens -= job.tokens
            job.waiting.clear()

    def _next(self, second: bool) -> tuple[_Batch, Answer] | None:
        """The next batch for one of the threads, and what answers it; None when it is time to end."""
        with self._lock:
            if not self._turns and not self._running:
                with self._telling:
                    self._on_idle()
            # The second thread takes a batch only beside the first: alone, the first is sooner done with it.
            while not self._turns or self._alone or (second and not self._running):
                if self._stopping and not self._turns:
                    self._work_beside.notify()
                    return None
                (self._work_beside if second else self._work_there).wait()
            batch = self._take()
            self._running += 1
            self._alone = not self._pair or (self._running == 1 and self._waiting_tokens < batch.padded_tokens)
            if not self._alone:
                self._work_beside.notify()
            return batch, self._answer if self._alone else self._pair[second]

    def _take(self) -> _Batch:
        """The next batch, taken out of what waits."""
        first = next(iter(self._turns))
        length = min(first.waiting)
        room = max(1, self._token_budget // length)
        merged = max(_MERGED_AT_LEAST, int(len(self._turns) * _MERGED_SHARE))
        sharing = [job for job in islice(self._turns, merged) if length in job.waiting]
        room = batch_rows(min(room, sum(len(job.waiting[length]) for job in sharing)))
        parts = []
        for job in sharing:
            queue = job.waiting[length]
            taken = [queue.popleft() for _ in range(min(room, len(queue)))]
            parts.append((job, taken))
            room -= len(taken)
            if not queue:
                del job.waiting[length]
                if not job.waiting:
                    del self._turns[job]
            if not room:
                break
        if first in self._turns:
            del self._turns[first]
            self._turns[first] = None
        batch = _Batch(length, parts)
        self._waiting_tokens -= batch.padded_tokens
        return batch

    def _help(self) -> None:
        try:
            pair = self._split()
        except Exception:  # the first thread goes on alone
            logger.exception("no second engine; batches are answered one after the other")
            return
        if pair:
            with self._lock:
                self._pair = pair
            self._work(second=True)

    def _work(self, second: bool = False) -> None:
        while (found := self._next(second)) is not None:
            batch, answer = found
            began = time.perf_counter()
            try:
                scores: Floats | Exception = answer(batch.token_ids)
            except Exception as error:  # an engine failure must reach the requests, not end the thread
                scores = error
            seconds = time.perf_counter() - began
            with self._lock:
                done = self._settle(batch, scores)
                if not isinstance(scores, Exception):
                    rate = self._running * batch.padded_tokens / seconds
                    self._tokens_a_second += 0.05 * (rate - self._tokens_a_second)
                self._running -= 1
                self._alone = False
            if isinstance(scores, Exception):
                _call(_fail, done, scores)
                continue
            _call(_finish, done)
            tokens = sum(map(len, batch.token_ids))
            with self._telling:
                self._on_batch(BatchFigures(scores, tokens, batch.padded_tokens, seconds, self._waiting_tokens))

    def _settle(self, batch: _Batch, scores: Floats | Exception) -> list[_Job]:
        """Give the scores, or the failure, of a batch to its jobs; those that have all that they will get."""
        if isinstance(scores, Exception):
            for job, _ in batch.parts:
                self._drop(job)
            return [job for job, _ in batch.parts]
        rows = iter(scores.tolist())
        for job, taken in batch.parts:
            for index in taken:
                job.scores[index] = next(rows)
            job.missing -= len(taken)
        return [job for job, _ in batch.parts if not job.missing]


def _call(what: Callable[..., None], jobs: list[_Job], *arguments: object) -> None:
    """Do something with jobs where they are waited for; one wake-up for all that wait in one event loop."""
    for loop in {job.loop for job in jobs}:
        # A loop that was closed has nobody left who waits.
        if not loop.is_closed():
            loop.call_soon_threadsafe(what, [job for job in jobs if job.loop is loop], *arguments)


def _finish(jobs: list[_Job]) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_result(job.scores)


def _fail(jobs: list[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)
