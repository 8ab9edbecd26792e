"""The mapping file: how another data set's columns and labels become ours."""

import json
import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import InputError
from model.labels import LABELS, Label
from model.records import first_fault

Facet = Literal["stratum", "genre", "decade", "region", "difficult", "origin"]
"""What a file may say of a sentence besides its labels; each is a dimension of slices."""


class Scheme(BaseModel):
    """Where a file keeps what we need, and what its labels mean in ours.

    Attributes:
        fields: the file's name for ours, where it differs.
        values: the file's label values, as text, with the labels that each stands for; empty where they are ours.
        separator: between several values in one field of a CSV.
        judges: the labels that the set judges at all; the others are left out of every figure. By default those that
            `values` can give, or all four.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    fields: dict[Literal["text", "labels", "id", "group"] | Facet, str] = {}
    values: dict[str, list[Label]] = {}
    separator: str = Field(default=";", min_length=1)
    judges: list[Label] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        for value, labels in self.values.items():
            outside = [label for label in labels if self.judges and label not in self.judges]
            if outside:
                raise ValueError(f"values.{value}: {', '.join(outside)}: not among judges ({', '.join(self.judges)})")
        return self

    @property
    def judged(self) -> tuple[Label, ...]:
        """The labels that the figures are about, in the project's column order."""
        named = set(self.judges) or {label for labels in self.values.values() for label in labels} or set(LABELS)
        return tuple(label for label in LABELS if label in named)

    def field(self, name: Literal["text", "labels", "id", "group"] | Facet) -> str:
        """The file's name for one of our fields."""
        return self.fields.get(name, name)

    def labels_of(self, values: list[str]) -> tuple[Label, ...]:
        """Our labels for the values of one sentence, in column order.

        Raises:
            ValueError: a value that the scheme does not know; the message says which are known.
        """
        known: dict[str, list[Label]] = self.values or {label: [label] for label in LABELS}
        for value in values:
            if value not in known:
                raise ValueError(f"expected {', '.join(known)}, found {value[:60]!r}")
        found = {label for value in values for label in known[value]}
        return tuple(label for label in LABELS if label in found)


def load_scheme(path: Path) -> Scheme:
    """Read a mapping file, TOML by its suffix, else JSON.

    Raises:
        InputError: it cannot be read, or a field is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, not TOML or not JSON
        raise InputError(f"{path}: {error}") from None
    try:
        return Scheme.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {': '.join(first_fault(error, 'mapping'))}") from None
