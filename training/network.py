"""The network: a pretrained encoder, mean pooling, four independent outputs."""

import torch
from torch import Tensor, nn
from transformers import AutoModel

from model.labels import LABELS
from training.encoder import Encoder


class StanceNetwork(nn.Module):
    """Encoder with one logit per label.

    Mean pooling over the tokens, as the default encoder was pretrained (N. Reimers and I. Gurevych, "Sentence-BERT",
    2019); a linear layer with independent sigmoids, since a sentence can have any set of labels.
    """

    def __init__(self, encoder: Encoder, dropout: float) -> None:
        """Load the encoder's weights; the output layer is random (seed torch first)."""
        super().__init__()
        # Eager attention: the form that converts to a plain graph for the light engine.
        self.encoder = AutoModel.from_pretrained(
            encoder.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager",
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.encoder.config.hidden_size, len(LABELS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, float tensor (batch, 4), from ids and mask, integer tensors (batch, tokens)."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        logits: Tensor = self.output(self.dropout(pooled))
        return logits


def stance_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over sentences and labels."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
