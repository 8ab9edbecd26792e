"""The OpenAPI document: valid, complete, and true of what comes back."""

from collections.abc import Iterator

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from servers import running, script


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("bentoml")
    with running([script("communique"), "serve", "--port"], home, home) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict:
    return client.get("/openapi.json").json()


def test_the_document_is_valid_openapi_3_1(document: dict) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
    assert {"/v1/classify", "/v1/analyze", "/v1/feedback", "/v1/model", "/metrics"} == set(document["paths"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/classify", {"sentences": ["They may come.", {"id": 1, "text": ""}]}),
        ("POST", "/v1/classify", {"sentences": ["They may come. " * 100], "truncate": True, "scores": False}),
        ("POST", "/v1/classify", {"sentences": []}),
        ("POST", "/v1/classify", {"sentences": ["x"] * 5000}),
        ("POST", "/v1/analyze", {"text": "They may come. It rained."}),
        ("POST", "/v1/feedback", {"text": "It was denied.", "labels": ["denial"]}),
        ("POST", "/v1/feedback", {"text": "It was denied.", "labels": ["joy"]}),
        ("GET", "/v1/model", None),
    ],
)
def test_what_comes_back_is_what_the_document_says(
    client: httpx.Client, document: dict, method: str, path: str, body: object
) -> None:
    response = client.request(method, path, json=body)
    operation = document["paths"][path][method.lower()]
    content = operation["responses"][str(response.status_code)]["content"]
    schema = content[response.headers["content-type"]]["schema"]
    OAS31Validator({**schema, "components": document["components"]}).validate(response.json())


def test_the_document_takes_what_the_service_takes_and_refuses_what_it_refuses(document: dict) -> None:
    request = document["paths"]["/v1/classify"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = OAS31Validator({**request, "components": document["components"]})
    assert validator.is_valid({"sentences": ["a", {"text": "b"}], "thresholds": {"hedge": 0.5}})
    for wrong in (
        {},
        {"sentences": []},
        {"sentences": [1]},
        {"sentences": ["a"], "x": 1},
        {"sentences": ["a"], "thresholds": {"joy": 1}},
    ):
        assert not validator.is_valid(wrong)


def test_every_error_in_the_document_is_a_problem(document: dict) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"]
