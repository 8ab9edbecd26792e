"""The output folder: shards that are there whole or not at all, and marks that say what they were made from.

::

    DIR/run.json                            model, settings, library versions and inputs of the run
    DIR/sentences/**/part-TASK-SHARD.parquet
    DIR/documents/**/part-TASK-SHARD.parquet
    DIR/rejected.jsonl                      everything that could not be scored, and why
    DIR/reconciliation.json                 documents and sentences in = scored + rejected
    DIR/marks/RUN/TASK-SHARD.json           this shard is done: digest of its input, files, counts
    DIR/marks/RUN/TASK-SHARD.rejected.jsonl

A shard's files are written aside, synced and renamed; its mark comes last. What has no mark is done again, to the same
bytes. The digest of the run is in the path of the marks, so that no mark of another model or setting is ever taken.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from model.errors import CommuniqueError, InputError
from model.files import canonical_json, sha256_text, write_aside
from serving.archive.documents import Reject
from serving.archive.output import DOCUMENTS, SENTENCES, TableFile
from serving.archive.shards import Shard

RUN = "run.json"
REJECTED = "rejected.jsonl"
_LOCK = ".lock"


class TooManyRejectsError(InputError):
    """More could not be scored than `--max-errors` allows."""


class Counts(BaseModel):
    """What one shard took in, scored, and rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: int
    documents_rejected: int
    sentences: int
    sentences_rejected: int
    passed_over: int
    encodings: dict[str, int]


class FileMark(BaseModel):
    """Rows and bytes of one file of a shard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    bytes: int


class Mark(BaseModel):
    """A shard that is done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: int
    shard: int
    last: bool
    input: str
    files: dict[str, FileMark]
    counts: Counts


class Store:
    """The output folder of one run. Workers of a cluster use it side by side; one driver has it `owned`."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        self.run = run
        self.marks = folder / "marks" / sha256_text(canonical_json(run))[:16]

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the folder for this run, half-done work of earlier ones swept away.

        Raises:
            InputError: another run is writing there, or the folder holds something else.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder}: expected a folder, or a name ending in .jsonl for a file")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_strangers()
        with (self.folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"{self.folder}: another run is writing there") from None
            self._begin()
            yield

    def is_done(self, shard: Shard) -> bool:
        """Whether the shard is marked and its files are there.

        Raises:
            InputError: it was made from other documents than these.
        """
        mark = self._mark(self.marks / f"{shard.name}.json")
        if mark is None:
            return False
        if mark.input != shard.digest:
            where = next((item.input for item in shard.items), "an input")
            raise InputError(
                f"{self.folder}: {where} has changed since shard {shard.name} was scored; score into another folder"
            )
        paths = ((self.folder / name, entry.bytes) for name, entry in mark.files.items())
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)

    def write(self, shard: Shard, files: Sequence[TableFile], rejects: Sequence[Reject], counts: Counts) -> None:
        """Put a shard in place: its files, then its rejects, then its mark."""
        folders = {self.marks}
        for file in files:
            path = self.folder / file.path
            folders.add(path.parent)
            with write_aside(path) as stream:
                cast(Any, stream).buffer.write(file.data)
        with write_aside(self.marks / f"{shard.name}.rejected.jsonl") as stream:
            stream.writelines(json.dumps(reject.row(), ensure_ascii=True) + "\n" for reject in rejects)
        for folder in folders:
            _sync(folder)
        mark = Mark(
            task=shard.task,
            shard=shard.index,
            last=shard.last,
            input=shard.digest,
            files={file.path: FileMark(rows=file.rows, bytes=len(file.data)) for file in files},
            counts=counts,
        )
        with write_aside(self.marks / f"{shard.name}.json") as stream:
            stream.write(canonical_json(mark.model_dump()) + "\n")
        _sync(self.marks)

    def all_marks(self) -> Iterator[Mark]:
        """The marks of all shards that are done, in order."""
        for path in sorted(self.marks.glob("*.json"), key=_place):
            if mark := self._mark(path):
                yield mark

    def gather_rejects(self) -> None:
        """Write `rejected.jsonl` from the rejects of all shards that are done, in order."""
        with write_aside(self.folder / REJECTED) as out:
            for mark in self.all_marks():
                out.write(self.rejects_path(mark).read_text(encoding="utf-8"))

    def rejects_path(self, mark: Mark) -> Path:
        """The rejects of one shard."""
        return self.marks / f"{mark.task:05d}-{mark.shard:06d}.rejected.jsonl"

    def _mark(self, path: Path) -> Mark | None:
        try:
            return Mark.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise CommuniqueError(f"{path}: damaged; delete it and run the same command again") from None

    def _refuse_strangers(self) -> None:
        path = self.folder / RUN
        if not path.exists():
            others = [entry.name for entry in self.folder.iterdir() if not entry.name.startswith(".")]
            if others:
                raise InputError(f"{self.folder}: holds {min(others)} and no {RUN}; expected a new or empty folder")
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise InputError(f"{path}: not JSON; expected the run that made this folder") from None
        changed = [name for name in sorted({*self.run, *before}) if self.run.get(name) != before.get(name)]
        if changed:
            first = changed[0]
            raise InputError(
                f"{self.folder}: was made otherwise: {first} is {_short(before.get(first), self.run.get(first))}; "
                "score into another folder"
            )

    def _begin(self) -> None:
        if not (self.folder / RUN).exists():
            with write_aside(self.folder / RUN) as stream:
                stream.write(json.dumps(self.run, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        self.marks.mkdir(parents=True, exist_ok=True)
        (self.folder / "reconciliation.json").unlink(missing_ok=True)
        marked = {name for mark in self.all_marks() for name in mark.files}
        for kind in (SENTENCES, DOCUMENTS):
            # Left by a killed run: files without a mark, and half files that never got their name.
            for path in sorted((self.folder / kind).rglob("*")):
                if path.is_file() and path.relative_to(self.folder).as_posix() not in marked:
                    path.unlink()
        for folder in (self.folder, self.marks):
            for part in folder.glob(".*.part"):
                part.unlink()


def _place(path: Path) -> tuple[int, str]:
    """What marks are sorted by: tasks are padded to five digits, so by name alone 100000 would stand before 10001."""
    return len(path.name), path.name


def _short(before: Any, now: Any) -> str:
    """What changed between two values: of two tables, the first entry that differs."""
    while isinstance(before, dict) and isinstance(now, dict):
        name = min(name for name in {*before, *now} if before.get(name) != now.get(name))
        before, now = before.get(name), now.get(name)
        if not isinstance(now, dict):
            return f"{name} {before} there and {now} now"
    return f"{before} there and {now} now"


def _sync(folder: Path) -> None:
    """Make the names of new files in a folder as lasting as the files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
