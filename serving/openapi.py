"""The OpenAPI 3.1 document: FastAPI's, with the bodies that routes read themselves and the problems of all."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from serving.problems import MEDIA_TYPE
from serving.schemas import AnalyzeRequest, ClassifyRequest, FeedbackRequest, Problem

_REF = "#/components/schemas/"
_BODIES = {"/v1/classify": ClassifyRequest, "/v1/analyze": AnalyzeRequest, "/v1/feedback": FeedbackRequest}
_EVERYWHERE = (401, 403, 415, 500, 503, 504)
_WITH_BODY = (400, 408, 413, 422)
_WITH_ENGINE = (429,)
_MEANING = {
    400: "The body is not JSON, or not UTF-8.",
    401: "No key, or one that is not known.",
    403: "The key lacks the scope.",
    408: "The body came too slowly.",
    413: "The body, or the number of sentences, is over a limit.",
    415: "Not a content type that is read here, or a packed body.",
    422: "The body is not of the right form; `errors` has the path of each wrong field.",
    429: "Too much is waiting; `Retry-After` says when to try again.",
    500: "A fault of the service.",
    503: "Not possible now; `Retry-After` says when to try again.",
    504: "Not done in time.",
}


def describe(app: FastAPI) -> None:
    """Make `app.openapi` give the whole contract."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    # FastAPI's own way to extend the document.
    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description="Stance labels for sentences: threat, denial, support, hedge, or none of them.",
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    models = [(model, "validation") for model in (*_BODIES.values(), Problem)]
    _, schemas = models_json_schema(models, ref_template=_REF + "{model}")  # type: ignore[arg-type]
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **schemas["$defs"]}
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # Keys are an option of the operator, so no key is an option of the document.
    document["security"] = [{}, {"key": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, path)
    return document


def _complete(operation: dict[str, Any], path: str) -> None:
    body = _BODIES.get(path)
    if body is not None:
        content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF + body.__name__}}}
        if body is AnalyzeRequest:
            content["text/plain"] = {"schema": {"type": "string", "minLength": 1}}
        operation["requestBody"] = {"required": True, "content": content}
    statuses = (
        _EVERYWHERE + (_WITH_BODY if body else ()) + (_WITH_ENGINE if path in ("/v1/classify", "/v1/analyze") else ())
    )
    if path == "/metrics":
        operation["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    for status in sorted(statuses):
        response: dict[str, Any] = {
            "description": _MEANING[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF + "Problem"}}},
        }
        if status in (429, 503):
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        operation["responses"][str(status)] = response
