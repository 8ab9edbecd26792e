"""Training curves for TensorBoard or MLflow, when asked for."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, Literal, get_args

from model.errors import MissingExtraError

Tracker = Literal["tensorboard", "mlflow"]
TRACKERS: tuple[Tracker, ...] = get_args(Tracker)


def check_tracker(tracker: Tracker | None) -> None:
    """Fail before the training and not in it.

    Raises:
        MissingExtraError: its library is not installed.
    """
    if tracker is not None and importlib.util.find_spec(tracker) is None:
        raise MissingExtraError(tracker, tracker)


def tracking_callback(tracker: Tracker, out: Path, step: int) -> Any:
    """The Trainer's callback for a tracker.

    TensorBoard's files go to a folder beside `out`; MLflow goes by its own environment variables, such as
    MLFLOW_TRACKING_URI.

    Args:
        out: the model folder to be made.
        step: where the run goes on; what an interrupted one wrote after it is taken back.
    """
    if tracker == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations import TensorBoardCallback

        folder = out.with_name(f"{out.name}-tensorboard")
        print(f"curves: tensorboard --logdir {folder}", file=sys.stderr)
        return TensorBoardCallback(SummaryWriter(str(folder), purge_step=step or None))
    from transformers.integrations import MLflowCallback

    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", "communique")
    return MLflowCallback()
