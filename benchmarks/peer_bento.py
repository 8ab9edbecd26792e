"""The textbook BentoML service: one batchable method, on the very engine that our service uses.

bentoml serve peer_bento:Textbook --working-dir benchmarks
"""

import bentoml

from model.classifier import StanceClassifier


@bentoml.service(traffic={"timeout": 300})
class Textbook:
    """Its queue merges requests by their number of sentences and knows nothing of their length."""

    def __init__(self) -> None:
        """Load the released model."""
        self._classifier = StanceClassifier.load()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=120_000, route="/v1/classify")
    def classify(self, sentences: list[str]) -> list[dict[str, float]]:
        """Four scores a sentence."""
        return [prediction.scores for prediction in self._classifier.classify(sentences)]
