"""`communique average`: the mean of weights as a model of its own, and what cannot be averaged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SENTENCES, communique
from safetensors.numpy import load_file

from model.artefact import TORCH_WEIGHTS, describe_files, open_artefact, read_manifest, write_manifest
from model.classifier import StanceClassifier
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
    assert not out.exists()
    done = communique(
        "average", tiny_model, other_model, "--annotations", tiny_model.parent / "annotations", "--out", out
    )
    assert done.returncode == 0, done.stderr
    manifest = open_artefact(out)
    assert done.stdout.splitlines()[0] == f"{out}\t{manifest.version}"
    assert manifest.training == {
        "averaged": f"{open_artefact(tiny_model).version}, {open_artefact(other_model).version}"
    }
    first, second, mean = (load_file(folder / TORCH_WEIGHTS) for folder in (tiny_model, other_model, out))
    assert any(not np.array_equal(first[name], second[name]) for name in first)
    for name, found in mean.items():
        np.testing.assert_allclose(found, (first[name] + second[name]) / 2, rtol=1e-6, atol=1e-7)
    assert [path.name for path in tmp_path.iterdir()] == ["mean"]  # nothing left behind

    # Its light engine was made from these weights.
    classifier = StanceClassifier.load(out)
    ids = [item for item in classifier.encode([text for text, _ in SENTENCES[:60]]) if isinstance(item, list)]
    full = TorchEngine(out, "cpu", bf16=False).logits(ids)
    assert np.corrcoef(full.ravel(), classifier._engine.logits(ids).ravel())[0, 1] > 0.99


def test_models_that_do_not_fit_together_are_refused(tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    annotations, out = tiny_model.parent / "annotations", tmp_path / "mean"

    def refused(*models: Path) -> str:
        done = communique("average", *models, "--annotations", annotations, "--out", out)
        assert done.returncode in (2, 3) and "Traceback" not in done.stderr and not out.exists()
        return done.stderr

    assert "name two models or more" in refused(tiny_model)
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    assert f"{copy}: the same weights as {tiny_model}" in refused(tiny_model, copy)

    light = shutil.copytree(other_model, tmp_path / "light")
    for name in ("weights.safetensors", "encoder.json"):
        (light / name).unlink()
    write_manifest(light, read_manifest(light).model_copy(update={"files": describe_files(light)}))
    assert f"{light}: has no weights.safetensors" in refused(tiny_model, light)

    entry = open_artefact(other_model)
    stranger = shutil.copytree(other_model, tmp_path / "stranger")
    encoder = entry.encoder.model_copy(update={"sha256": "0" * 64})
    write_manifest(stranger, entry.model_copy(update={"encoder": encoder}))
    assert f"{stranger}: another encoder than {tiny_model}" in refused(tiny_model, stranger)
