"""Clients that ask a service as fast as it answers, and the processes of a service that is under load."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import aiohttp
import psutil


@dataclass(frozen=True)
class Load:
    """So many clients, each of which asks again once it has its answer, with so many sentences a request."""

    clients: int
    sentences: int

    def __str__(self) -> str:
        """As in the tables."""
        return f"{self.clients} × {self.sentences}"


@dataclass(frozen=True)
class Measured:
    """Rates, and percentiles of the time of a request in milliseconds."""

    requests_a_second: float
    sentences_a_second: float
    p50: float
    p95: float
    p99: float


async def ask(url: str, load: Load, bodies: Sequence[bytes], seconds: float) -> Measured:
    """Put a service under load; every answer must be a success.

    Args:
        bodies: JSON to send, taken in turns by all clients.
    """
    took: list[float] = []
    turn = iter(range(10**9))
    end = time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=load.clients)
    async with aiohttp.ClientSession(connector=connector, headers={"content-type": "application/json"}) as session:

        async def client() -> None:
            while time.perf_counter() < end:
                body = bodies[next(turn) % len(bodies)]
                began = time.perf_counter()
                async with session.post(url, data=body) as response:
                    answer = await response.read()
                    if response.status != 200:
                        raise RuntimeError(f"{url} answered {response.status}: {answer[:200]!r}")
                took.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(load.clients)))
        spent = time.perf_counter() - began
    cuts = quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
    rate = len(took) / spent
    return Measured(rate, rate * load.sentences, median(took) * 1e3, cuts[94] * 1e3, cuts[98] * 1e3)


@dataclass(frozen=True)
class Server:
    """A running service."""

    url: str
    process: psutil.Process
    ready_seconds: float

    def megabytes(self) -> float:
        """Memory of all its processes, what they share counted once (PSS)."""
        total = 0
        for process in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 1e6


@contextlib.contextmanager
def serving(command: Sequence[str], ready: str, cwd: Path) -> Iterator[Server]:
    """Start a service whose command ends in its port, and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "true", "HF_HUB_OFFLINE": "1"}
        log = Path(home) / "log"
        began = time.perf_counter()
        with log.open("w") as stream:
            server = subprocess.Popen(
                [*command, str(port)],
                cwd=cwd,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            )
        try:
            while not _answers(port, ready):
                if server.poll() is not None or time.perf_counter() - began > 300:
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.02)
            seconds = time.perf_counter() - began
            yield Server(f"http://127.0.0.1:{port}", psutil.Process(server.pid), seconds)
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


def _answers(port: int, path: str) -> bool:
    """Whether the service answers 200 at a path."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        return b" 200 " in connection.recv(100)
    return False


def bodies_of(field: str, sets: Sequence[Sequence[str]]) -> list[bytes]:
    """The JSON of each set of sentences."""
    return [json.dumps({field: list(texts)}).encode() for texts in sets]
