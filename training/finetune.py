"""Fine-tuning with the Hugging Face Trainer."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
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
from transformers.utils import logging as transformers_logging

from evaluation.metrics import average_precision
from model.batching import padded_length
from model.encoder import Encoder
from model.labels import LABELS
from model.records import Record
from training.dataset import to_dataset
from training.network import StanceNetwork, stance_loss
from training.recipe import Recipe


def has_bf16() -> bool:
    """Whether the device that will train multiplies bfloat16 in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class _StanceTrainer(Trainer):  # type: ignore[misc]
    cue_weight: float

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        labels, cues = inputs.pop("labels"), inputs.pop("cues")
        logits, attention = model(**inputs)
        loss = stance_loss(logits, attention, labels, cues, self.cue_weight)
        return (loss, {"logits": logits}) if return_outputs else loss


class _PlainProgress(TrainerCallback):  # type: ignore[misc]
    """One line an epoch on stderr."""

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        print(
            f"epoch {state.epoch:.0f} of {args.num_train_epochs:.0f}: "
            f"dev loss {metrics['eval_loss']:.4f}, dev macro average precision {metrics['eval_macro_ap']:.4f}",
            file=sys.stderr,
        )


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


def _prepare(records: Sequence[Record], tokenizer: Tokenizer, recipe: Recipe) -> Dataset:
    """Token ids, and for each label the first and last-but-one token of its cue ((0, 0) where none is annotated)."""
    encodings = tokenizer.encode_batch([record.text for record in records])
    ids = [encoding.ids[: recipe.max_tokens] for encoding in encodings]
    cues = [_cue_tokens(record, encoding) for record, encoding in zip(records, encodings, strict=True)]
    table = to_dataset(records).add_column("input_ids", ids).add_column("cues", cues)
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


def fine_tune(
    encoder: Encoder,
    tokenizer: Tokenizer,
    train: Sequence[Record],
    dev: Sequence[Record],
    recipe: Recipe,
    work: Path,
) -> StanceNetwork:
    """Fine-tune on `train`; the weights of the epoch with the best dev macro average precision are returned.

    Args:
        tokenizer: without padding and truncation.
        work: folder for checkpoints.
    """
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    # Before the network is made: its output layer starts from random weights.
    set_seed(recipe.seed)
    interactive = sys.stderr.isatty()
    transformers_logging.set_verbosity_error()
    if not interactive:
        transformers_logging.disable_progress_bar()
    network = StanceNetwork(encoder, recipe.dropout)

    prepared = {name: _prepare(records, tokenizer, recipe) for name, records in (("train", train), ("dev", dev))}
    trainer = _StanceTrainer(
        model=network,
        args=TrainingArguments(
            output_dir=str(work),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=64,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            warmup_steps=recipe.warmup,
            train_sampling_strategy="group_by_length",
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="macro_ap",
            greater_is_better=True,
            logging_strategy="no",
            report_to="none",
            seed=recipe.seed,
            data_seed=recipe.seed,
            bf16=bool(recipe.bf16),
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
            label_names=["labels"],
            disable_tqdm=not interactive,
        ),
        train_dataset=prepared["train"],
        eval_dataset=prepared["dev"],
        data_collator=_collate,
        compute_metrics=_measure,
        callbacks=[EarlyStoppingCallback(recipe.patience), _PlainProgress()],
    )
    trainer.cue_weight = recipe.cue_weight
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return network.to("cpu").eval()
