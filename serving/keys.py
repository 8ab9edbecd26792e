"""API keys: hashed at rest, several, each with a name and scopes.

A key is 32 random bytes, so one round of SHA-256 is enough to keep it: there is nothing to guess. The file of keys is
read again whenever it changes, so a key is added or taken away without a restart.
"""

import fcntl
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from model.errors import InputError
from model.files import write_aside

logger = logging.getLogger(__name__)

Scope = Literal["read", "feedback"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""`read` asks for answers, the model and metrics; `feedback` sends corrections."""

Name = Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,64}$")]


class Key(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[Key, ...]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        InputError: it is missing or not such a file.
    """
    try:
        return _File.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InputError(f"{path}: {where}: {first['msg']}") from None


def make_key(path: Path, name: str, scopes: Sequence[Scope]) -> str:
    """A new key, its hash added to the file, which is made where there is none. The key itself is kept nowhere.

    Raises:
        InputError: the name is taken or cannot be one, or the file cannot be read.
    """
    if not re.fullmatch(r"[\w.-]{1,64}", name):
        raise InputError(f"{name!r} cannot name a key; expected up to 64 letters, digits, '.', '_' and '-'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read_keys(path) if path.exists() else ()
        if any(key.name == name for key in known):
            raise InputError(f"{path}: there is a key {name!r} already")
        secret = f"cq_{secrets.token_urlsafe(32)}"
        added = Key(name=name, sha256=_digest(secret), scopes=tuple(dict.fromkeys(scopes)))
        with write_aside(path) as stream:
            stream.write(_File(keys=(*known, added)).model_dump_json(indent=2) + "\n")
        path.chmod(0o600)
    return secret


class KeyRing:
    """The keys of a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the keys; see `read_keys` for what it raises."""
        self._path = path
        self._stamp = self._stat()
        self._keys = read_keys(path)

    def find(self, given: str) -> Key | None:
        """The key that this is, in a time that tells nothing about the others."""
        self._refresh()
        digest = _digest(given)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _stat(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino

    def _refresh(self) -> None:
        stamp = self._stat()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._path)
        except InputError as error:
            # Neither open to all nor closed to all because of a slip in a file: the keys that were known stay.
            logger.error("keys not read again: %s", error)
