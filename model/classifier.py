"""Sentences in, stances out: the one piece that the command line, the service and archive scoring all call.

The engine and the tokenizer are imported when a model is loaded: `communique serve` and the process that watches the
service's workers need what else is here, and would start a third of a second later each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import numpy.typing as npt

from model.artefact import LIGHT_GRAPH, TOKENIZER, Manifest, open_artefact
from model.calibration import Floats, decide, probabilities
from model.errors import SentenceError
from model.labels import LABELS, Label
from model.present import resolve_model

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_CHARACTERS = 2000
"""Longest sentence that is tokenised at all; tokenising cost grows with characters, not only with tokens."""

CPU = "cpu"
"""The device of the light engine."""

_TOKENISED_TOGETHER = 1024
"""Sentences: the tokenizer's own objects are a hundred times the size of the ids that are kept."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The labels that hold for a sentence, and the calibrated probability of each of the four."""

    labels: tuple[Label, ...]
    scores: dict[Label, float]


class Engine(Protocol):
    """Token ids of sentences to logits, (sentences, 4); `token_budget` is what a batch of it holds best."""

    token_budget: int

    def logits(self, token_ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """See `model.engine.LightEngine.logits`."""
        ...

    def split(self) -> Sequence["Engine"]:
        """See `model.engine.LightEngine.split`."""
        ...


def load_tokenizer(path: Path) -> "Tokenizer":
    """The tokenizer of an artefact, with the truncation and padding that its file may carry switched off."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class StanceClassifier:
    """A loaded model. Made by `StanceClassifier.load`."""

    def __init__(self, manifest: Manifest, tokenizer: "Tokenizer", engine: Engine) -> None:
        self.manifest = manifest
        self._tokenizer = tokenizer
        self._engine = engine

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        threads: int | None = None,
        *,
        offline: bool = False,
        device: str = CPU,
    ) -> Self:
        """Load a model, its digests checked first.

        Args:
            model: a folder, a tag of the registry, or None for the present model; see `model.present.resolve_model`.
            threads: CPU threads of the engine; all available for None.
            offline: run several batches at once, for the most sentences a second where nobody waits for one answer.
            device: "cpu" for the light engine; "cuda" or "cuda:1" for torch on a GPU, from a model with torch weights.

        Raises:
            InputError: no such version in the registry, or no such device.
            ArtefactError: see `model.artefact.open_artefact`; no torch weights for a GPU.
            MissingExtraError: a GPU needs torch.
        """
        folder = resolve_model(model)
        manifest = open_artefact(folder)
        return cls(manifest, load_tokenizer(folder / TOKENIZER), _engine(folder, threads, offline, device))

    def split(self) -> list[Self]:
        """Two of the same model that answer at the same time, each in one thread; or none where that gains nothing.

        Raises:
            ArtefactError: the engine cannot be made once more.
        """
        return [type(self)(self.manifest, self._tokenizer, engine) for engine in self._engine.split()]

    @property
    def token_budget(self) -> int:
        """Padded tokens in one batch of the engine."""
        return self._engine.token_budget

    def encode(
        self, sentences: Sequence[str], max_characters: int = MAX_CHARACTERS, max_tokens: int | None = None
    ) -> list[list[int] | SentenceError]:
        """Token ids of each sentence, or the error that says why it cannot be classified.

        Args:
            max_characters: longest sentence that is tokenised.
            max_tokens: longest sentence in tokens; never more than the model was made for, which is the default.
        """
        problems = [_problem(index, sentence, max_characters) for index, sentence in enumerate(sentences)]
        good = [sentence for sentence, problem in zip(sentences, problems, strict=True) if problem is None]
        token_ids = self._token_ids(good)
        limit = min(max_tokens or self.manifest.max_tokens, self.manifest.max_tokens)
        out: list[list[int] | SentenceError] = []
        for index, problem in enumerate(problems):
            if problem is not None:
                out.append(problem)
                continue
            ids = next(token_ids)
            out.append(
                ids
                if len(ids) <= limit
                else SentenceError(index, "too_many_tokens", f"{len(ids)} tokens; at most {limit} can be judged")
            )
        return out

    def encode_beginning(
        self, sentence: str, max_characters: int = MAX_CHARACTERS, max_tokens: int | None = None
    ) -> list[int]:
        """Token ids of as much of a sentence as the limits of `encode` let through."""
        limit = min(max_tokens or self.manifest.max_tokens, self.manifest.max_tokens)
        ids: list[int] = self._tokenizer.encode(sentence.strip()[:max_characters]).ids
        # The last token closes every sentence, also one that is cut.
        return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]

    def _token_ids(self, sentences: Sequence[str]) -> Iterator[list[int]]:
        for at in range(0, len(sentences), _TOKENISED_TOGETHER):
            # The fast kind leaves out the offsets, which nobody asks for.
            yield from (
                each.ids for each in self._tokenizer.encode_batch_fast(sentences[at : at + _TOKENISED_TOGETHER])
            )

    def probabilities(self, token_ids: Sequence[Sequence[int]]) -> Floats:
        """Calibrated probabilities, float array (sentences, 4), columns as `LABELS`."""
        return probabilities(self._engine.logits(token_ids), self.manifest.calibration)

    def predict(self, token_ids: Sequence[Sequence[int]]) -> list[Prediction]:
        """Predictions for sentences that `encode` has accepted, in order."""
        scores = self.probabilities(token_ids)
        holds = decide(scores, self.manifest.thresholds)
        return [
            Prediction(
                labels=tuple(label for label, hit in zip(LABELS, hits, strict=True) if hit),
                scores=dict(zip(LABELS, row, strict=True)),
            )
            for row, hits in zip(scores.tolist(), holds.tolist(), strict=True)
        ]

    def classify(self, sentences: Sequence[str]) -> list[Prediction]:
        """Predictions for sentences, in order.

        Raises:
            SentenceError: the first sentence that is empty or too long; nothing is classified then.
        """
        encoded = self.encode(sentences)
        for item in encoded:
            if isinstance(item, SentenceError):
                raise item
        return self.predict([item for item in encoded if not isinstance(item, SentenceError)])


def check_device(folder: Path, device: str) -> None:
    """Whether a model can run on a device, told before anything is begun.

    Raises:
        InputError, ArtefactError, MissingExtraError: see `StanceClassifier.load`.
    """
    if device != CPU:
        from model.torch_engine import check_torch  # torch is not needed on a CPU

        check_torch(folder, device)


def _engine(folder: Path, threads: int | None, offline: bool, device: str) -> Engine:
    if device != CPU:
        from model.torch_engine import TorchEngine

        return TorchEngine(folder, device)
    from model.engine import OFFLINE_STREAMS, LightEngine, available_threads

    threads = threads or available_threads()
    return LightEngine(folder / LIGHT_GRAPH, threads, min(threads, OFFLINE_STREAMS) if offline else 1)


def _problem(index: int, sentence: str, max_characters: int) -> SentenceError | None:
    if not sentence.strip():
        return SentenceError(index, "empty", "is empty; expected a sentence")
    if len(sentence) > max_characters:
        reason = f"has {len(sentence)} characters; at most {max_characters} can be judged"
        return SentenceError(index, "too_long", reason)
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        return SentenceError(index, "not_unicode", f"character {error.start + 1} is half of one; expected UTF-8")
    return None
