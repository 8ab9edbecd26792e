"""The service under load, beside the bare engine and its peers, in one run on one machine.

    python benchmarks/serving.py                       # three rounds, all contestants; a quarter of an hour
    python benchmarks/serving.py --quick               # one short round, to see that it runs
    python benchmarks/serving.py --infinity VENV/bin/infinity_emb --json out.json

Contestants, each started anew in every round, the bare engine measured anew before each of them:

- ours: `communique serve`
- bento: the textbook BentoML service, one batchable method, on the same engine
- pipeline: a transformers pipeline in fp32 behind FastAPI
- infinity: infinity-emb's `/classify` in fp32, from an environment of its own that `--infinity` names

The last two use the encoder with a fresh head: the work is that of the trained model, the answers are not. Sentences
are those of the dataset. The bare engine is tokenising and inference in one process without HTTP, given the same sets
of sentences one after another; `sorted` is all of them at once. Every ratio is one of medians over the rounds.
"""

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from load import Load, Measured, ask, bodies_of, serving

from model.classifier import StanceClassifier
from model.encoder import find_encoder
from model.engine import available_threads
from model.records import read_records

HERE = Path(__file__).parent
LOADS = [Load(1, 1), Load(16, 1), Load(64, 1), Load(1, 32), Load(8, 32), Load(1, 512), Load(2, 512)]
SIZES = (1, 32, 512)
CONTESTANTS = ("ours", "bento", "pipeline", "infinity")

Figures = dict[str, float]


def sets_of(size: int) -> list[list[str]]:
    """Sets of so many sentences each, as they come in the dataset."""
    texts = [record.text for record in read_records(HERE.parent / "data" / "annotations" / "train.jsonl")][:2048]
    endless = cycle(texts)
    return [list(islice(endless, size)) for _ in range(max(4, len(texts) // size))]


def bare(seconds: float) -> Figures:
    """Sentences a second of the engine for each size of set and for all sorted; milliseconds of one sentence."""
    classifier = StanceClassifier.load()
    found: Figures = {}
    sets = {**{str(size): sets_of(size) for size in SIZES}, "sorted": sets_of(2048)[:1]}
    for name, given in sets.items():
        took = []
        end = time.perf_counter() + seconds
        for texts in cycle(given):
            began = time.perf_counter()
            classifier.classify(texts)
            took.append(time.perf_counter() - began)
            if time.perf_counter() > end:
                break
        # The first passes prepare kernels.
        kept = took[len(took) // 3 :]
        found[name] = len(given[0]) * len(kept) / sum(kept)
        if name == "1":
            found["one_ms"] = statistics.median(kept) * 1e3
    return found


def others(seconds: float) -> Figures:
    """Sentences a second of the same encoder in torch fp32 as sentences come, and in ONNX Runtime fp32, sorted."""
    import torch
    import transformers

    encoder = find_encoder().folder
    model = transformers.AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=4).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    texts = sets_of(2048)[0]

    def rate(run: Any, order: Sequence[str]) -> float:
        run(order[:32])
        began, done = time.perf_counter(), 0
        for at in cycle(range(0, len(order), 32)):
            run(order[at : at + 32])
            done += len(order[at : at + 32])
            if time.perf_counter() - began > seconds:
                return done / (time.perf_counter() - began)
        raise AssertionError

    def tensors(batch: Sequence[str], kind: str) -> Any:
        return tokenizer(list(batch), padding=True, truncation=True, max_length=256, return_tensors=kind)

    with torch.inference_mode():
        found = {"torch": rate(lambda batch: model(**tensors(batch, "pt")), texts)}
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        sample = dict(tensors(texts[:2], "pt"))
        rows, length = torch.export.Dim("rows"), torch.export.Dim("length")
        shapes = {name: {0: rows, 1: length} for name in sample}
        torch.onnx.export(model, (), path, kwargs=sample, dynamo=True, dynamic_shapes=shapes, external_data=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found["onnxruntime"] = rate(
            lambda batch: session.run(None, {k: v for k, v in tensors(batch, "np").items() if k in sample}),
            sorted(texts, key=len),
        )
    return found


def child(what: str, seconds: float) -> Figures:
    """Figures of the engine or of its peers, from a process of their own."""
    command = [sys.executable, __file__, "--child", what, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{what} failed:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def command_of(name: str, infinity: Path | None, folder: Path) -> tuple[list[str], str]:
    """How a contestant is started, its port left out, and where it says that it is ready."""
    scripts = Path(sys.executable).parent
    if name == "ours":
        return [str(scripts / "communique"), "serve", "--port"], "/readyz"
    if name == "bento":
        return [str(scripts / "bentoml"), "serve", "peer_bento:Textbook", "--port"], "/readyz"
    if name == "pipeline":
        return [sys.executable, "-m", "uvicorn", "peer_pipeline:app", "--log-level", "error", "--port"], "/readyz"
    options = ["--model-id", str(folder), "--engine", "torch", "--device", "cpu", "--dtype", "float32"]
    options += ["--no-model-warmup", "--no-bettertransformer", "--served-model-name", "stance", "--port"]
    return [str(infinity), "v2", *options], "/health"


def save_encoder(folder: Path) -> None:
    """The encoder with a fresh head of four, in a folder that infinity-emb can serve."""
    import transformers

    encoder = find_encoder().folder
    transformers.AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=4).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)


def bodies_for(name: str, size: int) -> list[bytes]:
    """Requests of one size for a contestant."""
    if name != "infinity":
        return bodies_of("sentences", sets_of(size))
    return [json.dumps({"model": "stance", "input": texts}).encode() for texts in sets_of(size)]


async def put_under_load(name: str, url: str, seconds: float) -> dict[str, Measured]:
    """All loads, each after a warm-up of its own."""
    path = "/classify" if name == "infinity" else "/v1/classify"
    found = {}
    for load in LOADS:
        bodies = bodies_for(name, load.sentences)
        await ask(url + path, load, bodies, seconds / 2)
        found[str(load)] = await ask(url + path, load, bodies, seconds)
    return found


def one_round(names: Sequence[str], seconds: float, infinity: Path | None, folder: Path) -> dict[str, Any]:
    """Every contestant once, each after the bare engine."""
    found: dict[str, Any] = {}
    for name in names:
        engine = child("bare", seconds)
        command, ready = command_of(name, infinity, folder)
        # In this folder the name `serving` is this file's, which only ours must not see.
        with serving(command, ready, HERE.parent if name == "ours" else HERE) as server:
            loads = asyncio.run(put_under_load(name, server.url, seconds))
            found[name] = {
                "engine": engine,
                "loads": {load: asdict(measured) for load, measured in loads.items()},
                "ready_seconds": server.ready_seconds,
                "megabytes": server.megabytes(),
            }
        print(f"{name}: {loads[str(Load(64, 1))].sentences_a_second:,.0f}/s at 64 × 1", file=sys.stderr, flush=True)
    return found | {"others": child("others", seconds)}


def middle(rounds: Sequence[dict[str, Any]], *path: str) -> float:
    """Median over the rounds of one figure."""
    values = []
    for round_ in rounds:
        value: Any = round_
        for part in path:
            value = value[part]
        values.append(value)
    return float(statistics.median(values))


def table(rounds: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """All loads of all contestants in Markdown."""
    lines = [
        "| clients × sentences | | requests/s | sentences/s | of bare engine | p50 ms | p95 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for load in LOADS:
        for name in names:
            figure = {key: middle(rounds, name, "loads", str(load), key) for key in asdict(Measured(0, 0, 0, 0, 0))}
            reference = "sorted" if load.sentences == 1 and load.clients > 1 else str(load.sentences)
            share = figure["sentences_a_second"] / middle(rounds, name, "engine", reference)
            lines.append(
                f"| {load} | {name} | {figure['requests_a_second']:,.1f} | {figure['sentences_a_second']:,.0f} "
                f"| {share:.0%} | {figure['p50']:,.1f} | {figure['p95']:,.1f} | {figure['p99']:,.1f} |"
            )
    lines += ["", "| | ready after s | MB |", "| --- | --- | --- |"]
    lines += [
        f"| {name} | {middle(rounds, name, 'ready_seconds'):.1f} | {middle(rounds, name, 'megabytes'):,.0f} |"
        for name in names
    ]
    engine = {key: middle(rounds, names[0], "engine", key) for key in (*map(str, SIZES), "sorted")}
    lines += ["", "| without HTTP | sentences/s |", "| --- | --- |"]
    lines += [
        f"| bare engine, {key if key == 'sorted' else 'sets of ' + key} | {rate:,.0f} |" for key, rate in engine.items()
    ]
    lines += [f"| {key} fp32 | {middle(rounds, 'others', key):,.0f} |" for key in rounds[0]["others"]]
    return "\n".join(lines)


def targets(rounds: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Each target with what was measured."""

    def ours(load: Load, key: str = "sentences_a_second") -> float:
        return middle(rounds, "ours", "loads", str(load), key)

    def engine(key: str) -> float:
        return middle(rounds, "ours", "engine", key)

    checks: list[tuple[str, float, float, bool]] = [
        ("1 × 32 of the bare engine on those sets", ours(Load(1, 32)) / engine("32"), 0.9, True),
        ("1 × 512 of the bare engine on those sets", ours(Load(1, 512)) / engine("512"), 0.9, True),
        ("2 × 512 of the bare engine on those sets", ours(Load(2, 512)) / engine("512"), 0.9, True),
        ("8 × 32, times 1 × 32", ours(Load(8, 32)) / ours(Load(1, 32)), 1.2, True),
        ("64 × 1 of the bare engine, sorted", ours(Load(64, 1)) / engine("sorted"), 0.55, True),
        ("64 × 1: p99 over p50", ours(Load(64, 1), "p99") / ours(Load(64, 1), "p50"), 1.6, False),
        ("1 × 1: p50 above the engine's own, ms", ours(Load(1, 1), "p50") - engine("one_ms"), 2, False),
        ("ready after, s", middle(rounds, "ours", "ready_seconds"), 5, False),
        ("memory, MB", middle(rounds, "ours", "megabytes"), 700, False),
    ]
    for name, times in (("infinity", 3.0), ("pipeline", 5.0)):
        if name in names:
            rate = middle(rounds, name, "loads", str(Load(8, 32)), "sentences_a_second")
            checks.append((f"8 × 32, times {name}", ours(Load(8, 32)) / rate, times, True))
    for name, times in (("torch", 5.0), ("onnxruntime", 2.5)):
        if name in rounds[0]["others"]:
            checks.append(
                (
                    f"bare engine sorted, times {name} fp32",
                    engine("sorted") / middle(rounds, "others", name),
                    times,
                    True,
                )
            )
    lines = ["| target | measured | wanted | |", "| --- | --- | --- | --- |"]
    for name, value, wanted, least in checks:
        met = value >= wanted if least else value <= wanted
        lines.append(f"| {name} | {value:.2f} | {'≥' if least else '≤'} {wanted:g} | {'met' if met else 'missed'} |")
    return "\n".join(lines)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds a load")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument(
        "--infinity", type=Path, help="the infinity_emb command of an installed infinity-emb[server,torch]"
    )
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, seconds = given.child
        print(json.dumps({"bare": bare, "others": others}[what](float(seconds))))
        return
    rounds, seconds = (1, 2.0) if given.quick else (given.rounds, given.seconds)
    names = [name for name in given.only if name != "infinity" or given.infinity]
    with tempfile.TemporaryDirectory() as folder:
        if given.infinity:
            save_encoder(Path(folder))
        found = [one_round(names, seconds, given.infinity, Path(folder)) for _ in range(rounds)]
    machine = f"{platform.machine()}, {available_threads()} cores, Python {platform.python_version()}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, medians of {rounds} rounds of {seconds:g} s a load\n")
    print(table(found, names))
    if "ours" in names:
        print("\n" + targets(found, names))
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "rounds": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
