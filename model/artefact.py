"""The artefact folder: everything that a trained model is, described by one typed manifest.

A folder holds `manifest.json`, `tokenizer.json`, the light engine (`light.xml`, `light.bin`: OpenVINO IR) and, unless
it was written light, the fine-tuned weights (`weights.safetensors`) with the configuration of their encoder
(`encoder.json`). No pickle and no code. The manifest names every file with its SHA-256; nothing in the folder is used
before its digest has been checked. Beside the manifest may lie its signature, see `model.signature`.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from model.calibration import Platt
from model.errors import ArtefactError
from model.files import canonical_json, sha256_file, sha256_text, write_aside
from model.labels import LABELS, Label
from model.signature import SIGNATURE, check_signature

RELEASED = Path(__file__).parent / "released"
"""The artefact that the project ships."""

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
LIGHT_GRAPH = "light.xml"
LIGHT_WEIGHTS = "light.bin"
TORCH_WEIGHTS = "weights.safetensors"
ENCODER_CONFIG = "encoder.json"

Setting = int | float | str | bool | None
"""One value of the recipe that a model was trained with."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Frozen):
    """Digest (hex SHA-256) and size of one file of the folder."""

    sha256: str
    bytes: int


class EncoderEntry(_Frozen):
    """The pretrained encoder that was fine-tuned, and the digest of its weights."""

    name: str
    sha256: str


class DataEntry(_Frozen):
    """The annotations that the model was made from: digest of all splits, and records per split.

    Of a mean of models: those that it was calibrated on; of a model that went on from another: those of its last run.
    What the parts, or the model before, learnt from is in the manifest's `training`.
    """

    sha256: str
    records: dict[str, int]


class CodeEntry(_Frozen):
    """What made the artefact: package version, git commit (null outside a checkout) and library versions."""

    version: str
    commit: str | None
    libraries: dict[str, str]


class Manifest(_Frozen):
    """Description of an artefact folder.

    `thresholds` are calibrated probabilities; `max_tokens` counts word pieces with the two special tokens;
    `training` holds the recipe with seed and thread count, of a mean of models that of each; `metrics` what was
    measured on dev when it was made.
    """

    format: Literal[1] = 1
    labels: tuple[Label, ...]
    max_tokens: int
    thresholds: dict[Label, float]
    calibration: dict[Label, Platt]
    encoder: EncoderEntry
    data: DataEntry
    code: CodeEntry
    created: str
    training: dict[str, Setting]
    metrics: dict[str, float]
    files: dict[str, FileEntry]

    @property
    def digest(self) -> str:
        """Hex SHA-256 of what decides the answers: light engine, tokenizer, calibration and thresholds."""
        answering = {
            "files": {name: self.files[name].sha256 for name in (TOKENIZER, LIGHT_GRAPH, LIGHT_WEIGHTS)},
            "thresholds": self.thresholds,
            "calibration": {label: platt.model_dump() for label, platt in self.calibration.items()},
            "max_tokens": self.max_tokens,
        }
        return sha256_text(canonical_json(answering))

    @property
    def version(self) -> str:
        """Name of this model in every answer: day it was made and the first digits of its digest."""
        return f"{self.created[:10]}-{self.digest[:8]}"


def describe_files(folder: Path) -> dict[str, FileEntry]:
    """Entries for every file of a folder but the manifest itself and its signature."""
    return {
        path.name: FileEntry(sha256=sha256_file(path), bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
        if path.name not in (MANIFEST, SIGNATURE)
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into the folder, aside and renamed."""
    with write_aside(folder / MANIFEST) as stream:
        stream.write(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artefact folder, its format and fields checked, its files not yet.

    Raises:
        ArtefactError: there is none, or it is of a format that this version does not read.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ArtefactError(f"{folder}: not a model folder: {path.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ArtefactError(f"{path}: not UTF-8") from None
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ArtefactError(f"{path}: {where}: {first['msg']}") from None
    if manifest.labels != LABELS:
        raise ArtefactError(f"{path}: labels: expected {', '.join(LABELS)}, found {', '.join(manifest.labels)}")
    for table in ("thresholds", "calibration"):
        if set(getattr(manifest, table)) != set(LABELS):
            raise ArtefactError(f"{path}: {table}: expected one entry for each of {', '.join(LABELS)}")
    return manifest


def open_artefact(folder: Path) -> Manifest:
    """The manifest of a folder whose every file has been checked against it, and it against the configured key.

    Raises:
        ArtefactError: a file is missing, unknown to the manifest, or its digest differs; or, where a key is
            configured, the manifest is not signed with it.
        InputError, MissingExtraError: see `model.signature.check_signature`.
    """
    manifest = read_manifest(folder)
    check_signature(folder / MANIFEST)
    present = {path.name for path in folder.iterdir()} - {MANIFEST, SIGNATURE}
    for name in sorted(present | set(manifest.files) | {TOKENIZER, LIGHT_GRAPH, LIGHT_WEIGHTS}):
        if name not in manifest.files:
            raise ArtefactError(f"{folder / name}: not named in the manifest; nothing was loaded")
        if name not in present:
            raise ArtefactError(f"{folder / name}: named in the manifest but missing")
        found = sha256_file(folder / name)
        if found != manifest.files[name].sha256:
            raise ArtefactError(
                f"{folder / name}: SHA-256 is {found}, the manifest says {manifest.files[name].sha256}; "
                "nothing was loaded"
            )
    return manifest


def check_torch_files(folder: Path, so: str) -> None:
    """Raise an ArtefactError where the artefact was written without what its network can be made from again.

    Args:
        so: what follows from that, for the message.
    """
    for name in (TORCH_WEIGHTS, ENCODER_CONFIG):
        if not (folder / name).is_file():
            raise ArtefactError(f"{folder}: has no {name}, so {so}; train it anew, without --light")
