"""Calibration and thresholds weigh dev as running text would."""

import numpy as np
import pytest

from model.calibration import probabilities
from model.records import Record, Stance
from training.calibrate import PASSAGE, choose_thresholds, fit_calibration, running_text_weights


def records(*groups: tuple[str | None, str]) -> list[Record]:
    """One record a letter, in its group: `x` with a stance, `-` without."""
    return [
        Record(
            id=f"{group}{at}{number}", text="…", group=group, stances=[Stance(label="hedge")] if letter == "x" else []
        )
        for number, (group, letters) in enumerate(groups)
        for at, letter in enumerate(letters)
    ]


def test_stance_free_records_get_the_share_that_they_have_in_passages() -> None:
    dev = records((None, "xxxxxx"), ("pair", "x-"), ("passage", "x" + "-" * (PASSAGE - 1)))
    weights = running_text_weights(dev)
    free = np.array([not record.stances for record in dev])
    assert set(weights[~free]) == {1.0}
    assert weights[free].sum() / weights.sum() == pytest.approx((PASSAGE - 1) / PASSAGE)


@pytest.mark.parametrize("groups", [[(None, "xx--")], [("p", "-" * PASSAGE), (None, "x")], [("p", "x" * PASSAGE)]])
def test_without_a_passage_that_can_tell_every_record_counts_alike(groups: list[tuple[str | None, str]]) -> None:
    assert set(running_text_weights(records(*groups))) == {1.0}


def test_probabilities_fall_and_thresholds_do_not_when_stance_free_sentences_weigh_more() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random((400, 4)) < 0.4
    logits = rng.normal(np.where(truth, 1.0, -1.0), 1.5)
    weights = np.where(truth.any(axis=1), 1.0, 9.0)
    plain, weighted = (fit_calibration(logits, truth, w) for w in (None, weights))
    before, after = probabilities(logits, plain), probabilities(logits, weighted)
    assert (after.mean(axis=0) < before.mean(axis=0) - 0.05).all()
    # A calibrated probability means what it says on the weighted sample.
    np.testing.assert_allclose(weights @ after / weights.sum(), weights @ truth / weights.sum(), atol=2e-3)
    alike, rarer = (choose_thresholds(before, truth, w) for w in (None, weights))
    assert all(rarer[label] >= alike[label] for label in alike)
    assert rarer != alike
