"""Which model answers: the one that is named, else the one promoted on this machine, else the released one.

Promoted models live in BentoML's model store, `$BENTOML_HOME/models/communique/VERSION/artefact`; what was promoted
when is one JSON file beside the store. Only `training.registry` writes either; here they are read, without importing
BentoML, so that the command line starts fast and the service can look for a new promotion every few seconds.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from model.artefact import RELEASED
from model.errors import ArtefactError, InputError

STORE_NAME = "communique"
"""Name of the models in BentoML's store: a tag is `communique:VERSION`."""


class Promotion(BaseModel):
    """One promotion: which version became the present model and when.

    `overruled` are the gates that it did not pass, each with figure and limit, and `reason` why it was promoted anyhow.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    digest: str
    at: str
    reason: str | None = None
    overruled: tuple[str, ...] = ()


class Withdrawal(BaseModel):
    """A promotion that was rolled back, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    promotion: Promotion
    at: str


class Promotions(BaseModel):
    """The promotions on this machine that stand, oldest first, the last in force; and those that were rolled back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    history: tuple[Promotion, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()


def bentoml_home() -> Path:
    """BentoML's folder: `BENTOML_HOME`, or `bentoml` in the home directory."""
    return Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")


def promotions_path() -> Path:
    """The file of promotions; absent where nothing was ever promoted."""
    return bentoml_home() / "communique-promotions.json"


def stored_folder(version: str) -> Path:
    """Where the artefact folder of a registered version lies, whether or not it exists."""
    return bentoml_home() / "models" / STORE_NAME / version / "artefact"


def read_promotions() -> Promotions:
    """What was promoted on this machine.

    Raises:
        ArtefactError: the file cannot be read.
    """
    path = promotions_path()
    try:
        return Promotions.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Promotions()
    except (OSError, ValidationError) as error:
        raise ArtefactError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def resolve_model(name: str | Path | None = None) -> Path:
    """The artefact folder that a name means; its digests are checked when it is loaded, not here.

    Args:
        name: a folder, a tag `communique:VERSION` of the registry, or None for the present model.

    Raises:
        InputError: no such folder or version.
        ArtefactError: the file of promotions cannot be read, or the promoted version is not in the registry.
    """
    if name is None:
        history = read_promotions().history
        if not history:
            return RELEASED
        folder = stored_folder(history[-1].version)
        if not folder.is_dir():
            raise ArtefactError(
                f"{folder}: the promoted model is gone; `communique rollback` goes back to the one before"
            )
        return folder
    prefix, colon, version = str(name).partition(":")
    if colon and prefix == STORE_NAME:
        if Path(version).name != version or not stored_folder(version).is_dir():
            raise InputError(f"{name}: the registry has no such version; `communique registry list` names them")
        return stored_folder(version)
    return Path(name)
