"""What the service refuses before it works: keys first, then limits; and what happens to those who hang up."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import communique
from servers import running, script

from serving.settings import Settings, describe_settings

LIMITS = {
    "COMMUNIQUE_MAX_BODY_BYTES": "200000",
    "COMMUNIQUE_MAX_SENTENCES": "5000",
    "COMMUNIQUE_MAX_CHARACTERS": "500",
    "COMMUNIQUE_MAX_TOKENS": "20",
    "COMMUNIQUE_MAX_WAITING_TOKENS": "40000",
    "COMMUNIQUE_MAX_SECONDS": "6",
    "COMMUNIQUE_MAX_FEEDBACK_BYTES": "300",
    "COMMUNIQUE_CORS_ORIGINS": "https://desk.example, https://lab.example",
}


def key(path: Path, name: str, *scopes: str) -> dict[str, str]:
    done = communique("key", name, "--keys", path, *(word for scope in scopes for word in ("--scope", scope)))
    assert done.returncode == 0, done.stderr
    return {"authorization": f"Bearer {done.stdout.strip()}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limited")


@pytest.fixture(scope="module")
def reader(folder: Path) -> dict[str, str]:
    return key(folder / "keys.json", "reader", "read")


@pytest.fixture(scope="module")
def client(folder: Path, reader: dict[str, str]) -> Iterator[httpx.Client]:
    environment = LIMITS | {"COMMUNIQUE_KEYS": str(folder / "keys.json")}
    with running([script("communique"), "serve", "--port"], folder / "home", folder, **environment) as client:
        client.headers.update(reader)
        yield client


def classify(client: httpx.Client, *sentences: str, **options: object) -> httpx.Response:
    return client.post("/v1/classify", json={"sentences": sentences}, **options)  # type: ignore[arg-type]


def test_keys_come_before_everything_else(client: httpx.Client, folder: Path) -> None:
    for headers in ({"authorization": ""}, {"authorization": "Bearer cq_wrong"}, {"authorization": "Basic eDp5"}):
        for response in (
            client.post("/v1/classify", content=b"x" * 300_000, headers=headers),
            client.get("/v1/model", headers=headers),
            client.get("/metrics", headers=headers),
            client.get("/v1/nothing", headers=headers),
        ):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == "application/problem+json"
    open_to_all = {"authorization": ""}
    assert {
        client.get(path, headers=open_to_all).status_code for path in ("/", "/livez", "/readyz", "/openapi.json")
    } == {200}


def test_scopes_and_changes_of_the_keys(client: httpx.Client, folder: Path) -> None:
    correction = {"text": "It was denied.", "labels": ["denial"]}
    assert client.post("/v1/feedback", json=correction).status_code == 403
    path = folder / "keys.json"
    desk = key(path, "desk", "feedback")
    assert client.post("/v1/feedback", json=correction, headers=desk).status_code == 201
    assert classify(client, "It rained.", headers=desk).status_code == 403
    assert json.loads((folder / "home" / "communique-feedback.jsonl").read_text())["annotator"] == "desk"
    known = json.loads(path.read_text())
    known["keys"] = [entry for entry in known["keys"] if entry["name"] != "desk"]
    path.write_text(json.dumps(known))
    assert client.post("/v1/feedback", json=correction, headers=desk).status_code == 401
    path.write_text("not keys")  # a slip of the editor shuts nobody out
    assert classify(client, "It rained.").status_code == 200
    assert not any(part in path.read_text() for part in ("cq_", desk["authorization"][7:]))


def test_a_full_inbox_says_so(client: httpx.Client, folder: Path) -> None:
    (folder / "keys.json").write_text('{"keys": []}')
    desk = key(folder / "keys.json", "desk2", "feedback", "read")
    client.headers.update(desk)
    long = {"text": "x" * 290, "labels": []}
    refused = client.post("/v1/feedback", json=long)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0


def test_bodies_over_the_limit_are_refused_declared_or_not(client: httpx.Client) -> None:
    body = json.dumps({"sentences": ["x" * 200_000]}).encode()

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    for content in (body, chunks()):
        response = client.post("/v1/classify", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 413
        assert "at most 200000 bytes" in response.json()["detail"]


def test_packed_bodies_are_refused_unread(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps({"sentences": ["fine"]}).encode())
    for encoding in ("gzip", "deflate", "zstd", "br", "identity, gzip"):
        headers = {"content-type": "application/json", "content-encoding": encoding}
        response = client.post("/v1/classify", content=body, headers=headers)
        assert response.status_code == 415
        assert response.headers["accept-encoding"] == "identity"


def test_sentences_characters_and_tokens_have_their_limits(client: httpx.Client) -> None:
    assert classify(client, *["fine"] * 5001).status_code == 413
    long, many = classify(client, "x" * 501, "word " * 30).json()["results"]
    assert long["error"] == {"code": "too_long", "detail": "has 501 characters; at most 500 can be judged"}
    assert many["error"] == {"code": "too_many_tokens", "detail": "32 tokens; at most 20 can be judged"}


def test_what_may_never_wait_is_too_large(client: httpx.Client) -> None:
    response = classify(client, *["one two three four five six seven eight nine ten"] * 3000)
    assert response.status_code == 413
    assert "at most 40000" in response.json()["detail"]


def test_beyond_the_bound_on_waiting_work_429_comes_at_once(client: httpx.Client) -> None:
    sentences = ["one two three four five"] * 4500
    statuses = []

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=60, trust_env=False) as other:
            response = classify(other, *sentences)
            statuses.append(response.status_code)
            if response.status_code == 429:
                assert int(response.headers["retry-after"]) >= 1
                assert response.headers["content-type"] == "application/problem+json"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 429 in statuses
    assert set(statuses) <= {200, 429, 504}
    # What was turned away, or not done in time, takes no room: the next one is answered.
    assert classify(client, "It rained.").status_code == 200


def raw(client: httpx.Client, head: str) -> socket.socket:
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
    lines = [head, "host: x", f"authorization: {client.headers['authorization']}", "content-type: application/json"]
    connection.sendall(("\r\n".join(lines)).encode())
    return connection


def test_a_body_that_trickles_is_cut_off(client: httpx.Client) -> None:
    with raw(client, "POST /v1/classify HTTP/1.1") as connection:
        connection.sendall(b'\r\ncontent-length: 100\r\n\r\n{"sentences"')
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_who_hangs_up_frees_the_work(client: httpx.Client) -> None:
    body = json.dumps({"sentences": ["one two three four five"] * 4500}).encode()
    for _ in range(3):
        with raw(client, "POST /v1/classify HTTP/1.1") as connection:
            connection.sendall(f"\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.2)

    def waiting() -> float:
        lines = client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("communique_waiting_tokens ")).split()[1])

    for _ in range(200):
        if waiting() == 0:
            break
        time.sleep(0.05)
    assert waiting() == 0
    lines = client.get("/metrics").text.splitlines()
    assert any(line.startswith('communique_requests_total{route="/v1/classify",status="499"}') for line in lines)


def test_cross_origin_calls_are_for_the_named_origins(client: httpx.Client) -> None:
    ask = {"access-control-request-method": "POST", "authorization": ""}
    allowed = client.options("/v1/classify", headers=ask | {"origin": "https://desk.example"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    refused = client.get("/v1/model", headers={"authorization": "", "origin": "https://desk.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://desk.example"
    other = client.options("/v1/classify", headers=ask | {"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers


def test_every_setting_is_in_the_help_and_the_docs(root: Path) -> None:
    shown = communique("serve", "--help").stdout
    docs = (root / "docs" / "serving.md").read_text(encoding="utf-8")
    names = [name for name, _ in describe_settings()]
    assert len(names) == len(Settings.model_fields)
    for name in names:
        assert name in shown
        assert f"`{name}`" in docs
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float):
            row = next(line for line in docs.splitlines() if line.startswith(f"| `COMMUNIQUE_{name.upper()}`"))
            assert row.endswith(f"| {field.default} |")


def test_keys_are_refused_with_a_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert communique("key", "desk", "--keys", path).returncode == 0
    for arguments, message in (
        (["desk", "--keys", path], "there is a key 'desk' already"),
        (["a b", "--keys", path], "cannot name a key"),
        (["desk", "--keys", tmp_path / "keys.json", "--scope", "write"], "Invalid value for '--scope'"),
    ):
        done = communique("key", *arguments)
        assert done.returncode == 2 and message in done.stderr and not done.stdout
    path.write_text('{"keys": [{"name": "x"}]}')
    done = communique("key", "desk", "--keys", path)
    assert done.returncode == 2 and "keys.0.sha256" in done.stderr
