"""The network: a pretrained encoder, one attention per label over its tokens, four independent outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from model.errors import InputError
from model.labels import LABELS

_MASKED = -1e4
"""Attention score of padding: its weight is 0 in float32, and the value survives conversion to int8 graphs."""


class StanceNetwork(nn.Module):
    """Encoder with one logit per label.

    Each label looks at the sentence with an attention of its own (Z. Lin et al., "A structured self-attentive sentence
    embedding", 2017), which training can point at the annotated cue; beside it stands the mean over the tokens, as the
    default encoder was pretrained (N. Reimers and I. Gurevych, "Sentence-BERT", 2019). Independent sigmoids, since a
    sentence can have any set of labels.
    """

    def __init__(self, encoder: Any, dropout: float) -> None:
        """Set an encoder of transformers below; what stands on it is random (seed torch first)."""
        super().__init__()
        self.encoder = encoder
        hidden = self.encoder.config.hidden_size
        self.dropout = nn.Dropout(dropout)
        self.look = nn.Linear(hidden, len(LABELS))
        self.judge = nn.Parameter(torch.randn(len(LABELS), hidden) * hidden**-0.5)
        self.output = nn.Linear(hidden, len(LABELS))

    @classmethod
    def pretrained(cls, encoder: Path, dropout: float) -> Self:
        """On the weights of a pretrained encoder, a folder in the Hugging Face layout, to be fine-tuned."""
        # Eager attention: the form that converts to a plain graph for the light engine.
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, "attn_implementation": "eager"}
        return cls(AutoModel.from_pretrained(encoder, use_safetensors=True, **options), dropout)

    @classmethod
    def trained(
        cls,
        config: Path,
        weights: Mapping[str, Tensor],
        attention: Literal["eager"] | None = None,
        dropout: float = 0.0,
    ) -> Self:
        """With the weights of a network that was trained before.

        Args:
            config: see `untrained`; likewise `attention` and `dropout`.
            weights: its state.
        """
        network = cls.untrained(config, attention, dropout)
        network.load_state_dict(weights)
        return network

    @classmethod
    def untrained(cls, config: Path, attention: Literal["eager"] | None = None, dropout: float = 0.0) -> Self:
        """On an encoder of the kind that its configuration file says, with random weights.

        Args:
            config: the file.
            attention: eager to convert the network; None takes the fastest that this kind of encoder has.
            dropout: of the pooled sentence, where it is trained on.
        """
        kind = AutoConfig.from_pretrained(config, local_files_only=True, trust_remote_code=False)
        network = AutoModel.from_config(kind, trust_remote_code=False, attn_implementation=attention)
        return cls(network, dropout)

    def freeze(self, layers: int) -> None:
        """Let only the encoder's layers above the lowest `layers` learn, besides the outputs; 0 lets all of it learn.

        Raises:
            InputError: the encoder has no more layers than that.
        """
        if not layers:
            return
        stack = self.encoder.encoder.layer
        if layers >= len(stack):
            raise InputError(f"{layers} layers cannot be frozen: the encoder has {len(stack)}, and one must learn")
        self.encoder.requires_grad_(False)
        for layer in stack[layers:]:
            layer.requires_grad_(True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, float tensor (batch, 4), and each label's attention over the tokens, (batch, tokens, 4).

        Args:
            input_ids: integer tensor (batch, tokens).
            attention_mask: 1 for tokens, 0 for padding, of the same shape.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        attention = torch.softmax(self.look(hidden) + (1 - mask) * _MASKED, dim=1)
        seen = attention.transpose(1, 2) @ hidden
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        logits = (self.dropout(seen) * self.judge).sum(dim=-1) + self.output(self.dropout(mean))
        return logits, attention
