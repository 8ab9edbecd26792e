"""Behaviour cases: data files that say what must hold of the model's answers.

After M. T. Ribeiro et al., "Beyond accuracy: behavioral testing of NLP models with CheckList", 2020. A suite is a JSONL
file, one case a line:

- `must-pass`: `text` gets exactly `labels`, or at least all of `has` and none of `lacks`.
- `invariance`: all `texts` get the same labels.
- `direction`: from `text` to `variant` the probability of `label` goes `up` or `down`.
- `actors`: `text` gets the same labels whichever of its `group` of actors fills `{actor}`.

`actors.json` beside them has the groups: names, or lists of two forms of one name for `{actor}` and `{actor2}`. Where
an actor has one form, `{actor2}` is the next actor of the group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from model.errors import InputError, RecordError
from model.labels import Label
from model.records import Text, first_fault, json_lines

SUITES = Path(__file__).parent / "suites"
"""The suites that the project brings."""

ACTORS = "actors.json"

Name = Annotated[str, Field(min_length=1)]
Labels = Annotated[tuple[Label, ...], Field(strict=False)]


class _Case(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Name
    suite: Name


class MustPass(_Case):
    """One sentence whose labels are beyond dispute, all of them or some."""

    kind: Literal["must-pass"]
    text: Text
    labels: Labels | None = None
    has: Labels = ()
    lacks: Labels = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        some = bool(self.has or self.lacks)
        if some == (self.labels is not None):
            raise ValueError("labels: expected either labels, or has and lacks")
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """The sentence."""
        return (self.text,)


class Invariance(_Case):
    """Sentences that all must get the same labels."""

    kind: Literal["invariance"]
    texts: Annotated[tuple[Text, ...], Field(strict=False, min_length=2)]


class Direction(_Case):
    """An edit that must move the probability of a label."""

    kind: Literal["direction"]
    text: Text
    variant: Text
    label: Label
    change: Literal["up", "down"]

    @property
    def texts(self) -> tuple[str, ...]:
        """The sentence before and after the edit."""
        return (self.text, self.variant)


class _Template(_Case):
    """One sentence with `{actor}`, and perhaps `{actor2}`, in it."""

    kind: Literal["actors"]
    text: Text
    group: Name

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "{actor}" not in self.text:
            raise ValueError("text: expected {actor} in it")
        return self


@dataclass(frozen=True)
class Actors:
    """One sentence about any actor of a group, which must get the same labels whoever it is.

    `texts` has the sentence with each of `actors`.
    """

    id: str
    suite: str
    group: str
    actors: tuple[str, ...]
    texts: tuple[str, ...]


Case = MustPass | Invariance | Direction | Actors

_LINE: TypeAdapter[MustPass | Invariance | Direction | _Template] = TypeAdapter(
    Annotated[MustPass | Invariance | Direction | _Template, Field(discriminator="kind")]
)
_KINDS = ("must-pass", "invariance", "direction", "actors")
_Forms = Annotated[list[Name], Field(min_length=2, max_length=2)]
_GROUPS = TypeAdapter(dict[Name, Annotated[list[Name | _Forms], Field(min_length=2)]])


def _fill(template: _Template, group: Sequence[str | Sequence[str]]) -> Actors:
    forms = [(each,) if isinstance(each, str) else tuple(each) for each in group]
    pairs = [
        (own[0], own[1] if len(own) > 1 else following[0])
        for own, following in zip(forms, [*forms[1:], forms[0]], strict=True)
    ]
    texts = tuple(template.text.replace("{actor}", one).replace("{actor2}", two) for one, two in pairs)
    return Actors(template.id, template.suite, template.group, tuple(one for one, _ in pairs), texts)


def _load_groups(path: Path) -> Mapping[str, Sequence[str | Sequence[str]]]:
    if not path.is_file():
        return {}
    try:
        return _GROUPS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"{path}: {': '.join(first_fault(error, 'groups'))}") from None


def load_cases(folder: Path = SUITES) -> list[Case]:
    """The cases of every `*.jsonl` of a folder, sentences about actors filled in from `actors.json`.

    Raises:
        RecordError: the first wrong line, with file, line, field and reason.
        InputError: the folder holds no case, or `actors.json` is wrong.
    """
    groups = _load_groups(folder / ACTORS)
    cases: list[Case] = []
    seen: dict[str, str] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in json_lines(path):
            try:
                case = _LINE.validate_json(line)
            except ValidationError as error:
                raise RecordError(path, number, *first_fault(error, "kind", _KINDS)) from None
            first = seen.setdefault(case.id, f"{path}:{number}")
            if first != f"{path}:{number}":
                raise RecordError(path, number, "id", f"{case.id!r} stands in {first} already")
            if not isinstance(case, _Template):
                cases.append(case)
            elif case.group in groups:
                cases.append(_fill(case, groups[case.group]))
            else:
                known = ", ".join(groups) or f"none, since {folder / ACTORS} is missing"
                raise RecordError(path, number, "group", f"expected one of {known}, found {case.group!r}")
    if not cases:
        raise InputError(f"{folder}: no behaviour cases")
    return cases
