"""What goes over HTTP."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from model.labels import Label


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClassifyRequest(_Strict):
    """Sentences to classify, each judged alone."""

    sentences: Annotated[list[str], Field(min_length=1, examples=[["The ministry denied that any talks took place."]])]


class SentenceResult(_Strict):
    """The labels that hold for one sentence (none: empty) and the calibrated probability of each label."""

    labels: list[Label]
    scores: dict[Label, float]


class ClassifyResponse(_Strict):
    """Results in the order of the sentences, and the version of the model that gave them."""

    model: str
    results: list[SentenceResult]


class AnalyzeRequest(_Strict):
    """Running text, split into sentences by the service."""

    text: Annotated[str, Field(min_length=1)]


class AnalyzedSentence(_Strict):
    """A sentence of the text: `text[start:end]` in Unicode code points, with its stances or why it has none."""

    start: int
    end: int
    labels: list[Label] | None = None
    scores: dict[Label, float] | None = None
    error: str | None = None


class AnalyzeResponse(_Strict):
    """The sentences in order, how many carry each label, and the version of the model."""

    model: str
    counts: dict[Label, int]
    sentences: list[AnalyzedSentence]


class FieldProblem(_Strict):
    """One thing that is wrong: where (`sentences.3`) and why. The caller's text is never repeated."""

    path: str
    detail: str


class Problem(_Strict):
    """Problem details after RFC 9457, media type `application/problem+json`."""

    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
