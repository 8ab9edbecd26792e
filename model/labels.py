"""The four stance labels, in the order of every array of logits, probabilities or thresholds in this project."""

from typing import Literal, get_args

Label = Literal["threat", "denial", "support", "hedge"]

LABELS: tuple[Label, ...] = get_args(Label)
"""Column order of all score arrays; a sentence may have any set of them, and none is the empty set."""
