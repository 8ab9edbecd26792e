"""The inbox of corrections: a JSONL file of records, appended to by many threads and processes.

A correction is acknowledged when it is on the disk. Whoever is killed between writing and syncing has acknowledged
nothing; a line that was cut short by it is taken away by the next writer, so the file always holds whole records.
"""

import fcntl
import os
from pathlib import Path

from model.files import sha256_text
from model.records import Record


class InboxFullError(Exception):
    """There is no room for another correction: the file has reached its limit, or the disk is full."""


def record_id(record: Record) -> str:
    """An id that follows the content, so that a correction sent twice is seen to be the same."""
    return f"f{sha256_text(record.to_json())[:16]}"


class Inbox:
    """The file at `path`, made when the first correction comes, at most `max_bytes` long."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes

    def append(self, record: Record) -> None:
        """Add a record and return when it is on the disk.

        Raises:
            InboxFullError: there is no room; the file is as it was.
        """
        line = record.to_json().encode("utf-8") + b"\n"
        handle = self._locked()
        try:
            end = _whole_lines(handle)
            if end + len(line) > self._max_bytes:
                raise InboxFullError(f"{self.path} has reached its limit of {self._max_bytes} bytes")
            _write(handle, line, end)
            os.fsync(handle)
        finally:
            os.close(handle)
        if not end:
            _sync_folder(self.path.parent)

    def _locked(self) -> int:
        """The file that lies at the path, opened and locked; a new one where it was moved away during the wait."""
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(handle), self.path.stat()):
                    return handle
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def _whole_lines(handle: int) -> int:
    """Where the last whole line ends; what a killed writer left after it is cut off."""
    size = os.fstat(handle).st_size
    end = size
    while end:
        begin = max(0, end - 8192)
        found = os.pread(handle, end - begin, begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        os.ftruncate(handle, end)
    return end


def _write(handle: int, line: bytes, at: int) -> None:
    try:
        written = os.pwrite(handle, line, at)
        while written < len(line):
            written += os.pwrite(handle, line[written:], at + written)
    except OSError as error:
        os.ftruncate(handle, at)
        raise InboxFullError(f"cannot be written: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """So that the name of a new file survives a power cut as well."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
