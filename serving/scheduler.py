"""Sentences of many requests, merged into the engine's batches.

One thread owns the engine. It goes round the waiting requests: the request whose turn it is decides the padded
length of the next batch (its shortest sentences first), and sentences of the same padded length from every other
waiting request fill the batch up to the token budget. A sentence alone therefore never waits for company, a request
of thousands never holds up a single sentence for longer than one batch, and since only sentences of one padded length
share a batch the answers do not depend on who was waiting (see `model.batching`).
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from model.batching import TOKEN_BUDGET, padded_length
from model.calibration import Floats
from model.labels import LABELS

Answer = Callable[[Sequence[Sequence[int]]], Floats]
"""Token ids of one batch's sentences to calibrated probabilities, (rows, 4)."""


class _Job:
    """One request's sentences: what waits, by padded length, and the scores that have come."""

    def __init__(self, token_ids: Sequence[Sequence[int]], loop: asyncio.AbstractEventLoop) -> None:
        self.token_ids = token_ids
        self.waiting: dict[int, deque[int]] = {}
        for index, ids in enumerate(token_ids):
            self.waiting.setdefault(padded_length(len(ids)), deque()).append(index)
        self.scores: Floats = np.empty((len(token_ids), len(LABELS)))
        self.missing = len(token_ids)
        self.loop = loop
        self.done: asyncio.Future[Floats] = loop.create_future()

    def take(self, length: int, rows: int) -> list[int]:
        """At most `rows` waiting sentences of one padded length."""
        queue = self.waiting.get(length)
        taken = [queue.popleft() for _ in range(min(rows, len(queue)))] if queue else []
        if queue is not None and not queue:
            del self.waiting[length]
        return taken


class Scheduler:
    """Runs `answer` on merged batches in a thread of its own. Start it with `with`."""

    def __init__(self, answer: Answer, token_budget: int = TOKEN_BUDGET) -> None:
        self._answer = answer
        self._token_budget = token_budget
        self._turns: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="communique-engine", daemon=True)

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is waiting, then end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    async def score(self, token_ids: Sequence[Sequence[int]]) -> Floats:
        """Calibrated probabilities, float array (sentences, 4), in order. Cancelling frees what still waits."""
        job = _Job(token_ids, asyncio.get_running_loop())
        if not token_ids:
            return job.scores
        with self._wake:
            self._turns.append(job)
            self._wake.notify()
        try:
            return await job.done
        except asyncio.CancelledError:
            with self._wake:
                if job in self._turns:
                    self._turns.remove(job)
            raise

    def _next(self) -> list[tuple[_Job, list[int]]] | None:
        """The parts of the next batch, each a job and its sentences; None when it is time to end."""
        with self._wake:
            while not self._turns:
                if self._stopping:
                    return None
                self._wake.wait()
            first = self._turns[0]
            length = min(first.waiting)
            room = max(1, self._token_budget // length)
            parts = []
            for job in list(self._turns):
                taken = job.take(length, room)
                if taken:
                    parts.append((job, taken))
                    room -= len(taken)
                if not room:
                    break
            self._turns.rotate(-1)
            self._turns = deque(job for job in self._turns if job.waiting)
            return parts

    def _work(self) -> None:
        while (parts := self._next()) is not None:
            try:
                scores = self._answer([job.token_ids[index] for job, taken in parts for index in taken])
            except Exception as error:  # an engine failure must reach the requests, not end the thread
                for job, _ in parts:
                    job.loop.call_soon_threadsafe(_fail, job, error)
                continue
            row = 0
            for job, taken in parts:
                job.scores[taken] = scores[row : row + len(taken)]
                row += len(taken)
                job.missing -= len(taken)
                if not job.missing:
                    job.loop.call_soon_threadsafe(_finish, job)


def _finish(job: _Job) -> None:
    if not job.done.done():
        job.done.set_result(job.scores)


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)
