"""Percentile bootstrap by group.

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993. Groups (a contrast pair, a source document) are
drawn whole, since their sentences are not independent.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DRAWS = 1000


def group_weights(groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.float64]:
    """How often each sentence counts in each draw, float array (draws, sentences)."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    number = int(member.max()) + 1
    chosen = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=draws)
    return chosen[:, member].astype(np.float64)


def interval(values: npt.NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Lower and upper percentile of a metric over the draws."""
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)
