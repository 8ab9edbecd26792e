"""The recipe: every choice of a training run that decides the weights."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one run. Two runs with equal recipe, data, start, libraries and CPU give equal weights.

    Attributes:
        records: train on so many records only, for learning curves; None takes all. A smaller number takes a part
            of what a larger one takes.
        epochs: most passes over the training split; early stopping may end sooner.
        patience: epochs without a better dev macro average precision before stopping.
        batch_size: sentences in one optimiser step.
        learning_rate: peak of the linear schedule.
        weight_decay: AdamW decay of all but biases and normalisation.
        warmup: share of all steps over which the learning rate rises.
        dropout: probability of dropping a feature of the pooled sentence before the output layer.
        frozen_layers: lowest encoder layers, with the embeddings below them, that keep the weights they start with.
        teacher_weight: share of the teachers' probabilities in what is learnt, where there are teachers; the rest
            is the annotated labels.
        cue_weight: weight of the loss that points each label's attention at the annotated cue.
        max_tokens: longest sentence that the model judges, special tokens included.
        seed: of weight initialisation, order of the data and dropout.
        threads: torch's CPU threads; another count gives other roundings, so it is part of the recipe.
        bf16: bfloat16 matrix products while training (weights stay float32); None asks the
            hardware, and the run then records what was used.
    """

    records: int | None = None
    epochs: int = 3
    patience: int = 2
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    weight_decay: float = 0.01
    warmup: float = 0.1
    dropout: float = 0.1
    frozen_layers: int = 0
    teacher_weight: float = 0.7
    cue_weight: float = 0.1
    max_tokens: int = 256
    seed: int = 17
    threads: int = 2
    bf16: bool | None = None
