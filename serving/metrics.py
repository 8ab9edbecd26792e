"""What is seen of the service: how much waits, how full batches are, where time goes, what was found.

Never a caller's text, in traces neither. With several workers `prometheus_client` sums over the files in
`PROMETHEUS_MULTIPROC_DIR`, which BentoML sets for them.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from opentelemetry import trace
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from model.calibration import Floats
from model.labels import LABELS, Label
from serving.scheduler import BatchFigures

REQUESTS = Counter("communique_requests", "Requests answered.", ["route", "status"])
SECONDS = Histogram(
    "communique_request_seconds",
    "From the first byte of a request to the last of its answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
STAGES = Histogram(
    "communique_stage_seconds",
    "Seconds a request spends being read and parsed, tokenised, scored (with waiting) and written out.",
    ["stage"],
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20),
)
WAITING = Gauge(
    "communique_waiting_tokens", "Padded word pieces that wait for the engine.", multiprocess_mode="livesum"
)
BATCH_ROWS = Histogram(
    "communique_batch_sentences", "Sentences in a batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
BATCH_FILL = Histogram(
    "communique_batch_fill", "Word pieces of a batch that are not padding.", buckets=(0.5, 0.6, 0.7, 0.8, 0.9, 1)
)
BATCH_SECONDS = Histogram(
    "communique_batch_seconds",
    "Seconds of a batch in the engine.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
)
SENTENCES = Counter("communique_sentences", "Sentences, judged or refused.", ["outcome"])
FOUND = Counter("communique_labels", "Sentences that carry a label.", ["label"])
SCORES = Counter(
    "communique_scores", "Sentences by label and tenth of its probability; to see drift.", ["label", "up_to"]
)
FEEDBACK = Counter("communique_feedback", "Corrections taken into the inbox.")
MODEL = Gauge("communique_model", "Workers that answer with a model.", ["version"], multiprocess_mode="livesum")

ROUTES = frozenset({"/v1/classify", "/v1/analyze", "/v1/feedback", "/v1/model", "/metrics", "/openapi.json", "/"})
"""Paths that stand in `route`; all others are `other`, so that nobody can make up labels."""

_FLUSH_SECONDS = 1.0
_tracer: trace.Tracer | None = None

# What a metric's `labels` looks up anew each time; the values are few.
request_count = cache(REQUESTS.labels)
request_seconds = cache(SECONDS.labels)
_stage_seconds = cache(STAGES.labels)


def trace_stages(provider: trace.TracerProvider) -> None:
    """Give the stages' spans to this provider. Not to a global one: FastAPI would begin traces of its own there."""
    global _tracer
    _tracer = provider.get_tracer("communique")


@contextmanager
def stage(name: str, **attributes: str | int) -> Iterator[None]:
    """Time a stage of a request; where traces are sent, it is a span of the request's too.

    Args:
        attributes: what the span says of itself.
    """
    began = time.perf_counter()
    try:
        if _tracer is None:
            yield
        else:
            # An exception may quote the caller's text.
            with _tracer.start_as_current_span(
                name, attributes=attributes, record_exception=False, set_status_on_exception=False
            ):
                yield
    finally:
        _stage_seconds(name).observe(time.perf_counter() - began)


class BatchMetrics:
    """Takes the figures of batches in the engine's threads, one at a time; score counts are written once a second."""

    def __init__(self) -> None:
        self._tenths = np.zeros((len(LABELS), 10), dtype=np.int64)
        self._flushed = time.monotonic()

    def take(self, batch: BatchFigures) -> None:
        """Count one batch."""
        WAITING.set(batch.waiting_tokens)
        BATCH_ROWS.observe(len(batch.scores))
        BATCH_FILL.observe(batch.tokens / batch.padded_tokens)
        BATCH_SECONDS.observe(batch.seconds)
        self._count(batch.scores)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def _count(self, scores: Floats) -> None:
        tenths = np.minimum((scores * 10).astype(np.int64), 9)
        for column in range(len(LABELS)):
            self._tenths[column] += np.bincount(tenths[:, column], minlength=10)

    def rest(self) -> None:
        """Nothing is left to do."""
        WAITING.set(0)
        self.flush()

    def flush(self) -> None:
        """Write the counts that were added up."""
        self._flushed = time.monotonic()
        for column, tenth in zip(*np.nonzero(self._tenths), strict=True):
            SCORES.labels(LABELS[column], f"{(tenth + 1) / 10:.1f}").inc(float(self._tenths[column, tenth]))
        self._tenths[:] = 0


def count_labels(counts: dict[Label, int], judged: int, refused: int) -> None:
    """Count what was found for one request."""
    SENTENCES.labels("judged").inc(judged)
    if refused:
        SENTENCES.labels("refused").inc(refused)
    for label, count in counts.items():
        if count:
            FOUND.labels(label).inc(count)


def exposition() -> bytes:
    """All metrics of all workers in Prometheus' text format."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return bytes(generate_latest(REGISTRY))
    for file in Path(folder).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        # What a worker that was killed still "has" waiting must not be counted for ever.
        if not Path(f"/proc/{process}").exists():
            mark_process_dead(process)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return bytes(generate_latest(registry))
