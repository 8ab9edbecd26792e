"""`communique train`, `communique teach` and `communique average`."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from model.artefact import Manifest
from training.averaging import average
from training.pipeline import CHECKPOINT_STEPS, train
from training.recipe import Recipe
from training.teachers import teach
from training.tracking import TRACKERS, Tracker

_DEFAULT = Recipe()

_annotations = click.option(
    "--annotations",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/annotations"),
    show_default=True,
    help="Folder with train.jsonl, dev.jsonl and test.jsonl.",
)
_out = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Model folder to make; must not exist."
)
_light = click.option("--light", is_flag=True, help="Leave out the torch weights: what the repository ships.")


@click.command("train")
@_annotations
@_out
@click.option(
    "--records", type=click.IntRange(1), help="Train on so many records of the dataset only, for learning curves."
)
@click.option("--epochs", default=_DEFAULT.epochs, show_default=True, type=click.IntRange(1, 100), help="At most.")
@click.option(
    "--patience",
    default=_DEFAULT.patience,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Epochs without a better dev macro average precision before it stops.",
)
@click.option("--batch-size", default=_DEFAULT.batch_size, show_default=True, type=click.IntRange(1, 4096))
@click.option("--learning-rate", default=_DEFAULT.learning_rate, show_default=True, type=click.FloatRange(0, 1))
@click.option(
    "--cue-weight",
    default=_DEFAULT.cue_weight,
    show_default=True,
    type=click.FloatRange(0),
    help="Weight of the loss that points each label's attention at the annotated cue.",
)
@click.option(
    "--frozen-layers",
    default=_DEFAULT.frozen_layers,
    show_default=True,
    type=click.IntRange(0),
    help="Lowest encoder layers that stay as they are, with the embeddings: a large encoder trains faster.",
)
@click.option(
    "--also",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="JSONL of further records to learn from, such as text that is not yours to pass on. May be repeated.",
)
@click.option(
    "--taught",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Answers of teachers to learn from besides the annotations (distillation): what `communique teach` wrote.",
)
@click.option(
    "--benchmark",
    "benchmarks",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="JSONL with `text`: what comes near to it in --also and --taught is not learnt. May be given more than once.",
)
@click.option(
    "--teacher-weight",
    default=_DEFAULT.teacher_weight,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of the teachers in what is learnt; the rest is the annotated labels.",
)
@click.option("--seed", default=_DEFAULT.seed, show_default=True, type=click.IntRange(0))
@click.option(
    "--threads",
    default=_DEFAULT.threads,
    show_default=True,
    type=click.IntRange(1),
    help="CPU threads; another number gives slightly other weights.",
)
@click.option(
    "--bf16/--no-bf16",
    default=None,
    help="bfloat16 matrix products; by default where the hardware has them.",
)
@click.option(
    "--encoder",
    "encoder_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of another pretrained encoder (Hugging Face layout, safetensors).",
)
@click.option("--encoder-sha256", help="Digest that the other encoder's model.safetensors must have.")
@click.option(
    "--warm-start",
    metavar="MODEL",
    help="Go on from all the weights of this model, instead of from an encoder: a folder with its torch weights, or "
    "`communique:VERSION`. Only its weights: give its other options again.",
)
@click.option(
    "--checkpoint-steps",
    default=CHECKPOINT_STEPS,
    show_default=True,
    type=click.IntRange(1),
    help="Optimiser steps from one checkpoint to the next: what a stopped run loses at most.",
)
# Not --log: torchrun would take it for an abbreviation of one of its own.
@click.option("--log-to", "tracker", type=click.Choice(TRACKERS), help="Where training curves go; nowhere by default.")
@_light
def train_command(
    annotations: Path,
    out: Path,
    encoder_folder: Path | None,
    encoder_sha256: str | None,
    warm_start: str | None,
    also: tuple[Path, ...],
    taught: Path | None,
    benchmarks: tuple[Path, ...],
    checkpoint_steps: int,
    tracker: Tracker | None,
    light: bool,
    **options: Any,
) -> None:
    """Fine-tune the encoder on the annotations and write a model folder.

    Prints the folder's version and dev figures on stdout. Two runs with the same options, data and machine give
    the same weights. A run that was stopped, even by a kill, goes on when the same command is given
    again, and ends with the same weights; its checkpoints lie in a hidden folder beside --out until it is done.

    It takes a GPU where there is one. Several: torchrun starts one process each, and they share every batch.

    \b
    Examples:
        communique train --out build/candidate
        torchrun --nproc-per-node 2 -m communique train --out build/candidate
        communique train --out build/candidate --log-to tensorboard
        communique train --out build/student --taught build/taught.jsonl
        communique train --out build/candidate --also private.jsonl --benchmark benchmark.jsonl
        communique train --warm-start build/candidate --learning-rate 5e-5 --epochs 1 --out build/next
    """
    if benchmarks and not (also or taught):
        raise click.UsageError("--benchmark keeps sentences of --also and --taught out; neither is given")
    recipe = Recipe(**{field.name: options[field.name] for field in fields(Recipe) if field.name in options})
    try:
        manifest = train(
            annotations,
            out,
            recipe,
            encoder_folder,
            encoder_sha256,
            light,
            warm_start=warm_start,
            also=also,
            taught=taught,
            benchmarks=benchmarks,
            checkpoint_steps=checkpoint_steps,
            tracker=tracker,
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        raise
    if manifest is not None:
        _say_made(out, manifest)


def _say_made(out: Path, manifest: Manifest) -> None:
    click.echo(f"{out}\t{manifest.version}")
    for name, value in manifest.metrics.items():
        click.echo(f"{name}\t{value:.4f}")


@click.command("teach")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    required=True,
    help="Model to ask: a folder, or communique:VERSION; several count alike.",
)
@click.option(
    "--sentences", type=click.IntRange(1), help="Ask about so many sentences of these inputs at most, drawn by hash."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSON Lines file to write or go on."
)
def teach_command(inputs: tuple[Path, ...], teachers: tuple[str, ...], sentences: int | None, out: Path) -> None:
    """Ask large models, or several together, about sentences: what `train --taught` learns from (distillation).

    INPUTS are JSON Lines with `text`, such as the annotations that will be trained on, and folders that `communique
    score --out` wrote, for sentences that nobody has annotated. Teachers answer with their torch weights, not in
    int8, where they have them, on a GPU where there is one. What stands in --out is not asked again: a run that was
    stopped goes on, another input is added, and a dataset that grew costs only what is new.
    Prints how many answers were added.

    \b
    Examples:
        communique score archive/ --out build/archive
        communique teach --teacher build/large data/annotations/train.jsonl --out build/taught.jsonl
        communique teach --teacher build/large build/archive --sentences 40000 --out build/taught.jsonl
        communique train --out build/student --taught build/taught.jsonl
    """
    try:
        added = teach(teachers, inputs, out, sentences)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise
    click.echo(added)


@click.command("average")
@click.argument("models", nargs=-1, required=True)
@_annotations
@_out
@_light
def average_command(models: tuple[str, ...], annotations: Path, out: Path, light: bool) -> None:
    """Make one model of several by averaging their weights (a "model soup").

    MODELS are folders with torch weights, or communique:VERSION, that were all trained from the same encoder and with
    the same longest sentence, on other seeds, recipes or data: their mean can be better than each, and is no slower.
    It is exported anew and calibrated on the annotations' dev split. Prints the folder's version and dev figures on
    stdout, as `train` does.

    \b
    Examples:
        communique train --seed 1 --out build/one
        communique train --seed 2 --out build/two
        communique average build/one build/two --out build/mean
        communique compare build/one build/mean
    """
    _say_made(out, average(models, annotations, out, light))
