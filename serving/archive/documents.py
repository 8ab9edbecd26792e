"""What readers yield: documents, and what could not be read, with the reason."""

import datetime
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["text", "markdown", "html"]
Level = Literal["input", "document", "sentence"]

EXCERPT = 200
"""Characters of a rejected text that are kept with the reason."""

SOURCE_BYTES = 80
"""Longest name of a source: it may name a folder of the output."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_JUNK_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the columns or JSON fields that hold a document's text, id, date and source."""

    text: str = "text"
    id: str | None = None
    date: str | None = None
    source: str | None = None

    @property
    def named(self) -> list[str]:
        """All that may be read from a row, the text first."""
        return [self.text, *(name for name in (self.id or "id", self.date, self.source) if name)]


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it was read.

    `text` is the original (for `html` the page itself; its main text is taken when the document is split), `input`
    the file it came from, `line` its line, row or record there, from 1.
    """

    id: str
    text: str
    kind: Kind
    input: str
    line: int | None
    source: str | None
    date: datetime.date | None
    encoding: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Something that could not be scored: a whole input (or the rest of one), a document or a sentence."""

    level: Level
    code: str
    reason: str
    input: str
    line: int | None = None
    document: str | None = None
    start: int | None = None
    end: int | None = None
    excerpt: str | None = None

    @property
    def message(self) -> str:
        """One line for the user: file, line and reason."""
        where = self.input if self.line is None else f"{self.input}:{self.line}"
        return f"{where}: {self.reason}"

    def row(self) -> dict[str, Any]:
        """As it stands in `rejected.jsonl`, without the fields that do not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A record that is no document by its kind, such as an image in a WARC file; counted, not kept."""

    what: str


Item = Document | Reject | PassedOver


class UnusableError(Exception):
    """A text, row or input cannot be used; becomes a `Reject` with this code and reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def check_text(text: str) -> str:
    """The text itself where it can be scored.

    Raises:
        UnusableError: it is blank, holds half a surrogate pair, or too many control characters to be writing.
    """
    if not text.strip():
        raise UnusableError("empty", "holds no text")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UnusableError("not_text", f"character {error.start} is not valid text (half a pair)") from None
    controls = len(_CONTROL.findall(text))
    if controls > _JUNK_SHARE * len(text):
        raise UnusableError("binary", f"{controls} of {len(text)} characters are control characters; not text")
    return text


def parse_date(value: Any, field: str) -> datetime.date | None:
    """A row's date: None, a date, or ISO 8601 text of which the day counts.

    Raises:
        UnusableError: anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value)[:10])
    except ValueError:
        reason = f"{field}: expected a date such as 2024-05-17, found {str(value)[:40]!r}"
        raise UnusableError("wrong_date", reason) from None


def parse_source(value: Any, field: str) -> str | None:
    """A document's source: None, or its name.

    Raises:
        UnusableError: it is no text, or too long to name a folder.
    """
    if value is None or not str(value).strip():
        return None
    source = check_text(str(value))
    if len(source.encode("utf-8")) > SOURCE_BYTES:
        raise UnusableError("long_source", f"{field}: expected at most {SOURCE_BYTES} bytes, found {source[:40]!r}…")
    return source


def row_item(row: Mapping[str, Any], fields: Fields, name: str, line: int, encoding: str) -> Document | Reject:
    """One JSON object, CSV row or Parquet row as a document, or the reason why it is none."""
    try:
        text = row.get(fields.text)
        if not isinstance(text, str):
            found = type(text).__name__ if fields.text in row else f"the fields {', '.join(sorted(row)) or '(none)'}"
            raise UnusableError("no_text", f"{fields.text}: expected a string, found {found[:EXCERPT]}")
        given = row.get(fields.id or "id")
        if given is None and fields.id is not None:
            raise UnusableError("no_id", f"{fields.id}: expected an id, found none")
        return Document(
            id=check_text(str(given)) if given not in (None, "") else f"{name}:{line}",
            text=check_text(text),
            kind="text",
            input=name,
            line=line,
            source=parse_source(row.get(fields.source), fields.source) if fields.source else None,
            date=parse_date(row.get(fields.date), fields.date) if fields.date else None,
            encoding=encoding,
        )
    except UnusableError as error:
        return Reject("document", error.code, error.reason, name, line)
