"""`bentofile.yaml` builds a bento that answers from another folder, without torch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import running, script

NO_TORCH = """
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "datasets", "sklearn", "nncf", "training", "evaluation"):
            raise ImportError(name + " must not be needed to answer")
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def bento(root: Path, tmp_path: Path) -> Path:
    """A bento built from a copy of the checkout, so that nothing outside it can be leant on."""
    checkout = tmp_path / "checkout"
    shutil.copytree(
        root, checkout, ignore=shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".mypy_cache")
    )
    home = tmp_path / "home"
    built = subprocess.run(
        [script("bentoml"), "build"],
        cwd=checkout,
        env=os.environ | {"BENTOML_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    shutil.rmtree(checkout)
    (folder,) = (path for path in (home / "bentos" / "communique").iterdir() if path.is_dir())
    return folder


def test_the_bento_answers_from_anywhere_without_torch(bento: Path, tmp_path: Path) -> None:
    inside = {path.relative_to(bento / "src").parts[0] for path in (bento / "src").rglob("*") if path.is_file()}
    assert {"model", "serving"} <= inside
    assert not {"training", "evaluation", "data", "tests"} & inside
    requirements = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "openvino" in requirements and "torch" not in requirements
    assert "FROM python:3.11-slim" in (bento / "env" / "docker" / "Dockerfile").read_text()
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_TORCH)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [script("bentoml"), "serve", str(bento), "--port"]
    with running(command, tmp_path / "served", elsewhere, PYTHONPATH=str(site)) as client:
        response = client.post("/v1/classify", json={"sentences": ["The ministry denied it.", "It rained."]})
        assert response.status_code == 200, response.text
        results = response.json()["results"]
        assert [result["labels"] for result in results] == [["denial"], []]
        manifest = json.loads((bento / "src" / "model" / "released" / "manifest.json").read_text())
        assert response.json()["model"]["version"].startswith(manifest["created"][:10])
        assert "<title>Communiqué</title>" in client.get("/").text
