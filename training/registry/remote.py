"""Registered models to and from a folder that fsspec reads: a path, s3://…, gs://…, sftp://…

Under the address each version is a folder with the same files as in the registry, written under another name and
renamed when it is whole. Where an object store only seems to rename, a reader may meet half a model: its digests tell.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from model.artefact import MANIFEST, open_artefact
from model.errors import ArtefactError, CommuniqueError, InputError
from training.registry.store import ARTEFACT, REPORT, Entry, keep, read

_COMPANIONS = ("report.html", "MODEL_CARD.md")
"""Kept beside the report where they are there."""


@contextmanager
def _reaching(address: str) -> Iterator[tuple[Any, str]]:
    """The file system of an address and the path on it; what goes wrong there is one clear line."""
    try:
        yield fsspec.core.url_to_fs(address)
    except CommuniqueError:
        raise
    except Exception as error:  # each store has exceptions of its own
        said = str(error) or type(error).__name__
        raise InputError(f"{address}: cannot be reached: {said.splitlines()[0]}") from None


def push(version: str, address: str) -> str:
    """Copy a registered model to an address; returns where it lies.

    Raises:
        InputError: there is no such version, or the address cannot be reached.
        ArtefactError: its digests do not match, or another model lies there under its version.
    """
    entry = read(version)
    with _reaching(address) as (system, root):
        target, aside = f"{root}/{version}", f"{root}/.{version}.{secrets.token_hex(4)}.part"
        if system.exists(target):
            manifest = f"{target}/{ARTEFACT}/{MANIFEST}"
            if not system.exists(manifest):
                raise ArtefactError(f"{address}: half a model lies there as {version}; delete it and push again")
            there = system.cat_file(manifest)
            if there != (entry.artefact / MANIFEST).read_bytes():
                raise ArtefactError(f"{address}: another model lies there as {version}; nothing was pushed")
            return str(system.unstrip_protocol(target))
        try:
            for path in [*sorted(entry.artefact.iterdir()), *(entry.folder / name for name in (REPORT, *_COMPANIONS))]:
                if path.is_file():
                    name = f"{aside}/{path.relative_to(entry.folder).as_posix()}"
                    system.makedirs(name.rpartition("/")[0], exist_ok=True)
                    system.put_file(str(path), name)
            system.mv(aside, target, recursive=True)
        finally:
            if system.exists(aside):
                system.rm(aside, recursive=True)
        return str(system.unstrip_protocol(target))


def _fetch(version: str, address: str, here: Path) -> None:
    with _reaching(address) as (system, root):
        if Path(version).name != version or not system.exists(f"{root}/{version}"):
            found = system.ls(root, detail=False) if system.exists(root) else []
            names = sorted(name for name in (Path(path).name for path in found) if not name.startswith("."))
            raise InputError(f"{address}: no version {version}; expected one of {', '.join(names) or '(none there)'}")
        (here / ARTEFACT).mkdir(parents=True)
        for part in ("", ARTEFACT):
            for path in system.ls(f"{root}/{version}/{part}".rstrip("/"), detail=False):
                name = Path(path).name
                if part or name in (REPORT, *_COMPANIONS):
                    system.get_file(path, str(here / part / name))


def pull(version: str, address: str) -> Entry:
    """Copy a model from an address into the registry, its digests and its signature checked first.

    Raises:
        InputError: the address cannot be reached, or has no such version.
        ArtefactError: digests do not match, it is not signed as asked for, or is another model than its version says.
    """
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        _fetch(version, address, here)
        if open_artefact(here / ARTEFACT).version != version:
            raise ArtefactError(f"{address}: what lies there as {version} is another model")

        def copy_evidence(target: Path) -> None:
            for name in (REPORT, *_COMPANIONS):
                if (here / name).is_file():
                    shutil.copyfile(here / name, target / name)

        return keep(here / ARTEFACT, copy_evidence)
