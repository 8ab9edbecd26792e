"""What goes over HTTP under `/v1`. Unknown fields are refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from model.calibration import Platt
from model.labels import Label


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


SentenceId = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, Field(max_length=200)]
Thresholds = Annotated[
    dict[Label, Annotated[float, Field(ge=0, le=1)]],
    Field(description="A label holds from this probability on; labels left out keep the model's own threshold."),
]
Scores = dict[Label, float]


class Sentence(_Strict):
    """A sentence with an id that its result will carry."""

    id: SentenceId | None = None
    text: str


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<object>" if isinstance(value, dict | Sentence) else None


SentenceOrText = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[Sentence, Tag("<object>")],
    Discriminator(
        _form, custom_error_type="sentence", custom_error_message="expected a string or an object with `text`"
    ),
]


class _Options(_Strict):
    thresholds: Thresholds = {}
    scores: Annotated[bool, Field(description="Whether results carry the four probabilities.")] = True
    truncate: Annotated[
        bool, Field(description="Judge the beginning of a sentence that is too long, instead of giving an error.")
    ] = False


class ClassifyRequest(_Options):
    """Sentences to classify, each judged alone."""

    sentences: Annotated[
        list[SentenceOrText], Field(min_length=1, examples=[["The ministry denied that any talks took place."]])
    ]


class AnalyzeRequest(_Options):
    """Running text, split into sentences by the service."""

    text: Annotated[str, Field(min_length=1, examples=["The ministry denied it. They may come."])]


class SentenceProblem(_Strict):
    """Why one sentence has no result; the others have theirs."""

    code: Literal["empty", "not_unicode", "too_long", "too_many_tokens"]
    detail: str


class _Result(_Strict):
    """`labels` and `scores`, or `error`; `truncated` is there, and true, where only the beginning was judged."""

    labels: Annotated[list[Label] | None, Field(description="The labels that hold; an empty list: none of them.")] = (
        None
    )
    scores: Annotated[Scores | None, Field(description="Calibrated probability of each label.")] = None
    truncated: Literal[True] | None = None
    error: SentenceProblem | None = None


class SentenceResult(_Result):
    """What was found in one sentence."""

    id: SentenceId | None = None


class AnalyzedSentence(_Result):
    """A sentence of the text, `text[start:end]` in Unicode code points, and what was found in it."""

    start: int
    end: int


class ModelName(_Strict):
    """Which model answered: its version, and the SHA-256 of all that decides its answers."""

    version: str
    digest: str


class _Answer(_Strict):
    model: ModelName
    thresholds: Annotated[dict[Label, float], Field(description="The thresholds that decided the labels.")]


class ClassifyResponse(_Answer):
    """Results in the order of the sentences."""

    results: list[SentenceResult]


class Summary(_Strict):
    """Counts over the sentences of a text: all, per label, without any label, and without a result."""

    sentences: int
    labels: dict[Label, int]
    none: int
    errors: int


class AnalyzeResponse(_Answer):
    """The sentences of the text in order, and what they amount to."""

    summary: Summary
    sentences: list[AnalyzedSentence]


class Spans(_Strict):
    """The words that show a stance, copied from the text."""

    label: Label
    cue: Annotated[str, Field(min_length=1)] | None = None
    holder: Annotated[str, Field(min_length=1)] | None = None
    target: Annotated[str, Field(min_length=1)] | None = None


class FeedbackRequest(_Strict):
    """A correction: the sentence and the labels that it should have had, none of them being an answer too."""

    text: Annotated[str, Field(min_length=1, examples=["The ministry denied it."])]
    labels: Annotated[list[Label], Field(examples=[["denial"]])]
    spans: list[Spans] = []
    note: Annotated[str, Field(min_length=1, max_length=2000)] | None = None


class FeedbackResponse(_Strict):
    """The correction is on the disk under this id, which follows its content."""

    id: str


class ModelResponse(_Strict):
    """The model that answers now."""

    version: str
    digest: str
    labels: list[Label]
    thresholds: dict[Label, float]
    calibration: dict[Label, Platt]
    max_tokens: int
    encoder: dict[str, str]
    data: Annotated[str, Field(description="SHA-256 of the annotations that it was made from.")]
    created: str
    metrics: dict[str, float]
    files: Annotated[dict[str, str], Field(description="SHA-256 of each file of the model.")]


class FieldProblem(_Strict):
    """One thing that is wrong: where (`sentences.3.text`) and why. The caller's text is never repeated."""

    path: str
    detail: str


class Problem(_Strict):
    """Problem details after RFC 9457, media type `application/problem+json`; `request_id` finds it in the log."""

    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] = []
