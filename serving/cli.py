"""`communique classify`, `serve` and `key`."""

import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from model.artefact import open_artefact
from model.classifier import Prediction, StanceClassifier, check_device
from model.errors import MissingExtraError
from model.present import resolve_model
from model.signature import KEY_VARIABLE
from serving.keys import SCOPES, make_key, read_keys

_COLOURS = {"threat": "red", "denial": "magenta", "support": "green", "hedge": "yellow"}
_PATHS = (
    *("BENTOML_HOME", "BENTOML_CONFIG", KEY_VARIABLE),
    *("COMMUNIQUE_MODEL", "COMMUNIQUE_KEYS", "COMMUNIQUE_FEEDBACK"),
)
"""Variables of the service that hold paths, relative to where it is started."""

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
    if isinstance(sys.stdin, io.TextIOWrapper):
        # So that what is not UTF-8 is named with its sentence, as it is in arguments.
        sys.stdin.reconfigure(errors="surrogateescape")
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


class _Serve(click.Command):
    """Lists the settings below the options, from where they are defined."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name, meaning and default of each variable."""
        from serving.settings import describe_settings

        with formatter.section("Settings from the environment"):
            formatter.write_dl(describe_settings())


@click.command("serve", cls=_Serve)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to answer other machines.")
@model_option
def serve_command(port: int, host: str, model: str | None) -> None:
    """Answer over HTTP until interrupted.

    POST /v1/classify and /v1/analyze give stances, POST /v1/feedback takes corrections, GET /v1/model tells the
    model; health under /livez and /readyz, metrics under /metrics, the contract under /openapi.json, a page under /.
    """
    from serving.settings import load_settings

    if model is not None:
        os.environ["COMMUNIQUE_MODEL"] = model
    settings = load_settings()
    # Checked here as well, so that a wrong setting is one clear line and not a worker that keeps restarting.
    folder = resolve_model(settings.model)
    open_artefact(folder)
    check_device(folder, settings.device)
    if settings.keys is not None:
        read_keys(settings.keys)
    if settings.otlp_endpoint is not None and importlib.util.find_spec("opentelemetry.exporter") is None:
        raise MissingExtraError("otel", "opentelemetry-exporter-otlp-proto-http")
    if settings.model is not None:
        os.environ["COMMUNIQUE_MODEL"] = str(folder)
    for name in _PATHS:
        if given := os.environ.get(name):
            os.environ[name] = str(Path(given).absolute())
    # Both Python and BentoML would look for modules where the user stands, and take a `model` or `logging.py` there for
    # ours. So the one is told not to and the other to stand here, which is why paths are passed on in full.
    os.environ["PYTHONSAFEPATH"] = "1"
    command = ["bentoml", "serve", "serving.service:Communique", "--working-dir", str(Path(__file__).parent.parent)]
    command += ["--host", host, "--port", str(port), "--timeout-graceful-shutdown", str(settings.drain_seconds)]
    # Replaces this process: signals and the exit code are BentoML's own.
    os.execvp(sys.executable, [sys.executable, "-m", *command])  # noqa: S606


@click.command("key")
@click.argument("name")
@click.option(
    "--keys",
    "path",
    required=True,
    envvar="COMMUNIQUE_KEYS",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of keys, made where there is none; COMMUNIQUE_KEYS by default.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=["read"],
    show_default=True,
    type=click.Choice(SCOPES),
    help="What the key may do; may be given more than once.",
)
def key_command(name: str, path: Path, scopes: tuple[Any, ...]) -> None:
    """Make an API key for NAME and print it, once: the file keeps its hash only.

    A running service takes new keys, and the removal of an entry from the file, without a restart. Callers send the
    key as the header `Authorization: Bearer KEY`.

    \b
    Example:
        communique key newsroom --scope read --scope feedback --keys keys.json
    """
    click.echo(make_key(path, name, scopes))
