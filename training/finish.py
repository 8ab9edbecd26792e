"""From a trained network to a model folder: export the light engine, calibrate it on dev, describe all of it."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import Tokenizer

from evaluation.metrics import average_precision, f1_scores
from model.artefact import (
    ENCODER_CONFIG,
    LIGHT_GRAPH,
    TOKENIZER,
    TORCH_WEIGHTS,
    CodeEntry,
    DataEntry,
    EncoderEntry,
    Manifest,
    Setting,
    describe_files,
    write_manifest,
)
from model.calibration import decide, probabilities
from model.engine import LightEngine
from model.labels import LABELS
from model.network import StanceNetwork
from training.calibrate import THRESHOLD, fit_calibration, running_text
from training.dataset import Annotations, truth_of
from training.export import export_light

LIBRARIES = ("torch", "transformers", "datasets", "openvino", "nncf", "scikit-learn", "tokenizers", "numpy")
"""What decides the bytes of a model folder besides our code."""


def finish(
    network: StanceNetwork,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    encoder: EncoderEntry,
    encoder_config: Path,
    sentences: Sequence[str],
    data: Annotations,
    max_tokens: int,
    trained_with: Mapping[str, Setting],
    code: CodeEntry,
    light: bool,
) -> Manifest:
    """Write the network and all that belongs to it; the manifest comes last.

    Args:
        folder: to make; what a run that was stopped left there goes.
        encoder_config: the configuration file that the network's encoder was made from.
        sentences: of the kind that the network learnt from, for the activation ranges of the int8 engine.
        data: its dev split is what calibration is fitted to.
        trained_with: what the manifest says of the training.
        light: leave out the torch weights.

    Raises:
        InputError: see `training.calibrate.fit_calibration`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    print("exporting the light engine", file=sys.stderr)
    export_light(network, _ids(tokenizer, sentences, max_tokens), folder / LIGHT_GRAPH)
    if not light:
        state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        save_file(state, folder / TORCH_WEIGHTS)
        shutil.copyfile(encoder_config, folder / ENCODER_CONFIG)
    tokenizer.save(str(folder / TOKENIZER))

    print("calibrating on dev", file=sys.stderr)
    dev = data.records["dev"]
    logits = LightEngine(folder / LIGHT_GRAPH).logits(_ids(tokenizer, [record.text for record in dev], max_tokens))
    truth = truth_of(dev)
    fitted = running_text(dev)
    calibration = fit_calibration(logits[fitted], truth[fitted])
    scores = probabilities(logits, calibration)
    thresholds = dict.fromkeys(LABELS, THRESHOLD)
    f1 = f1_scores(truth, decide(scores, thresholds))
    precision = average_precision(truth, scores)
    metrics = {f"dev_f1_{label}": round(float(f1[i]), 4) for i, label in enumerate(LABELS)}
    metrics |= {"dev_macro_f1": round(float(f1.mean()), 4), "dev_macro_ap": round(float(precision.mean()), 4)}
    manifest = Manifest(
        labels=LABELS,
        max_tokens=max_tokens,
        thresholds=thresholds,
        calibration=calibration,
        encoder=encoder,
        data=DataEntry(sha256=data.sha256, records=data.counts()),
        code=code,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training=dict(trained_with),
        metrics=metrics,
        files=describe_files(folder),
    )
    write_manifest(folder, manifest)
    return manifest


def _ids(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> list[list[int]]:
    return [found.ids[:limit] for found in tokenizer.encode_batch(list(texts))]
