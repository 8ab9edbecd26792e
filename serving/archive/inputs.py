"""Files, folders, globs, standard input and fsspec addresses to bounded streams of bytes.

Nothing here writes. What a compressed file expands to is bounded by a ratio and a size, so that a decompression bomb
ends as one clear line.
"""

import glob
import gzip
import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast, get_args
from urllib.parse import urlsplit

from model.errors import InputError
from serving.archive.documents import UnusableError
from serving.archive.extras import needs

Format = Literal["text", "markdown", "html", "jsonl", "csv", "parquet", "warc"]
FORMATS: tuple[Format, ...] = get_args(Format)

_FORMAT_OF: dict[str, Format] = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".warc": "warc",
    ".wet": "warc",
}
_COMPRESSED = (".gz", ".zst", ".zip")
_MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".zip": b"PK"}

EXPANSION = 200
"""Most bytes that one compressed byte may become, once `EXPANSION_FREE` bytes are out. Text seldom reaches 30."""
EXPANSION_FREE = 32 << 20
EXPANDED_BYTES = 1 << 40
"""Most bytes that one compressed file may become."""
BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """One file to read.

    `name` is what the user or the listing called it, and what every row says; `size` its bytes on disk, None where
    the other side does not tell; `format` None where neither the name nor the user says.
    """

    name: str
    size: int | None
    format: Format | None


class SourceError(InputError):
    """Reading stopped for a reason that may pass: a connection reset, a failing disk.

    It ends the run. As a reject it would stand in a finished shard, and no later run could read the file whole.
    """


class Meter:
    """Bytes read so far, before decompression."""

    def __init__(self) -> None:
        self.bytes = 0


def format_of(name: str) -> Format | None:
    """The format that a file name tells, seen through a compression suffix."""
    path = Path(name.lower())
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    return _FORMAT_OF.get(path.suffix)


def list_inputs(arguments: Sequence[str], forced: Format | None = None, leave_out: Path | None = None) -> list[Input]:
    """The files that the arguments name, each once, in the order given, those of a folder or glob sorted.

    A file named outright is taken as running text when its name tells no format. Hidden files of a folder, and what
    lies under `leave_out` (the output), are not read.

    Raises:
        InputError: an argument names nothing.
    """
    found: dict[str, Input] = {}
    for argument in arguments:
        listed = [Input("-", None, forced)] if argument == "-" else list(_expand(argument, forced, leave_out))
        if not listed:
            raise InputError(f"{argument}: no files there")
        for item in listed:
            found.setdefault(item.name, item)
    return list(found.values())


def _expand(argument: str, forced: Format | None, leave_out: Path | None) -> Iterator[Input]:
    if "://" in argument:
        yield from _expand_remote(argument, forced)
        return
    path = Path(argument)
    outside = leave_out.resolve() if leave_out else None
    if path.is_dir():
        for folder, names, files in os.walk(path, onerror=_cannot_list):
            here = Path(folder)
            names[:] = sorted(n for n in names if not n.startswith(".") and (here / n).resolve() != outside)
            for name in sorted(files):
                if not name.startswith(".") and (here / name).is_file():
                    yield _local(here / name, forced or format_of(name))
    elif path.is_file():
        yield _local(path, forced or format_of(argument) or (None if path.suffix == ".zip" else "text"))
    elif glob.has_magic(argument):
        for name in sorted(glob.glob(argument, recursive=True)):  # noqa: PTH207  (Path.glob takes no absolute pattern)
            found = Path(name)
            if found.is_file() and (outside is None or not found.resolve().is_relative_to(outside)):
                yield _local(found, forced or format_of(name))
    else:
        raise InputError(f"{argument}: no such file")


def _cannot_list(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed: {error.strerror}")


def _local(path: Path, kind: Format | None) -> Input:
    return Input(str(path), path.stat().st_size, kind)


def _expand_remote(address: str, forced: Format | None) -> Iterator[Input]:
    with needs("archive"):
        import fsspec
    try:
        system, path = fsspec.core.url_to_fs(address)
        on_the_web = address.startswith(("http://", "https://"))
        if glob.has_magic(path):
            paths = sorted(system.glob(path))
        elif not on_the_web and system.isdir(path):
            paths = sorted(system.find(path))
        else:
            paths = [path]
        for one in paths:
            name = system.unstrip_protocol(one)
            known = forced or format_of(urlsplit(name).path)
            yield Input(name, system.info(one).get("size"), known or ("text" if one == path else None))
    except FileNotFoundError:
        raise InputError(f"{address}: no such file") from None
    except Exception as error:  # each store has exceptions of its own
        said = str(error) or type(error).__name__
        raise InputError(f"{address}: cannot be listed: {said}") from None


def _stopped(name: str, error: Exception) -> SourceError:
    return SourceError(f"{name}: cannot be read: {str(error) or type(error).__name__}")


class _Counted(io.RawIOBase):
    """A raw stream that tells the meter what was read from it."""

    def __init__(self, name: str, stream: BinaryIO, meter: Meter) -> None:
        self._name = name
        self._stream = stream
        self._meter = meter

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except Exception as error:  # each store has exceptions of its own
            raise _stopped(self._name, error) from error
        self._meter.bytes += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Spent:
    """Decompressed bytes of one input so far, over all its members."""

    def __init__(self) -> None:
        self.bytes = 0


class _Expanded(io.RawIOBase):
    """A decompressed stream that stops a bomb: compares what came out with what the meter says went in."""

    def __init__(self, stream: io.BufferedIOBase, meter: Meter, before: int, spent: _Spent) -> None:
        self._stream = stream
        self._meter = meter
        self._before = before
        self._spent = spent

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read1(len(buffer))  # one step: what comes before damage is not lost with it
        self._spent.bytes += len(data)
        out, taken = self._spent.bytes, self._meter.bytes - self._before
        if out > EXPANDED_BYTES or (out > EXPANSION_FREE and out > EXPANSION * taken):
            raise UnusableError("bomb", f"{taken:,} compressed bytes became more than {out:,}; taken for a bomb")
        buffer[: len(data)] = data
        return len(data)


def open_streams(source: Input, meter: Meter) -> Iterator[tuple[str, Format | None, io.BufferedReader | Exception]]:
    """The streams of one input, decompressed and bounded: one, or one a member of a zip file.

    Yields:
        name, format, stream. The stream is closed when the next is asked for. Of a member that cannot be opened what
        kept it from that, in the place of the stream.

    Raises:
        UnusableError: the file is not what its name says, or expands without bound.
        OSError: there is no such file, or it may not be opened.
        SourceError: reading it stopped.
    """
    before = meter.bytes
    spent = _Spent()
    with _buffered(_Counted(source.name, _open(source.name), meter)) as raw:
        compression = _compression(source.name, raw)
        if compression is None:
            yield source.name, source.format or _sniff(source.name, raw), raw
        elif compression == ".zip":
            with seekable(raw) as whole, zipfile.ZipFile(whole) as archive:
                for member in archive.infolist():
                    if member.is_dir():
                        continue
                    name = f"{source.name}!{member.filename}"
                    if Path(member.filename.lower()).suffix in _COMPRESSED:
                        yield name, None, UnusableError("nested", "an archive inside an archive is not opened")
                        continue
                    try:
                        opened = cast(io.BufferedIOBase, archive.open(member))
                    except Exception as error:  # a password, a method that is unknown, a damaged header
                        yield name, None, error
                        continue
                    with opened, _bounded(opened, meter, before, spent) as stream:
                        yield name, source.format or format_of(member.filename), stream
        else:
            with _bounded(_decompressor(compression, raw), meter, before, spent) as stream:
                yield source.name, source.format or _sniff(source.name, stream), stream


def _bounded(stream: io.BufferedIOBase, meter: Meter, before: int, spent: _Spent) -> io.BufferedReader:
    return _buffered(_Expanded(stream, meter, before, spent))


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return cast(io.BufferedReader, io.BufferedReader(raw, BUFFER))


def _open(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    if "://" not in name:
        return Path(name).open("rb", buffering=0)
    with needs("archive"):
        import fsspec
    try:
        return cast(BinaryIO, fsspec.open(name, "rb").open())
    except FileNotFoundError:
        raise  # it has gone since it was listed
    except Exception as error:
        raise _stopped(name, error) from error


def _compression(name: str, stream: io.BufferedReader) -> str | None:
    """The compression suffix: by name, checked against the first bytes; standard input by its first bytes alone."""
    head = stream.peek(4)
    if name == "-":
        return next((suffix for suffix, magic in _MAGIC.items() if head.startswith(magic)), None)
    suffix = Path(urlsplit(name).path if "://" in name else name).suffix.lower()
    if suffix not in _COMPRESSED:
        return None
    if not head.startswith(_MAGIC[suffix]):
        raise UnusableError("broken", f"named {suffix}, but its first bytes are not those of a {suffix} file")
    return suffix


def _decompressor(compression: str, stream: io.BufferedReader) -> io.BufferedIOBase:
    if compression == ".gz":
        return gzip.GzipFile(fileobj=stream)
    with needs("archive"):
        from backports import zstd
    return zstd.ZstdFile(stream)


def _sniff(name: str, stream: io.BufferedReader) -> Format | None:
    """Format of standard input whose format nobody named: JSON Lines when it begins with `{`, else running text."""
    if name != "-":
        return None
    return "jsonl" if stream.peek(64).lstrip().startswith(b"{") else "text"


@contextmanager
def seekable(stream: io.BufferedReader) -> Iterator[IO[bytes]]:
    """The stream, or a temporary copy of it on disk where it cannot be sought in."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, BUFFER)
        copy.seek(0)
        yield copy
