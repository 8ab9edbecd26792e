"""What training minimises."""

from torch import Tensor, nn


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
