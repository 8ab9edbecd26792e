"""The archive cut into shards: the pieces of work that are done whole or not at all.

Inputs are grouped into tasks by their sizes alone, and each task's documents are cut into shards by their lengths
alone, so the same inputs always give the same shards, whoever reads them.
"""

import datetime
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from model.files import canonical_json
from serving.archive.documents import Document, Item, PassedOver, Reject
from serving.archive.inputs import Input, Meter
from serving.archive.readers import ReadOptions, read_input

TASK_BYTES = 64 << 20
TASK_INPUTS = 10_000
_ITEM_WEIGHT = 100
"""Characters that a document or reject counts for besides its text, so that tiny ones bound a shard too."""


@dataclass(frozen=True, slots=True)
class Task:
    """Inputs that one reader reads one after the other."""

    index: int
    inputs: tuple[Input, ...]


@dataclass
class Shard:
    """Consecutive documents of a task, what was rejected between them, and whether they end the task.

    `bytes_read` counts the task's bytes read so far; it serves the progress display and is no part of the digest.
    """

    task: int
    index: int
    last: bool = False
    documents: list[Document] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    passed_over: int = 0
    bytes_read: int = 0

    @property
    def name(self) -> str:
        """Stem of the shard's files."""
        return f"{self.task:05d}-{self.index:06d}"

    @property
    def items(self) -> list[Document | Reject]:
        """All that was read and counts as a document: those to be scored, then those that cannot be."""
        return [*self.documents, *self.rejects]

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything that was read. Why something was rejected may be worded anew, so it is left out."""
        whole = hashlib.sha256()
        for item in self.items:
            row = canonical_json(_plain(item) | {"reason": None})
            whole.update(row.encode("utf-8", "surrogatepass") + b"\n")
        whole.update(f"{self.last} {self.passed_over}".encode())
        return whole.hexdigest()

    def to_json(self) -> str:
        """For the way to another process."""
        kept = {"documents": [_plain(d) for d in self.documents], "rejects": [_plain(r) for r in self.rejects]}
        return json.dumps({name: getattr(self, name) for name in _COUNTS} | kept)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The shard that `to_json` wrote."""
        row = json.loads(text)
        documents = [
            Document(**document | {"date": document["date"] and datetime.date.fromisoformat(document["date"])})
            for document in row["documents"]
        ]
        rejects = [Reject(**reject) for reject in row["rejects"]]
        return cls(**{name: row[name] for name in _COUNTS}, documents=documents, rejects=rejects)


_COUNTS = ("task", "index", "last", "passed_over", "bytes_read")


def _plain(item: Document | Reject) -> dict[str, Any]:
    row = asdict(item)
    if isinstance(item, Document):
        row["date"] = item.date and item.date.isoformat()
    return row


def plan_tasks(inputs: Sequence[Input]) -> list[Task]:
    """Every input in exactly one task: small files together, a large one alone."""
    groups: list[list[Input]] = []
    filled = TASK_BYTES
    for source in inputs:
        size = TASK_BYTES if source.size is None else source.size
        if filled + size > TASK_BYTES or len(groups[-1]) == TASK_INPUTS:
            groups.append([])
            filled = 0
        groups[-1].append(source)
        filled += size
    return [Task(index, tuple(group)) for index, group in enumerate(groups)]


def cut(task: Task, options: ReadOptions, characters: int) -> Iterator[Shard]:
    """The shards of a task in order, each of about `characters` characters; the last one, maybe empty, says so."""
    meter = Meter()
    shard = Shard(task.index, 0)
    weight = 0
    for item in _items(task, options, meter):
        if weight >= characters:
            shard.bytes_read = meter.bytes
            yield shard
            shard = Shard(task.index, shard.index + 1)
            weight = 0
        if isinstance(item, PassedOver):
            shard.passed_over += 1
            continue
        weight += _ITEM_WEIGHT
        if isinstance(item, Document):
            shard.documents.append(item)
            weight += len(item.text)
        else:
            shard.rejects.append(item)
    shard.bytes_read = meter.bytes
    shard.last = True
    yield shard


def _items(task: Task, options: ReadOptions, meter: Meter) -> Iterator[Item]:
    for source in task.inputs:
        yield from read_input(source, options, meter)
