"""The service over HTTP: the contract, and the same answers as everywhere else."""

import json
import subprocess
import sys
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
from model.records import read_records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture(scope="module")
def client(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running([script("communique"), "serve", "--port"], home, tmp_path_factory.mktemp("elsewhere")) as client:
        yield client


@pytest.fixture(scope="module")
def texts(root: Path) -> list[str]:
    lines = (root / "data" / "annotations" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:120]
    return [json.loads(line)["text"] for line in lines]


def post(client: httpx.Client, body: object, route: str = "/v1/classify") -> httpx.Response:
    return client.post(route, json=body)


def check_problem(response: httpx.Response, status: int) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"title", "status", "detail", "request_id", "errors"}
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_classify_answers_in_order_and_says_who_answered(client: httpx.Client) -> None:
    sentences = ["The ministry denied it.", {"id": "b", "text": "They may come."}, {"id": 3, "text": "It rained."}]
    answer = post(client, {"sentences": sentences}).json()
    manifest = open_artefact(RELEASED)
    assert set(answer) == {"model", "thresholds", "results"}
    assert answer["model"] == {"version": manifest.version, "digest": manifest.digest}
    assert answer["thresholds"] == manifest.thresholds
    assert [result["labels"] for result in answer["results"]] == [["denial"], ["hedge"], []]
    assert [result.get("id") for result in answer["results"]] == [None, "b", 3]
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


def test_a_bad_sentence_has_an_error_of_its_own_and_spoils_nothing(client: httpx.Client) -> None:
    sentences = ["They may come.", " \n", "x" * 2001, {"id": "long", "text": "word " * 300}, "It rained."]
    results = post(client, {"sentences": sentences}).json()["results"]
    assert [result.get("labels") for result in results] == [["hedge"], None, None, None, []]
    assert [result["error"]["code"] for result in results[1:4]] == ["empty", "too_long", "too_many_tokens"]
    assert results[3]["id"] == "long"
    assert set(results[4]) == {"labels", "scores"}


def test_truncate_judges_the_beginning(client: httpx.Client) -> None:
    long = "They may come. " * 120
    body = {"sentences": [long, long + "It rained.", "They may come. " * 200, "They may come.", " "], "truncate": True}
    *cut, whole, empty = post(client, body).json()["results"]
    assert all(result["truncated"] is True and result["scores"] == cut[0]["scores"] for result in cut)
    assert "truncated" not in whole
    assert empty["error"]["code"] == "empty"


def test_a_caller_chooses_thresholds_and_whether_scores_come(client: httpx.Client) -> None:
    body = {"sentences": ["They may come."], "thresholds": {"hedge": 1, "threat": 0}, "scores": False}
    answer = post(client, body).json()
    assert answer["results"] == [{"labels": ["threat"]}]
    assert answer["thresholds"] == open_artefact(RELEASED).thresholds | {"hedge": 1, "threat": 0}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"sentences": []}, "sentences"),
        ({"sentences": ["fine", 7]}, "sentences.1"),
        ({"sentences": ["fine", {"txt": "fine"}]}, "sentences.1.text"),
        ({"sentences": [{"text": "fine", "lang": "en"}]}, "sentences.0.lang"),
        ({"sentences": "fine"}, "sentences"),
        ({"sentences": ["fine"], "language": "en"}, "language"),
        ({"sentences": ["fine"], "thresholds": {"hedge": 1.5}}, "thresholds.hedge"),
        ({"sentences": ["fine"], "thresholds": {"joy": 0.5}}, "thresholds.joy.[key]"),
        ({"sentences": ["fine"], "scores": "yes"}, "scores"),
        ({}, "sentences"),
        ([], "body"),
    ],
)
def test_a_wrong_form_is_a_422_that_names_the_field(client: httpx.Client, body: object, path: str) -> None:
    problem = check_problem(post(client, body), 422)
    assert path in [error["path"] for error in problem["errors"]]
    assert problem["detail"].startswith(problem["errors"][0]["path"])


def test_every_error_is_a_problem(client: httpx.Client) -> None:
    json_type = {"content-type": "application/json"}
    check_problem(client.post("/v1/classify", content=b'{"sent', headers=json_type), 400)
    check_problem(client.post("/v1/classify", content=b'{"sentences": ["\xff"]}', headers=json_type), 400)
    check_problem(client.post("/v1/analyze", content=b"\xff\xfe", headers={"content-type": "text/plain"}), 400)
    check_problem(client.get("/v1/nothing"), 404)
    check_problem(client.get("/schema.json"), 404)
    check_problem(client.post("/livez"), 404)
    refused = client.get("/v1/classify")
    assert "POST" in refused.headers["allow"]
    check_problem(refused, 405)
    check_problem(client.post("/v1/classify", content=b"<a/>", headers={"content-type": "text/xml"}), 415)
    check_problem(client.post("/v1/classify", content=b"denied"), 415)
    latin = {"content-type": "text/plain; charset=latin-1"}
    check_problem(client.post("/v1/analyze", content=b"denied", headers=latin), 415)
    many = check_problem(post(client, {"sentences": ["fine"] * 4097}), 413)
    assert "at most 4096" in many["detail"]


def test_analyze_gives_offsets_and_counts(client: httpx.Client, root: Path) -> None:
    text = (root / "examples" / "article.txt").read_text(encoding="utf-8")
    answer = post(client, {"text": text}, "/v1/analyze").json()
    found = {text[s["start"] : s["end"]][:10]: s["labels"] for s in answer["sentences"]}
    assert "denial" in found["France's d"]
    assert found["Organisers"] == []
    summary = answer["summary"]
    assert summary["sentences"] == len(answer["sentences"])
    assert summary["none"] == sum(not labels for labels in found.values())
    for label in LABELS:
        assert summary["labels"][label] == sum(label in labels for labels in found.values())
    plain = client.post("/v1/analyze", content=text.encode(), headers={"content-type": "text/plain; charset=UTF-8"})
    assert plain.json() == answer


def test_analyze_names_the_sentences_that_it_cannot_judge(client: httpx.Client) -> None:
    text = "They may come. " + "So " * 700 + "they stayed. It rained."
    answer = post(client, {"text": text}, "/v1/analyze").json()
    assert answer["summary"]["errors"] == 1
    assert [s.get("error", {}).get("code") for s in answer["sentences"]] == [None, "too_long", None]


def test_model_says_what_answers(client: httpx.Client) -> None:
    manifest = open_artefact(RELEASED)
    answer = client.get("/v1/model").json()
    assert answer["version"] == manifest.version
    assert answer["labels"] == list(LABELS)
    assert answer["metrics"] == manifest.metrics
    assert answer["files"] == {name: entry.sha256 for name, entry in manifest.files.items()}


def test_a_correction_is_kept_and_can_be_added_to_the_annotations(
    client: httpx.Client, home: Path, dataset: Path
) -> None:
    body = {
        "text": "The palace brushed the\n claim aside as a fairy tale.",
        "labels": ["denial"],
        "spans": [{"label": "denial", "cue": "brushed the claim aside", "holder": "The palace"}],
        "note": "an idiom",
    }
    response = post(client, body, "/v1/feedback")
    assert response.status_code == 201
    nothing = post(client, {"text": "Snow fell on the harbour all night long.", "labels": []}, "/v1/feedback")
    inbox = home / "communique-feedback.jsonl"
    first, second = read_records(inbox)
    assert [first.id, second.id] == [response.json()["id"], nothing.json()["id"]]
    assert first.text == "The palace brushed the claim aside as a fairy tale."
    assert first.stances[0].cue == "brushed the claim aside" and first.note == "an idiom"
    assert second.stances == ()
    done = communique("annotations", "add", inbox, "--annotations", dataset, "--annotator", "desk")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"labels": ["joy"]}, "labels.0"),
        ({"labels": ["denial", "denial"]}, "labels"),
        ({"spans": [{"label": "hedge", "cue": "may"}]}, "spans.0.label"),
        ({"spans": [{"label": "denial", "cue": "refuted"}]}, "spans.0.cue"),
        ({"spans": [{"label": "denial", "quote": "denied"}]}, "spans.0.quote"),
        ({"text": " "}, "text"),
        ({"text": "x" * 2001}, "text"),
    ],
)
def test_a_correction_that_cannot_be_a_record_is_refused(client: httpx.Client, change: dict, path: str) -> None:
    problem = check_problem(
        post(client, {"text": "It was denied.", "labels": ["denial"], **change}, "/v1/feedback"), 422
    )
    assert path in [error["path"] for error in problem["errors"]]


def test_every_answer_has_a_request_id_and_security_headers(client: httpx.Client) -> None:
    for response in (client.get("/"), client.get("/livez"), client.get("/nothing"), post(client, {"sentences": ["x"]})):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "server" not in response.headers and "access-control-allow-origin" not in response.headers
        assert len(response.headers["x-request-id"]) == 32
    given = client.get("/v1/model", headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    unsafe = client.get("/v1/model", headers={"x-request-id": "a b\tc"})
    assert len(unsafe.headers["x-request-id"]) == 32


def test_the_page_is_ours_and_asks_nothing_of_others(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "<title>Communiqué</title>" in page.text
    assert "//" not in page.text.replace("<!doctype", "").split("<script>")[0]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_logs_are_json_with_request_ids_and_without_the_callers_text(client: httpx.Client, home: Path) -> None:
    secret = "xylophone quarrel"
    marked = {"x-request-id": "marked-1"}
    assert client.post("/v1/classify", json={"sentences": [secret]}, headers=marked).status_code == 200
    assert post(client, {"sentences": [secret, 7], secret: 1}).status_code == 422
    assert post(client, {"sentences": [secret * 200]}).status_code == 200
    assert post(client, {"text": secret, "labels": ["denial"], "note": secret}, "/v1/feedback").status_code == 201
    assert client.get(f"/v1/{secret}").status_code == 404
    log = (home / "server.log").read_text(encoding="utf-8")
    assert "xylophone" not in log and "xylophone" not in client.get("/metrics").text
    entries = [json.loads(line) for line in log.splitlines()]
    (entry,) = (entry for entry in entries if entry.get("request_id") == "marked-1")
    assert (entry["route"], entry["status"], entry["method"]) == ("/v1/classify", 200, "POST")


def test_metrics_count_what_was_done(client: httpx.Client) -> None:
    def value(name: str) -> float:
        lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    names = [
        'communique_requests_total{route="/v1/classify",status="200"}',
        'communique_sentences_total{outcome="judged"}',
        'communique_sentences_total{outcome="refused"}',
        'communique_labels_total{label="hedge"}',
        "communique_batch_sentences_sum",
        'communique_stage_seconds_count{stage="score"}',
    ]
    before = [value(name) for name in names]
    post(client, {"sentences": ["They may come.", "It rained.", ""]})
    after = [value(name) for name in names]
    assert [late - early for early, late in zip(before, after, strict=True)] == [1, 2, 1, 1, 2, 1]
    assert value("communique_waiting_tokens") == 0
    assert value('communique_scores_total{label="hedge"') > 0


def test_a_wrong_model_folder_or_setting_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = communique("serve", "--model", tmp_path)
    assert done.returncode == 3
    assert "not a model folder" in done.stderr and "Traceback" not in done.stderr
    monkeypatch.setenv("COMMUNIQUE_MAX_SENTENCES", "many")
    done = communique("serve")
    assert done.returncode == 2
    assert done.stderr.startswith("communique: COMMUNIQUE_MAX_SENTENCES: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["serving.cli, serving.settings", "serving.service"])
def test_what_starts_the_workers_does_not_wait_for_what_only_they_need(module: str) -> None:
    code = f"import sys, {module}; print({{'openvino', 'tokenizers', 'fastapi'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
