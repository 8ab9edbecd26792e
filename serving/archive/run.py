"""A scoring run from inputs to a reconciled folder."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model.artefact import Manifest, open_artefact
from model.classifier import CPU, StanceClassifier, check_device
from model.errors import InputError
from model.files import canonical_json, sha256_text
from model.present import resolve_model
from serving.archive.ahead import ahead
from serving.archive.inputs import Format, SourceError, list_inputs
from serving.archive.output import Layout, stamp_of, table_files
from serving.archive.progress import Progress
from serving.archive.readers import ReadOptions
from serving.archive.reconcile import Reconciliation, reconcile
from serving.archive.scorer import Scorer
from serving.archive.scoring import PreparedShard, ScoredShard, Unit, prepare, score
from serving.archive.shards import Shard, Task, cut, plan_tasks
from serving.archive.store import Counts, Store, TooManyRejectsError

SHARD_CHARACTERS = 4_000_000
MAX_ERRORS = 10_000
_GOES_ON = "what is done stays, and the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the bytes of the output, besides the inputs and the model."""

    read: ReadOptions = field(default_factory=ReadOptions)
    unit: Unit = "sentence"
    layout: Layout = field(default_factory=Layout)
    shard_characters: int = SHARD_CHARACTERS


@dataclass(frozen=True, slots=True)
class Job:
    """Everything an engine needs to know; plain data, so that it travels to other machines."""

    model: Path
    tasks: tuple[Task, ...]
    settings: Settings
    max_errors: int
    device: str


Engine = Callable[[Job, Store, Progress], None]
"""Scores every shard of a job that is not in the store yet."""


def score_archive(
    arguments: Sequence[str],
    out: Path,
    settings: Settings,
    *,
    model: str | Path | None = None,
    forced: Format | None = None,
    max_errors: int = MAX_ERRORS,
    device: str = CPU,
    engine: Engine | None = None,
) -> Reconciliation:
    """Score files, folders, globs or addresses into a folder; go on where an earlier run of the same was stopped.

    Args:
        device: where the model runs, see `StanceClassifier.load`.

    Raises:
        InputError: an input is not there or cannot be read on, the folder was made otherwise, the disk is full, or
            more than `max_errors` documents and sentences could not be scored.
        ReconciliationError: what came out is not what went in.
    """
    inputs = list_inputs(arguments, forced, leave_out=out)
    tasks = plan_tasks(inputs)
    folder = resolve_model(model).resolve()
    manifest = open_artefact(folder)
    if engine is None:
        # Before the folder says what it was made with. A cluster's driver may lack what its actors have.
        check_device(folder, device)
    listing = sha256_text(*(canonical_json(asdict(source)) for source in inputs))
    run: dict[str, Any] = {
        "format": 1,
        **stamp_of(manifest),
        "device": device.partition(":")[0],
        "settings": asdict(settings),
        "inputs": {"files": len(inputs), "digest": listing},
        "libraries": _libraries(),
    }
    job = Job(folder, tuple(tasks), settings, max_errors, device)
    store = Store(out, run)
    try:
        with store.owned():
            try:
                with Progress(tasks) as progress:
                    (engine or score_here)(job, store, progress)
            except BaseException:
                with suppress(OSError):  # the first error is what counts
                    store.gather_rejects()
                raise
            store.gather_rejects()
            return reconcile(store, len(tasks))
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror or error}; {_GOES_ON}") from None
    except SourceError as error:
        raise InputError(f"{error}; {_GOES_ON}") from None


def score_here(job: Job, store: Store, progress: Progress) -> None:
    """The plain engine: reading, splitting and tokenising in one thread, inference here, writing in a third."""
    classifier = StanceClassifier.load(job.model, offline=True, device=job.device)
    scorer = Scorer(classifier)
    limit = RejectLimit(job.max_errors, store)

    def prepared() -> Iterator[PreparedShard | Shard]:
        for task in job.tasks:
            for shard in cut(task, job.settings.read, job.settings.shard_characters):
                yield shard if store.is_done(shard) else prepare(shard, scorer, job.settings.unit)

    with ThreadPoolExecutor(1, "write") as writer, closing(ahead(prepared())) as items:
        writing: Future[Counts] | None = None
        for item in items:
            if isinstance(item, Shard):
                progress.skipped(item.task, item.bytes_read)
                continue
            scored = score(item, scorer)
            if writing is not None:
                limit.add(writing.result())
            writing = writer.submit(put_away, scored, classifier.manifest, job.settings.layout, store)
            progress.scored(item.shard.task, item.shard.bytes_read, len(item.encoded.rows))
        if writing is not None:
            limit.add(writing.result())


def put_away(scored: ScoredShard, manifest: Manifest, layout: Layout, store: Store) -> Counts:
    """Write a scored shard, and say what it held."""
    shard = scored.shard
    counts = Counts(
        documents=len(shard.items),
        documents_rejected=sum(reject.level != "sentence" for reject in scored.rejects),
        sentences=sum(len(split.sentences) for split in scored.splits),
        sentences_rejected=len(scored.scores.errors),
        passed_over=shard.passed_over,
        encodings=dict(sorted(Counter(document.encoding for document in shard.documents).items())),
    )
    store.write(shard, list(table_files(scored, manifest, layout)), scored.rejects, counts)
    return counts


class RejectLimit:
    """Stops a run in which too much goes wrong, what earlier runs into the same folder rejected included."""

    def __init__(self, most: int, store: Store) -> None:
        self._most = most
        self._store = store
        self._found = 0
        for mark in store.all_marks():
            self.add(mark.counts)

    def add(self, counts: Counts) -> None:
        """Count a shard.

        Raises:
            TooManyRejectsError: that was one too many.
        """
        self._found += counts.documents_rejected + counts.sentences_rejected
        if self._found > self._most:
            raise TooManyRejectsError(
                f"{self._found:,} documents and sentences could not be scored, more than --max-errors {self._most:,}; "
                f"{self._store.folder / 'rejected.jsonl'} says why; with a higher limit the same command goes on"
            )


def _libraries() -> dict[str, str]:
    """Versions of what shapes the output."""
    found = {}
    for name in ("communique", "sentencex", "tokenizers", "openvino", "pyarrow", "trafilatura", "fastwarc"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
