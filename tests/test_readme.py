"""The README's commands are run, and its words about the command line are checked against it."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import accept_predictions, communique, write_dataset
from servers import running, script

from serving.settings import Settings


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def shell_lines(readme: str) -> list[str]:
    """Commands in the README's `sh` blocks, continued lines joined and comments cut off."""
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+# .*", "", line).strip() for line in lines if line.strip()]


BY_CI = {"make run", "make test"}
"""Run by `.ci/run`."""


def test_every_command_of_the_readme_works(
    readme: str, root: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(root / "examples", tmp_path / "examples")
    shutil.copytree(root / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "registry"))
    # A run on the whole dataset takes minutes; the same command on a small one shows that it works as written.
    small = ["--annotations", write_dataset(tmp_path / "small")]
    (tmp_path / "small-suites").mkdir()
    case = {"id": "k1", "suite": "known", "kind": "must-pass", "text": "It rained on Tuesday.", "labels": []}
    (tmp_path / "small-suites" / "known.jsonl").write_text(json.dumps(case) + "\n")
    shortened = {
        "train": [*small, "--encoder", tiny_encoder, "--epochs", "1", "--threads", "1"],
        "suggest": small,
        "compare": small,
        # Of so small a model much is missed.
        "promote": [*small, "--suites", tmp_path / "small-suites", "--force", "to see that it answers"],
    }
    lines = [line for line in shell_lines(readme) if line not in BY_CI]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        if words[:2] == ["communique", "serve"]:
            assert words[2:-1] == ["--port"]
            with running([script("communique"), *words[1:-1]], tmp_path / "home", tmp_path) as client:
                assert client.get("/readyz").status_code == 200
        elif words[0] == "communique":
            if words[1:3] == ["annotations", "import"]:  # people have done their part
                accept_predictions(Path("build/tasks.json"), Path("build/annotated.json"))
            done = communique(*words[1:], *shortened.get(words[1], []))
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        elif words[0] == "curl":
            with running([script("communique"), "serve", "--port"], tmp_path / "home", tmp_path) as client:
                asked = line.replace("localhost:3000", f"127.0.0.1:{client.base_url.port}")
                answer = subprocess.run(shlex.split(asked), capture_output=True, text=True, check=True).stdout
                assert [result["labels"] for result in json.loads(answer)["results"]] == [["denial"], ["hedge"]]
        else:
            pytest.fail(f"the README shows a command that no test runs: {line}")


def test_the_example_at_the_top_is_what_comes_out(readme: str) -> None:
    (asked, answer) = re.search(r"```console\n\$ communique classify (\".*?\")\n(.*?)\n```", readme).groups()
    assert communique("classify", *shlex.split(asked)).stdout.strip() == answer


def test_the_limits_in_the_readme_are_those_of_the_code(readme: str) -> None:
    assert f"{Settings().max_sentences:,} sentences" in readme
    help_text = communique("--help").stdout
    for command in re.findall(r"^communique (\w+)", "\n".join(shell_lines(readme)), re.MULTILINE):
        assert re.search(rf"^\s+{command}\s", help_text, re.MULTILINE), command
