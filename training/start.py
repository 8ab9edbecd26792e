"""What a run begins from: a pretrained encoder, or all the weights of a model that was trained before."""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file

from model.artefact import (
    ENCODER_CONFIG,
    TOKENIZER,
    TORCH_WEIGHTS,
    EncoderEntry,
    Manifest,
    Setting,
    check_torch_files,
    open_artefact,
)
from model.encoder import find_encoder
from model.errors import InputError
from model.network import StanceNetwork
from model.present import resolve_model

NO_NETWORK = "its network cannot be made"
"""What a model without its torch weights is refused with where it is to be trained on or averaged."""


@dataclass(frozen=True)
class Start:
    """Where the first weights lie.

    Attributes:
        encoder: the pretrained encoder, or the one that the trained model was made from.
        folder: an encoder in the Hugging Face layout, or a model folder with its torch weights.
        model: the trained model's manifest; None where only the encoder is taken.
    """

    encoder: EncoderEntry
    folder: Path
    model: Manifest | None = None

    @property
    def config(self) -> Path:
        """The encoder's configuration file."""
        return self.folder / ("config.json" if self.model is None else ENCODER_CONFIG)

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's file."""
        return self.folder / TOKENIZER

    def told(self) -> dict[str, Setting]:
        """What the manifest says of the model before, also what that learnt from; nothing of an encoder."""
        if self.model is None:
            return {}
        before: dict[str, Setting] = {
            "version": self.model.version,
            "weights": self.model.files[TORCH_WEIGHTS].sha256,
            "data": self.model.data.sha256,
            **self.model.training,
        }
        return {f"warm_start_{name}": value for name, value in before.items()}

    def network(self, dropout: float) -> StanceNetwork:
        """The network with its first weights; seed torch before: what stands on a pretrained encoder is random."""
        if self.model is None:
            return StanceNetwork.pretrained(self.folder, dropout)
        return StanceNetwork.trained(self.config, load_file(self.folder / TORCH_WEIGHTS), "eager", dropout)


def find_start(encoder: Path | None = None, sha256: str | None = None, warm_start: str | None = None) -> Start:
    """A trained model where one is named, else an encoder.

    Args:
        encoder: see `model.encoder.find_encoder`; likewise `sha256`.
        warm_start: a model folder, or a tag `communique:VERSION`.

    Raises:
        InputError: both are named, or there is no such model.
        ArtefactError, MissingExtraError: a file is missing or not what it should be.
    """
    if warm_start is None:
        found = find_encoder(encoder, sha256)
        return Start(EncoderEntry(name=found.name, sha256=found.sha256), found.folder)
    if encoder is not None or sha256 is not None:
        raise InputError("a warm start takes neither an encoder nor its digest: the model brings its encoder")
    folder = resolve_model(warm_start)
    manifest = open_artefact(folder)
    check_torch_files(folder, NO_NETWORK)
    return Start(manifest.encoder, folder, manifest)


def check_beside(out: Path, folder: Path) -> None:
    """Raise an InputError where `out` would lie in the model `folder`, which then could be read no more."""
    if folder.resolve() in out.resolve().parents:
        raise InputError(f"{out}: lies in the model {folder}, which nothing may be added to")
