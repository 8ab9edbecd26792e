"""Parquet files as documents: one a row."""

import io
from collections.abc import Iterator

from serving.archive.documents import Document, Fields, Reject, UnusableError, row_item
from serving.archive.extras import needs
from serving.archive.inputs import EXPANSION, EXPANSION_FREE, seekable

_ROWS = 256
"""Rows in memory at once."""


def read_parquet(name: str, stream: io.BufferedReader, fields: Fields) -> Iterator[Document | Reject]:
    """The rows of a Parquet file, of which only the named columns are read.

    Raises:
        UnusableError: there is no such text column, or its pages expand without bound.
    """
    with needs("archive"):
        from pyarrow import parquet
    with seekable(stream) as whole, parquet.ParquetFile(whole) as file:
        columns = file.schema_arrow.names
        if fields.text not in columns:
            raise UnusableError("no_column", f"no column {fields.text!r}; the columns are {', '.join(columns)[:200]}")
        for group in range(file.metadata.num_row_groups):
            entry = file.metadata.row_group(group)
            for column in map(entry.column, range(entry.num_columns)):
                out, taken = column.total_uncompressed_size, max(1, column.total_compressed_size)
                if out > EXPANSION_FREE and out > EXPANSION * taken:
                    raise UnusableError("bomb", f"{taken:,} compressed bytes become {out:,}; taken for a bomb")
        line = 0
        for batch in file.iter_batches(_ROWS, columns=[name for name in fields.named if name in columns]):
            for row in batch.to_pylist():
                line += 1
                yield row_item(row, fields, name, line, "utf-8")
