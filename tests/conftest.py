"""Shared by the tests: the slow tier, and a tiny trained model made on the spot."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["BENTOML_DO_NOT_TRACK"] = "true"
# What is promoted on the machine that runs the tests must not answer in them.
os.environ["BENTOML_HOME"] = tempfile.mkdtemp(prefix="communique-tests-")
os.environ.pop("COMMUNIQUE_PUBLIC_KEY", None)
atexit.register(shutil.rmtree, os.environ["BENTOML_HOME"], ignore_errors=True)

# A shell without job control starts background jobs with the interrupt ignored, and their children inherit that; the
# tests of Ctrl-C need it back.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, in the Hugging Face layout, with a word-level vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text, _ in SENTENCES for word in text.lower().replace(".", " .").split()})
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=300,
    )
    BertModel(config).save_pretrained(folder)
    return folder


SENTENCES = [
    (text.format(actor), labels)
    for actor in (
        *("Kenya", "Peru", "Norway", "Japan", "Chile", "Malta", "Ghana", "Nepal", "Serbia", "Fiji", "Iran", "Oman"),
        *("Spain", "Egypt", "Cuba", "India", "Poland", "Togo", "Qatar", "Kosovo", "Laos", "Haiti", "Sudan", "Tonga"),
    )
    for text, labels in [
        ("{} will punish its neighbour.", ["threat"]),
        ("{} denied the report.", ["denial"]),
        ("{} backs the treaty.", ["support"]),
        ("{} may hold an election.", ["hedge"]),
        ("{} may punish its neighbour.", ["threat", "hedge"]),
        ("{} held an election.", []),
    ]
]


def record_line(number: int, text: str, labels: list[str], **more: object) -> str:
    """One record as a JSON line."""
    return json.dumps({"id": f"r{number}", "text": text, "stances": [{"label": label} for label in labels]} | more)


def write_dataset(folder: Path) -> Path:
    """A small valid dataset in the splits where its ids belong."""
    from training.splits import SPLITS, split_of

    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for number, (text, labels) in enumerate(SENTENCES):
        lines[split_of(f"r{number}")].append(record_line(number, text, labels))
    for split, content in lines.items():
        (folder / f"{split}.jsonl").write_text("\n".join(content) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "annotations")


def accept_predictions(tasks: Path, annotated: Path) -> None:
    """Label Studio's export of tasks whose predictions a person has submitted as they stood."""
    given = json.loads(tasks.read_text(encoding="utf-8"))
    for number, task in enumerate(given, 1):
        [prediction] = task["predictions"]
        task["annotations"] = [
            {"id": number, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "lead_time": 4.288}
            | {"result": prediction["result"], "prediction": prediction, "parent_prediction": number}
        ]
    annotated.write_text(json.dumps(given), encoding="utf-8")


def communique(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the console command as a user does."""
    command = [str(Path(sys.executable).parent / "communique"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **options)  # type: ignore[call-overload, no-any-return]


TINY = ("--epochs", "12", "--patience", "12", "--learning-rate", "0.005", "--batch-size", "8", "--threads", "1")
"""Options with which the tiny encoder learns the small dataset; a second thread would only wait for the first."""


@pytest.fixture(scope="session")
def tiny_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder trained on the small dataset."""
    folder = tmp_path_factory.mktemp("tiny")
    out = folder / "model"
    done = communique(
        *("train", "--annotations", write_dataset(folder / "annotations"), "--out", out, "--encoder", tiny_encoder),
        *TINY,
    )
    assert done.returncode == 0, done.stderr
    return out
