"""Labelled sentences to measure on: our records, or any JSONL with `text` and `labels`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import InputError, RecordError
from model.labels import LABELS, Label
from model.records import json_lines, parse_record


@dataclass(frozen=True)
class Example:
    """One labelled sentence. `stratum` names the sample it came from, where the file says; `group` ties sentences."""

    id: str
    text: str
    labels: tuple[Label, ...]
    group: str
    stratum: str | None = None


def load_examples(path: Path) -> list[Example]:
    """Read a JSONL file whose lines are records (`stances`) or plain objects with `text` and `labels`.

    Of a plain object `id`, `group` and `stratum` are used where present and other fields are left alone.

    Raises:
        RecordError: with file, line, field and reason.
        InputError: the file is missing or empty.
    """
    examples = []
    for number, line in json_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RecordError(path, number, "line", f"not JSON: {error}") from None
        if not isinstance(row, dict):
            raise RecordError(path, number, "line", f"expected a JSON object, found {type(row).__name__}")
        key = str(row.get("id") or f"{path.name}:{number}")
        if "stances" in row:
            record = parse_record(line, path, number)
            examples.append(Example(key, record.text, record.labels, record.group or key))
            continue
        text, labels = row.get("text"), row.get("labels")
        if not isinstance(text, str) or not text.strip():
            raise RecordError(path, number, "text", "expected a sentence")
        if not isinstance(labels, list) or any(label not in LABELS for label in labels):
            raise RecordError(path, number, "labels", f"expected a list of {', '.join(LABELS)}, found {labels!r}")
        stratum = row.get("stratum")
        ordered = tuple(label for label in LABELS if label in labels)
        examples.append(
            Example(key, text, ordered, str(row.get("group") or key), None if stratum is None else str(stratum))
        )
    if not examples:
        raise InputError(f"{path}: no sentences")
    return examples


def truth_matrix(examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Which labels hold, bool array (sentences, 4)."""
    return np.array([[label in example.labels for label in LABELS] for example in examples], dtype=np.bool_)
