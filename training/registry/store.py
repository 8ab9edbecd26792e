"""Models in BentoML's store, one a version."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

# Before BentoML is imported: it reports usage otherwise, and takes the word "true" only.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml

from evaluation.schema import Report
from model.artefact import Manifest, open_artefact
from model.errors import ArtefactError, InputError
from model.present import STORE_NAME, stored_folder

ARTEFACT = "artefact"
REPORT = "report.json"


@dataclass(frozen=True)
class Entry:
    """A registered model: its folder in the store, its manifest, and the report of its evaluation."""

    folder: Path
    manifest: Manifest
    report: Report

    @property
    def artefact(self) -> Path:
        """The artefact folder."""
        return self.folder / ARTEFACT


def versions() -> list[str]:
    """The versions that the registry has, in the order of their names: by day, then by digest."""
    try:
        return sorted(str(model.tag.version) for model in bentoml.models.list(STORE_NAME))
    except bentoml.exceptions.NotFound:  # none was ever kept
        return []


def read(version: str) -> Entry:
    """A registered model, its digests checked.

    Raises:
        InputError: there is no such version.
        ArtefactError: its files are damaged, or it is another model than its version says.
    """
    artefact = stored_folder(version)
    if Path(version).name != version or not artefact.is_dir():
        raise InputError(f"{version}: the registry has no such version; it has {', '.join(versions()) or 'none'}")
    manifest = open_artefact(artefact)
    if manifest.version != version:
        raise ArtefactError(f"{artefact}: the manifest is of version {manifest.version}, not {version}")
    path = artefact.parent / REPORT
    try:
        report = Report.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtefactError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    if report.model.digest != manifest.digest:
        raise ArtefactError(f"{path}: is of another model ({report.model.version}) than {version}")
    return Entry(artefact.parent, manifest, report)


def keep(artefact: Path, write_evidence: Callable[[Path], object]) -> Entry:
    """Copy an artefact folder into the store under its version; one that is there already is left as it is.

    Args:
        artefact: a folder whose digests are checked before and after the copy.
        write_evidence: writes the report and its companions into a folder.

    Raises:
        ArtefactError: digests do not match, or the version is there with other files.
    """
    manifest = open_artefact(artefact)
    if stored_folder(manifest.version).parent.exists():
        try:
            entry = read(manifest.version)
        except (ArtefactError, InputError) as error:
            said = f"delete it with `bentoml models delete {STORE_NAME}:{manifest.version}` and add the model again"
            raise ArtefactError(f"{error}; {said}") from None
        if entry.manifest.files != manifest.files:
            raise ArtefactError(f"{manifest.version}: the registry has it with other files; nothing was added")
        return entry
    with bentoml.models.create(f"{STORE_NAME}:{manifest.version}", metadata={"digest": manifest.digest}) as model:
        shutil.copytree(artefact, Path(model.path) / ARTEFACT)
        open_artefact(Path(model.path) / ARTEFACT)
        write_evidence(Path(model.path))
    return read(manifest.version)
