"""Fine-tuning with the Hugging Face Trainer."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.utils import logging as transformers_logging

from evaluation.metrics import average_precision
from model.batching import padded_length
from model.calibration import Floats
from model.labels import LABELS
from model.network import StanceNetwork
from model.records import Record
from training.dataset import to_dataset
from training.loss import stance_loss
from training.progress import Progress
from training.recipe import Recipe
from training.start import Start
from training.work import Checkpoints, last_checkpoint, leads, processes, step_of


class _StanceTrainer(Trainer):  # type: ignore[misc]
    cue_weight: float
    order: "_Order"

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> "_Order":
        return self.order

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        labels, cues = inputs.pop("labels"), inputs.pop("cues")
        logits, attention = model(**inputs)
        loss = stance_loss(logits, attention, labels, cues, self.cue_weight)
        return (loss, {"logits": logits}) if return_outputs else loss


class _Order(LengthGroupedSampler):  # type: ignore[misc]
    """Sentences of like length together, in an order that follows from seed and epoch alone.

    So a run that goes on inside an epoch meets the sentences that are left, whatever was drawn before.
    """

    def __init__(self, batch_size: int, seed: int, lengths: Sequence[int]) -> None:
        super().__init__(batch_size, lengths=list(lengths))
        self._seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        return iter(super().__iter__())


class _EpochOrder(TrainerCallback):  # type: ignore[misc]
    """Tells the sampler which epoch begins; samplers that Accelerate wraps are not told by the Trainer."""

    def __init__(self, order: _Order) -> None:
        self._order = order

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._order.epoch = state.global_step // (state.max_steps // args.num_train_epochs)


def _collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    length = padded_length(max(len(row["input_ids"]) for row in rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    cues = torch.zeros(len(rows), length, len(LABELS))
    for at, row in enumerate(rows):
        tokens = torch.tensor(row["input_ids"])
        ids[at, : len(tokens)] = tokens
        mask[at, : len(tokens)] = 1
        for column, (first, last) in enumerate(row["cues"]):
            cues[at, first:last, column] = 1
    labels = torch.tensor([row["labels"] for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "cues": cues}


def _prepare(records: Sequence[Record], tokenizer: Tokenizer, recipe: Recipe, targets: Floats | None = None) -> Dataset:
    """Token ids, and for each label the first and last-but-one token of its cue ((0, 0) where none is annotated)."""
    encodings = tokenizer.encode_batch([record.text for record in records])
    ids = [encoding.ids[: recipe.max_tokens] for encoding in encodings]
    cues = [_cue_tokens(record, encoding) for record, encoding in zip(records, encodings, strict=True)]
    table = to_dataset(records).add_column("input_ids", ids).add_column("cues", cues)
    if targets is not None:
        table = table.remove_columns("labels").add_column("labels", targets.tolist())
    return table.add_column("length", [len(row) for row in ids])


def _cue_tokens(record: Record, encoding: Encoding) -> list[list[int]]:
    spans = {stance.label: stance.cue for stance in record.stances if stance.cue is not None}
    found = []
    for label in LABELS:
        start = record.text.find(spans[label]) if label in spans else -1
        end = start + len(spans.get(label, ""))
        inside = [at for at, (first, last) in enumerate(encoding.offsets) if start <= first < last <= end]
        found.append([inside[0], inside[-1] + 1] if start >= 0 and inside else [0, 0])
    return found


def _measure(prediction: EvalPrediction) -> dict[str, float]:
    return {"macro_ap": float(average_precision(prediction.label_ids > 0.5, prediction.predictions).mean())}


def _load_stopped(network: StanceNetwork, checkpoint: Path, patience: int) -> bool:
    """Take the best weights where the run that wrote the checkpoint had lost patience; the Trainer would go on."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    stopping = state["stateful_callbacks"]["EarlyStoppingCallback"]
    if stopping["attributes"]["early_stopping_patience_counter"] < patience:
        return False
    network.load_state_dict(load_file(Path(state["best_model_checkpoint"]) / "model.safetensors"))
    return True


def fine_tune(
    start: Start,
    tokenizer: Tokenizer,
    train: Sequence[Record],
    dev: Sequence[Record],
    recipe: Recipe,
    work: Path,
    *,
    checkpoint_steps: int,
    targets: Floats | None = None,
    tracker: Callable[[int], TrainerCallback] | None = None,
) -> StanceNetwork:
    """Fine-tune on `train`; the weights of the epoch with the best dev macro average precision are returned.

    Where `work` holds a checkpoint the run goes on from it, and ends with the same weights as one that was never
    stopped. Under torchrun every process calls this, and each gets the weights.

    Args:
        start: where the first weights lie.
        tokenizer: without padding and truncation.
        work: folder for checkpoints.
        checkpoint_steps: optimiser steps from one checkpoint to the next; each epoch ends with one anyway.
        targets: probabilities to learn, (records of `train`, 4); None learns the annotated labels.
        tracker: makes a callback for training curves, given the step at which the run starts.
    """
    # Without it cuBLAS is not deterministic; it is read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    # Before the network is made: on a bare encoder its output layer starts from random weights.
    set_seed(recipe.seed)
    interactive = sys.stderr.isatty()
    transformers_logging.set_verbosity_error()
    if not interactive:
        transformers_logging.disable_progress_bar()
    network = start.network(recipe.dropout)
    network.freeze(recipe.frozen_layers)
    checkpoint = last_checkpoint(work)
    if checkpoint is not None and leads():
        print(f"going on from step {step_of(checkpoint)}", file=sys.stderr)
    if checkpoint is not None and _load_stopped(network, checkpoint, recipe.patience):
        return network.eval()

    prepared = {"train": _prepare(train, tokenizer, recipe, targets), "dev": _prepare(dev, tokenizer, recipe)}
    order = _Order(recipe.batch_size // processes(), recipe.seed, prepared["train"]["length"])
    trainer = _StanceTrainer(
        model=network,
        args=TrainingArguments(
            output_dir=str(work),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size // processes(),
            per_device_eval_batch_size=64,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            optim="adamw_torch_fused",
            warmup_steps=recipe.warmup,
            eval_strategy="epoch",
            save_strategy="epoch",
            # The best one, and the last one to go on from.
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="macro_ap",
            greater_is_better=True,
            restore_callback_states_from_checkpoint=True,
            logging_strategy="no" if tracker is None else "steps",
            logging_steps=10,
            report_to="none",
            seed=recipe.seed,
            data_seed=recipe.seed,
            bf16=bool(recipe.bf16),
            use_cpu=not torch.cuda.is_available(),
            # An encoder may have parts, such as a pooler, that the network does not use.
            ddp_find_unused_parameters=True,
            remove_unused_columns=False,
            label_names=["labels"],
            disable_tqdm=not interactive,
        ),
        train_dataset=prepared["train"],
        eval_dataset=prepared["dev"],
        data_collator=_collate,
        compute_metrics=_measure,
        callbacks=[
            EarlyStoppingCallback(recipe.patience),
            _EpochOrder(order),
            Checkpoints(checkpoint_steps),
            Progress(between=not interactive),
        ],
    )
    trainer.cue_weight = recipe.cue_weight
    trainer.order = order
    trainer.remove_callback(PrinterCallback)
    if tracker is not None and leads():
        trainer.add_callback(tracker(0 if checkpoint is None else step_of(checkpoint)))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if torch.distributed.is_initialized():
        # The first process deletes the checkpoints that the others may still be reading.
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    # Without the autocast that the Trainer wrapped around it: the exported graph would round to bfloat16 as well.
    unwrapped: StanceNetwork = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return unwrapped.to("cpu").eval()
