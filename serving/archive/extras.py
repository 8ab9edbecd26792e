"""Optional parts of the installation, asked for where they are used."""

from collections.abc import Iterator
from contextlib import contextmanager

from model.errors import MissingExtraError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports inside the block come with the extra.

    Raises:
        MissingExtraError: a module is not installed; names the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(extra, str(error.name)) from None
