"""`communique classify` and `serve`."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from model.classifier import Prediction, StanceClassifier
from model.present import resolve_model

_COLOURS = {"threat": "red", "denial": "magenta", "support": "green", "hedge": "yellow"}

model_option: Callable[..., Any] = click.option(
    "--model",
    help="Folder, or communique:VERSION of the registry; by default the promoted one, else the released one.",
)


def render(text: str, prediction: Prediction) -> str:
    """One sentence for a reader: its labels with their probabilities, then the text."""
    found = ", ".join(
        click.style(f"{label} {prediction.scores[label]:.2f}", fg=_COLOURS[label]) for label in prediction.labels
    )
    return f"[{found or click.style('none', dim=True)}] {text}"


@click.command("classify")
@click.argument("sentences", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text for reading.")
@model_option
def classify_command(sentences: tuple[str, ...], as_json: bool, model: str | None) -> None:
    """Label SENTENCES, each judged alone; without any, one sentence a line from standard input.

    \b
    Examples:
        communique classify "The ministry denied that any talks took place."
        communique classify --json < sentences.txt
    """
    given = list(sentences) or [line.strip() for line in sys.stdin if line.strip()]
    if not given:
        raise click.UsageError("no sentences: give them as arguments or one a line on standard input")
    classifier = StanceClassifier.load(model)
    for text, prediction in zip(given, classifier.classify(given), strict=True):
        if as_json:
            row = {"text": text, "labels": prediction.labels, "scores": prediction.scores}
            click.echo(json.dumps(row | {"model": classifier.manifest.version}, ensure_ascii=False))
        else:
            click.echo(render(text, prediction))


@click.command("serve")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to answer other machines.")
@model_option
def serve_command(port: int, host: str, model: str | None) -> None:
    """Answer over HTTP until interrupted: POST /v1/classify, health under /livez and /readyz.

    \b
    Settings from the environment:
        COMMUNIQUE_MODEL          model folder (the one promoted here, else the released one)
        COMMUNIQUE_THREADS        CPU threads of the engine (all available)
        COMMUNIQUE_MAX_SENTENCES  most sentences in one request (4096)
    """
    if model is not None:
        os.environ["COMMUNIQUE_MODEL"] = str(resolve_model(model).resolve())
    # Checked here as well, so that a wrong folder is one clear line and not a worker that keeps restarting.
    StanceClassifier.load(model)
    command = ["bentoml", "serve", "serving.service:Communique", "--host", host, "--port", str(port)]
    # Replaces this process: signals and the exit code are BentoML's own.
    os.execvp(sys.executable, [sys.executable, "-m", *command])  # noqa: S606
