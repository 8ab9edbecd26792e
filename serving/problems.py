"""Errors as problem details (RFC 9457), one shape for everything that goes wrong."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from serving.schemas import FieldProblem, Problem

MEDIA_TYPE = "application/problem+json"


class ProblemError(HTTPException):
    """What a route raises to answer with a problem.

    Args:
        status: HTTP status.
        detail: one line for the caller, without the caller's own text.
        errors: the wrong fields of a 422.
        retry_after: seconds after which trying again makes sense, for 429 and 503.
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[FieldProblem] = (), retry_after: int | None = None
    ) -> None:
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        super().__init__(status, detail, headers)
        self.errors = list(errors)


def problem_body(status: int, detail: str, request_id: str, errors: Sequence[FieldProblem] = ()) -> bytes:
    """The JSON of a problem."""
    title = HTTPStatus(status).phrase
    return (
        Problem(title=title, status=status, detail=detail, request_id=request_id, errors=list(errors))
        .model_dump_json()
        .encode()
    )


def invalid(error: ValidationError) -> ProblemError:
    """The problem of a body that is not JSON (400) or not of the right form (422, with the path of each field)."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(item["type"] == "json_invalid" for item in found):
        return ProblemError(400, "the body is not JSON")
    fields = [FieldProblem(path=_path(item["loc"]), detail=item["msg"]) for item in found]
    return ProblemError(422, f"{fields[0].path}: {fields[0].detail}", fields)


def _path(location: Sequence[int | str]) -> str:
    """Without the names that only tell which form of a sentence was tried."""
    return ".".join(str(part) for part in location if not str(part).startswith("<")) or "body"


def headers_of(error: HTTPException) -> Mapping[str, str]:
    """The headers that an error brings along, such as `Retry-After` and `Allow`."""
    return error.headers or {}
