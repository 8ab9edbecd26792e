"""Sentences a second from a JSON Lines archive to scored rows, side by side on one machine and one encoder.

    python benchmarks/archive.py                          # 20,000 sentences, three rounds, all contestants
    python benchmarks/archive.py --sentences 2000 --rounds 1 --only bare ours
    python benchmarks/archive.py --only --growth 10000 100000 1000000 --plan docs/ten-billion.md

Contestants, each in a process of its own, taking turns round by round:

- bare: the light engine alone on tokenised sentences in memory, a shard at a time; what the machine can give
- ours: `communique score --out`: reading, splitting, tokenising, inference, Parquet, marks, reconciliation
- ours-ray: the same with `--engine ray`, actors on all cores
- naive: sentences split, then a transformers pipeline in fp32, batches of 32 as they come, into Parquet
- datasets: the same pipeline called from `datasets.map`
- ray: the same pipeline in Ray Data actors, batches of 32

The last three use the encoder with a fresh head: the work is that of the trained model in torch, the answers are not.
All but bare read the same file and write Parquet; loading a model counts for ours, not for the others. Sentences are
those of the dataset, made distinct by a running number after the first word, so that no cache helps.

Growth runs ours on archives of rising size: the rate and the memory should stay where they are. From its largest run
the plan for ten billion sentences is reckoned.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

# This folder comes first on the path, and holds a serving.py that is not the package.
sys.path.insert(0, str(Path(__file__).parent.parent))

from ten_billion import plan

from model.classifier import StanceClassifier
from model.encoder import find_encoder
from model.engine import available_threads
from model.files import write_aside
from model.records import read_records
from serving.archive.run import SHARD_CHARACTERS, Settings, score_archive
from serving.sentences import split_sentences

ROOT = Path(__file__).parent.parent
PER_DOCUMENT = 12
BATCH = 32


def write_archive(path: Path, sentences: int) -> None:
    """Documents of twelve sentences each; a blank line between sentences, so that all contestants split alike."""
    texts = [record.text for record in read_records(ROOT / "data" / "annotations" / "train.jsonl")]
    # Inside the sentence: at its end many a number would be split off, and the rest be a sentence seen before.
    numbered = (text.replace(" ", f" {number} ", 1) for number, text in enumerate(islice(cycle(texts), sentences)))
    with path.open("w", encoding="utf-8") as stream:
        number = 0
        while chunk := list(islice(numbered, PER_DOCUMENT)):
            stream.write(json.dumps({"id": f"d{number}", "text": "\n\n".join(chunk)}, ensure_ascii=False) + "\n")
            number += 1


def sentences_of(archive: Path) -> Iterator[str]:
    """The sentences of the archive, split as ours are."""
    with archive.open(encoding="utf-8") as stream:
        for line in stream:
            for sentence in split_sentences(json.loads(line)["text"]):
                yield sentence.text


def pipeline() -> Callable[[list[str]], list[Any]]:
    """The naive loop: a transformers pipeline on the encoder with a fresh head, batches as they come."""
    import transformers

    encoder = find_encoder()
    transformers.logging.set_verbosity_error()
    load = {"local_files_only": True, "trust_remote_code": False}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(encoder.folder, num_labels=4, **load)
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder.folder, **load)
    classify = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    return lambda texts: classify(texts, batch_size=BATCH, truncation=True, max_length=256, function_to_apply="sigmoid")


def write_parquet(path: Path, texts: list[str], scores: list[list[float]]) -> None:
    """Texts with their four scores."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": texts, "scores": scores}), path)


def flat(answers: list[Any]) -> list[list[float]]:
    """The pipeline's answers as four scores a sentence."""
    return [[entry["score"] for entry in sorted(answer, key=lambda e: e["label"])] for answer in answers]


def bare(archive: Path, out: Path) -> float:
    """Seconds of the light engine alone."""
    classifier = StanceClassifier.load(offline=True)
    encoded = [ids for ids in classifier.encode(list(sentences_of(archive))) if isinstance(ids, list)]
    mean = sum(map(len, sentences_of(archive))) / len(encoded)
    step = max(1, int(SHARD_CHARACTERS / mean))
    began = time.perf_counter()
    for at in range(0, len(encoded), step):
        classifier.probabilities(encoded[at : at + step])
    return time.perf_counter() - began


def ours(archive: Path, out: Path) -> float:
    """Seconds of a whole run."""
    began = time.perf_counter()
    score_archive([str(archive)], out, Settings())
    return time.perf_counter() - began


def again(archive: Path, out: Path) -> float:
    """Seconds of the same run once more, which finds all shards done: what a driver does besides scoring."""
    return ours(archive, out)


def ours_ray(archive: Path, out: Path) -> float:
    """Seconds of a whole run on a local Ray."""
    from serving.archive.cluster import RayEngine

    began = time.perf_counter()
    score_archive([str(archive)], out, Settings(), engine=RayEngine(None, available_threads()))
    return time.perf_counter() - began


def naive(archive: Path, out: Path) -> float:
    """Seconds of the naive loop."""
    classify = pipeline()
    began = time.perf_counter()
    texts = list(sentences_of(archive))
    write_parquet(out.with_suffix(".parquet"), texts, flat(classify(texts)))
    return time.perf_counter() - began


def by_datasets(archive: Path, out: Path) -> float:
    """Seconds of the naive loop in `datasets.map`."""
    import datasets

    datasets.disable_progress_bars()
    classify = pipeline()
    began = time.perf_counter()
    rows = datasets.Dataset.from_dict({"text": list(sentences_of(archive))})
    rows.map(lambda batch: {"scores": flat(classify(batch["text"]))}, batched=True, batch_size=BATCH).to_parquet(
        out.with_suffix(".parquet")
    )
    return time.perf_counter() - began


class _Pipeline:
    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self._classify = pipeline()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"text": batch["text"], "scores": flat(self._classify(list(batch["text"])))}


def by_ray(archive: Path, out: Path) -> float:
    """Seconds of the naive loop in Ray Data actors."""
    import ray

    ray.init(num_cpus=available_threads() + 1, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    began = time.perf_counter()
    rows = ray.data.from_items([{"text": text} for text in sentences_of(archive)])
    workers = ray.data.ActorPoolStrategy(size=available_threads())
    rows.map_batches(_Pipeline, batch_size=BATCH, compute=workers).write_parquet(str(out))
    return time.perf_counter() - began


CONTESTANTS: dict[str, Callable[[Path, Path], float]] = {
    "bare": bare,
    "ours": ours,
    "again": again,
    "ours-ray": ours_ray,
    "naive": naive,
    "datasets": by_datasets,
    "ray": by_ray,
}


def run_child(name: str, folder: str) -> dict[str, float]:
    """Seconds and peak memory (MB) of one contestant in a process of its own."""
    command = [sys.executable, __file__, "--child", name, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, sentences: int) -> dict[str, float]:
    """Seconds, sentences a second, peak memory (MB, of the process itself), and sizes, of one contestant."""
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "archive.jsonl", Path(folder) / "out"
        write_archive(archive, sentences)
        found = run_child(name, folder)
        found |= {"rate": sentences / found["seconds"], "bytes_in": archive.stat().st_size / sentences}
        if name == "ours":
            found["again"] = run_child("again", folder)["seconds"]
            found["shards"] = len(list(out.glob("marks/*/*.rejected.jsonl")))
            found["bytes_out"] = sum(path.stat().st_size for path in out.rglob("*.parquet")) / sentences
    return found


def child(name: str, folder: Path) -> None:
    """Run one contestant and print its figures."""
    seconds = CONTESTANTS[name](folder / "archive.jsonl", folder / "out")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def compare(names: list[str], sentences: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """All contestants in turns, and a table of medians."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names:
            found[name].append(measure(name, sentences))
            print(f"round {turn + 1}: {name} {found[name][-1]['rate']:,.0f}/s", file=sys.stderr, flush=True)
    rates = {name: statistics.median(run["rate"] for run in runs) for name, runs in found.items()}
    print(f"\n{sentences:,} sentences, {available_threads()} cores, median of {rounds}")
    print(f"{'':10}{'sentences/s':>12}{'peak MB':>10}{'of bare':>9}{'x naive':>9}")
    for name, rate in rates.items():
        share = f"{rate / rates['bare']:.0%}" if "bare" in rates else "–"
        times = f"{rate / rates['naive']:.1f}" if "naive" in rates else "–"
        peak = max(run["peak"] for run in found[name])
        print(f"{name:10}{rate:>12,.0f}{peak:>10,.0f}{share:>9}{times:>9}")
    return found


def grow(sizes: list[int]) -> dict[int, dict[str, float]]:
    """Rate and memory of ours as the archive grows."""
    print(f"\n{'sentences':>12}{'sentences/s':>12}{'peak MB':>10}{'shards':>8}{'again, s':>10}")
    found = {}
    for size in sizes:
        row = found[size] = measure("ours", size)
        print(
            f"{size:>12,}{row['rate']:>12,.0f}{row['peak']:>10,.0f}{row['shards']:>8.0f}{row['again']:>10.1f}",
            flush=True,
        )
    return found


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    choices = [name for name in CONTESTANTS if name != "again"]
    parser.add_argument("--only", nargs="*", choices=choices, default=choices, help="none: growth alone")
    parser.add_argument("--growth", nargs="*", type=int, default=[], metavar="SENTENCES")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="write the plan for ten billion sentences there")
    parser.add_argument("--cores", type=int, default=32, help="of a node of the plan")
    parser.add_argument("--nodes", type=int, default=100, help="of the plan")
    parser.add_argument("--price", type=float, default=1.5, help="of a node-hour of the plan")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child[0], Path(given.child[1]))
    if given.plan and not given.growth:
        parser.error("--plan needs --growth, from whose largest run it is reckoned")
    compared = compare(given.only, given.sentences, given.rounds) if given.only else {}
    grown = grow(given.growth) if given.growth else {}
    if given.plan:
        with write_aside(given.plan) as stream:
            stream.write(plan(grown, given.cores, given.nodes, given.price))
    if given.json:
        given.json.write_text(json.dumps({"compared": compared, "growth": grown}, indent=2) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
