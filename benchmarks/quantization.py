"""What int8 costs: the light engine against the weights that it was made from, on the test split.

    communique train --out build/candidate
    python benchmarks/quantization.py build/candidate

Needs a model folder that has its fine-tuned weights (`communique train` without `--light`). Both give logits for the
same sentences; both are decided with the model's own calibration and thresholds, which were fitted on the light engine.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from evaluation.metrics import macro_f1
from model.artefact import LIGHT_GRAPH, TOKENIZER, open_artefact
from model.calibration import decide, probabilities
from model.classifier import load_tokenizer
from model.engine import LightEngine
from model.labels import LABELS
from model.records import read_records
from model.torch_engine import TorchEngine

TEST = Path(__file__).parent.parent / "data" / "annotations" / "test.jsonl"


def measure(folder: Path, test: Path) -> dict[str, float]:
    """Flips of labels, macro-F1 of both, and the largest difference of logits."""
    manifest = open_artefact(folder)
    records = read_records(test)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    token_ids = [found.ids[: manifest.max_tokens] for found in tokenizer.encode_batch([r.text for r in records])]
    truth = np.array([[label in record.labels for label in LABELS] for record in records])
    logits = {
        "fp32": TorchEngine(folder, "cpu").logits(token_ids),
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
    parser.add_argument("--test", type=Path, default=TEST, help="JSONL of records")
    given = parser.parse_args()
    found = measure(given.model, given.test)
    print(json.dumps(found, indent=2))
    lost = found["macro_f1_fp32"] - found["macro_f1_int8"]
    for name, value, most in (("labels flipped", found["flipped_labels"], 0.003), ("macro-F1 lost", lost, 0.003)):
        print(f"{name}: {value:.4f}, at most {most} wanted: {'met' if value <= most else 'missed'}")


if __name__ == "__main__":
    main()
