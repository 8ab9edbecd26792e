"""From the torch network to the light engine: OpenVINO IR with int8 weights and static int8 activations."""

import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from model.batching import padded_length
from model.engine import ATTENTION_MASK, INPUT_IDS, openvino
from model.network import StanceNetwork

CALIBRATION_SENTENCES = 512
"""Sentences over which activation ranges are taken."""


def _padded(ids: Sequence[int]) -> dict[str, np.ndarray]:
    length = padded_length(len(ids))
    out = {name: np.zeros((1, length), dtype=np.int64) for name in (INPUT_IDS, ATTENTION_MASK)}
    out[INPUT_IDS][0, : len(ids)] = ids
    out[ATTENTION_MASK][0, : len(ids)] = 1
    return out


class _LogitsOnly(torch.nn.Module):
    """The network without its attentions, which answering does not need."""

    def __init__(self, network: StanceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(input_ids, attention_mask)[0]
        return logits


def export_light(network: StanceNetwork, token_ids: Sequence[Sequence[int]], graph: Path) -> None:
    """Write the IR at `graph` and its weights beside it.

    Activation ranges are static, taken over an even sample of `token_ids` (training sentences), so that a sentence's
    answer does not depend on its batch. Only the encoder is int8: what stands on it costs next to nothing, and in int8
    it cut off the highest logits. Neither smoothing (the default for transformers) nor bias correction helped: with
    both, and everything in int8, 1.7 % of the labels on dev were others than in fp32, with this 0.4 %.
    """
    import nncf  # slow to import, and only needed here
    from nncf.quantization.advanced_parameters import AdvancedSmoothQuantParameters

    example = {name: torch.from_numpy(np.repeat(array, 2, axis=0)) for name, array in _padded(token_ids[0]).items()}
    # Each node left out would be a line.
    nncf.set_log_level(logging.WARNING)
    # NNCF and the converter report on stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr), torch.no_grad():
        plain = openvino.convert_model(_LogitsOnly(network).eval(), example_input=example)
        plain.reshape({port: [-1, -1] for port in plain.inputs})
        step = max(1, len(token_ids) // CALIBRATION_SENTENCES)
        sample = [_padded(ids) for ids in token_ids[::step]]
        quantised = nncf.quantize(
            plain,
            nncf.Dataset(sample),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(sample),
            ignored_scope=nncf.IgnoredScope(patterns=[r"__module\.network(/|\.(look|output)\b).*"]),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True, smooth_quant_alphas=AdvancedSmoothQuantParameters(-1, -1)
            ),
        )
        openvino.save_model(quantised, graph, compress_to_fp16=False)
