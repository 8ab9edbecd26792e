"""`communique evaluate`, `report`, `compare` and `spread`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evaluation.cases import SUITES, load_cases
from evaluation.ceiling import read_twice
from evaluation.comparison import compare
from evaluation.examples import Sample, load_sample
from evaluation.gates import gates
from evaluation.page import write_report
from evaluation.report import LEARNED, QUICK, Subject, Systems, evaluate, make_report
from evaluation.scheme import load_scheme
from evaluation.scorer import ModelScorer
from evaluation.spread import spread
from evaluation.tables import render_comparison, render_evaluation, render_gates, render_spread
from model.classifier import StanceClassifier
from model.files import write_aside

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)

_model_option: Callable[..., Any] = click.option(
    "--model",
    help="Folder, or communique:VERSION of the registry; by default the promoted one, else the released one.",
)
_data_option: Callable[..., Any] = click.option(
    "--data",
    type=_FILE,
    help="JSONL of records, or JSONL, CSV or TSV with `text` and `labels`; the test split by default.",
)
_mapping_option: Callable[..., Any] = click.option(
    "--mapping",
    type=_FILE,
    help="TOML or JSON that says where another data set keeps its texts and labels and what they mean.",
)
_annotations_option: Callable[..., Any] = click.option(
    "--annotations",
    type=_FOLDER,
    default=Path("data/annotations"),
    show_default=True,
    help="Dataset: its test split is the default, and baselines learn from the others.",
)
_json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def _sample(data: Path | None, mapping: Path | None, annotations: Path) -> Sample:
    if data is None and not (annotations / "test.jsonl").is_file():
        raise click.UsageError(
            f"{annotations}: no dataset there; name one with --annotations, or sentences with --data"
        )
    return load_sample(data or annotations / "test.jsonl", None if mapping is None else load_scheme(mapping))


def _learn_from(annotations: Path) -> Path | None:
    if (annotations / "train.jsonl").is_file():
        return annotations
    print(f"{annotations}: no dataset there, so the baselines that learn are left out", file=sys.stderr)
    return None


@click.command("evaluate")
@_model_option
@_data_option
@_mapping_option
@_annotations_option
@click.option("--json", "json_path", type=_FILE, help="Write it there as JSON ('-' for stdout, instead of the table).")
def evaluate_command(
    model: str | None, data: Path | None, mapping: Path | None, annotations: Path, json_path: Path | None
) -> None:
    """Measure a model beside quick baselines, with bootstrap intervals; `report` gives the whole evidence.

    Where sentences name a `stratum`, each stratum is reported apart as well. A mapping file reads other data sets:

    \b
        judges = ["threat"]              # the labels the set judges; others are left out
        [fields]
        text = "sentence"                # its name for our field
        labels = "class"
        [values]
        threatening = ["threat"]         # what its values mean
        neutral = []

    Examples:

    \b
        communique evaluate
        communique evaluate --data my-sentences.jsonl --json evaluation.json
        communique evaluate --data theirs.csv --mapping theirs.toml
    """
    sample = _sample(data, mapping, annotations)
    evaluation = evaluate(sample, Subject.load(model), Systems.prepare(_learn_from(annotations), QUICK))
    if json_path is not None:
        text = evaluation.model_dump_json(indent=2) + "\n"
        if str(json_path) == "-":
            click.echo(text, nl=False)
            return
        with write_aside(json_path) as stream:
            stream.write(text)
    click.echo(render_evaluation(evaluation), nl=False)


@click.command("report")
@_model_option
@_data_option
@_mapping_option
@_annotations_option
@click.option("--suites", type=_FOLDER, default=SUITES, help="Behaviour cases; those of the project by default.")
@click.option("--out", required=True, type=_FOLDER, help="Folder for report.json, report.html and MODEL_CARD.md.")
def report_command(
    model: str | None, data: Path | None, mapping: Path | None, annotations: Path, suites: Path, out: Path
) -> None:
    """Gather the whole evidence on a model: figures, baselines, slices, calibration, behaviour, errors.

    Writes report.json, report.html (one file that needs nothing else) and MODEL_CARD.md, and prints which gates the
    model passes. report.html quotes the wrongly judged sentences. Examples:

    \b
        communique report --out build/report
        communique report --model build/candidate --data my-sentences.jsonl --out build/mine
    """
    sample = _sample(data, mapping, annotations)
    cases = load_cases(suites)
    subject = Subject.load(model)
    # The second readings are of the dataset's own records.
    own = data is None or data.resolve().parent == annotations.resolve()
    systems = Systems.prepare(_learn_from(annotations), LEARNED)
    report = make_report(sample, subject, systems, cases, read_twice(annotations) if own else {})
    for path in write_report(report, sample, out):
        click.echo(path)
    click.echo(render_gates(gates(report)), nl=False)


@click.command("compare")
@click.argument("models", nargs=-1, required=True, metavar="[BEFORE] AFTER")
@_data_option
@_mapping_option
@_annotations_option
@_json_option
def compare_command(
    models: tuple[str, ...], data: Path | None, mapping: Path | None, annotations: Path, as_json: bool
) -> None:
    """Say whether model AFTER is better than model BEFORE, by default the present one, on the same sentences.

    Paired bootstrap of macro-F1 and of each label's F1, McNemar's exact test for each label, and every sentence that
    the two label differently. Examples:

    \b
        communique compare build/candidate
        communique compare model/released communique:2026-11-23-c2137d00 --data my-sentences.csv --json
    """
    if len(models) > 2:
        raise click.UsageError(f"expected one model or two, found {len(models)}")
    before, after = (None, *models)[-2:]
    sample = _sample(data, mapping, annotations)
    classifiers = [StanceClassifier.load(folder, offline=True) for folder in (before, after)]
    old, new = (ModelScorer(classifier) for classifier in classifiers)
    versions = (classifiers[0].manifest.version, classifiers[1].manifest.version)
    comparison = compare(sample, old, new, versions)
    click.echo(comparison.model_dump_json(indent=2) if as_json else render_comparison(comparison).rstrip())


@click.command("spread")
@click.argument("models", nargs=-1, required=True)
@_data_option
@_mapping_option
@_annotations_option
@_json_option
def spread_command(
    models: tuple[str, ...], data: Path | None, mapping: Path | None, annotations: Path, as_json: bool
) -> None:
    """Mean and spread of the figures over several MODELS, such as runs of one recipe with different seeds.

    Example:

    \b
        for seed in 1 2 3 4 5; do communique train --seed $seed --out build/seed-$seed; done
        communique spread build/seed-*
    """
    if len(set(models)) < 2:
        raise click.UsageError("a spread needs two models or more")
    sample = _sample(data, mapping, annotations)
    classifiers = {folder: StanceClassifier.load(folder, offline=True) for folder in models}
    recipes = [{**each.manifest.training, "data": each.manifest.data.sha256} for each in classifiers.values()]
    found = spread(sample, {name: ModelScorer(each) for name, each in classifiers.items()}, recipes)
    if found.differences:
        print(f"the models differ in more than the seed: {', '.join(found.differences)}", file=sys.stderr)
    click.echo(found.model_dump_json(indent=2) if as_json else render_spread(found).rstrip())
