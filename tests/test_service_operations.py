"""The service while things change around it: promotion, workers killed, shutdown, and no word to anyone else."""

import asyncio
import gc
import os
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import psutil
import pytest
from conftest import communique
from servers import running, script

from model.artefact import RELEASED, read_manifest, write_manifest
from model.present import Promotion, Promotions
from serving.answering import LoadedModel
from serving.settings import Settings

SERVE = [script("communique"), "serve", "--port"]


def ask(client: httpx.Client, text: str = "They may come.") -> httpx.Response:
    return client.post("/v1/classify", json={"sentences": [text]})


def promote(home: Path, version: str, digest: str = "") -> None:
    """Write the file of promotions as the registry does: aside and renamed."""
    history = (Promotion(version=version, digest=digest, at="2026-11-28T00:00:00+00:00"),)
    aside = home / "aside.json"
    aside.write_text(Promotions(history=history).model_dump_json())
    aside.replace(home / "communique-promotions.json")


def store(home: Path, **thresholds: float) -> str:
    """A copy of the released model with other thresholds in the model store; its version."""
    manifest = read_manifest(RELEASED)
    manifest = manifest.model_copy(update={"thresholds": {**manifest.thresholds, **thresholds}})
    folder = home / "models" / "communique" / manifest.version / "artefact"
    shutil.copytree(RELEASED, folder)
    write_manifest(folder, manifest)
    return manifest.version


@contextmanager
def asking(client: httpx.Client) -> Iterator[list[httpx.Response]]:
    """Ask from several threads until the block ends; the answers."""
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def loop() -> None:
        with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as own:
            while not stop.is_set():
                answers.append(ask(own))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_for(condition, seconds: float = 120) -> None:
    for _ in range(int(seconds / 0.1)):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def test_a_promotion_is_taken_up_without_a_restart_or_a_lost_request(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with running(SERVE, home, tmp_path, COMMUNIQUE_POLL_SECONDS="0.2") as client:
        released = ask(client).json()["model"]["version"]
        with asking(client) as answers:
            version = store(home, hedge=1.0)
            promote(home, version)
            wait_for(lambda: client.get("/v1/model").json()["version"] == version)
            # One that cannot be loaded changes nothing.
            promote(home, "2026-01-01-00000000")
            wait_for(lambda: "new model not loaded" in (home / "server.log").read_text())
        assert {answer.status_code for answer in answers} == {200}
        for answer in map(httpx.Response.json, answers):
            expected = {released: ["hedge"], version: []}[answer["model"]["version"]]
            assert answer["results"][0]["labels"] == expected
        assert ask(client).json()["model"]["version"] == version


def workers_of(client: httpx.Client) -> list[psutil.Process]:
    """The processes that answer: children of the one that listens first."""
    port = client.base_url.port
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "_bentoml_impl.worker.service" in command:
            parent = process.parent()
            if parent is not None and str(port) in parent.cmdline():
                found.append(process)
    return found


def test_workers_share_the_weights_and_one_that_is_killed_loses_only_its_own_requests(tmp_path: Path) -> None:
    environment = {"COMMUNIQUE_WORKERS": "2", "COMMUNIQUE_THREADS": "1"}
    with running(SERVE, tmp_path / "home", tmp_path, **environment) as client:
        wait_for(lambda: client.get("/metrics").text.count("communique_model{") == 1)
        wait_for(
            lambda: any(
                line.startswith("communique_model") and line.endswith(" 2.0")
                for line in client.get("/metrics").text.splitlines()
            )
        )
        first, second = workers_of(client)
        for worker in (first, second):
            assert any(mapping.path.endswith("light.bin") for mapping in worker.memory_maps())
        lost: list[Exception] = []
        answers: list[httpx.Response] = []

        def loop(number: int) -> None:
            for turn in range(40):
                text = f"They may come, said speaker {number} on day {turn}."
                # A connection of its own for each request, so that both workers get some.
                try:
                    with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as own:
                        response = own.post("/v1/classify", json={"sentences": [{"id": text, "text": text}]})
                except httpx.TransportError as error:
                    lost.append(error)
                    continue
                assert response.json()["results"][0]["id"] == text
                answers.append(response)

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(loop, number) for number in range(4)]
            wait_for(lambda: len(answers) > 20)
            os.kill(first.pid, signal.SIGKILL)
            for future in done:
                future.result()
        assert {response.status_code for response in answers} == {200}
        # Those that were in its hands or on their way to it; at most one a client at a time.
        assert len(lost) <= 8
        assert second.is_running()
        assert ask(client).status_code == 200


def test_a_stopping_service_finishes_what_it_has_begun(tmp_path: Path) -> None:
    with running(SERVE, tmp_path / "home", tmp_path) as client:
        (worker,) = workers_of(client)
        sentences = [f"They may come, said speaker {number}." for number in range(600)]
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.post, "/v1/classify", json={"sentences": sentences})
            with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as other:
                wait_for(lambda: "communique_waiting_tokens 0.0" not in other.get("/metrics").text)
            parent = worker.parent()
            assert parent is not None
            parent.send_signal(signal.SIGTERM)
            assert answer.result(120).status_code == 200
        assert len(answer.result().json()["results"]) == 600


def test_modules_where_it_is_started_are_not_taken_for_its_own_and_paths_are_relative_to_there(tmp_path: Path) -> None:
    for name in ("serving/__init__.py", "model/__init__.py", "logging.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('not the module that was meant')")
    (tmp_path / "present").symlink_to(RELEASED)
    made = communique("key", "desk", "--scope", "feedback", "--keys", "keys.json", cwd=tmp_path)
    environment = {
        "COMMUNIQUE_MODEL": "present",
        "COMMUNIQUE_KEYS": "keys.json",
        "COMMUNIQUE_FEEDBACK": "corrections.jsonl",
    }
    with running(SERVE, tmp_path / "home", tmp_path, **environment) as client:
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        response = client.post("/v1/feedback", json={"text": "They may come.", "labels": ["hedge"]}, headers=headers)
        assert response.status_code == 201, response.text
    assert "They may come." in (tmp_path / "corrections.jsonl").read_text()


NO_NETWORK = """
import socket, os
def refuse(what):
    def guarded(*arguments, **options):
        target = arguments[1] if what == "connect" else arguments[0]
        host = target[0] if isinstance(target, tuple) else target
        if isinstance(host, (str, bytes)) and host not in ("127.0.0.1", "localhost", "::1", "", "0.0.0.0") \
                and not (isinstance(target, str) and what == "connect"):
            with open(os.environ["OUTBOUND"], "a") as stream:
                stream.write(f"{what} {target}\\n")
            raise OSError("no network here")
        return original[what](*arguments, **options)
    return guarded
original = {"connect": socket.socket.connect, "getaddrinfo": socket.getaddrinfo}
class Guarded(socket.socket):
    def connect(self, *arguments):
        return refuse("connect")(self, *arguments)
socket.socket = Guarded
socket.getaddrinfo = refuse("getaddrinfo")
"""


def test_nothing_is_asked_of_any_other_machine(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_NETWORK)
    asked = tmp_path / "outbound"
    environment = {"PYTHONPATH": str(site), "OUTBOUND": str(asked)}
    with running(SERVE, tmp_path / "home", tmp_path, **environment) as client:
        assert ask(client).status_code == 200
        (worker,) = workers_of(client)
        connections = [*worker.net_connections("inet"), *worker.parent().net_connections("inet")]
        far = [c for c in connections if c.raddr and c.raddr.ip != "127.0.0.1"]
        assert far == []
    assert not asked.exists(), asked.read_text()


class Collector(BaseHTTPRequestHandler):
    """Keeps what an OpenTelemetry exporter sends."""

    got: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.got.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_traces_go_to_the_collector_that_was_named_without_the_callers_text(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason='needs "communique[otel]"')
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    def spans():
        for body in Collector.got:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        with running(SERVE, tmp_path / "home", tmp_path, COMMUNIQUE_OTLP_ENDPOINT=endpoint) as client:
            answer = ask(client, "xylophone quarrel")
            wrong = client.post("/v1/classify", json={"sentences": ["x"], "xylophone": 1})
            assert (answer.status_code, wrong.status_code) == (200, 422)
            wait_for(lambda: sum(span.name == "POST /v1/classify" for span in spans()) == 2, 60)
        collector.shutdown()
    sent = b"".join(Collector.got)
    assert b"communique" in sent
    assert b"xylophone" not in sent
    (scored,) = (span for span in spans() if span.name == "score")
    (request,) = (span for span in spans() if span.span_id == scored.parent_span_id)
    assert request.name == "POST /v1/classify"
    names = [span.name for span in spans() if span.parent_span_id == request.span_id]
    assert [name for name in names if " " not in name] == ["read", "tokenise", "score", "write"]
    said = {item.key: item.value.string_value or item.value.int_value for item in scored.attributes}
    assert said == {"model": answer.json()["model"]["version"], "sentences": 1}


def test_a_model_that_no_longer_answers_is_freed_without_the_collector() -> None:
    # It never looks at what was there when the service got ready, and a model is a quarter of its memory.
    model = LoadedModel(RELEASED, Settings())
    asyncio.run(
        model.judge(["They may come.", "It rained on Tuesday, and nobody in the whole of the city said a word."])
    )
    model.scheduler.stop()
    kept = weakref.ref(model.scheduler), weakref.ref(model._classifier._engine)
    gc.disable()
    try:
        del model
        assert [each() for each in kept] == [None, None]
    finally:
        gc.enable()
