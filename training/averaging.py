"""One model whose weights are the mean of several models' weights.

M. Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
inference time", 2022. Models that were fine-tuned from the same encoder, on other seeds, data or recipes, mostly lie in
one basin of the loss, and their mean can be better than each, as their ensemble would be, at the cost of one. It can
also be worse: measure it (`communique compare`). What it gave here is in `training/LOG.md`.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from model.artefact import (
    ENCODER_CONFIG,
    TOKENIZER,
    TORCH_WEIGHTS,
    Manifest,
    Setting,
    check_torch_files,
    open_artefact,
)
from model.classifier import load_tokenizer
from model.errors import InputError
from model.network import StanceNetwork
from model.present import resolve_model
from model.provenance import code_entry
from training.dataset import load_annotations
from training.finish import LIBRARIES, finish
from training.start import NO_NETWORK, check_beside
from training.work import processes, work_folder


def average(models: Sequence[str], annotations: Path, out: Path, light: bool = False) -> Manifest:
    """Average the torch weights, export and calibrate; the artefact appears at `out` only when it is complete.

    Args:
        models: two or more folders, or tags `communique:VERSION`; each counts alike.
        annotations: as for `training.pipeline.train`; calibration is fitted to dev.
        out: folder to make; must not exist.
        light: leave out the torch weights.

    Raises:
        InputError: `out` exists or lies in one of the models, there are fewer than two, one stands there twice, they do
            not fit together, or torchrun started this.
        ArtefactError, MissingExtraError: see `model.artefact.open_artefact`; or a model has no torch weights.
        RecordError: a record of the annotations is wrong.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; name a folder that does not")
    if len(models) < 2:
        raise InputError("name two models or more: the mean of one is itself")
    if processes() > 1:
        raise InputError("averaging takes one process: start it without torchrun")
    folders = [resolve_model(model) for model in models]
    for folder in folders:
        check_beside(out, folder)
    manifests = [open_artefact(folder) for folder in folders]
    _check_fit(folders, manifests)
    data = load_annotations(annotations)
    first = manifests[0]
    decides = {"averaged": [entry.files[TORCH_WEIGHTS].sha256 for entry in manifests], "data": data.sha256}
    with work_folder(out, decides) as work:
        mean = _mean([load_file(folder / TORCH_WEIGHTS) for folder in folders])
        network = StanceNetwork.trained(folders[0] / ENCODER_CONFIG, mean, attention="eager")
        folder = work / "artefact"
        manifest = finish(
            network,
            load_tokenizer(folders[0] / TOKENIZER),
            folder,
            encoder=first.encoder,
            encoder_config=folders[0] / ENCODER_CONFIG,
            sentences=[record.text for record in data.records["train"]],
            data=data,
            max_tokens=first.max_tokens,
            trained_with=_told(manifests),
            code=code_entry(LIBRARIES),
            light=light,
        )
        folder.rename(out)
    return manifest


def _mean(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}


def _told(manifests: Sequence[Manifest]) -> dict[str, Setting]:
    """What the parts were trained with: once where they agree, else one after the other.

    A part that is a mean itself tells of its own parts, in brackets, and counts as one.
    """
    rows: list[dict[str, Setting]] = []
    for manifest in manifests:
        own: dict[str, Setting] = {
            "averaged": manifest.version,
            "weights": manifest.files[TORCH_WEIGHTS].sha256,
            "data": manifest.data.sha256,
        }
        before = {f"part_{name}" if name in own else name: value for name, value in manifest.training.items()}
        rows.append(own | before)
    told: dict[str, Setting] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        told[name] = values[0] if all(value == values[0] for value in values) else " | ".join(map(_listed, values))
    return told


def _listed(value: Setting) -> str:
    return f"({value})" if isinstance(value, str) and " | " in value else str(value)


def _check_fit(folders: Sequence[Path], manifests: Sequence[Manifest]) -> None:
    """Raise where averaging would mix weights that do not mean the same."""
    for folder in folders:
        check_torch_files(folder, NO_NETWORK)
    weights = [manifest.files[TORCH_WEIGHTS].sha256 for manifest in manifests]
    for at, digest in enumerate(weights):
        if digest in weights[:at]:
            raise InputError(f"{folders[at]}: the same weights as {folders[weights.index(digest)]}")
    first = manifests[0]
    for folder, manifest in zip(folders[1:], manifests[1:], strict=True):
        for what, found, expected in (
            ("encoder", manifest.encoder.sha256, first.encoder.sha256),
            ("encoder configuration", manifest.files[ENCODER_CONFIG].sha256, first.files[ENCODER_CONFIG].sha256),
            ("tokenizer", manifest.files[TOKENIZER].sha256, first.files[TOKENIZER].sha256),
            ("max_tokens", manifest.max_tokens, first.max_tokens),
        ):
            if found != expected:
                raise InputError(f"{folder}: another {what} than {folders[0]} ({found}, not {expected})")
