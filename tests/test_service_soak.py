"""Minutes of mixed load, and thousands of corrections with kills between them."""

import json
import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from servers import running, script

from model.classifier import StanceClassifier

pytestmark = pytest.mark.slow

SERVE = [script("communique"), "serve", "--port"]
SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))


def memory(port: int) -> float:
    """Megabytes of the processes that serve a port."""
    total = 0
    for process in psutil.process_iter(["cmdline"]):
        if str(port) in (process.info["cmdline"] or []):
            total += sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])
    return total / 1e6


def test_mixed_load_loses_and_mixes_up_nothing_and_memory_stays_flat(tmp_path: Path, root: Path) -> None:
    lines = (root / "data" / "annotations" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:400]
    texts = [json.loads(line)["text"] for line in lines]
    expected = dict(zip(texts, (p.scores for p in StanceClassifier.load().classify(texts)), strict=True))
    environment = {"COMMUNIQUE_MAX_BODY_BYTES": "300000"}
    with running(SERVE, tmp_path / "home", tmp_path, **environment) as client:
        stop = threading.Event()
        counted = {"answers": 0, "refused": 0}
        lock = threading.Lock()

        def good(seed: int) -> None:
            rng = random.Random(seed)
            with httpx.Client(base_url=client.base_url, timeout=120, trust_env=False) as own:
                while not stop.is_set():
                    chosen = rng.choices(texts, k=rng.choice([1, 1, 1, 8, 64]))
                    body = {"sentences": [{"id": str(n), "text": text} for n, text in enumerate(chosen)]}
                    response = own.post("/v1/classify", json=body)
                    if response.status_code == 429:
                        time.sleep(int(response.headers["retry-after"]))
                        continue
                    assert response.status_code == 200, response.text
                    results = response.json()["results"]
                    assert [result["id"] for result in results] == [str(n) for n in range(len(chosen))]
                    for text, result in zip(chosen, results, strict=True):
                        assert result["scores"] == pytest.approx(expected[text], abs=1e-3)
                    with lock:
                        counted["answers"] += len(chosen)

        def bad(seed: int) -> None:
            rng = random.Random(seed)
            bodies = [b"{", b'{"sentences": [7]}', b'{"sentences": []}', b"x" * 400_000, b'{"sentences": ["\\ud800"]}']
            with httpx.Client(base_url=client.base_url, timeout=120, trust_env=False) as own:
                while not stop.is_set():
                    headers = {"content-type": "application/json"}
                    response = own.post("/v1/classify", content=rng.choice(bodies), headers=headers)
                    assert response.status_code in (400, 413, 422)
                    with lock:
                        counted["refused"] += 1
                    time.sleep(0.02)

        def gone(seed: int) -> None:
            rng = random.Random(seed)
            while not stop.is_set():
                body = json.dumps({"sentences": rng.choices(texts, k=200)}).encode()
                lines = ["POST /v1/classify HTTP/1.1", "host: x", "content-type: application/json"]
                head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
                with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
                    connection.sendall(head.encode() + body[: rng.choice([10, len(body)])])
                    time.sleep(rng.random() / 2)

        with ThreadPoolExecutor(9) as pool:
            work = [pool.submit(good, n) for n in range(6)] + [pool.submit(bad, n) for n in range(2)]
            work.append(pool.submit(gone, 0))
            # Kernels of all shapes are prepared in the first third; from then on memory must not grow.
            time.sleep(SECONDS / 3)
            early = memory(client.base_url.port)
            time.sleep(SECONDS * 2 / 3)
            late = memory(client.base_url.port)
            stop.set()
            for future in work:
                future.result()
        assert counted["answers"] > 100 and counted["refused"] > 10
        assert late < early * 1.1
        assert client.post("/v1/classify", json={"sentences": ["It rained."]}).status_code == 200


def test_ten_thousand_corrections_with_kills_between_lose_none_that_was_acknowledged(tmp_path: Path) -> None:
    inbox = tmp_path / "home" / "communique-feedback.jsonl"
    acknowledged: set[str] = set()
    numbers = iter(range(10**9))
    while len(acknowledged) < 10_000:
        with running(SERVE, tmp_path / "home", tmp_path) as client:
            stop = threading.Event()

            def send(base: httpx.URL, stop: threading.Event) -> None:
                with httpx.Client(base_url=base, timeout=60, trust_env=False) as own:
                    while not stop.is_set():
                        text = f"They denied claim number {next(numbers)}."
                        try:
                            response = own.post("/v1/feedback", json={"text": text, "labels": ["denial"]})
                        except httpx.TransportError:
                            return
                        if response.status_code == 201:
                            acknowledged.add(text)

            goal = min(10_000, len(acknowledged) + 2_000)
            with ThreadPoolExecutor(4) as pool:
                for _ in range(4):
                    pool.submit(send, client.base_url, stop)
                while len(acknowledged) < goal:
                    time.sleep(0.01)
                for process in psutil.process_iter(["cmdline"]):
                    if str(client.base_url.port) in (process.info["cmdline"] or []):
                        for victim in [*process.children(recursive=True), process]:
                            victim.send_signal(signal.SIGKILL)
                stop.set()
        kept = {json.loads(line)["text"] for line in inbox.read_text(encoding="utf-8").split("\n")[:-1]}
        assert acknowledged <= kept
