"""`communique annotations`: look after the dataset."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from model.errors import InputError, MissingExtraError, RecordError
from model.files import write_aside
from model.records import read_records, write_records
from training.splits import SPLITS

# The commands import what they need when they run, so that `check` waits for neither torch nor matplotlib.

_FORMATS = ("label-studio", "prodigy", "doccano", "csv")


class _Command(click.Command):
    """A missing library names the extra that brings it."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in ("model", "training", "evaluation"):
                raise
            raise MissingExtraError("train", str(error.name)) from None


class _Group(click.Group):
    command_class = _Command


annotations_option: Callable[..., Any] = click.option(
    "--annotations",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/annotations"),
    show_default=True,
    help="Folder with train.jsonl, dev.jsonl and test.jsonl.",
)
benchmark_option: Callable[..., Any] = click.option(
    "--benchmark",
    "benchmarks",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="JSONL with `text`: sentences that must not come near the dataset. May be given more than once.",
)
json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
folds_option: Callable[..., Any] = click.option(
    "--folds", default=5, show_default=True, type=click.IntRange(2, 100), help="Parts of the cross-validation."
)


def _refuse(problems: Sequence[RecordError], what: str) -> None:
    """Print the problems, one a line, and end with the exit code of wrong input; nothing where there are none."""
    for problem in problems:
        click.echo(problem)
    if problems:
        raise InputError(f"{what}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}")


@click.group("annotations", cls=_Group)
def annotations_group() -> None:
    """Check, count, exchange and add annotations."""


@annotations_group.command("check")
@annotations_option
@benchmark_option
def check_command(folder: Path, benchmarks: tuple[Path, ...]) -> None:
    """Check the whole dataset; every problem is one line on stdout, and the exit code is 2 if there is any.

    Record format, spans, ids, splits, exact and near duplicates, leaks between the splits and into benchmarks, and
    the language. Records of one group may be close to each other. Example:

        communique annotations check --benchmark benchmark.jsonl
    """
    from training.annotations.check import check_annotations

    _refuse(check_annotations(folder, benchmarks), str(folder))
    print(f"{folder}: no problems", file=sys.stderr)


@annotations_group.command("stats")
@annotations_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for a picture, stats.png.")
@json_option
def stats_command(folder: Path, out: Path | None, as_json: bool) -> None:
    """Count the dataset: labels by genre and split, near misses, groups, regions, decades, lengths."""
    from training.annotations.stats import count, render
    from training.dataset import load_annotations

    stats = count(load_annotations(folder))
    if out is not None:
        from training.annotations.plot import draw

        out.mkdir(parents=True, exist_ok=True)
        draw(stats, out / "stats.png")
        print(f"drew {out / 'stats.png'}", file=sys.stderr)
    click.echo(stats.model_dump_json(indent=2) if as_json else render(stats).rstrip())


@annotations_group.command("agreement")
@annotations_option
@click.option(
    "--readings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSONL of readings; readings.jsonl beside the dataset by default.",
)
@click.option(
    "--records",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSONL of records that were read, instead of the dataset; those without an id have the one of `add`.",
)
@json_option
def agreement_command(folder: Path, readings: Path | None, file: Path | None, as_json: bool) -> None:
    """Measure how far two independent readers agree, over all and by genre.

    \b
    One reading a line, two for each record, the writer's first; a third may settle a disagreement:
        {"id": "c12", "reader": "writer-3", "labels": ["threat"]}
        {"id": "c12", "reader": "reader-2", "labels": []}
        {"id": "c12", "reader": "reader-5", "labels": ["threat"], "settles": true, "note": "…"}
    """
    from model.readings import load_readings
    from training.annotations.add import id_of
    from training.annotations.agreement import measure, render
    from training.dataset import load_annotations

    if file is not None and readings is None:
        raise click.UsageError("--records needs --readings, which are looked for beside a dataset only")
    records = load_annotations(folder).all() if file is None else read_records(file)
    records = [record.model_copy(update={"id": record.id or id_of(record.text)}) for record in records]
    given = load_readings(readings or folder / "readings.jsonl", {str(record.id) for record in records})
    agreement = measure(records, given)
    click.echo(agreement.model_dump_json(indent=2) if as_json else render(agreement).rstrip())


@annotations_group.command("suspects")
@annotations_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Review file; standard output by default.")
@folds_option
@click.option(
    "--model-scores",
    type=click.Path(path_type=Path, dir_okay=False),
    help='Out-of-fold probabilities made elsewhere: JSONL of {"id": …, "scores": {"threat": 0.1, …}}.',
)
@click.option(
    "--encoder",
    "encoder_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of another pretrained encoder (Hugging Face layout, safetensors).",
)
def suspects_command(
    folder: Path, out: Path | None, folds: int, model_scores: Path | None, encoder_folder: Path | None
) -> None:
    """List the records whose labels look wrong, the worst first, one JSON object a line.

    A label is doubtful where confident learning says so from probabilities of models that did not see the record's
    group: logistic regressions on frozen embeddings and words, unless --model-scores brings better ones.
    """
    from training.annotations.suspects import feature_scores, find_suspects, read_scores
    from training.dataset import load_annotations

    records = load_annotations(folder).all()
    if model_scores is not None:
        scores = read_scores(model_scores, records)
    else:
        scores = feature_scores(records, folds, encoder_folder)
    lines = [suspect.to_json() + "\n" for suspect in find_suspects(records, scores)]
    if out is None:
        click.echo("".join(lines), nl=False)
    else:
        with write_aside(out) as stream:
            stream.writelines(lines)
    print(f"{len(lines)} of {len(records)} records have a doubtful label", file=sys.stderr)


@annotations_group.command("import")
@click.argument("format_name", metavar="FORMAT", type=click.Choice(_FORMATS))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="JSONL of records to make.")
def import_command(format_name: str, file: Path, out: Path) -> None:
    """Turn a file of an annotation tool into records, ready for `add`.

    FORMAT is label-studio (JSON), prodigy (JSONL), doccano (JSONL) or csv. Tasks that hold no judgement, such as
    suggestions that nobody has accepted or changed, are named on stderr. A task that cannot be read is a line on
    stdout, and then nothing is written. Lines of a JSON array are its tasks, counted from 1.
    """
    from training.annotations.exchange import import_records

    found = import_records(format_name, file)
    for line in found.left_out:
        print(line, file=sys.stderr)
    _refuse(found.problems, f"{file}, nothing written")
    write_records(out, found.records)
    print(f"{len(found.records)} records, {len(found.left_out)} things left out", file=sys.stderr)


@annotations_group.command("export")
@click.argument("format_name", metavar="FORMAT", type=click.Choice(_FORMATS))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to make.")
@click.option("--split", "splits", type=click.Choice(SPLITS), multiple=True, help="Only this split; all by default.")
@click.option(
    "--records",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSONL of records to write instead of the dataset, such as `communique suggest` made.",
)
@annotations_option
def export_command(format_name: str, out: Path, splits: tuple[Any, ...], file: Path | None, folder: Path) -> None:
    """Write the dataset as a file of an annotation tool; `import` gives the same records back.

    FORMAT is label-studio (JSON), prodigy (JSONL), doccano (JSONL) or csv. Suggestions become pre-annotations for
    people to accept or change: predictions in Label Studio, tasks without an answer in Prodigy (give the file to a
    recipe, not to db-in), rows of a CSV with an empty `annotator`. doccano knows only finished labels; there `add`
    asks who read them.
    """
    from training.annotations.exchange import export_records
    from training.dataset import load_annotations

    if file is not None:
        if splits:
            raise click.UsageError("--split is for the dataset, and --records names another file")
        records = read_records(file)
    else:
        data = load_annotations(folder)
        records = [record for split in splits or SPLITS for record in data.records[split]]
    export_records(format_name, records, out)
    print(f"{len(records)} records", file=sys.stderr)


@annotations_group.command("detach")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Standoff JSONL to make.")
def detach_command(file: Path, out: Path) -> None:
    """Take the text out of the records of FILE, for annotations of text that is not yours to pass on.

    Each line keeps the SHA-256 of its sentence, and its spans as offsets (standoff annotation). Notes are left out,
    since they may quote; every other field stays as it is. Whoever has the text gets the records back by `attach`.
    """
    from training.annotations.standoff import detach

    records = read_records(file)
    if out.exists() and out.samefile(file):
        raise InputError(f"{out}: would replace the records, which alone hold the text; name another file")
    with write_aside(out) as stream:
        stream.writelines(line + "\n" for line in detach(records))
    print(f"{len(records)} records", file=sys.stderr)


@annotations_group.command("attach")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="JSONL of records to make.")
def attach_command(file: Path, texts: tuple[Path, ...], out: Path) -> None:
    """Put the text back into FILE, which `detach` made; what has no text here is left out, and counted.

    TEXTS are JSON Lines with `text`, and folders that `communique score --out` wrote.

    \b
    Example:
        communique score news/ --out build/news
        communique annotations attach standoff.jsonl build/news --out build/private.jsonl
        communique train --also build/private.jsonl --out build/candidate
    """
    from training.annotations.standoff import attach
    from training.scored import sentences_of

    records, without = attach(file, (text for path in texts for text in sentences_of(path)))
    if not records:
        raise InputError(f"{file}: none of its {without} sentences stands in {', '.join(map(str, texts))}")
    write_records(out, records)
    print(f"{len(records)} records, {without} without their text left out", file=sys.stderr)


@annotations_group.command("add")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--annotator", help="Name for records that have none, and of who has read suggestions.")
@benchmark_option
@annotations_option
def add_command(file: Path, annotator: str | None, benchmarks: tuple[Path, ...], folder: Path) -> None:
    """Append the records of FILE to the dataset, or none of them if there is any problem.

    Records without an id get one, and each goes to the split that the hash of its group gives. Lines that are there
    already are never touched. Suggestions that nobody has read (their annotator is `model:VERSION`) are refused;
    --annotator puts the name of who has read them in its place. Prints how many records went where.
    """
    from training.annotations.add import add_records

    if annotator is not None and not annotator.strip():
        raise click.BadParameter("expected a name", param_hint="--annotator")
    counts, problems = add_records(file, folder, annotator, benchmarks)
    _refuse(problems, f"{file}, nothing written")
    for split, count in counts.items():
        click.echo(f"{split}\t{count}")


@annotations_group.command("shortcuts")
@annotations_option
@folds_option
@json_option
def shortcuts_command(folder: Path, folds: int, as_json: bool) -> None:
    """Test whether topic, length, names or words outside the cue give a label away, each beside chance."""
    from training.annotations.shortcuts import find_shortcuts, render
    from training.dataset import load_annotations

    found = find_shortcuts(load_annotations(folder).all(), folds)
    click.echo(json.dumps(found.model_dump(), indent=2, ensure_ascii=False) if as_json else render(found).rstrip())


@click.command("suggest", cls=_Command)
@click.argument("archive", type=click.Path(path_type=Path, file_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="JSONL of records to make.")
@click.option("--count", default=200, show_default=True, type=click.IntRange(1, 10_000), help="Sentences, at most.")
@click.option("--model", help="The model that scored the archive; by default the promoted one, else the released one.")
@benchmark_option
@annotations_option
def suggest_command(
    archive: Path, out: Path, count: int, model: str | None, benchmarks: tuple[Path, ...], folder: Path
) -> None:
    """Propose the sentences of ARCHIVE, a folder of `communique score --out`, whose annotation would help most.

    Each label in turn takes the sentence that the model doubts most and that is least like those taken before; none is
    near to another or to the dataset. They are written as records with the model's own labels and the annotator
    `model:VERSION`, for people to put right: in an annotation tool, or in the file itself.

    \b
    Example:
        communique score news.parquet --out scored
        communique suggest scored --count 200 --out suggested.jsonl
        communique annotations export label-studio --records suggested.jsonl --out tasks.json
        communique annotations import label-studio annotated.json --out new.jsonl
        communique annotations add new.jsonl --annotator ada
    """
    from training.suggest import suggest

    records = suggest(archive, count, folder, model, benchmarks)
    write_records(out, records)
    print(f"{len(records)} of at most {count} sentences: {out}", file=sys.stderr)
