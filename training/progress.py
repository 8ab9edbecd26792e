"""How far a training run is, in plain lines."""

import sys
import time
from typing import Any

from transformers import TrainerCallback

SECONDS = 20.0
"""Between two lines inside an epoch."""


def duration(seconds: float) -> str:
    """A stretch of time in words: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Progress(TrainerCallback):  # type: ignore[misc]
    """A line on stderr after each epoch, and where no bar is drawn others in between; all with the time left."""

    def __init__(self, between: bool) -> None:
        """`between`: also write lines inside an epoch."""
        self._between = between
        self._first_step: int | None = None
        self._start = self._last = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A line now and then. The clock starts after this run's first step, which also makes everything ready."""
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._start, self._last = state.global_step, now, now
        elif self._between and state.is_world_process_zero and now - self._last >= SECONDS:
            self._last = now
            print(f"step {state.global_step} of {state.max_steps}{self._left(state)}", file=sys.stderr)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """What the epoch gave."""
        if state.is_world_process_zero:
            print(
                f"epoch {state.epoch:.0f} of {args.num_train_epochs:.0f}: dev loss {metrics['eval_loss']:.4f}, "
                f"dev macro average precision {metrics['eval_macro_ap']:.4f}{self._left(state)}",
                file=sys.stderr,
            )

    def _left(self, state: Any) -> str:
        left = state.max_steps - state.global_step
        done = state.global_step - (self._first_step or state.global_step)
        if not done or not left:
            return ""
        return f"; about {duration((time.monotonic() - self._start) / done * left)} left"
