"""`communique average`: the mean of weights as a model of its own, and what cannot be averaged."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SENTENCES, communique
from safetensors.numpy import load_file

from model.artefact import TORCH_WEIGHTS, describe_files, open_artefact, read_manifest, write_manifest
from model.classifier import StanceClassifier
from model.errors import ArtefactError, CommuniqueError, InputError
from model.torch_engine import TorchEngine
from training.averaging import average


@pytest.fixture(scope="module")
def other_model(tiny_encoder: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same encoder and data, but of another seed."""
    out = tmp_path_factory.mktemp("other") / "model"
    done = communique(
        *("train", "--annotations", tiny_model.parent / "annotations", "--out", out, "--encoder", tiny_encoder),
        *("--epochs", "2", "--batch-size", "8", "--seed", "3", "--threads", "1"),
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_mean_of_two_models_is_a_model_also_after_a_stop(
    tiny_model: Path, other_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mean"

    def stop(_network: object, _tokenizer: object, folder: Path, **_: object) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("training.averaging.finish", stop)
    with pytest.raises(KeyboardInterrupt):
        average([str(tiny_model), str(other_model)], tiny_model.parent / "annotations", out)
    assert not list(tmp_path.iterdir())
    done = communique(
        "average", tiny_model, other_model, "--annotations", tiny_model.parent / "annotations", "--out", out
    )
    assert done.returncode == 0, done.stderr
    manifest = open_artefact(out)
    assert done.stdout.splitlines()[0] == f"{out}\t{manifest.version}"
    parts = [open_artefact(tiny_model), open_artefact(other_model)]
    assert manifest.training["averaged"] == f"{parts[0].version} | {parts[1].version}"
    assert (manifest.training["seed"], manifest.training["batch_size"]) == ("17 | 3", 8)
    assert manifest.training["data"] == parts[0].data.sha256
    first, second, mean = (load_file(folder / TORCH_WEIGHTS) for folder in (tiny_model, other_model, out))
    assert any(not np.array_equal(first[name], second[name]) for name in first)
    for name, found in mean.items():
        np.testing.assert_allclose(found, (first[name] + second[name]) / 2, rtol=1e-6, atol=1e-7)
    assert [path.name for path in tmp_path.iterdir()] == ["mean"]  # nothing left behind

    # Its light engine was made from these weights, and by the same graph as theirs.
    classifier = StanceClassifier.load(out)
    ids = [item for item in classifier.encode([text for text, _ in SENTENCES[:60]]) if isinstance(item, list)]
    light = classifier._engine.logits(ids)

    def distance(folder: Path) -> float:
        return float(np.abs(TorchEngine(folder, "cpu", bf16=False).logits(ids) - light).mean())

    assert distance(out) < min(distance(tiny_model), distance(other_model)) / 2
    assert layers(out) == layers(tiny_model)

    # A mean that is averaged again is one part, and tells of its own.
    models = (out, tiny_model, "--annotations", tiny_model.parent / "annotations")
    done = communique("average", *models, "--out", tmp_path / "nested")
    assert done.returncode == 0, done.stderr
    nested = open_artefact(tmp_path / "nested")
    assert nested.training["averaged"] == f"{manifest.version} | {parts[0].version}"
    assert nested.training["part_averaged"] == f"({manifest.training['averaged']}) | None"
    assert nested.training["seed"] == "(17 | 3) | 17"


def layers(folder: Path) -> list[str]:
    return re.findall(r'<layer [^>]*type="(\w+)"', (folder / "light.xml").read_text())


def test_models_that_do_not_fit_together_are_refused(tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    annotations, out = tiny_model.parent / "annotations", tmp_path / "mean"

    def refused(kind: type[CommuniqueError], *models: Path, out: Path = out) -> str:
        with pytest.raises(kind) as caught:
            average([str(model) for model in models], annotations, out)
        assert sorted(path.name for path in tmp_path.iterdir()) == made
        return str(caught.value)

    def changed(name: str, file: str = "", **manifest: Any) -> Path:
        folder = shutil.copytree(other_model, tmp_path / name)
        if file:
            with (folder / file).open("a") as stream:
                stream.write("\n")
        update = {"files": describe_files(folder)} | manifest
        write_manifest(folder, read_manifest(folder).model_copy(update=update))
        made.append(name)
        made.sort()
        return folder

    made: list[str] = []
    assert "name two models or more" in refused(InputError, tiny_model)
    copy = changed("copy")
    assert f"{copy}: the same weights as {other_model}" in refused(InputError, tiny_model, other_model, copy)
    assert f"{copy / 'mean'}: lies in the model {copy}" in refused(InputError, tiny_model, copy, out=copy / "mean")
    assert f"{copy}: exists already" in refused(InputError, tiny_model, other_model, out=copy)

    light = changed("light")
    (light / "weights.safetensors").unlink()
    write_manifest(light, read_manifest(light).model_copy(update={"files": describe_files(light)}))
    assert f"{light}: has no weights.safetensors, so its network cannot be made" in refused(
        ArtefactError, tiny_model, light
    )

    encoder = read_manifest(other_model).encoder.model_copy(update={"sha256": "0" * 64})
    for what, stranger in (
        ("encoder", changed("encoder", encoder=encoder)),
        ("encoder configuration", changed("configuration", "encoder.json")),
        ("tokenizer", changed("tokenizer", "tokenizer.json")),
        ("max_tokens", changed("tokens", max_tokens=128)),
    ):
        assert f"{stranger}: another {what} than {tiny_model}" in refused(InputError, tiny_model, stranger)


def test_what_cannot_be_averaged_is_said_in_one_line(tiny_model: Path, tmp_path: Path) -> None:
    done = communique(
        "average", tiny_model, "--annotations", tiny_model.parent / "annotations", "--out", tmp_path / "m"
    )
    assert done.returncode == 2 and "name two models or more" in done.stderr and "Traceback" not in done.stderr


def test_averaging_is_not_for_torchrun(
    tiny_model: Path, other_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="start it without torchrun"):
        average([str(tiny_model), str(other_model)], tiny_model.parent / "annotations", tmp_path / "mean")
    assert not list(tmp_path.iterdir())
