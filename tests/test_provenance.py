"""What is said of the code that made an artefact."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SAY = "from model.provenance import code_entry; print(code_entry([]).commit)"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=desk", "-c", "user.email=desk@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit_said(packages: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(packages)}
    command = [sys.executable, "-c", SAY]
    return subprocess.run(
        command, cwd=packages, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_commit_is_that_of_the_code_and_not_of_a_repository_that_it_is_installed_in(
    root: Path, tmp_path: Path
) -> None:
    packages = tmp_path / ".venv"
    shutil.copytree(root / "model", packages / "model", ignore=shutil.ignore_patterns("released", "__pycache__"))
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text(".venv\n")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-m", "A project of someone's own")
    assert commit_said(packages) == "None"
    git(tmp_path, "add", "--force", ".venv/model")
    git(tmp_path, "commit", "-m", "The code itself")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit_said(packages) == head
    (packages / "model" / "labels.py").write_text((root / "model" / "labels.py").read_text() + "# changed\n")
    assert commit_said(packages) == f"{head}+"
