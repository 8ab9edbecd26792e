"""The scheduler: who is served when, what is bounded, what is freed."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from model.batching import TOKEN_BUDGET, padded_length
from serving.scheduler import Answer, BatchFigures, OverloadedError, Scheduler


class Engine:
    """Answers each sentence with its own token count, keeps the batches it was given, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()

    def __call__(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        self.busy.set()
        assert self.free.wait(10)
        self.batches.append([len(ids) for ids in token_ids])
        if any(ids[0] < 0 for ids in token_ids):
            raise RuntimeError("the engine broke")
        return np.array([[len(ids), ids[0], 0, 0] for ids in token_ids], dtype=float)


@contextmanager
def scheduler(engine: Engine, split: Sequence[Engine] = (), **options: Any) -> Iterator[Scheduler]:
    made = Scheduler(engine, lambda: split, **options)
    made.start()
    try:
        yield made
    finally:
        for each in (engine, *split):
            each.free.set()
        made.stop()


def sentences(*lengths: int, mark: int = 1) -> list[list[int]]:
    return [[mark] * length for length in lengths]


async def held(engine: Engine, queue: Scheduler) -> asyncio.Task:
    """A task whose batch is in the engine, which does not go on until it is set free."""
    engine.free.clear()
    engine.busy.clear()
    task = asyncio.ensure_future(queue.score(sentences(5)))
    await asyncio.to_thread(engine.busy.wait, 10)
    return task


def test_each_gets_its_own_scores_in_order_and_batches_hold_one_length_within_the_budget() -> None:
    engine = Engine()
    rng = np.random.default_rng(5)
    jobs = [sentences(*rng.integers(2, 60, rng.integers(1, 40)), mark=number + 1) for number in range(30)]

    async def ask() -> list[list[list[float]]]:
        return await asyncio.gather(*(queue.score(job) for job in jobs))

    with scheduler(engine, token_budget=256) as queue:
        answers = asyncio.run(ask())
    for number, (job, rows) in enumerate(zip(jobs, answers, strict=True)):
        assert rows == [[len(ids), number + 1, 0, 0] for ids in job]
    assert sum(map(len, engine.batches)) == sum(map(len, jobs))
    for batch in engine.batches:
        (length,) = {padded_length(tokens) for tokens in batch}
        assert length * len(batch) <= 256


def test_requests_that_wait_share_batches() -> None:
    engine = Engine()

    async def ask() -> None:
        first = await held(engine, queue)
        others = [asyncio.ensure_future(queue.score(sentences(20))) for _ in range(10)]
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.gather(first, *others)

    with scheduler(engine) as queue:
        asyncio.run(ask())
    assert [len(batch) for batch in engine.batches] == [1, 8, 2]


def test_one_sentence_waits_for_one_batch_of_a_long_request_only() -> None:
    engine = Engine()

    async def ask() -> None:
        first = await held(engine, queue)
        long = asyncio.ensure_future(queue.score(sentences(*[5] * 4096)))
        await asyncio.sleep(0)
        short = asyncio.ensure_future(queue.score(sentences(33)))
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.gather(first, long, short)

    with scheduler(engine) as queue:
        asyncio.run(ask())
    # The one that was held, one of the long request, then its own.
    assert engine.batches.index([33]) == 2
    assert len(engine.batches) == 1 + 4096 // (TOKEN_BUDGET // 8) + 1


def test_more_than_the_bound_is_refused_at_once_and_taken_later() -> None:
    engine = Engine()

    async def ask() -> None:
        first = await held(engine, queue)
        second = asyncio.ensure_future(queue.score(sentences(8, 8)))
        await asyncio.sleep(0)
        assert queue.waiting_tokens == 16
        with pytest.raises(OverloadedError) as refused:
            await queue.score(sentences(8, 8, 8))
        assert refused.value.retry_after >= 1
        assert queue.waiting_tokens == 16
        queue.check_room(16)
        engine.free.set()
        await asyncio.gather(first, second)
        assert await queue.score(sentences(8, 8, 8)) == [[8, 1, 0, 0]] * 3

    with scheduler(engine, max_waiting_tokens=32) as queue:
        asyncio.run(ask())
        assert queue.waiting_tokens == 0


def test_cancelling_frees_what_waits() -> None:
    engine = Engine()

    async def ask() -> None:
        first = await held(engine, queue)
        gone = asyncio.ensure_future(queue.score(sentences(*[40] * 100)))
        stays = asyncio.ensure_future(queue.score(sentences(40)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert queue.waiting_tokens == 40
        engine.free.set()
        await asyncio.gather(first, stays)

    with scheduler(engine) as queue:
        asyncio.run(ask())
    assert engine.batches == [[5], [40]]


def test_a_failing_batch_fails_its_requests_and_no_others() -> None:
    engine = Engine()

    async def ask() -> None:
        with pytest.raises(RuntimeError, match="broke"):
            await queue.score([[-1, 2, 3], [1] * 50])
        assert queue.waiting_tokens == 0
        assert await queue.score(sentences(9)) == [[9, 1, 0, 0]]

    with scheduler(engine) as queue:
        asyncio.run(ask())


def test_stopping_finishes_what_waits() -> None:
    engine = Engine()

    async def ask() -> list:
        first = await held(engine, queue)
        second = asyncio.ensure_future(queue.score(sentences(30)))
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.to_thread(queue.stop)
        return await asyncio.gather(first, second)

    queue = Scheduler(engine)
    queue.start()
    assert asyncio.run(ask()) == [[[5, 1, 0, 0]], [[30, 1, 0, 0]]]


def begun(queue: Scheduler) -> None:
    """Wait until the pair is at hand."""
    for _ in range(1000):
        if queue._pair:
            return
        time.sleep(0.01)
    raise AssertionError("the engine was not split")


def test_two_batches_are_answered_at_once_where_as_much_again_waits_and_a_batch_alone_by_the_whole_engine() -> None:
    whole, pair = Engine(), (Engine(), Engine())

    async def ask() -> list[list[list[float]]]:
        assert await queue.score(sentences(20)) == [[20, 1, 0, 0]]
        assert (len(whole.batches), *(len(half.batches) for half in pair)) == (1, 0, 0)
        for half in pair:
            half.free.clear()
        # Three lengths are three batches, of which two are in the engines at once.
        task = asyncio.ensure_future(queue.score(sentences(20, 30, 40)))
        for half in pair:
            assert await asyncio.to_thread(half.busy.wait, 10)
        for half in pair:
            half.free.set()
        return await task

    with scheduler(whole, pair) as queue:
        begun(queue)
        assert asyncio.run(ask()) == [[20, 1, 0, 0], [30, 1, 0, 0], [40, 1, 0, 0]]
    assert sum(len(engine.batches) for engine in (whole, *pair)) == 4


def test_where_no_second_engine_can_be_made_the_first_answers_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Answer]:
        raise MemoryError("no room")

    queue = Scheduler(Engine(), broken)
    queue.start()
    try:
        assert asyncio.run(queue.score(sentences(20, 30))) == [[20, 1, 0, 0], [30, 1, 0, 0]]
    finally:
        queue.stop()
    assert "no second engine" in caplog.text and "no room" in caplog.text


def test_each_gets_its_own_scores_from_two_engines_too_and_no_batch_runs_beside_one_of_the_whole_engine() -> None:
    running: list[Engine] = []

    class Watched(Engine):
        def __call__(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
            running.append(self)
            time.sleep(0.001)
            assert running == [whole] or whole not in running
            try:
                return super().__call__(token_ids)
            finally:
                running.remove(self)

    whole, pair = Watched(), (Watched(), Watched())
    rng = np.random.default_rng(7)
    jobs = [sentences(*rng.integers(2, 60, rng.integers(1, 12)), mark=number + 1) for number in range(60)]
    figures: list[BatchFigures] = []

    async def one(number: int) -> list[list[float]]:
        await asyncio.sleep(0.002 * number)
        return await queue.score(jobs[number])

    async def ask() -> list[list[list[float]]]:
        return await asyncio.gather(*(one(number) for number in range(len(jobs))))

    with scheduler(whole, pair, token_budget=256, on_batch=figures.append) as queue:
        begun(queue)
        answers = asyncio.run(ask())
    for number, (job, rows) in enumerate(zip(jobs, answers, strict=True)):
        assert rows == [[len(ids), number + 1, 0, 0] for ids in job]
    assert sum(len(figure.scores) for figure in figures) == sum(map(len, jobs))
    assert all(half.batches for half in pair)
    assert queue.waiting_tokens == 0


def test_a_failing_half_fails_its_requests_and_no_others() -> None:
    pair = (Engine(), Engine())

    async def ask() -> list[object]:
        jobs = [sentences(20 + 8 * number, 300, mark=-1 if number == 3 else 1) for number in range(8)]
        return await asyncio.gather(*(queue.score(job) for job in jobs), return_exceptions=True)

    with scheduler(Engine(), pair, token_budget=64) as queue:
        begun(queue)
        answers = asyncio.run(ask())
    assert [isinstance(answer, RuntimeError) for answer in answers] == [number == 3 for number in range(8)]
    assert queue.waiting_tokens == 0
