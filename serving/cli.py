"""`communique classify`, `score` and `serve`."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from model.classifier import Prediction, StanceClassifier
from model.errors import InputError
from model.files import write_aside
from serving.score import Document, read_documents, score_documents

_COLOURS = {"threat": "red", "denial": "magenta", "support": "green", "hedge": "yellow"}

model_option: Callable[..., Any] = click.option(
    "--model", type=click.Path(path_type=Path), help="Model folder; the released one by default."
)


def _render(text: str, prediction: Prediction) -> str:
    """One sentence for a reader: its labels with their probabilities, then the text."""
    found = ", ".join(
        click.style(f"{label} {prediction.scores[label]:.2f}", fg=_COLOURS[label]) for label in prediction.labels
    )
    return f"[{found or click.style('none', dim=True)}] {text}"


@click.command("classify")
@click.argument("sentences", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text for reading.")
@model_option
def classify_command(sentences: tuple[str, ...], as_json: bool, model: Path | None) -> None:
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
            click.echo(_render(text, prediction))


@click.command("score")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write there; standard output by default.")
@click.option("--text-field", default="text", show_default=True, help="Field of a JSONL line that holds the text.")
@click.option("--whole", is_flag=True, help="JSONL texts are single sentences: do not split them.")
@click.option("--pretty", is_flag=True, help="Text for reading instead of JSONL.")
@model_option
def score_command(
    inputs: tuple[Path, ...], out: Path | None, text_field: str, whole: bool, pretty: bool, model: Path | None
) -> None:
    """Score INPUTS: text files of running text, .jsonl files, or `-` for standard input.

    Running text is split into sentences; every sentence becomes one JSON object a line with its document, character
    offsets, labels and probabilities. A sentence that cannot be judged has an `error` instead.

    \b
    Examples:
        communique score article.txt
        communique score archive.jsonl --text-field body --out scored.jsonl
    """
    missing = [path for path in inputs if str(path) != "-" and not path.is_file()]
    if missing:
        raise InputError(f"{missing[0]}: no such file")
    classifier = StanceClassifier.load(model)
    stdin = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8")

    def documents() -> Iterator[Document]:
        for path in inputs:
            yield from read_documents(path, stdin, text_field, whole)

    rows = score_documents(classifier, documents())
    scored = errors = 0
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(write_aside(out)) if out else sys.stdout
        for row in tqdm(rows, unit=" sentences", disable=None if out else True, file=sys.stderr):
            if "error" in row:
                errors += 1
            else:
                scored += 1
            if pretty and "error" not in row:
                prediction = Prediction(row["labels"], row["scores"])  # type: ignore[arg-type]
                target.write(_render(" ".join(str(row["text"]).split()), prediction) + "\n")
            else:
                target.write(json.dumps(row | {"model": classifier.manifest.version}, ensure_ascii=False) + "\n")
    if out or errors:
        print(f"{scored} sentences scored, {errors} could not be", file=sys.stderr)


@click.command("serve")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to answer other machines.")
@model_option
def serve_command(port: int, host: str, model: Path | None) -> None:
    """Answer over HTTP until interrupted: POST /v1/classify, health under /livez and /readyz.

    \b
    Settings from the environment:
        COMMUNIQUE_MODEL          model folder (the released one)
        COMMUNIQUE_THREADS        CPU threads of the engine (all available)
        COMMUNIQUE_MAX_SENTENCES  most sentences in one request (4096)
    """
    if model is not None:
        os.environ["COMMUNIQUE_MODEL"] = str(model.resolve())
    # Checked here as well, so that a wrong folder is one clear line and not a worker that keeps restarting.
    StanceClassifier.load(model)
    command = ["bentoml", "serve", "serving.service:Communique", "--host", host, "--port", str(port)]
    # Replaces this process: signals and the exit code are BentoML's own.
    os.execvp(sys.executable, [sys.executable, "-m", *command])  # noqa: S606
