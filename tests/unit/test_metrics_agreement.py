"""Agreement with measured values: against scikit-learn and NumPy, intervals that cover, and what is undefined."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from seqmill.metrics.agreement import Draws, area, ceiling, correlation, sign_agreement, wilson
from seqmill.metrics.bootstrap import MIN_BLOCKS, TOO_FEW


def test_values_are_those_of_other_libraries():
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=200), rng.normal(size=(200, 3))
    predicted[:, 0] += truth
    predicted[5, 1] = np.nan
    draws = Draws(np.arange(200) // 4, 50, 0)
    known = np.isfinite(predicted)
    for ranked, other in ((False, lambda x, y: np.corrcoef(x, y)[0, 1]), (True, lambda x, y: spearmanr(x, y)[0])):
        found, resampled = correlation(truth, predicted, draws, ranked=ranked)
        expected = [other(truth[rows], predicted[rows, i]) for i, rows in enumerate(known.T)]
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert resampled.shape == (50, 3)
    labels = truth > 0.3
    tied = np.round(predicted, 1)
    expected = [roc_auc_score(labels[rows], tied[rows, i]) for i, rows in enumerate(known.T)]
    np.testing.assert_allclose(area(labels, tied, draws)[0], expected)
    share, _ = sign_agreement(truth, predicted, draws)
    assert share[2] == np.mean(np.sign(truth) == np.sign(predicted[:, 2]))


def test_a_resample_is_the_metric_on_the_rows_drawn():
    rng = np.random.default_rng(1)
    truth, predicted = rng.normal(size=60), rng.normal(size=(60, 2))
    draws = Draws(np.repeat(np.arange(20), 3), 7, 3)
    found, areas = correlation(truth, predicted, draws)[1], area(truth > 0, predicted, draws)[1]
    for number, weights in enumerate(draws.weights):
        rows = np.repeat(np.arange(60), weights[draws.index])
        np.testing.assert_allclose(found[number, 0], np.corrcoef(truth[rows], predicted[rows, 0])[0, 1])
        np.testing.assert_allclose(areas[number, 1], roc_auc_score(truth[rows] > 0, predicted[rows, 1]))
        assert weights.sum() == 20


def test_too_few_blocks_have_no_interval_and_constants_no_value():
    draws = Draws(np.arange(MIN_BLOCKS - 1), 10, 0)
    assert draws.interval(np.zeros(10)) == (None, None, MIN_BLOCKS - 1, TOO_FEW)
    value, _ = correlation(np.arange(9.0), np.ones((9, 1)), draws)
    assert np.isnan(value[0])
    assert np.isnan(area(np.ones(9, bool), np.arange(9.0)[:, None], draws)[0][0])


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(4)
    inside = 0
    for trial in range(60):
        x = rng.normal(size=150)
        y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=150)
        draws = Draws(np.arange(150), 200, trial)
        low, high, *_ = draws.interval(correlation(y, x[:, None], draws)[1][:, 0])
        inside += low < 0.5 < high
    assert 50 <= inside <= 60


def test_the_ceiling_is_what_noise_leaves_to_a_perfect_prediction():
    rng = np.random.default_rng(5)
    true = rng.normal(size=20_000)
    noisy = true + rng.normal(0, 0.75, 20_000)
    assert ceiling(noisy, np.full(20_000, 0.75)) == pytest.approx(np.corrcoef(true, noisy)[0, 1], abs=0.01)
    assert np.isnan(ceiling(noisy, np.full(20_000, np.nan)))
    assert ceiling(noisy, np.full(20_000, 9.0)) == 0


def test_wilson():
    low, high = wilson(27 / 58, 58)
    assert (round(low, 4), round(high, 4)) == (0.3433, 0.592)
