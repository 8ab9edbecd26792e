"""The fine-tuned weights in torch, bfloat16 products where the device has them: for GPUs, and for teachers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from model.artefact import ENCODER_CONFIG, TORCH_WEIGHTS, check_torch_files
from model.batching import pad, plan_batches
from model.errors import InputError, MissingExtraError
from model.labels import LABELS

try:
    import torch
    from safetensors.torch import load_file

    from model.network import StanceNetwork
except ModuleNotFoundError as error:
    raise MissingExtraError("train", str(error.name)) from None


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def check_torch(folder: Path, device: str) -> None:
    """Whether there is such a device, and the artefact has what it needs there.

    Raises:
        InputError: there is no such device here.
        ArtefactError: the artefact was written without its torch weights, or before they came with a configuration.
    """
    check_torch_files(folder, "it runs on a CPU only")
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device}: {str(error).splitlines()[0]}") from None


class TorchEngine:
    """Token ids in, logits out; the same interface as `model.engine.LightEngine`.

    Its probabilities differ a little from those of the light engine, which is int8, and by the rounding of bfloat16
    (about three digits) with the size of the batch.
    """

    token_budget = 16_384

    def __init__(self, folder: Path, device: str, bf16: bool | None = None) -> None:
        """Load the weights of an artefact whose digests have been checked.

        Args:
            device: as torch names it: cuda, cuda:1, cpu.
            bf16: bfloat16 matrix products; None asks the hardware.

        Raises:
            InputError, ArtefactError: see `check_torch`.
        """
        check_torch(folder, device)
        self._device = torch.device(device)
        network = StanceNetwork.trained(folder / ENCODER_CONFIG, load_file(folder / TORCH_WEIGHTS))
        self._network = network.to(self._device).eval()
        self._bf16 = has_bf16(self._device) if bf16 is None else bf16

    def split(self) -> list[Self]:
        """None: a GPU takes one batch after the other."""
        return []

    def logits(self, token_ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Logits, float array (sentences, 4), columns as `LABELS`, rows in the order given.

        Args:
            token_ids: ids of each sentence with special tokens, no padding.
        """
        out = np.empty((len(token_ids), len(LABELS)), dtype=np.float32)
        waiting = []
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            for batch in plan_batches([len(ids) for ids in token_ids], self.token_budget):
                tensors = (torch.from_numpy(array).to(self._device) for array in pad(batch, token_ids))
                waiting.append((batch, self._network(*tensors)[0]))
        # Only now: copying each answer at once would make the device wait for the next batch to be put together.
        for batch, logits in waiting:
            out[list(batch.indices)] = logits.float().cpu().numpy()
        return out
