"""The network: a pretrained encoder, one attention per label over its tokens, four independent outputs."""

import torch
from torch import Tensor, nn
from transformers import AutoModel

from model.encoder import Encoder
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

    def __init__(self, encoder: Encoder, dropout: float) -> None:
        """Load the encoder's weights; what stands on it is random (seed torch first)."""
        super().__init__()
        # Eager attention: the form that converts to a plain graph for the light engine.
        self.encoder = AutoModel.from_pretrained(
            encoder.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager",
        )
        hidden = self.encoder.config.hidden_size
        self.dropout = nn.Dropout(dropout)
        self.look = nn.Linear(hidden, len(LABELS))
        self.judge = nn.Parameter(torch.randn(len(LABELS), hidden) * hidden**-0.5)
        self.output = nn.Linear(hidden, len(LABELS))

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


def stance_loss(logits: Tensor, attention: Tensor, labels: Tensor, cues: Tensor, cue_weight: float) -> Tensor:
    """Mean binary cross-entropy, plus `cue_weight` times how far each label's attention is from its cue.

    Args:
        logits: float tensor (batch, 4).
        attention: float tensor (batch, tokens, 4), summing to 1 over the tokens.
        labels: 0 or 1, float tensor (batch, 4).
        cues: 1 for the tokens of a label's cue, float tensor (batch, tokens, 4); all 0 where no cue is annotated.
        cue_weight: weight of the second term, the mean of -log(attention on the cue) over the annotated cues.
    """
    loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
    annotated = cues.amax(dim=1)
    on_cue = (attention.float() * cues).sum(dim=1).clamp(min=1e-6)
    pointing = -(on_cue.log() * annotated).sum() / annotated.sum().clamp(min=1)
    return loss + cue_weight * pointing
