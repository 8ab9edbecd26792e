"""Calibration is fitted to text as it runs."""

import numpy as np
import pytest

from model.labels import LABELS
from model.records import Record, Stance
from training.calibrate import ENOUGH, PASSAGE, running_text


def record(number: int, group: str | None, *labels: str) -> Record:
    return Record(id=f"r{number}", text="…", group=group, stances=[Stance(label=label) for label in labels])


def passages(positives: int) -> list[Record]:
    """Passages with so many records of every label, each followed by records without one."""
    return [
        record(at, f"passage {at // PASSAGE}", *(LABELS if at % PASSAGE == 0 else ()))
        for at in range(positives * PASSAGE)
    ]


def test_passages_are_fitted_to_and_single_sentences_and_contrasts_are_not() -> None:
    singles = [record(10_000, None, "threat"), record(10_001, "pair", "denial"), record(10_002, "pair")]
    inside = running_text(passages(ENOUGH) + singles)
    np.testing.assert_array_equal(inside, [True] * ENOUGH * PASSAGE + [False] * 3)


def test_doubtful_sentences_of_one_document_are_not_a_passage() -> None:
    chosen = [record(10_000 + at, "d1", "threat") for at in range(PASSAGE)]
    dev = passages(ENOUGH) + [each.model_copy(update={"origin": "archive"}) for each in chosen]
    np.testing.assert_array_equal(running_text(dev), [True] * ENOUGH * PASSAGE + [False] * PASSAGE)


@pytest.mark.parametrize("dev", [passages(ENOUGH - 1), [record(1, None, "threat"), record(2, None)]])
def test_without_enough_passages_every_record_is_fitted_to(dev: list[Record]) -> None:
    assert running_text([*dev, record(10_000, None, "hedge")]).all()
