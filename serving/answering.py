"""The model that answers, behind its scheduler, and the change to a newly promoted one while requests run."""

import asyncio
import functools
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model.batching import BUCKET, padded_length
from model.classifier import StanceClassifier
from model.engine import available_threads
from model.errors import SentenceError
from model.present import resolve_model
from serving import metrics
from serving.problems import ProblemError
from serving.scheduler import Answer, Rows, Scheduler
from serving.settings import Settings

logger = logging.getLogger(__name__)

_FEW = 16
"""So many sentences are tokenised where the request is; more would hold up the others, so a thread does it."""

_WARM_TOKENS = 72
"""Every padded length up to this is tried before the first request: 99 in 100 sentences of the dataset are no longer,
and a longer one takes 10 to 20 ms more once."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One sentence's probabilities, in the order of `LABELS`; `truncated` where only its beginning was judged."""

    scores: list[float]
    truncated: bool


def _warm(classifier: StanceClassifier) -> None:
    """The first call for each length prepares kernels; do it before anyone waits."""
    lengths = range(BUCKET, min(_WARM_TOKENS, classifier.manifest.max_tokens) + 1, BUCKET)
    classifier.probabilities([[0] * length for length in lengths])


# Not methods of the model: its scheduler would hold it, and a replaced model's memory would wait for the collector.
def _halves(classifier: StanceClassifier) -> list[Answer]:
    halves = classifier.split()
    for half in halves:
        _warm(half)
    return [half.probabilities for half in halves]


class LoadedModel:
    """A model with its engine warm and its scheduler running."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Load and warm up.

        Raises:
            ArtefactError: the folder cannot be trusted or loaded.
        """
        threads = settings.threads or max(1, available_threads() // settings.workers)
        self.users = 0
        self._settings = settings
        classifier = self._classifier = StanceClassifier.load(folder, threads, device=settings.device)
        self.manifest = self._classifier.manifest
        # Digests are of files that do not change under a loaded model: worked out once, not for every answer.
        self.version, self.digest = self.manifest.version, self.manifest.digest
        batches = metrics.BatchMetrics()
        self.scheduler = Scheduler(
            classifier.probabilities,
            split=functools.partial(_halves, classifier),
            token_budget=classifier.token_budget,
            max_waiting_tokens=settings.max_waiting_tokens,
            on_batch=batches.take,
            on_idle=batches.rest,
        )
        _warm(classifier)
        self._tokenising = asyncio.Semaphore(1)
        self.scheduler.start()

    async def encode(self, texts: Sequence[str], truncate: bool) -> list[tuple[list[int], bool] | SentenceError]:
        """Token ids of each sentence and whether it was cut, or why it cannot be judged."""
        if len(texts) <= _FEW:
            return self._encode(texts, truncate)
        # One at a time: what waits here is a body that was read, not yet many times its size in token ids, and
        # tokenising on more cores at once would only take them from the engine.
        async with self._tokenising:
            self.scheduler.check_room()
            return await asyncio.to_thread(self._encode, texts, truncate)

    def _encode(self, texts: Sequence[str], truncate: bool) -> list[tuple[list[int], bool] | SentenceError]:
        limits = self._settings.max_characters, self._settings.max_tokens
        found: list[tuple[list[int], bool] | SentenceError] = []
        for text, item in zip(texts, self._classifier.encode(texts, *limits), strict=True):
            if not isinstance(item, SentenceError):
                found.append((item, False))
            elif truncate and item.code != "empty":
                found.append((self._classifier.encode_beginning(text, *limits), True))
            else:
                found.append(item)
        return found

    async def judge(self, texts: Sequence[str], truncate: bool = False) -> list[Scored | SentenceError]:
        """For each sentence, in order, its probabilities or the error that says why it has none.

        Raises:
            OverloadedError: too much is waiting already.
            ProblemError: 413, more than may ever wait.
        """
        said: dict[str, str | int] = {"model": self.version, "sentences": len(texts)}
        with metrics.stage("tokenise", **said):
            encoded = await self.encode(texts, truncate)
        accepted = [item for item in encoded if not isinstance(item, SentenceError)]
        token_ids = [ids for ids, _ in accepted]
        self._refuse_hopeless(token_ids)
        with metrics.stage("score", **said):
            rows: Rows = await self.scheduler.score(token_ids)
        scored = (Scored(row, cut) for row, (_, cut) in zip(rows, accepted, strict=True))
        return [item if isinstance(item, SentenceError) else next(scored) for item in encoded]

    def _refuse_hopeless(self, token_ids: Sequence[Sequence[int]]) -> None:
        limit = self._settings.max_waiting_tokens
        # Only then worth counting.
        if len(token_ids) * padded_length(self.manifest.max_tokens) > limit:
            tokens = sum(padded_length(len(ids)) for ids in token_ids)
            if tokens > limit:
                raise ProblemError(413, f"{tokens} padded word pieces in one request; at most {limit}")


class Answering:
    """The present model. A request takes it with `present` once, so a change never shows within an answer."""

    def __init__(self, settings: Settings) -> None:
        """Load the model that the settings name, or the present one.

        Raises:
            InputError: there is no such model.
            ArtefactError: it cannot be trusted or loaded.
        """
        self.settings = settings
        self._folder = resolve_model(settings.model)
        self.model = LoadedModel(self._folder, settings)
        self._announce()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="communique-promotions", daemon=True)
        if settings.model is None:
            self._watcher.start()

    @contextmanager
    def present(self) -> Iterator[LoadedModel]:
        """The present model, which runs at least until the block ends."""
        with self._lock:
            model = self.model
            model.users += 1
        try:
            yield model
        finally:
            with self._lock:
                model.users -= 1

    def _announce(self) -> None:
        metrics.MODEL.labels(self.model.version).set(1)
        logger.info("model answers", extra={"fields": {"version": self.model.version}})

    def _watch(self) -> None:
        """Look for a new promotion until stopped.

        What cannot be loaded is logged once, and tried again, since it may be signed or repaired where it lies; the
        old model stays.
        """
        failed: Path | None = None
        while not self._stopping.wait(self.settings.poll_seconds):
            folder = self._folder
            try:
                folder = resolve_model()
                if folder == self._folder:
                    failed = None
                    continue
                old, new = self.model, LoadedModel(folder, self.settings)
            except Exception as error:  # whatever it is, a service that answers must go on looking
                if folder != failed:
                    logger.error("new model not loaded: %s", error)
                failed = folder
                continue
            failed = None
            with self._lock:
                self._folder, self.model = folder, new
            metrics.MODEL.labels(old.version).set(0)
            self._announce()
            while old.users and not self._stopping.wait(0.1):
                pass
            old.scheduler.stop()
            # Else its memory would be kept until the next promotion.
            del old, new

    def stop(self) -> None:
        """Finish what is waiting."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self.model.scheduler.stop()
