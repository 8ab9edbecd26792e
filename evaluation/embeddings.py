"""Sentence embeddings by the frozen encoder."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from evaluation.metrics import Floats
from model.batching import pad, plan_batches
from model.classifier import load_tokenizer
from model.encoder import find_encoder
from model.engine import ATTENTION_MASK, INPUT_IDS, available_threads, openvino

MAX_TOKENS = 256
"""Longer sentences are cut, as in training."""


class FrozenEncoder:
    """A pretrained encoder as it is, run by OpenVINO, in bfloat16 where the CPU has it.

    Three times as fast as torch, and as good for comparing sentences or for a regression.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Load and convert the encoder in `folder`, see `model.encoder.find_encoder`."""
        # Slow to import, and only needed to read the weights.
        import torch
        from transformers import AutoModel
        from transformers.utils import logging as transformers_logging

        encoder = find_encoder(folder)
        self._tokenizer = load_tokenizer(encoder.folder / "tokenizer.json")
        # Its notes and its bar for loading weights would write to pipes as well.
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        network = AutoModel.from_pretrained(
            encoder.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            # The form that converts to a plain graph.
            attn_implementation="eager",
        )
        self._width: int = network.config.hidden_size
        example = {name: torch.ones(2, 8, dtype=torch.long) for name in (INPUT_IDS, ATTENTION_MASK)}
        with warnings.catch_warnings():
            # Tracing warns of branches on shapes; they do not depend on the input here. The rest is transformers' own.
            warnings.simplefilter("ignore")
            graph = openvino.convert_model(network.eval(), example_input=example)
        options = {"INFERENCE_NUM_THREADS": available_threads(), "INFERENCE_PRECISION_HINT": "bf16"}
        self._request = openvino.Core().compile_model(graph, "CPU", options).create_infer_request()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Mean-pooled embeddings of length 1, float array (texts, width)."""
        ids = [found.ids[:MAX_TOKENS] for found in self._tokenizer.encode_batch(list(texts))]
        pooled = np.zeros((len(ids), self._width))
        bar = tqdm(total=len(ids), desc="embeddings", unit=" sentences", disable=not sys.stderr.isatty(), leave=False)
        with bar:
            for batch in plan_batches([len(tokens) for tokens in ids]):
                rows, mask = pad(batch, ids)
                hidden = self._request.infer({INPUT_IDS: rows, ATTENTION_MASK: mask})[0]
                weights = mask[..., np.newaxis]
                pooled[list(batch.indices)] = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
                bar.update(len(batch.indices))
        out: Floats = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return out
