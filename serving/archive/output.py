"""Scored shards to Parquet tables."""

import datetime
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from model.artefact import Manifest
from model.files import canonical_json, sha256_text
from model.labels import LABELS
from serving.archive.extras import needs
from serving.archive.scoring import ScoredShard, Split

with needs("archive"):
    import pyarrow as pa
    from pyarrow import parquet

Partition = Literal["source", "month"]
SENTENCES = "sentences"
DOCUMENTS = "documents"

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_STAMP = {"model": pa.string(), "model_digest": pa.string(), "thresholds_digest": pa.string()}
_CONSTANT = pa.dictionary(pa.int32(), pa.string())
SENTENCE_SCHEMA = pa.schema(
    {
        "sentence": pa.string(),
        "document": pa.string(),
        "start": pa.int32(),
        "end": pa.int32(),
        "kind": _CONSTANT,
        "text": pa.string(),
        "text_digest": pa.string(),
        "labels": pa.list_(pa.string()),
        **{label: pa.float32() for label in LABELS},
        "source": pa.string(),
        "date": pa.date32(),
        **dict.fromkeys(_STAMP, _CONSTANT),
    }
)
"""One row a sentence. `start` and `end` are code points in the document's text; the four labels' columns hold their
calibrated probabilities."""

DOCUMENT_SCHEMA = pa.schema(
    {
        "document": pa.string(),
        "input": pa.string(),
        "line": pa.int64(),
        "encoding": _CONSTANT,
        "characters": pa.int64(),
        "text_digest": pa.string(),
        "source": pa.string(),
        "date": pa.date32(),
        "sentences": pa.int32(),
        "rejected": pa.int32(),
        "none": pa.int32(),
        **{label: pa.int32() for label in LABELS},
        **{f"max_{label}": pa.float32() for label in LABELS},
        **dict.fromkeys(_STAMP, _CONSTANT),
    }
)
"""One row a document: how many of its sentences were scored and rejected, how many hold no label and how many each,
and the highest probability of each label."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the tables hold and how they are parted."""

    with_text: bool = True
    partition: Partition | None = None


@dataclass(frozen=True, slots=True)
class TableFile:
    """One Parquet file of a shard: path below the output folder, bytes, rows."""

    path: str
    data: bytes
    rows: int


def stamp_of(manifest: Manifest) -> dict[str, str]:
    """The columns that say which model and thresholds gave a row."""
    thresholds = sha256_text(canonical_json(manifest.thresholds))
    return {"model": manifest.version, "model_digest": manifest.digest, "thresholds_digest": thresholds}


def table_files(scored: ScoredShard, manifest: Manifest, layout: Layout) -> Iterator[TableFile]:
    """The Parquet files of a shard, in an order and with bytes that depend on the shard and the model alone."""
    sentences, documents = _tables(scored, stamp_of(manifest))
    if not layout.with_text:
        sentences = sentences.drop_columns(["text"])
    for kind, table in ((SENTENCES, sentences), (DOCUMENTS, documents)):
        for folder, part in _parted(table, layout.partition):
            path = PurePosixPath(kind, folder, f"part-{scored.shard.name}.parquet")
            yield TableFile(str(path), _parquet(part), part.num_rows)


def _tables(scored: ScoredShard, stamp: dict[str, str]) -> tuple[pa.Table, pa.Table]:
    rows: dict[str, list[Any]] = {name: [] for name in SENTENCE_SCHEMA.names}
    documents: dict[str, list[Any]] = {name: [] for name in DOCUMENT_SCHEMA.names}
    kept = []
    label_sets = [[label for label, hit in zip(LABELS, hits, strict=True) if hit] for hits in scored.holds.tolist()]
    at = 0
    for split in scored.splits:
        document = split.document
        here = np.array(
            [i for i in range(at, at + len(split.sentences)) if i not in scored.scores.errors], dtype=np.int_
        )
        for index in here:
            sentence, digest = split.sentences[index - at], split.digests[index - at]
            rows["sentence"].append(sha256_text(document.id, f"{sentence.start}:{sentence.end}", digest)[:32])
            rows["document"].append(document.id)
            rows["start"].append(sentence.start)
            rows["end"].append(sentence.end)
            rows["kind"].append(sentence.kind)
            rows["text"].append(sentence.text)
            rows["text_digest"].append(digest)
            rows["labels"].append(label_sets[index])
            rows["source"].append(document.source)
            rows["date"].append(document.date)
        kept.append(here)
        _document_row(documents, scored, split, here)
        at += len(split.sentences)
    chosen = np.concatenate([np.empty(0, dtype=np.int_), *kept])
    columns: dict[str, Any] = dict(rows)
    for column, label in enumerate(LABELS):
        columns[label] = scored.scores.probabilities[chosen, column].astype(np.float32)
    for name, value in stamp.items():
        columns[name] = [value] * len(chosen)
        documents[name] = [value] * len(scored.splits)
    return _table(columns, SENTENCE_SCHEMA), _table(documents, DOCUMENT_SCHEMA)


def _document_row(rows: dict[str, list[Any]], scored: ScoredShard, split: Split, here: npt.NDArray[np.int_]) -> None:
    document = split.document
    holds, found = scored.holds[here], scored.scores.probabilities[here]
    rows["document"].append(document.id)
    rows["input"].append(document.input)
    rows["line"].append(document.line)
    rows["encoding"].append(document.encoding)
    rows["characters"].append(len(document.text))
    rows["text_digest"].append(sha256_text(document.text)[:32])
    rows["source"].append(document.source)
    rows["date"].append(document.date)
    rows["sentences"].append(len(here))
    rows["rejected"].append(len(split.sentences) - len(here))
    rows["none"].append(int((~holds.any(axis=1)).sum()))
    for column, label in enumerate(LABELS):
        rows[label].append(int(holds[:, column].sum()))
        rows[f"max_{label}"].append(float(found[:, column].max()) if len(here) else None)


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    arrays = []
    for field in schema:
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(columns[field.name], pa.string()).dictionary_encode().cast(field.type))
        else:
            arrays.append(pa.array(columns[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _parted(table: pa.Table, partition: Partition | None) -> Iterator[tuple[str, pa.Table]]:
    """Folder and rows of each part, in Hive's way: `source=Wire%20One`, `month=2024-05`."""
    if partition is None:
        yield "", table
        return
    if partition == "source":
        values = table["source"].to_pylist()
        table = table.drop_columns(["source"])  # the folder says it
    else:
        values = [_month(day) for day in table["date"].to_pylist()]
    rows: dict[str | None, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    for value in sorted(rows, key=lambda value: value or ""):
        folder = _NO_VALUE if value is None else quote(value, safe=" ")  # at most 240 bytes: see SOURCE_BYTES
        yield f"{partition}={folder}", table.take(rows[value])


def _month(day: datetime.date | None) -> str | None:
    return None if day is None else f"{day:%Y-%m}"


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()
