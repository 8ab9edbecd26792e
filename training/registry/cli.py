"""`communique registry`, `promote` and `rollback`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evaluation.cases import SUITES, Case, load_cases
from evaluation.examples import Sample, load_sample
from evaluation.gates import failed_gates, gates
from evaluation.schema import ALL, MODEL
from evaluation.tables import render_gate, render_gates, render_verdict
from model.artefact import MANIFEST
from model.errors import CommuniqueError, InputError
from model.present import STORE_NAME, Promotions, read_promotions, resolve_model
from model.signature import SIGNATURE, sign
from training.registry.promotion import judge, promote, register, roll_back
from training.registry.remote import pull, push
from training.registry.store import Entry, read, versions

_FOLDER = click.Path(path_type=Path, file_okay=False)

_annotations_option: Callable[..., Any] = click.option(
    "--annotations",
    type=_FOLDER,
    default=Path("data/annotations"),
    show_default=True,
    help="Dataset whose test split the models are measured on.",
)
_suites_option: Callable[..., Any] = click.option(
    "--suites", type=_FOLDER, default=SUITES, help="Behaviour cases; those of the project by default."
)


def _evidence(annotations: Path, suites: Path) -> tuple[Sample, list[Case]]:
    return load_sample(annotations / "test.jsonl"), load_cases(suites)


def _version(name: str) -> str:
    """A version as the commands take it: with or without the store's name before it."""
    return name.removeprefix(f"{STORE_NAME}:")


@click.group("registry")
def registry_group() -> None:
    """Keep models under their versions: add, list, show, push, pull, sign.

    The registry is BentoML's model store (BENTOML_HOME), so `bentoml models` sees the same models. `--model
    communique:VERSION` names one anywhere.
    """


@registry_group.command("add")
@click.argument("folder", type=_FOLDER)
@_annotations_option
@_suites_option
def add_command(folder: Path, annotations: Path, suites: Path) -> None:
    """Measure the model in FOLDER on the test split and the behaviour suites, and keep it with its report.

    Prints its version, and on stderr the gates that it fails by itself. `communique promote FOLDER` does this too.
    """
    entry = register(folder, *_evidence(annotations, suites))
    print(render_gates(gates(entry.report)), end="", file=sys.stderr)
    click.echo(entry.manifest.version)


def _row(version: str, promotions: Promotions) -> dict[str, Any]:
    present = bool(promotions.history) and promotions.history[-1].version == version
    row: dict[str, Any] = {"version": version, "present": present}
    try:
        entry = read(version)
    except CommuniqueError as error:
        return row | {"problem": str(error)}
    found = entry.report.parts[ALL].systems[MODEL]
    return row | {
        "created": entry.manifest.created,
        "macro_f1": found.macro_f1.value,
        "gates_failed": len(failed_gates(gates(entry.report))),
        "signed": (entry.artefact / SIGNATURE).exists(),
    }


@registry_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def list_command(as_json: bool) -> None:
    """The models of the registry, the present one marked; macro-F1 is that of each one's report.

    A model whose files do not match their digests is listed with what is wrong.
    """
    promotions = read_promotions()
    rows = [_row(version, promotions) for version in versions()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not promotions.history:
        print("nothing was promoted here: the released model answers", file=sys.stderr)
    for row in rows:
        mark = "present" if row["present"] else ""
        told = row.get("problem") or f"macro-F1 {row['macro_f1']:.3f}, {row['gates_failed']} gates failed"
        click.echo(f"{row['version']}\t{mark}\t{told}")


def _told(entry: Entry, promotions: Promotions) -> dict[str, Any]:
    manifest, found = entry.manifest, entry.report.parts[ALL].systems[MODEL]
    mine = [each for each in promotions.history if each.version == manifest.version]
    return {
        "version": manifest.version,
        "folder": str(entry.artefact),
        "digest": manifest.digest,
        "signed": (entry.artefact / SIGNATURE).exists(),
        "created": manifest.created,
        "encoder": manifest.encoder.model_dump(),
        "data": manifest.data.model_dump(),
        "commit": manifest.code.commit,
        "training": manifest.training,
        "measured_on": {"sentences": entry.report.parts[ALL].sentences, "sha256": entry.report.sample.sha256},
        "macro_f1": found.macro_f1.model_dump(),
        "f1": {label: each.f1.value for label, each in found.labels.items()},
        "suites": {name: suite.rate.value for name, suite in entry.report.suites.items()},
        "gates_failed": [render_gate(gate) for gate in failed_gates(gates(entry.report))],
        "promotions": [each.model_dump() for each in mine],
        "rolled_back": [
            each.model_dump() for each in promotions.withdrawn if each.promotion.version == manifest.version
        ],
    }


@registry_group.command("show")
@click.argument("version")
def show_command(version: str) -> None:
    """What VERSION is made of, how it was measured, and when it was promoted, as JSON."""
    click.echo(json.dumps(_told(read(_version(version)), read_promotions()), indent=2, ensure_ascii=False))


@registry_group.command("push")
@click.argument("version")
@click.argument("address")
def push_command(version: str, address: str) -> None:
    """Copy VERSION with its report to ADDRESS: a folder, or an address that fsspec reads (s3://…, gs://…).

    Prints where it lies. Pushing it again does nothing. Other file systems want their library, such as s3fs.

    \b
    Example:
        communique registry push 2026-11-23-c2137d00 s3://bucket/models
    """
    click.echo(push(_version(version), address))


@registry_group.command("pull")
@click.argument("version")
@click.argument("address")
def pull_command(version: str, address: str) -> None:
    """Copy VERSION from ADDRESS into the registry, once its digests and its signature are checked.

    \b
    Example:
        communique registry pull 2026-11-23-c2137d00 s3://bucket/models
    """
    click.echo(pull(_version(version), address).manifest.version)


@registry_group.command("sign")
@click.argument("model")
@click.option("--key", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Private key, PEM.")
def sign_command(model: str, key: Path) -> None:
    """Sign MODEL, a folder or communique:VERSION, with an Ed25519 key.

    Where COMMUNIQUE_PUBLIC_KEY names the file of the public key, only models signed with it are loaded. Needs
    `pip install "communique[sign]"`.

    \b
    Example:
        openssl genpkey -algorithm ed25519 -out private.pem
        openssl pkey -in private.pem -pubout -out public.pem
        communique registry sign build/candidate --key private.pem
        export COMMUNIQUE_PUBLIC_KEY=public.pem
    """
    manifest = resolve_model(model) / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{model}: not a model folder: {MANIFEST} is missing")
    sign(manifest, key)
    click.echo(manifest.with_name(SIGNATURE))


@click.command("promote")
@click.argument("candidate")
@click.option("--force", "reason", metavar="REASON", help="Promote in spite of failed gates; the reason is recorded.")
@_annotations_option
@_suites_option
def promote_command(candidate: str, reason: str | None, annotations: Path, suites: Path) -> None:
    """Make CANDIDATE, a folder or communique:VERSION, the model that answers on this machine.

    It is kept in the registry with its report either way. It is refused, with exit code 5, where on the test split or
    on a behaviour suite it is worse than the present model beyond the 95 % interval of a paired bootstrap, or where it
    misses a gate by itself: macro-F1 and F1, calibration error, false alarms, flips between actors, suites. What was
    missed is told, and by how much. Digests that do not match are never overruled.

    \b
    Examples:
        communique promote build/candidate
        communique promote communique:2026-11-23-c2137d00 --force "threat recall matters more here"
    """
    if reason is not None and not reason.strip():
        raise click.BadParameter("expected a reason", param_hint="--force")
    sample, cases = _evidence(annotations, suites)
    if candidate.startswith(f"{STORE_NAME}:"):
        entry = read(_version(candidate))
    else:
        entry = register(Path(candidate), sample, cases)
        print(f"kept in the registry as {entry.manifest.version}", file=sys.stderr)
    trial = judge(entry, sample, cases)
    print(render_verdict(trial.comparison), end="", file=sys.stderr)
    promotion = promote(trial, reason)
    for gate in promotion.overruled:
        print(f"overruled: {gate}", file=sys.stderr)
    click.echo(promotion.version)


@click.command("rollback")
def rollback_command() -> None:
    """Take the last promotion back: the model before it answers again, at last the released one.

    Both are recorded. Prints the version that answers now.
    """
    withdrawn, version = roll_back()
    print(f"rolled back {withdrawn.version}, promoted {withdrawn.at}", file=sys.stderr)
    click.echo(version)
