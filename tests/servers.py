"""Real servers on loopback for the tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], home: Path, cwd: Path, **environment: str) -> Iterator[httpx.Client]:
    """Start a server whose command ends in its port, wait until it is ready, and end it with SIGTERM."""
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("BENTO", "COMMUNIQUE"))}
    env |= {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true", **environment}
    log = home / "server.log"
    home.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        server = subprocess.Popen(
            [*command, str(port)], cwd=cwd, env=env, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            for _ in range(600):
                if server.poll() is not None:
                    break
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200:
                        break
                time.sleep(0.1)
            else:
                server.send_signal(signal.SIGTERM)
            if server.poll() is not None:
                raise AssertionError(f"server ended early:\n{log.read_text()}")
            yield client
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.wait(30)


def script(name: str) -> str:
    """A console script of the environment that runs the tests."""
    return str(Path(sys.executable).parent / name)
