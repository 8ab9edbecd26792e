"""The benchmarks run, and print the tables that they promise; what they measure here means nothing."""

import json
import subprocess
import sys
from pathlib import Path

from model.artefact import RELEASED, open_artefact


def run(root: Path, script: str, *options: object) -> str:
    """What a benchmark prints, started as the README says."""
    command = [sys.executable, root / "benchmarks" / script, *map(str, options)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_archive_beside_the_bare_engine_and_as_it_grows(root: Path, tmp_path: Path) -> None:
    options = ("--sentences", 24, "--rounds", 1, "--only", "bare", "ours", "naive", "--growth", 12, 24)
    out = run(root, "archive.py", *options, "--plan", tmp_path / "plan.md", "--json", tmp_path / "figures.json")
    names = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert {"bare", "ours", "naive", "12", "24"} <= set(names)
    assert "24 sentences" in (tmp_path / "plan.md").read_text(encoding="utf-8")
    assert set(json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["growth"]) == {"12", "24"}


def test_service_beside_the_bare_engine(root: Path) -> None:
    out = run(root, "serving.py", "--only", "ours", "--rounds", 1, "--seconds", 0.2)
    assert "| 64 × 1 | ours |" in out
    assert "| memory, MB |" in out


def test_models_side_by_side(root: Path, tiny_model: Path) -> None:
    out = run(root, "releases.py", tiny_model, RELEASED).splitlines()
    header = [cell.strip() for cell in out[0].split("|")[2:-1]]
    assert header == [
        "all none",
        "key words",
        "TF-IDF + logistic",
        *(open_artefact(m).version for m in (tiny_model, RELEASED)),
    ]
    figures = {line.split("|")[1].strip(): [float(cell) for cell in line.split("|")[2:-1]] for line in out[2:]}
    macro = figures["test.jsonl: macro-F1"]
    assert macro[0] == 0 and macro[-1] == max(macro)
    assert figures["– implicit-denial (64)"][-1] > figures["– implicit-denial (64)"][0]
    # One that says nothing cannot flip.
    assert next(values for name, values in figures.items() if name.startswith("actors"))[0] == 0


def test_what_int8_costs(root: Path, tiny_model: Path) -> None:
    out = run(root, "quantization.py", tiny_model, "--test", root / "data" / "annotations" / "test.jsonl")
    assert json.loads(out[: out.index("}") + 1])["sentences"] > 3000
    assert "labels flipped: " in out
