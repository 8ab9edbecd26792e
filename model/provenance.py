"""What made an artefact or a report: package version, commit, library versions."""

import importlib.metadata
import subprocess
from collections.abc import Iterable
from pathlib import Path

from model.artefact import CodeEntry


def _commit() -> str | None:
    """Commit of the checkout that this file lies in, with `+` where the working tree differs; None outside one."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        # A package that is installed within some other repository has no commit there.
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True
        )
        return head + ("+" if changed.stdout.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def code_entry(libraries: Iterable[str]) -> CodeEntry:
    """What a report or an artefact says of the code that made it.

    Args:
        libraries: distributions whose versions matter to it.
    """
    return CodeEntry(
        version=importlib.metadata.version("communique"),
        commit=_commit(),
        libraries={name: importlib.metadata.version(name) for name in libraries},
    )
