"""What a report holds: typed, and readable without this project."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from evaluation.scheme import Facet
from model.artefact import CodeEntry, DataEntry, EncoderEntry, Setting
from model.labels import Label

ALL = "all"
"""Name of the part that holds every sentence."""

MODEL = "model"
"""Name of the evaluated model among the systems."""


Dimension = Facet | Literal["length", "labels"]
"""What slices are made by."""


class Frozen(BaseModel):
    """Base of all parts of a report."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Frozen):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class LabelFigures(Frozen):
    """What was measured for one label; `support` counts the sentences that carry it."""

    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate
    support: int


class Figures(Frozen):
    """One system on some sentences. `false_alarms` is per 1,000 sentences without a stance."""

    labels: dict[Label, LabelFigures]
    macro_f1: Estimate
    micro_f1: Estimate
    exact_set_accuracy: Estimate
    false_alarms: Estimate


class Part(Frozen):
    """All systems on one part of the data."""

    sentences: int
    without_stance: int
    systems: dict[str, Figures]


class SampleEntry(Frozen):
    """The sentences: file name, its SHA-256, counts, and the labels that the file judges."""

    name: str
    sha256: str
    sentences: int
    groups: int
    judges: tuple[Label, ...]


class ModelEntry(Frozen):
    """The model: its version and digest, and from its manifest what it was made of."""

    version: str
    digest: str
    encoder: EncoderEntry
    data: DataEntry
    code: CodeEntry
    thresholds: dict[Label, float]
    training: dict[str, Setting]
    bytes: int


class Evaluation(Frozen):
    """Several systems on the same sentences, and what is needed to repeat it.

    `baselines_trained_on` is the SHA-256 of the file that the learned baselines were fitted on.
    """

    format: Literal[2] = 2
    sample: SampleEntry
    model: ModelEntry
    code: CodeEntry
    created: str
    machine: str
    bootstrap_draws: int
    baselines_trained_on: str | None
    parts: dict[str, Part]


class ReliabilityBin(Frozen):
    """Sentences whose probability lies in [low, high): their mean probability, and how often the label holds."""

    low: float
    high: float
    sentences: int
    probability: float
    frequency: Estimate


class Reliability(Frozen):
    """How far one label's probabilities can be taken at their word; `bins` leaves out empty ones."""

    brier: Estimate
    calibration_error: Estimate
    bins: list[ReliabilityBin]


class CoveragePoint(Frozen):
    """Of the share `coverage` of sentences that the model is surest of, the share whose label set is wrong."""

    coverage: float
    risk: Estimate


class RiskCoverage(Frozen):
    """The risk–coverage curve and the area under it."""

    area: Estimate
    points: list[CoveragePoint]


class SweepPoint(Frozen):
    """One label at one threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float


class SliceFigures(Frozen):
    """The model on the sentences of one value of a dimension.

    `labels` are those with enough sentences both here and elsewhere; `macro_f1` is their mean F1 here and `gap` the
    same minus their mean F1 on all other sentences. None where there is no such label.
    """

    dimension: Dimension
    value: str
    sentences: int
    without_stance: int
    labels: tuple[Label, ...]
    macro_f1: Estimate | None
    gap: Estimate | None
    exact_set_accuracy: Estimate
    false_alarms: Estimate | None


class Ceiling(Frozen):
    """People and the model on the sentences that were read twice.

    `reader`: the second reader, who saw no labels, against the final ones, which flatters, since these were settled
    knowing both readings; `between_readers`: the same against the first reader's labels; `model`: as the first.
    """

    sentences: int
    reader: Figures
    between_readers: Figures
    model: Figures


class CaseFailure(Frozen):
    """One behaviour case that did not pass, with the texts that show it."""

    id: str
    reason: str
    texts: tuple[str, ...]


class SuiteFigures(Frozen):
    """One behaviour suite: cases, and the share that passed with its Wilson interval."""

    cases: int
    passed: int
    rate: Estimate
    failures: list[CaseFailure]


class ActorShift(Frozen):
    """How much one actor moves one label's probability on average, against the mean over its group."""

    actor: str
    label: Label
    change: float


class ActorFigures(Frozen):
    """Sentences that differ in the actor alone, for one group of actors.

    `flip_rate` is the share of fillings whose label set differs from the commonest of their sentence,
    `probability_change` the mean distance of a probability from its mean over the fillings of the sentence, both with
    intervals by bootstrap over sentences. `strongest` names the actors that move a label most.
    """

    cases: int
    fillings: int
    flip_rate: Estimate
    probability_change: Estimate
    strongest: list[ActorShift]


class Judged(Frozen):
    """One sentence: what holds, what the model says, and its probabilities. The text stays in the data."""

    id: str
    gold: tuple[Label, ...]
    predicted: tuple[Label, ...]
    probabilities: dict[Label, float]


class Report(Evaluation):
    """The whole evaluation of a model."""

    calibration: dict[Label, Reliability]
    risk_coverage: RiskCoverage
    sweep: dict[Label, list[SweepPoint]]
    slices: list[SliceFigures]
    ceiling: Ceiling | None
    suites: dict[str, SuiteFigures]
    actors: dict[str, ActorFigures]
    predictions: list[Judged]
