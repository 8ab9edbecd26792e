"""The work folder of a model to be made: where a run's checkpoints lie, so that a killed one goes on where it was.

It lies beside the model folder to be made and is named after everything that decides the weights. The same command
finds it again; a changed one gets another, so that two runs never mix.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from model.errors import InputError
from model.files import canonical_json, sha256_text

COMPLETE = "complete"
"""Marks a checkpoint whose every file is written."""


def processes() -> int:
    """How many processes train together: those that torchrun has started, else one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this is the process that writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def work_folder(out: Path, decides: dict[str, Any]) -> Iterator[Path]:
    """The folder for a run's checkpoints, gone when the block ends without an error.

    Args:
        out: the model folder to be made.
        decides: all that decides the weights, as plain data.

    Raises:
        InputError: the same command is running already.
    """
    digest = sha256_text(canonical_json(decides), str(out.resolve()))
    # Absolute: a checkpoint names the best one before it by its path.
    folder = out.resolve().with_name(f".{out.name}.{digest[:12]}.work")
    folder.mkdir(parents=True, exist_ok=True)
    if not leads():
        yield folder
        return
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{out}: the same command is running already") from None
        try:
            yield folder
        except BaseException:
            if last_checkpoint(folder) is None:
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a work folder."""
    found = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The optimiser step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


class Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Checkpoints inside an epoch as well, and a mark on each that is complete."""

    def __init__(self, every: int) -> None:
        """Write one every so many optimiser steps."""
        self._every = every

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint, except where an epoch ends: there one follows the look at dev, and must."""
        ends_epoch = state.global_step % (state.max_steps // args.num_train_epochs) == 0
        if state.global_step % self._every == 0 and not ends_epoch:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint once every process has written its part."""
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()
