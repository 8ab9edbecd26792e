"""The example deployments name what the service really has, and the clients in the README work as shown."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from servers import running, script

from serving.settings import Settings, describe_settings

SETTINGS = {name for name, _ in describe_settings()}


def values(node: Any, key: str) -> Iterator[Any]:
    """Everything that stands under a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for item in node:
            yield from values(item, key)


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_the_settings_of_a_deployment_are_those_of_the_service(root: Path, name: str) -> None:
    text = (root / "examples" / name).read_text(encoding="utf-8")
    documents = list(yaml.safe_load_all(text))
    assert documents and all(documents)
    named = set(re.findall(r"COMMUNIQUE_\w+", text))
    assert named and named <= SETTINGS


def test_the_manifest_probes_what_is_there_and_leaves_time_to_drain(root: Path) -> None:
    documents = list(yaml.safe_load_all((root / "examples" / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert [document["kind"] for document in documents] == ["StatefulSet", "Service", "NetworkPolicy"]
    assert {probe["path"] for probe in values(documents, "httpGet")} == {"/livez", "/readyz"}
    (grace,) = values(documents, "terminationGracePeriodSeconds")
    assert grace > Settings().drain_seconds + 5
    (pod,) = values(documents[0], "template")
    mounted = {mount["name"] for mount in next(values(pod, "volumeMounts"))}
    offered = {volume["name"] for volume in next(values(pod, "volumes"))}
    offered |= {claim["metadata"]["name"] for claim in next(values(documents[0], "volumeClaimTemplates"))}
    assert mounted == offered


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("bentoml")
    with running([script("communique"), "serve", "--port"], home, home) as client:
        yield client


def block(root: Path, language: str, client: httpx.Client) -> str:
    """The README's one code block of a language, for the server of the test."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "http://localhost:3000" in code
    return code.replace("http://localhost:3000", str(client.base_url))


def test_the_python_client_of_the_readme(root: Path, client: httpx.Client) -> None:
    code = block(root, "python", client)
    code += "print(len(list(classify(['They may come.'] * 1000))))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['denial'] The ministry denied it.", "['hedge'] They may come.", "1000"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_javascript_of_the_readme(root: Path, client: httpx.Client) -> None:
    command = ["node", "--input-type=module", "--eval", block(root, "js", client)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["denial 0 23", "hedge 24 38"]


def test_the_curl_of_the_docs(root: Path, client: httpx.Client) -> None:
    docs = (root / "docs" / "serving.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```sh\n(curl .*?)```", docs, re.DOTALL)
    commands = shown.replace("http://localhost:3000", str(client.base_url)).strip().split("\n\n")
    assert len(commands) == 3
    answers = []
    for command in commands:
        done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
    assert answers[0]["results"][1]["id"] == "b"
    assert answers[1]["summary"]["sentences"] > 1
    assert answers[2]["id"].startswith("f")
