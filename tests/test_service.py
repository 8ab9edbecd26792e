"""The service over HTTP: the contract, and the same answers as everywhere else."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import communique
from servers import running, script

from model.artefact import RELEASED, open_artefact
from model.classifier import StanceClassifier
from model.labels import LABELS


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("bentoml")
    with running([script("communique"), "serve", "--port"], home, tmp_path_factory.mktemp("elsewhere")) as client:
        yield client


@pytest.fixture(scope="module")
def texts(root: Path) -> list[str]:
    lines = (root / "data" / "annotations" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:120]
    return [json.loads(line)["text"] for line in lines]


def post(client: httpx.Client, body: object, route: str = "/v1/classify") -> httpx.Response:
    return client.post(route, json=body)


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_classify_answers_in_order(client: httpx.Client) -> None:
    sentences = ["The ministry denied it.", "They may come.", "It rained."]
    answer = post(client, {"sentences": sentences}).json()
    assert set(answer) == {"model", "results"}
    assert answer["model"] == open_artefact(RELEASED).version
    assert [result["labels"] for result in answer["results"]] == [["denial"], ["hedge"], []]
    assert all(list(result["scores"]) == list(LABELS) for result in answer["results"])


def test_the_same_scores_alone_batched_over_http_and_through_score(
    client: httpx.Client, texts: list[str], tmp_path: Path
) -> None:
    direct = StanceClassifier.load().classify(texts)
    batched = post(client, {"sentences": texts}).json()["results"]
    with ThreadPoolExecutor(16) as pool:  # many clients at once, so that requests are merged
        alone = list(pool.map(lambda text: post(client, {"sentences": [text]}).json()["results"][0], texts))
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    scored = [json.loads(line) for line in communique("score", path, "--unit", "document").stdout.splitlines()]
    for prediction, *others in zip(direct, batched, alone, scored, strict=True):
        for other in others:
            assert other["labels"] == list(prediction.labels)
            assert other["scores"] == pytest.approx(prediction.scores, abs=1e-3)


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"sentences": []}, 422, "sentences"),
        ({"sentences": ["fine", ""]}, 422, "sentences.1"),
        ({"sentences": ["fine", "fine", "   "]}, 422, "sentences.2"),
        ({"sentences": ["x" * 2001]}, 422, "sentences.0"),
        ({"sentences": ["word " * 300]}, 422, "sentences.0"),
        ({"sentences": ["fine", 7]}, 422, "sentences.1"),
        ({"sentences": "fine"}, 422, "sentences"),
        ({"sentences": ["fine"], "language": "en"}, 422, "language"),
        ({}, 422, "sentences"),
        ([], 422, "body"),
    ],
)
def test_wrong_input_is_a_clear_4xx_that_names_the_item(client: httpx.Client, body, status: int, path: str) -> None:
    response = post(client, body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert [error["path"] for error in problem["errors"]] == [path]
    assert problem["status"] == status
    assert path in problem["detail"]


def test_a_body_that_is_not_json_and_too_many_sentences(client: httpx.Client) -> None:
    broken = client.post("/v1/classify", content=b'{"sent', headers={"content-type": "application/json"})
    assert broken.status_code == 400
    many = post(client, {"sentences": ["fine"] * 4097})
    assert many.status_code == 413
    assert "at most 4096" in many.json()["detail"]


def test_analyze_gives_offsets_and_counts(client: httpx.Client, root: Path) -> None:
    text = (root / "examples" / "article.txt").read_text(encoding="utf-8")
    answer = post(client, {"text": text}, "/v1/analyze").json()
    found = {text[s["start"] : s["end"]][:10]: s["labels"] for s in answer["sentences"]}
    assert "denial" in found["France's d"]
    assert found["Organisers"] == []
    for label in LABELS:
        assert answer["counts"][label] == sum(label in labels for labels in found.values())


def test_the_page_is_ours_and_asks_nothing_of_others(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "<title>Communiqué</title>" in page.text
    assert "//" not in page.text.replace("<!doctype", "").split("<script>")[0]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_callers_text_is_not_logged(tmp_path: Path) -> None:
    with running([script("communique"), "serve", "--port"], tmp_path / "home", tmp_path) as client:
        assert post(client, {"sentences": ["xylophone quarrel"]}).status_code == 200
        assert post(client, {"sentences": ["xylophone quarrel", 7]}).status_code == 422
        assert post(client, {"sentences": ["xylophone quarrel " * 200]}).status_code == 422
    assert "xylophone" not in (tmp_path / "home" / "server.log").read_text()


def test_a_wrong_model_folder_is_one_clear_line(tmp_path: Path) -> None:
    done = communique("serve", "--model", tmp_path)
    assert done.returncode == 3
    assert "not a model folder" in done.stderr and "Traceback" not in done.stderr
