"""Reading what `communique score --out FOLDER` wrote."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyarrow import ArrowInvalid, parquet

from model.errors import InputError

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
