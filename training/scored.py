"""Sentences to learn from: what `communique score --out FOLDER` wrote, and JSON Lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyarrow import ArrowInvalid, parquet

from model.errors import InputError
from model.records import read_texts

_BATCH = 8192


def scored_batches(archive: Path, columns: Sequence[str]) -> Iterator[tuple[Path, dict[str, list[Any]]]]:
    """Columns of a scored archive, a batch of sentences at a time, each with the file that it stands in.

    Args:
        columns: names, `text` among them.

    Raises:
        InputError: there are no scored sentences, or they were scored without their text.
    """
    files = sorted((archive / "sentences").rglob("*.parquet"))
    if not files:
        raise InputError(f"{archive}: no scored sentences; expected a folder that `communique score --out` wrote")
    for path in files:
        try:
            with parquet.ParquetFile(path) as file:
                if "text" not in file.schema_arrow.names:
                    raise InputError(f"{archive}: scored with --no-text; the sentences are needed")
                for batch in file.iter_batches(_BATCH, columns=columns):
                    yield path, batch.to_pydict()
        except ArrowInvalid as error:
            raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def sentences_of(path: Path) -> Iterator[str]:
    """The sentences of a scored archive, or of a JSONL file with `text`.

    Raises:
        InputError, RecordError: see `scored_batches` and `model.records.read_texts`.
    """
    if path.is_dir():
        for _, found in scored_batches(path, ("text",)):
            yield from found["text"]
    else:
        yield from (text for _, text, _ in read_texts(path))
