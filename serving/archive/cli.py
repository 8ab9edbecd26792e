"""`communique score` and `summarize`."""

import codecs
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from model.classifier import Prediction, StanceClassifier
from model.files import write_aside
from serving.archive.documents import Fields
from serving.archive.inputs import FORMATS, Format, Input, list_inputs
from serving.archive.readers import ReadOptions
from serving.archive.rows import score_rows
from serving.archive.scorer import Scorer
from serving.archive.scoring import Unit
from serving.cli import model_option, render

_JSONL = (".jsonl", ".ndjson")


def _known_encoding(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return value and codecs.lookup(value).name
    except LookupError:
        raise click.BadParameter(
            f"{value!r} is no encoding that Python knows; such as utf-8, cp1252, gb18030"
        ) from None


@click.command("score")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for Parquet shards, or a .jsonl file; JSON Lines on standard output by default.",
)
@click.option("--format", "forced", type=click.Choice(FORMATS), help="Format of all inputs; told by their names.")
@click.option("--encoding", callback=_known_encoding, help="Encoding of all inputs; detected by default.")
@click.option("--text-field", default="text", show_default=True, help="Field or column that holds the text.")
@click.option("--id-field", help="The one that holds the document's id; 'id', else file and line, by default.")
@click.option("--date-field", help="The one that holds its date (ISO 8601).")
@click.option("--source-field", help="The one that holds the name of its source.")
@click.option(
    "--unit",
    type=click.Choice(["sentence", "document"]),
    default="sentence",
    show_default=True,
    help="What is judged: each sentence, or each document as one.",
)
@click.option("--pretty", is_flag=True, help="On standard output: text for reading instead of JSON Lines.")
@click.option("--no-text", is_flag=True, help="In a folder: leave the sentences' text out.")
@click.option("--partition-by", type=click.Choice(["source", "month"]), help="In a folder: part the tables.")
@click.option(
    "--shard-size",
    type=click.IntRange(1000),
    default=4_000_000,
    show_default=True,
    help="In a folder: characters of text in one shard, the most that an interruption loses.",
)
@click.option(
    "--max-errors",
    type=click.IntRange(0),
    default=10_000,
    show_default=True,
    help="In a folder: stop after more than this many documents and sentences could not be scored.",
)
@click.option(
    "--engine", type=click.Choice(["here", "ray"]), default="here", show_default=True, help="Where a folder is scored."
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="In a folder: cuda, or cuda:1, for a GPU, with a model that has its torch weights.",
)
@click.option("--ray-address", help="A running Ray cluster: auto, or head:6379; by default one is started here.")
@click.option(
    "--actors",
    type=click.IntRange(1),
    help="Ray: scoring actors, a core each; by default the cores here less one, or those of --ray-address less two.",
)
@model_option
def score_command(
    inputs: tuple[str, ...],
    out: Path | None,
    forced: Format | None,
    encoding: str | None,
    text_field: str,
    id_field: str | None,
    date_field: str | None,
    source_field: str | None,
    unit: Unit,
    pretty: bool,
    model: str | None,
    **archive: Any,
) -> None:
    """Score INPUTs: files, folders, globs, addresses that fsspec reads (s3://…, https://…), or - for standard input.

    Text, Markdown, HTML, JSON Lines, CSV, Parquet and WARC, each also as .gz, .zst or .zip. Text is split into
    sentences; each becomes one row with its document, character offsets, labels and four probabilities. Offsets count
    code points of the original text; of a web page's main text.

    With --out FOLDER the rows go to Parquet tables, shard by shard. A run that was stopped goes on when the same
    command is given again, and ends with the same files. What cannot be scored stands in rejected.jsonl with the
    reason; at the end the figures are checked: documents and sentences in = scored + rejected. Without a folder the
    first document that cannot be read ends the run.

    \b
    Examples:
        communique score article.txt
        communique score --pretty article.txt
        zcat news.jsonl.gz | communique score - --text-field body > scored.jsonl
        communique score crawl/*.warc.gz --out scored
        communique score news.parquet --out scored --text-field body --date-field day \\
            --source-field outlet --partition-by month
        communique score s3://bucket/news/ --out /shared/scored --engine ray --ray-address auto
    """
    options = ReadOptions(Fields(text_field, id_field, date_field, source_field), encoding)
    if out is not None and out.suffix not in _JSONL:
        if pretty:
            raise click.UsageError("--pretty is for standard output, not for a folder")
        _score_folder(inputs, out, forced, options, unit, model, **archive)
    else:
        context = click.get_current_context()
        for name in archive:
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --out FOLDER")
        if out is not None and out.is_dir():
            raise click.UsageError(f"--out {out}: is a folder; expected a file where the name ends in {out.suffix}")
        _score_rows(list_inputs(inputs, forced), out, options, unit, pretty, model)


def _score_rows(
    inputs: list[Input], out: Path | None, options: ReadOptions, unit: Unit, pretty: bool, model: str | None
) -> None:
    classifier = StanceClassifier.load(model, offline=True)
    rows = score_rows(Scorer(classifier), inputs, options, unit)
    scored = errors = 0
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(write_aside(out)) if out else sys.stdout
        for row in tqdm(rows, unit=" sentences", disable=None if out else True, file=sys.stderr):
            if "error" in row:
                errors += 1
            else:
                scored += 1
            if pretty and "error" not in row:
                # click leaves out the colours where this is not a terminal.
                click.echo(render(" ".join(row["text"].split()), Prediction(row["labels"], row["scores"])), target)
            else:
                target.write(json.dumps(row | {"model": classifier.manifest.version}, ensure_ascii=False) + "\n")
    if out or errors:
        print(f"{scored} sentences scored, {errors} could not be", file=sys.stderr)


def _score_folder(
    inputs: tuple[str, ...],
    out: Path,
    forced: Format | None,
    options: ReadOptions,
    unit: Unit,
    model: str | None,
    *,
    no_text: bool,
    partition_by: Any,
    shard_size: int,
    max_errors: int,
    engine: str,
    device: str,
    ray_address: str | None,
    actors: int | None,
) -> None:
    # Parquet comes with an extra that plain scoring does without.
    from serving.archive.output import Layout
    from serving.archive.run import Engine, Settings, score_archive

    settings = Settings(options, unit, Layout(not no_text, partition_by), shard_size)
    chosen: Engine | None = None
    if engine == "ray":
        from serving.archive.cluster import RayEngine

        chosen = RayEngine(ray_address, actors)
    try:
        found = score_archive(
            *(inputs, out, settings), model=model, forced=forced, max_errors=max_errors, device=device, engine=chosen
        )
    except KeyboardInterrupt:
        print(f"stopped; what is done stays in {out}, and the same command goes on from there", file=sys.stderr)
        raise
    click.echo(str(found))


@click.command("summarize")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--csv", "as_csv", type=click.Path(path_type=Path, dir_okay=False), help="Write the tables there as CSV.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one page with plots there.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="Sources, words, sentences.")
def summarize_command(folder: Path, as_csv: Path | None, html: Path | None, top: int) -> None:
    """What the archive in FOLDER says: counts and rates of each label over time and by source, cue words, and the
    sentences with the highest probability of each label. FOLDER is what `communique score --out` wrote.

    \b
    Examples:
        communique summarize scored
        communique summarize scored --html archive.html --csv archive.csv
    """
    from serving.archive.summary import summarize
    from serving.archive.summary_output import as_html, as_text, write_csv

    found = summarize(folder, top)
    if not (folder / "reconciliation.json").exists():
        print(f"{folder}: the run is not finished; this is what is done so far", file=sys.stderr)
    if as_csv:
        with write_aside(as_csv) as stream:
            write_csv(found, stream)
    if html:
        page = as_html(found)
        with write_aside(html) as stream:
            stream.write(page)
    click.echo(as_text(found))
