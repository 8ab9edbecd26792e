"""Our vectorised metrics against scikit-learn, and weighted draws against really repeated sentences."""

import numpy as np
import pytest
from sklearn import metrics as reference

from evaluation import metrics
from evaluation.bootstrap import group_weights, interval


@pytest.fixture(scope="module")
def predictions():
    rng = np.random.default_rng(5)
    truth = rng.random((300, 4)) < [0.1, 0.3, 0.5, 0.02]
    scores = np.round(np.clip(truth * 0.3 + rng.random((300, 4)) * 0.7, 0, 1), 2)  # rounded: ties happen
    return truth, scores, scores > 0.5


def test_per_label_scores_equal_scikit_learn(predictions) -> None:
    truth, scores, predicted = predictions
    precision, recall, f1, _ = reference.precision_recall_fscore_support(truth, predicted, zero_division=0)
    np.testing.assert_allclose(metrics.precision_scores(truth, predicted), precision)
    np.testing.assert_allclose(metrics.recall_scores(truth, predicted), recall)
    np.testing.assert_allclose(metrics.f1_scores(truth, predicted), f1)
    np.testing.assert_allclose(
        metrics.average_precision(truth, scores), reference.average_precision_score(truth, scores, average=None)
    )
    assert metrics.micro_f1(truth, predicted) == pytest.approx(reference.f1_score(truth, predicted, average="micro"))
    assert metrics.exact_set_accuracy(truth, predicted) == pytest.approx(reference.accuracy_score(truth, predicted))


def test_false_alarms_by_hand() -> None:
    truth = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)
    predicted = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=bool)
    assert metrics.false_alarms(truth, predicted) == pytest.approx(1000 / 3)


def test_nothing_predicted_and_nothing_true_is_zero_not_an_error() -> None:
    nothing = np.zeros((3, 4), dtype=bool)
    assert metrics.f1_scores(nothing, nothing).tolist() == [0, 0, 0, 0]
    assert metrics.average_precision(nothing, np.zeros((3, 4))).tolist() == [0, 0, 0, 0]


def test_a_weighted_draw_equals_repeating_the_sentences(predictions) -> None:
    truth, scores, predicted = predictions
    weights = group_weights([str(i // 3) for i in range(300)], draws=5)
    for metric, given in ((metrics.f1_scores, predicted), (metrics.average_precision, scores)):
        drawn = metric(truth, given, weights)
        for row, weight in zip(drawn, weights, strict=True):
            repeated = np.repeat(np.arange(300), weight.astype(int))
            np.testing.assert_allclose(row, metric(truth[repeated], given[repeated]))


def test_groups_are_drawn_whole() -> None:
    weights = group_weights(["a", "b", "a", "c"], draws=50)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_interval_covers_a_known_mean() -> None:
    covered = 0
    for seed in range(200):
        sample = np.random.default_rng(seed).normal(0, 1, 50)
        weights = group_weights([str(i) for i in range(50)], draws=300, seed=seed)
        low, high = interval(weights @ sample / 50)
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_best_threshold_is_the_best_over_all_cuts(predictions) -> None:
    truth, scores, _ = predictions
    chosen = metrics.best_f1_threshold(truth[:, 0], scores[:, 0])
    best = max(reference.f1_score(truth[:, 0], scores[:, 0] >= cut) for cut in np.arange(0, 1.01, 0.005))
    assert reference.f1_score(truth[:, 0], scores[:, 0] >= chosen) == pytest.approx(best)
    assert chosen not in scores[:, 0]
