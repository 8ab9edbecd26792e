"""What int8 costs: the light engine against the weights that it was made from, on the test split.

    communique train --out build/candidate
    python benchmarks/quantization.py build/candidate

Needs a model folder that has its fine-tuned weights (`communique train` without `--light`). Both give logits for the
same sentences; both are decided with the model's own calibration and thresholds, which were fitted on the light engine.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from evaluation.metrics import macro_f1
from model.artefact import LIGHT_GRAPH, TOKENIZER, TORCH_WEIGHTS, open_artefact
from model.batching import pad, plan_batches
from model.calibration import decide, probabilities
from model.classifier import load_tokenizer
from model.encoder import find_encoder
from model.engine import LightEngine
from model.errors import ArtefactError
from model.labels import LABELS
from model.records import read_records
from training.network import StanceNetwork

TEST = Path(__file__).parent.parent / "data" / "annotations" / "test.jsonl"


def full_precision(folder: Path, encoder: Path | None, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
    """Logits of the fine-tuned weights in fp32, float array (sentences, 4)."""
    if not (folder / TORCH_WEIGHTS).exists():
        raise ArtefactError(f"{folder}: has no {TORCH_WEIGHTS}; train without --light")
    network = StanceNetwork(find_encoder(encoder), 0.0)
    network.load_state_dict(load_file(folder / TORCH_WEIGHTS))
    network.eval()
    out = np.empty((len(token_ids), len(LABELS)), dtype=np.float32)
    with torch.inference_mode():
        for batch in plan_batches([len(ids) for ids in token_ids]):
            ids, mask = pad(batch, token_ids)
            out[list(batch.indices)] = network(torch.from_numpy(ids), torch.from_numpy(mask))[0].numpy()
    return out


def measure(folder: Path, encoder: Path | None, test: Path) -> dict[str, float]:
    """Flips of labels, macro-F1 of both, and the largest difference of logits."""
    manifest = open_artefact(folder)
    records = read_records(test)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    token_ids = [found.ids[: manifest.max_tokens] for found in tokenizer.encode_batch([r.text for r in records])]
    truth = np.array([[label in record.labels for label in LABELS] for record in records])
    logits = {
        "fp32": full_precision(folder, encoder, token_ids),
        "int8": LightEngine(folder / LIGHT_GRAPH).logits(token_ids),
    }
    holds = {
        name: decide(probabilities(found, manifest.calibration), manifest.thresholds) for name, found in logits.items()
    }
    return {
        "sentences": len(records),
        "flipped_labels": float((holds["fp32"] != holds["int8"]).mean()),
        "macro_f1_fp32": float(macro_f1(truth, holds["fp32"])),
        "macro_f1_int8": float(macro_f1(truth, holds["int8"])),
        "largest_difference_of_logits": float(np.abs(logits["fp32"] - logits["int8"]).max()),
    }


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder with weights.safetensors")
    parser.add_argument("--encoder", type=Path, help="pretrained encoder that the model was made from, if another")
    parser.add_argument("--test", type=Path, default=TEST, help="JSONL of records")
    given = parser.parse_args()
    found = measure(given.model, given.encoder, given.test)
    print(json.dumps(found, indent=2))
    lost = found["macro_f1_fp32"] - found["macro_f1_int8"]
    for name, value, most in (("labels flipped", found["flipped_labels"], 0.003), ("macro-F1 lost", lost, 0.003)):
        print(f"{name}: {value:.4f}, at most {most} wanted: {'met' if value <= most else 'missed'}")


if __name__ == "__main__":
    main()
