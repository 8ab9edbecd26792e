"""The training run: annotations in, artefact folder out."""

import functools
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from model.artefact import Manifest
from model.classifier import load_tokenizer
from model.errors import InputError
from model.files import sha256_file
from model.provenance import code_entry
from model.torch_engine import has_bf16
from training.beyond import apart, read_further
from training.dataset import draw, load_annotations, truth_of
from training.finetune import fine_tune
from training.finish import LIBRARIES, finish
from training.recipe import Recipe
from training.start import check_beside, find_start
from training.teachers import read_taught, soft_targets, unannotated
from training.tracking import Tracker, check_tracker, tracking_callback
from training.work import leads, processes, work_folder

CHECKPOINT_STEPS = 200


def train(
    annotations: Path,
    out: Path,
    recipe: Recipe,
    encoder_folder: Path | None = None,
    encoder_sha256: str | None = None,
    light: bool = False,
    *,
    warm_start: str | None = None,
    also: Sequence[Path] = (),
    taught: Path | None = None,
    benchmarks: Sequence[Path] = (),
    checkpoint_steps: int = CHECKPOINT_STEPS,
    tracker: Tracker | None = None,
) -> Manifest | None:
    """Fine-tune, calibrate and export; the artefact appears at `out` only when it is complete.

    A run that was stopped goes on from its last checkpoint when it is started again with the same arguments, data,
    encoder and code. Under torchrun the processes share each batch, and the first one writes; the others get None.

    Args:
        annotations: folder with `train.jsonl`, `dev.jsonl`, `test.jsonl`; test is checked but not used.
        out: folder to make; must not exist.
        encoder_folder: see `model.encoder.find_encoder`; likewise `encoder_sha256`.
        warm_start: a model to go on from instead, see `training.start.find_start`.
        light: leave out the torch weights.
        also: JSONL files of records beyond the dataset to learn from.
        taught: answers of teachers to learn from besides the annotations, also of sentences that are not annotated;
            see `training.teachers.teach`.
        benchmarks: JSONL files with `text`; no sentence from beyond the dataset that is near to theirs is learnt.
        checkpoint_steps: optimiser steps from one checkpoint to the next.
        tracker: where training curves go.

    Raises:
        InputError, RecordError, ArtefactError, MissingExtraError: see the steps.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; name a folder that does not")
    if recipe.batch_size % processes():
        raise InputError(
            f"a batch of {recipe.batch_size} sentences cannot be parted evenly among {processes()} processes"
        )
    check_tracker(tracker)
    if recipe.bf16 is None:
        recipe = replace(recipe, bf16=has_bf16(torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    data = load_annotations(annotations)
    start = find_start(encoder_folder, encoder_sha256, warm_start)
    if start.model:
        check_beside(out, start.folder)
        recipe = replace(recipe, max_tokens=start.model.max_tokens)
    tokenizer = load_tokenizer(start.tokenizer)
    further = read_further(also, data.all())
    answers = read_taught(taught) if taught else None
    code = code_entry(LIBRARIES)
    trained_with = {**asdict(recipe), "processes": processes(), **start.told()}
    if also:
        trained_with["also"] = ", ".join(sha256_file(path) for path in also)
    if taught and answers:
        trained_with |= {"teachers": answers.teachers, "taught": sha256_file(taught)}
    decides = {
        "training": trained_with,
        "data": data.sha256,
        "encoder": [start.encoder.sha256, sha256_file(start.config), sha256_file(start.tokenizer)],
        "code": code.model_dump(),
        "benchmarks": [sha256_file(path) for path in benchmarks],
    }
    train_records, dev_records = data.records["train"], data.records["dev"]
    if recipe.records is not None:
        train_records = draw(train_records, recipe.records)
    with work_folder(out, decides) as work:
        targets = None
        if further:
            train_records = [*train_records, *apart(further, "further records", data, benchmarks)]
        if answers:
            unread = unannotated(answers, [*data.all(), *further])
            others = apart(unread, "sentences that only teachers have read", data, benchmarks)
            targets = np.concatenate(
                [
                    soft_targets(answers, train_records, truth_of(train_records), recipe.teacher_weight),
                    soft_targets(answers, others, truth_of(others), 1.0),
                ]
            )
            train_records = [*train_records, *others]
        if leads():
            print(f"training on {len(train_records)} sentences, {len(dev_records)} for dev", file=sys.stderr)
        network = fine_tune(
            start,
            tokenizer,
            train_records,
            dev_records,
            recipe,
            work,
            checkpoint_steps=checkpoint_steps,
            targets=targets,
            tracker=functools.partial(tracking_callback, tracker, out) if tracker else None,
        )
        if not leads():
            return None
        folder = work / "artefact"
        manifest = finish(
            network,
            tokenizer,
            folder,
            encoder=start.encoder,
            encoder_config=start.config,
            sentences=[record.text for record in train_records],
            data=data,
            max_tokens=recipe.max_tokens,
            trained_with=trained_with,
            code=code,
            light=light,
        )
        folder.rename(out)
        return manifest
