"""The HTTP contract: routes, checks and error answers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from model.calibration import decide
from model.classifier import StanceClassifier
from model.errors import SentenceError
from model.labels import LABELS, Label
from serving.scheduler import Scheduler
from serving.schemas import (
    AnalyzedSentence,
    AnalyzeRequest,
    AnalyzeResponse,
    ClassifyRequest,
    ClassifyResponse,
    FieldProblem,
    Problem,
    SentenceResult,
)
from serving.sentences import split_sentences
from serving.settings import Settings

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


class Answering:
    """A loaded model behind a scheduler."""

    def __init__(self, settings: Settings) -> None:
        """Load the model, warm the engine up and start its thread."""
        self.settings = settings
        self.classifier = StanceClassifier.load(settings.model, settings.threads)
        self.scheduler = Scheduler(self.classifier.probabilities)
        # The first call for each shape prepares kernels; do it before anyone waits.
        self.classifier.classify(["warm-up " * words for words in range(1, 65, 4)])
        self.scheduler.start()

    async def classify(self, sentences: Sequence[str]) -> list[SentenceResult | SentenceError]:
        """For each sentence, in order, its result or the error that says why it has none."""
        # Tokenising many sentences takes long enough to hold up other requests; it releases the interpreter lock.
        few = len(sentences) <= 16
        encoded = (
            self.classifier.encode(sentences) if few else await asyncio.to_thread(self.classifier.encode, sentences)
        )
        scores = await self.scheduler.score([item for item in encoded if not isinstance(item, SentenceError)])
        holds = decide(scores, self.classifier.manifest.thresholds)
        results = (
            SentenceResult.model_construct(
                labels=[label for label, hit in zip(LABELS, hits, strict=True) if hit],
                scores=dict(zip(LABELS, row, strict=True)),
            )
            for row, hits in zip(scores.tolist(), holds.tolist(), strict=True)
        )
        return [item if isinstance(item, SentenceError) else next(results) for item in encoded]


class SentenceProblems(Exception):
    """Some sentences of a request cannot be judged."""

    def __init__(self, problems: Sequence[SentenceError]) -> None:
        super().__init__(f"{len(problems)} sentences cannot be judged")
        self.fields = [FieldProblem(path=f"sentences.{p.index}", detail=p.reason) for p in problems]


def _problem(status: HTTPStatus, detail: str, errors: Sequence[FieldProblem] = ()) -> JSONResponse:
    problem = Problem(title=status.phrase, status=status, detail=detail, errors=list(errors))
    return JSONResponse(problem.model_dump(), status, media_type="application/problem+json")


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (what this handler is registered for)
    first = error.errors()
    if any(item["type"] == "json_invalid" for item in first):
        return _problem(HTTPStatus.BAD_REQUEST, "the body is not JSON")
    fields = [
        # Without "body" at the head, and without the input: users' text is not echoed into anybody's logs.
        FieldProblem(path=".".join(str(part) for part in item["loc"][1:]) or "body", detail=item["msg"])
        for item in first
    ]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{fields[0].path}: {fields[0].detail}", fields)


def _sentences(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SentenceProblems)  # noqa: S101
    first = error.fields[0]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{first.path}: {first.detail}", error.fields)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    return _problem(HTTPStatus(error.status_code), str(error.detail))


def create_app() -> FastAPI:
    """The application; `app.state.answering` must be set to an `Answering` before it is called."""
    app = FastAPI(title="Communiqué", version="1", docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SentenceProblems, _sentences)
    app.add_exception_handler(HTTPException, _http)

    errors: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (400, 413, 422)}

    @app.post("/v1/classify", responses=errors)
    async def classify(body: ClassifyRequest, request: Request) -> ClassifyResponse:
        """Stance labels and calibrated probabilities of each sentence, in order."""
        answering: Answering = request.app.state.answering
        limit = answering.settings.max_sentences
        if len(body.sentences) > limit:
            raise HTTPException(413, f"sentences: {len(body.sentences)} in one request; at most {limit}")
        results: list[SentenceResult] = []
        problems: list[SentenceError] = []
        for item in await answering.classify(body.sentences):
            (problems if isinstance(item, SentenceError) else results).append(item)  # type: ignore[arg-type]
        if problems:
            raise SentenceProblems(problems)
        return ClassifyResponse.model_construct(model=answering.classifier.manifest.version, results=results)

    @app.post("/v1/analyze", responses=errors)
    async def analyze(body: AnalyzeRequest, request: Request) -> AnalyzeResponse:
        """A whole article: its sentences with character offsets and stances."""
        answering: Answering = request.app.state.answering
        sentences = list(split_sentences(body.text))
        limit = answering.settings.max_sentences
        if len(sentences) > limit:
            raise HTTPException(413, f"text: {len(sentences)} sentences in one request; at most {limit}")
        counts: Counter[Label] = Counter()
        analyzed = []
        for sentence, item in zip(sentences, await answering.classify([s.text for s in sentences]), strict=True):
            found: dict[str, Any]
            if isinstance(item, SentenceError):
                found = {"error": item.reason}
            else:
                found = {"labels": item.labels, "scores": item.scores}
                counts.update(item.labels)
            analyzed.append(AnalyzedSentence.model_construct(start=sentence.start, end=sentence.end, **found))
        return AnalyzeResponse.model_construct(
            model=answering.classifier.manifest.version,
            counts={label: counts[label] for label in LABELS},
            sentences=analyzed,
        )

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        """The page for pasting an article."""
        return HTMLResponse(PAGE, headers={"content-security-policy": PAGE_POLICY})

    return app
