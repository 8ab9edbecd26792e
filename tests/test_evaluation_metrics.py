"""Calibration, coverage, sweeps and significance against scikit-learn, statsmodels and cases worked by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.proportion import proportion_confint

from evaluation import metrics
from evaluation.bootstrap import group_weights
from evaluation.comparison import mcnemar
from evaluation.reliability import BINS, bin_of, brier_scores, calibration_errors, reliability, wilson
from evaluation.scorer import Predicted
from evaluation.selective import COVERAGES, area, confidence, risk_coverage, risks
from evaluation.sweep import sweep


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(7)
    scores = rng.random((400, 4))
    return rng.random((400, 4)) < scores**1.5, scores


@pytest.fixture(scope="module")
def weights():
    return group_weights([str(i // 2) for i in range(400)], draws=20)


def test_macro_f1_and_brier_equal_scikit_learn(predictions) -> None:
    truth, scores = predictions
    assert metrics.macro_f1(truth, scores > 0.5) == pytest.approx(
        reference.f1_score(truth, scores > 0.5, average="macro")
    )
    expected = [reference.brier_score_loss(truth[:, i], scores[:, i]) for i in range(4)]
    np.testing.assert_allclose(brier_scores(truth, scores), expected)


def test_calibration_error_by_hand() -> None:
    # Two bins: 0.9 and 0.8 with one right (|1.7 - 1| = 0.7 of sums), 0.1 and 0.15 with none right (0.25).
    truth = np.array([[True], [False], [False], [False]])
    scores = np.array([[0.93], [0.97], [0.1], [0.15]])
    assert calibration_errors(truth, scores)[0] == pytest.approx((0.9 + 0.25) / 4)


def test_bins_equal_a_plain_count(predictions) -> None:
    truth, scores = predictions
    found = reliability(truth, scores, np.ones((3, 400)))[2]
    assert sum(each.sentences for each in found.bins) == 400
    for each in found.bins:
        inside = (scores[:, 2] >= each.low) & (scores[:, 2] < each.high)
        assert each.sentences == inside.sum()
        assert each.probability == pytest.approx(scores[inside, 2].mean())
        assert each.frequency.value == pytest.approx(truth[inside, 2].mean())
    error = sum(b.sentences * abs(b.probability - b.frequency.value) for b in found.bins) / 400
    assert found.calibration_error.value == pytest.approx(error)
    assert bin_of(np.array([0.0, 0.0999, 0.1, 1.0])).tolist() == [0, 0, 1, BINS - 1]


def test_wilson_equals_statsmodels() -> None:
    for passed, cases in ((0, 60), (31, 64), (64, 64), (1, 1)):
        low, high = proportion_confint(passed, cases, method="wilson")
        found = wilson(passed, cases)
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.value == passed / cases


def test_mcnemar_equals_statsmodels() -> None:
    for only_before, only_after in ((3, 11), (0, 5), (8, 8), (40, 22)):
        table = [[100, only_before], [only_after, 20]]
        assert mcnemar(only_before, only_after) == pytest.approx(reference_mcnemar(table, exact=True).pvalue)
    assert mcnemar(0, 0) == 1


def test_confidence_is_the_probability_of_the_whole_set() -> None:
    predicted = Predicted(np.array([[0.9, 0.2, 0.1, 0.6]]), np.array([[True, False, False, True]]))
    assert confidence(predicted)[0] == pytest.approx(0.9 * 0.8 * 0.9 * 0.6)


def test_risk_and_area_by_hand() -> None:
    wrong = np.array([True, False, False, True])
    sure = np.array([0.2, 0.9, 0.8, 0.7])  # order: right, right, wrong, wrong
    at = dict(zip(COVERAGES.tolist(), risks(wrong, sure).tolist(), strict=True))
    assert at[0.5] == 0
    assert at[0.75] == pytest.approx(1 / 3)
    assert at[1.0] == pytest.approx(1 / 2)
    assert area(wrong, sure) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_weighted_draws_equal_repeating_the_sentences(predictions, weights) -> None:
    truth, scores = predictions
    wrong, sure = truth[:, 0], scores[:, 1]
    for row, weight in enumerate(weights):
        repeated = np.repeat(np.arange(400), weight.astype(int))
        for metric in (brier_scores, calibration_errors):
            drawn = metric(truth, scores, weights)[row]
            np.testing.assert_allclose(drawn, metric(truth[repeated], scores[repeated]))
    # A sentence drawn twice counts as one step of the curve, so the ends agree exactly and the rest nearly.
    assert risks(wrong, sure, weights)[:, -1] == pytest.approx(weights @ wrong / weights.sum(axis=1))
    assert area(wrong, sure, weights).shape == (len(weights),)


def test_an_informed_confidence_has_less_risk_than_a_blind_one(predictions, weights) -> None:
    truth, scores = predictions
    holds = scores > 0.5
    informed = risk_coverage(truth, Predicted(scores, holds), weights)
    blind = area((truth != holds).any(axis=1), np.random.default_rng(1).random(400))
    assert informed.area.value < blind
    assert informed.area.low <= informed.area.value <= informed.area.high
    assert informed.points[-1].risk.value == pytest.approx((truth != holds).any(axis=1).mean())


def test_the_sweep_equals_scikit_learn(predictions) -> None:
    truth, scores = predictions
    found = sweep(truth, scores)
    for column in range(4):
        for point in found[column][::6]:
            expected = reference.precision_recall_fscore_support(
                truth[:, column], scores[:, column] >= point.threshold, average="binary", zero_division=0
            )[:3]
            assert (point.precision, point.recall, point.f1) == pytest.approx(expected)
