"""Labelled sentences to measure on: our records, or any JSONL or CSV with texts and labels."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from evaluation.metrics import Bools
from evaluation.scheme import Facet, Scheme
from model.errors import InputError, RecordError
from model.files import sha256_file
from model.labels import LABELS, Label
from model.records import json_objects, parse_record

FACETS: tuple[Facet, ...] = get_args(Facet)
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Example:
    """One labelled sentence. `group` ties sentences that are not independent; `facets` is what the file says of it."""

    id: str
    text: str
    labels: tuple[Label, ...]
    group: str
    facets: Mapping[Facet, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """The labelled sentences of one file, its name and digest, and the labels that it judges, in column order."""

    name: str
    sha256: str
    judges: tuple[Label, ...]
    examples: tuple[Example, ...]

    @property
    def texts(self) -> list[str]:
        """The sentences."""
        return [example.text for example in self.examples]

    @property
    def groups(self) -> list[str]:
        """The group of each sentence."""
        return [example.group for example in self.examples]

    @property
    def columns(self) -> list[int]:
        """Places of the judged labels among `LABELS`."""
        return [LABELS.index(label) for label in self.judges]

    @property
    def truth(self) -> Bools:
        """Which of the judged labels hold, bool array (sentences, judged labels)."""
        return np.array([[label in example.labels for label in self.judges] for example in self.examples])


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=_DELIMITERS[path.suffix], strict=True)
            try:
                for row in reader:
                    if None in row or None in row.values():
                        expected = len(reader.fieldnames or ())
                        raise RecordError(
                            path, reader.line_num, "line", f"expected {expected} columns as in the header"
                        )
                    yield reader.line_num, row
            except csv.Error as error:
                # Lines read so far; the dictionary reader itself counts whole rows only.
                raise RecordError(path, reader.reader.line_num, "line", str(error)) from None
            except UnicodeDecodeError as error:
                raise RecordError(path, reader.line_num + 1, "line", f"not UTF-8: {error.reason}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _plain(value: Any) -> str:
    """A scalar as the text that a mapping file names it by: true, 1, threat."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _from_record(row: dict[str, Any], key: str, path: Path, number: int) -> Example:
    record = parse_record(json.dumps(row), path, number)
    said = {"genre": record.genre, "decade": record.decade, "region": record.region, "origin": record.origin}
    facets: dict[Facet, str] = {name: said[name] for name in FACETS if said.get(name)}  # type: ignore[misc]
    facets["difficult"] = "yes" if record.difficult else "no"
    return Example(key, record.text, record.labels, record.group or key, facets)


def _from_row(row: dict[str, Any], key: str, scheme: Scheme, path: Path, number: int) -> Example:
    text = row.get(scheme.field("text"))
    if not isinstance(text, str) or not text.strip():
        raise RecordError(path, number, scheme.field("text"), f"expected a sentence, found {text!r}")
    name = scheme.field("labels")
    if row.get(name) is None:
        raise RecordError(path, number, name, "missing")
    given = row[name]
    if isinstance(given, str) and path.suffix in _DELIMITERS:
        given = [part.strip() for part in given.split(scheme.separator) if part.strip()]
    try:
        labels = scheme.labels_of([_plain(value) for value in (given if isinstance(given, list) else [given])])
    except ValueError as error:
        raise RecordError(path, number, name, str(error)) from None
    said = {facet: row.get(scheme.field(facet)) for facet in FACETS}
    facets = {facet: _plain(value) for facet, value in said.items() if value not in (None, "")}
    return Example(key, text.strip(), labels, _plain(row.get(scheme.field("group")) or key), facets)


def load_sample(path: Path, scheme: Scheme | None = None) -> Sample:
    """Read a JSONL, CSV or TSV file of sentences, by its suffix (anything else is read as JSONL).

    A JSON line with `stances` is a record of ours; any other row is plain, and `scheme` says where its text and labels
    are and what the labels mean. Fields that neither names are left alone.

    Raises:
        RecordError: with file, line, field and reason.
        InputError: the file is missing or holds no sentences.
    """
    scheme = scheme or Scheme()
    examples = []
    for number, row in _csv_rows(path) if path.suffix in _DELIMITERS else json_objects(path):
        key = _plain(row.get(scheme.field("id")) or f"{path.name}:{number}")
        if "stances" in row:
            examples.append(_from_record(row, key, path, number))
        else:
            examples.append(_from_row(row, key, scheme, path, number))
    if not examples:
        raise InputError(f"{path}: no sentences")
    return Sample(path.name, sha256_file(path), scheme.judged, tuple(examples))
