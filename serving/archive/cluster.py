"""The same scoring as a Ray Data job, on this machine or a cluster.

Readers cut tasks into shards, an actor pool scores and writes them. Shards, files and marks are those of the plain
engine, so either engine goes on where the other stopped. Ray's own checkpoints are not used: they do not know the
model, and rows that one step multiplies are taken twice. An actor that dies is started anew and its shard done again,
to the same bytes. The output folder, the model and local inputs must have the same path on every machine.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.classifier import CPU, StanceClassifier
from model.engine import available_threads
from model.errors import ArtefactError, CommuniqueError, InputError
from serving.archive.extras import needs
from serving.archive.inputs import Input
from serving.archive.progress import Progress
from serving.archive.run import Job, RejectLimit, put_away
from serving.archive.scorer import Scorer
from serving.archive.scoring import prepare, score
from serving.archive.shards import Shard, Task, cut
from serving.archive.store import Counts, Store

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
with needs("cluster"):
    import ray
    import ray.data

_READERS = 2
"""Cores left to the tasks that read, on a Ray started here."""

Batch = dict[str, Any]


class RayEngine:
    """Scores a job with Ray Data, `actors` scoring at once with one thread each."""

    def __init__(self, address: str | None = None, actors: int | None = None) -> None:
        self._address = address
        self._actors = actors

    def __call__(self, job: Job, store: Store, progress: Progress) -> None:
        """Score what the store does not have.

        Raises:
            CommuniqueError: what an actor or reader raised, or Ray's own failure in one line.
        """
        self._check_inputs(job)
        limit = RejectLimit(job.max_errors, store)
        with redirect_stdout(sys.stderr):  # Ray tells of dead workers on standard output, which is for results
            try:
                self._connect()
                for row in self._results(job, Store(store.folder.resolve(), store.run)).iter_rows():
                    if row["counts"]:
                        counts = Counts.model_validate_json(row["counts"])
                        progress.scored(row["task"], row["bytes_read"], counts.sentences)
                        limit.add(counts)
                    else:
                        progress.skipped(row["task"], row["bytes_read"])
            except (ray.exceptions.RayError, ConnectionError) as error:
                raise _cause(error) from None
            finally:
                ray.shutdown()

    def _check_inputs(self, job: Job) -> None:
        for name in (source.name for task in job.tasks for source in task.inputs):
            if name == "-":
                raise InputError("-: the Ray engine cannot read standard input; name files")
            if self._address and "://" not in name and not Path(name).is_absolute():
                raise InputError(f"{name}: expected an absolute path, which holds on every machine of the cluster")

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self._address is None:
            actors = self._actors or max(1, available_threads() - 1)
            ray.init(num_cpus=actors + _READERS, include_dashboard=False, **quiet)
        else:
            ray.init(self._address, **quiet)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False

    def _cores(self) -> int:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return int(resources.get("CPU", 1))

    def _results(self, job: Job, store: Store) -> ray.data.Dataset:
        actors = self._actors or max(1, self._cores() - _READERS)
        # One shard a block, whatever its size. A block is what an actor takes at once, and a reader that is started
        # anew where a node was lost finds more shards done than before: were small rows put together, its nth block
        # would be another one than the nth that was lost.
        ray.data.DataContext.get_current().target_max_block_size = 1
        tasks = ray.data.from_items([{"task": json.dumps(asdict(task))} for task in job.tasks])
        # Every worker gets a copy of the job, and none needs the list of a million inputs.
        job = replace(job, tasks=())
        # Another share of a core than the actors', or Ray fuses both steps and one file keeps one actor busy.
        shards = tasks.map_batches(_Read(job, store), batch_size=1, zero_copy_batch=True, num_cpus=0.5)
        return shards.map_batches(
            _Score,
            fn_constructor_args=(job, store),
            batch_size=1,
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
            num_gpus=0 if job.device == CPU else 1,
        )


class _Read:
    """A task to its shards: one row a shard, empty where the store has it."""

    def __init__(self, job: Job, store: Store) -> None:
        self._settings = job.settings
        self._store = store

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        for text in batch["task"]:
            row = json.loads(text)
            task = Task(row["index"], tuple(Input(**source) for source in row["inputs"]))
            for shard in cut(task, self._settings.read, self._settings.shard_characters):
                yield {
                    "task": np.array([shard.task]),
                    "bytes_read": np.array([shard.bytes_read]),
                    "shard": np.array(["" if self._store.is_done(shard) else shard.to_json()], dtype=object),
                }


class _Score:
    """One actor: a loaded model that scores and writes shards."""

    def __init__(self, job: Job, store: Store) -> None:
        self._job = job
        self._store = store
        # Ray shows each actor its own card as the first.
        device = job.device.partition(":")[0]
        self._classifier = StanceClassifier.load(Path(job.model), threads=1, device=device)
        if self._classifier.manifest.digest != store.run["model_digest"]:
            raise ArtefactError(f"{job.model}: another model than where the run was started")
        self._scorer = Scorer(self._classifier)

    def __call__(self, batch: Batch) -> Batch:
        counts = [self._counts(text) for text in batch["shard"]]
        return {"task": batch["task"], "bytes_read": batch["bytes_read"], "counts": np.array(counts, dtype=object)}

    def _counts(self, text: str) -> str:
        if not text:
            return ""
        settings = self._job.settings
        scored = score(prepare(Shard.from_json(text), self._scorer, settings.unit), self._scorer)
        return put_away(scored, self._classifier.manifest, settings.layout, self._store).model_dump_json()


def _cause(error: BaseException) -> CommuniqueError:
    """What Ray wrapped, where it is an error of ours; else its last line."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, CommuniqueError):
            return type(inner)(*inner.args) if type(inner).__init__ is Exception.__init__ else inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    return CommuniqueError(f"Ray: {str(error).strip().splitlines()[-1]}")
