"""`communique evaluate`."""

import sys
from pathlib import Path

import click

from evaluation.report import evaluate, render
from model.files import write_aside


@click.command("evaluate")
@click.option("--model", type=click.Path(path_type=Path), help="Model folder; the released model by default.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="JSONL of records, or of objects with `text` and `labels`; the test split by default.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/annotations"),
    show_default=True,
    help="Dataset that the TF-IDF baseline learns from.",
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the whole report there as JSON ('-' for stdout, instead of the table).",
)
def evaluate_command(model: Path | None, data: Path | None, annotations: Path, json_path: Path | None) -> None:
    """Measure a model beside three baselines, with bootstrap intervals.

    Where sentences name a `stratum`, each stratum is reported apart as well. Examples:

    \b
        communique evaluate
        communique evaluate --data my-sentences.jsonl --json report.json
    """
    learn_from: Path | None = annotations
    if not (annotations / "train.jsonl").is_file():
        if data is None:
            raise click.UsageError(
                f"{annotations}: no dataset there; name one with --annotations, or sentences with --data"
            )
        print(f"{annotations}: no dataset there, so the TF-IDF baseline is left out", file=sys.stderr)
        learn_from = None
    report = evaluate(data or annotations / "test.jsonl", learn_from, model)
    if json_path is not None:
        text = report.model_dump_json(indent=2) + "\n"
        if str(json_path) == "-":
            click.echo(text, nl=False)
            return
        with write_aside(json_path) as stream:
            stream.write(text)
    click.echo(render(report), nl=False)
