"""Reconciliation: documents and sentences in = scored + rejected, counted from the files themselves."""

import json
from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from model.errors import CommuniqueError
from model.files import write_aside
from serving.archive.extras import needs
from serving.archive.output import DOCUMENTS, SENTENCES
from serving.archive.store import REJECTED, Store

RECONCILIATION = "reconciliation.json"


class ReconciliationError(CommuniqueError):
    """Something that went in did not come out; names what."""


class Tally(BaseModel):
    """In = scored + rejected."""

    model_config = ConfigDict(frozen=True)

    read: int
    scored: int
    rejected: int

    @property
    def balances(self) -> bool:
        """Whether nothing was lost and nothing is there twice."""
        return self.read == self.scored + self.rejected


class Reconciliation(BaseModel):
    """The figures of a finished run. `documents` counts a broken input as one document rejected."""

    model_config = ConfigDict(frozen=True)

    model: str
    shards: int
    documents: Tally
    sentences: Tally
    reasons: dict[str, int]
    encodings: dict[str, int]
    passed_over: int

    def __str__(self) -> str:
        """Lines for the user."""
        lines = [
            f"{name}: {tally.read:,} in = {tally.scored:,} scored + {tally.rejected:,} rejected"
            for name, tally in (("documents", self.documents), ("sentences", self.sentences))
        ]
        if self.reasons:
            lines.append("rejected: " + _listed(self.reasons))
        if set(self.encodings) - {"utf-8"}:
            lines.append("encodings: " + _listed(self.encodings))
        if self.passed_over:
            lines.append(f"passed over: {self.passed_over:,} WARC records that hold no page")
        return "\n".join(lines)


def reconcile(store: Store, tasks: int) -> Reconciliation:
    """Count what lies in the folder, and check it against what the shards say they read.

    What went in is counted by the readers; what was scored is counted from the Parquet files, what was rejected from
    `rejected.jsonl`. Writes `reconciliation.json`.

    Raises:
        ReconciliationError: a shard is missing or the figures do not balance.
    """
    with needs("archive"):
        from pyarrow import parquet
    scored: Counter[str] = Counter()
    read: Counter[str] = Counter()
    encodings: Counter[str] = Counter()
    shards = 0
    expected, following, ended = 0, 0, True
    files: set[str] = set()
    for mark in store.all_marks():
        if mark.shard == 0 and ended and mark.task == expected:
            expected += 1
        elif ended or (mark.task, mark.shard) != (expected - 1, following):
            raise ReconciliationError(f"{store.folder}: the shard before {mark.task:05d}-{mark.shard:06d} is missing")
        following, ended = mark.shard + 1, mark.last
        shards += 1
        for name in mark.files:
            kind = name.partition("/")[0]
            files.add(name)
            scored[kind] += parquet.read_metadata(store.folder / name).num_rows
        read.update(
            documents=mark.counts.documents, sentences=mark.counts.sentences, passed_over=mark.counts.passed_over
        )
        encodings.update(mark.counts.encodings)
    if not ended or expected != tasks:
        raise ReconciliationError(f"{store.folder}: {expected} of {tasks} tasks are done")
    for kind in (SENTENCES, DOCUMENTS):
        for path in (store.folder / kind).rglob("*"):
            if path.is_file() and path.relative_to(store.folder).as_posix() not in files:
                raise ReconciliationError(f"{path}: belongs to no shard of this run")
    rejected: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with (store.folder / REJECTED).open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            rejected[SENTENCES if row["level"] == "sentence" else DOCUMENTS] += 1
            reasons[row["code"]] += 1
    tallies: dict[str, Any] = {
        kind: Tally(read=read[kind], scored=scored[kind], rejected=rejected[kind]) for kind in (DOCUMENTS, SENTENCES)
    }
    found = Reconciliation(
        model=store.run["model"],
        shards=shards,
        **tallies,
        reasons=dict(reasons.most_common()),
        encodings=dict(encodings.most_common()),
        passed_over=read["passed_over"],
    )
    for kind, tally in tallies.items():
        if not tally.balances:
            raise ReconciliationError(f"{store.folder}: {kind} do not balance\n{found}")
    with write_aside(store.folder / RECONCILIATION) as stream:
        stream.write(found.model_dump_json(indent=2) + "\n")
    return found


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
