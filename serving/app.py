"""The HTTP contract: routes, and what they check and answer."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from model.errors import SentenceError
from model.labels import LABELS, Label
from model.records import Record
from serving import metrics
from serving.answering import Answering, LoadedModel, Scored
from serving.inbox import Inbox, InboxFullError, record_id
from serving.openapi import describe
from serving.problems import MEDIA_TYPE, ProblemError, headers_of, invalid, problem_body
from serving.scheduler import OverloadedError
from serving.schemas import (
    AnalyzeRequest,
    AnalyzeResponse,
    ClassifyRequest,
    ClassifyResponse,
    FeedbackRequest,
    FeedbackResponse,
    FieldProblem,
    ModelResponse,
    Sentence,
)
from serving.sentences import split_sentences
from serving.settings import Settings

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def _policy(page: str) -> str:
    """A policy that lets the page's own script and style run and nothing else."""
    hashes = {
        tag: base64.b64encode(hashlib.sha256(page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].encode()).digest())
        for tag in ("script", "style")
    }
    return (
        f"default-src 'none'; script-src 'sha256-{hashes['script'].decode()}'; "
        f"style-src 'sha256-{hashes['style'].decode()}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


PAGE_POLICY = _policy(PAGE)
HANG_UP_SECONDS = 0.25
"""How often a request that takes longer than this looks whether its caller is still there."""

LONG_TEXT = 20_000
"""Characters from which splitting into sentences is done in a thread, so that it holds nobody up."""

Body = TypeVar("Body", bound=BaseModel)
Answer = TypeVar("Answer")
App = Callable[[], Answering]
Endpoint = Callable[[Request], Awaitable[Response]]


async def read_body(request: Request, form: type[Body], plain: str | None = None) -> Body:
    """The checked body of a request: JSON, or where `plain` names a field also `text/plain` for that field alone.

    Raises:
        ProblemError: 400, 415 or 422.
    """
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "').lower()
    if kind not in ("application/json", *(["text/plain"] if plain else [])) or charset not in ("", "utf-8", "us-ascii"):
        wanted = "application/json" + (" or text/plain" if plain else "")
        raise ProblemError(415, f"content-type: expected {wanted} in UTF-8")
    with metrics.stage("read"):
        body = await request.body()
        try:
            if plain and kind == "text/plain":
                return form.model_validate({plain: body.decode("utf-8")})
            return form.model_validate_json(body)
        except UnicodeDecodeError:
            raise ProblemError(400, "the body is not UTF-8") from None
        except ValidationError as error:
            raise invalid(error) from None


async def unless_gone(request: Request, work: Awaitable[Answer]) -> Answer:
    """Wait for the work; where the caller hangs up before it is done, cancel it.

    Raises:
        ClientDisconnect: nobody waits for the answer any more.
    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([task], timeout=HANG_UP_SECONDS))[0]:
            if await request.is_disconnected():
                raise ClientDisconnect
    finally:
        task.cancel()
    return task.result()


class Decision:
    """Turns probabilities into the results of one request."""

    def __init__(self, model: LoadedModel, options: ClassifyRequest | AnalyzeRequest) -> None:
        self.thresholds = {**model.manifest.thresholds, **options.thresholds}
        self.head = {"model": {"version": model.version, "digest": model.digest}, "thresholds": self.thresholds}
        self.counts: dict[Label, int] = dict.fromkeys(LABELS, 0)
        self.judged = self.refused = self.none = 0
        self._limits = [self.thresholds[label] for label in LABELS]
        self._scores = options.scores

    def result(self, item: Scored | SentenceError) -> dict[str, Any]:
        """The result of one sentence as it goes into the answer."""
        if isinstance(item, SentenceError):
            self.refused += 1
            return {"error": {"code": item.code, "detail": item.reason}}
        labels = [
            label for label, score, limit in zip(LABELS, item.scores, self._limits, strict=True) if score >= limit
        ]
        self.judged += 1
        self.none += not labels
        for label in labels:
            self.counts[label] += 1
        found: dict[str, Any] = {"labels": labels}
        if self._scores:
            found["scores"] = dict(zip(LABELS, item.scores, strict=True))
        if item.truncated:
            found["truncated"] = True
        return found


def _answer(decision: Decision, **parts: object) -> Response:
    metrics.count_labels(decision.counts, decision.judged, decision.refused)
    with metrics.stage("write"):
        return Response(to_json({**decision.head, **parts}), media_type="application/json")


def _check_count(count: int, what: str, limit: int) -> None:
    if count > limit:
        raise ProblemError(413, f"{what}: {count} sentences in one request; at most {limit}")


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (what this handler is registered for)
    fields: Sequence[FieldProblem] = error.errors if isinstance(error, ProblemError) else ()
    body = problem_body(error.status_code, str(error.detail), request.state.request_id, fields)
    return Response(body, error.status_code, dict(headers_of(error)), media_type=MEDIA_TYPE)


def _overloaded(request: Request, error: Exception) -> Response:
    assert isinstance(error, OverloadedError)  # noqa: S101
    return _http_problem(request, ProblemError(429, str(error), retry_after=error.retry_after))


def _gone(request: Request, error: Exception) -> Response:
    """Nobody reads this; 499 is what proxies write into their logs for it."""
    return Response(status_code=499)


def _unforeseen(request: Request, error: Exception) -> Response:
    """The guard logs it: FastAPI raises it again after this is sent."""
    return _http_problem(request, ProblemError(500, "something went wrong here; the log has it under the request id"))


def _bare(app: FastAPI, path: str) -> Callable[[Endpoint], Endpoint]:
    """Have a route answer without FastAPI, which then only describes it.

    Our routes read and check their bodies themselves and return finished answers; that FastAPI looks for dependencies
    and parameters, and keeps stacks of contexts for them, is a sixth of what a small request costs outside the engine.
    """

    def add(endpoint: Endpoint) -> Endpoint:
        app.add_route(path, endpoint, methods=["POST"], include_in_schema=False)
        return endpoint

    return add


def create_app(settings: Settings, answering: App) -> FastAPI:
    """The application.

    Args:
        answering: gives the model; called with every request, first after the service has started.
    """
    app = FastAPI(title="Communiqué", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    describe(app)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(OverloadedError, _overloaded)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unforeseen)
    inbox = Inbox(settings.feedback, settings.max_feedback_bytes)

    @app.post("/v1/classify", response_model=ClassifyResponse)
    @_bare(app, "/v1/classify")
    async def classify(request: Request) -> Response:
        """Stance labels and calibrated probabilities of each sentence, in order."""
        body = await read_body(request, ClassifyRequest)
        _check_count(len(body.sentences), "sentences", settings.max_sentences)
        texts = [item if isinstance(item, str) else item.text for item in body.sentences]
        with answering().present() as model:
            found = await unless_gone(request, model.judge(texts, body.truncate))
        decision = Decision(model, body)
        results = []
        for given, item in zip(body.sentences, found, strict=True):
            result = decision.result(item)
            if isinstance(given, Sentence) and given.id is not None:
                result = {"id": given.id, **result}
            results.append(result)
        return _answer(decision, results=results)

    @app.post("/v1/analyze", response_model=AnalyzeResponse)
    @_bare(app, "/v1/analyze")
    async def analyze(request: Request) -> Response:
        """A whole article: its sentences with character offsets and stances, and their counts."""
        body = await read_body(request, AnalyzeRequest, plain="text")
        if len(body.text) > LONG_TEXT:
            sentences = await asyncio.to_thread(lambda: list(split_sentences(body.text)))
        else:
            sentences = list(split_sentences(body.text))
        _check_count(len(sentences), "text", settings.max_sentences)
        with answering().present() as model:
            found = await unless_gone(request, model.judge([s.text for s in sentences], body.truncate))
        decision = Decision(model, body)
        analyzed = [
            {"start": sentence.start, "end": sentence.end, **decision.result(item)}
            for sentence, item in zip(sentences, found, strict=True)
        ]
        summary = {
            "sentences": len(sentences),
            "labels": decision.counts,
            "none": decision.none,
            "errors": decision.refused,
        }
        return _answer(decision, summary=summary, sentences=analyzed)

    @app.post("/v1/feedback", response_model=FeedbackResponse, status_code=201)
    async def feedback(request: Request) -> Response:
        """A correction, kept for `communique annotations add`; it is on the disk when this answers."""
        body = await read_body(request, FeedbackRequest)
        key = request.state.key
        record = _record(body, key.name if key else None)
        try:
            await asyncio.to_thread(inbox.append, record)
        except (InboxFullError, OSError):
            raise ProblemError(503, "the inbox cannot take corrections now", retry_after=3600) from None
        metrics.FEEDBACK.inc()
        return Response(to_json({"id": record.id}), 201, media_type="application/json")

    @app.get("/v1/model")
    async def model() -> ModelResponse:
        """The model that answers: labels, thresholds, calibration, digests, what was measured while training."""
        manifest = answering().model.manifest
        return ModelResponse(
            version=manifest.version,
            digest=manifest.digest,
            labels=list(manifest.labels),
            thresholds=manifest.thresholds,
            calibration=manifest.calibration,
            max_tokens=manifest.max_tokens,
            encoder=manifest.encoder.model_dump(),
            data=manifest.data.sha256,
            created=manifest.created,
            metrics=manifest.metrics,
            files={name: entry.sha256 for name, entry in manifest.files.items()},
        )

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Metrics for Prometheus."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        """The page for pasting an article."""
        return HTMLResponse(PAGE, headers={"content-security-policy": PAGE_POLICY})

    return app


def _record(body: FeedbackRequest, annotator: str | None) -> Record:
    """The correction in the record format.

    Raises:
        ProblemError: 422, such a record cannot be.
    """
    spans = {span.label: span.model_dump(exclude_none=True) for span in body.spans}
    wrong = []
    if len(spans) < len(body.spans):
        wrong.append(FieldProblem(path="spans", detail="each label at most once"))
    if len(set(body.labels)) < len(body.labels):
        wrong.append(FieldProblem(path="labels", detail="each label at most once"))
    # A record is one line; in an article a sentence may have been broken over several.
    text = " ".join(body.text.split())
    for index, span in enumerate(body.spans):
        if span.label not in body.labels:
            wrong.append(FieldProblem(path=f"spans.{index}.label", detail="not among the labels"))
        for name in ("cue", "holder", "target"):
            words = getattr(span, name)
            if words is not None and words not in text:
                wrong.append(FieldProblem(path=f"spans.{index}.{name}", detail="does not stand in the text"))
    if wrong:
        raise ProblemError(422, f"{wrong[0].path}: {wrong[0].detail}", wrong)
    content = {
        "text": text,
        "stances": [spans.get(label, {"label": label}) for label in body.labels],
        "origin": "feedback",
        "note": body.note,
        "annotator": annotator,
    }
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise invalid(error) from None
    return record.model_copy(update={"id": record_id(record)})
