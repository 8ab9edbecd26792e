"""Every error that Communiqué raises on purpose.

The tree, with the exit code that the command line gives::

    CommuniqueError              1
    ├── InputError               2   the user's input: a file, a value, an option
    │   ├── RecordError          2   one record of a JSONL file, with file, line, field and reason
    │   └── SentenceError        2   one sentence that cannot be classified, with its position
    ├── ArtefactError            3   a model folder that is missing, damaged or not to be trusted
    ├── MissingExtraError        4   an optional part of the installation is missing
    └── GateError                5   a model that does not pass its gates

The service gives a sentence its error in its place, and has problems of its own for everything else.
"""

from pathlib import Path


class CommuniqueError(Exception):
    """Base of all errors with a message meant for the user."""

    exit_code = 1


class InputError(CommuniqueError):
    """The caller's input cannot be used; the message says what was expected and what came."""

    exit_code = 2


class RecordError(InputError):
    """One line of a JSONL file breaks the record format."""

    def __init__(self, file: Path | str, line: int, field: str, reason: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {reason}")
        self.file = str(file)
        self.line = line
        self.field = field
        self.reason = reason


class SentenceError(InputError):
    """One sentence cannot be classified. `code` is `empty`, `not_unicode`, `too_long` or `too_many_tokens`."""

    def __init__(self, index: int, code: str, reason: str) -> None:
        super().__init__(f"sentence {index}: {reason}")
        self.index = index
        self.code = code
        self.reason = reason


class ArtefactError(CommuniqueError):
    """A model folder is missing, incomplete, of another format, or its digests do not match."""

    exit_code = 3


class MissingExtraError(CommuniqueError):
    """A command needs an optional dependency group."""

    exit_code = 4

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f'this needs {module}, which is not installed: pip install "communique[{extra}]"')
        self.extra = extra


class GateError(CommuniqueError):
    """A candidate does not pass its gates; nothing was promoted."""

    exit_code = 5
