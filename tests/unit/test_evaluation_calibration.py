"""Calibration: hand-made bins, known temperatures, curves and factors, and slow references of each."""

import numpy as np
import pytest

from seqmill.evaluation.calibration import (
    calibration_error,
    coverage,
    fit_isotonic,
    fit_temperature,
    gaussian_factors,
    interval_factors,
    judge,
    log_loss,
    logit,
    reliability,
    with_temperature,
)


def test_bins_by_hand():
    truth = np.array([0, 0, 1, 0, 1, 1, 1, np.nan])
    predicted = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 0.5])
    table = reliability(truth, predicted, bins=2)  # 7 values, cut behind the fourth (3.5 rounds to even)
    assert table["n"].tolist() == [4, 3]
    np.testing.assert_allclose(table["predicted"], [0.25, 2.3 / 3])
    np.testing.assert_allclose(table["truth"], [0.25, 1.0])
    assert calibration_error(truth, predicted, bins=2) == pytest.approx(3 / 7 * (1 - 2.3 / 3))


def test_equal_predictions_stay_together():
    table = reliability(np.array([0, 1, 0, 1, 1, 1]), np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.9]), bins=3)
    assert table["n"].tolist() == [5, 1] and table["truth"].tolist() == [0.6, 1.0]
    assert reliability(np.array([]), np.array([])).empty
    assert np.isnan(calibration_error(np.array([np.nan]), np.array([0.5])))


def test_bins_against_a_slow_reference():
    rng = np.random.default_rng(0)
    predicted = rng.random(1000)
    truth = (rng.random(1000) < predicted**2).astype(float)
    expected, start, order = 0.0, 0, sorted(range(1000), key=lambda i: predicted[i])
    for size in [len(part) for part in np.array_split(np.arange(1000), 10)]:
        mine = order[start : start + size]
        expected += abs(sum(truth[i] for i in mine) - sum(predicted[i] for i in mine)) / 1000
        start += size
    assert calibration_error(truth, predicted, bins=10) == pytest.approx(expected)


def test_a_planted_temperature_is_found():
    rng = np.random.default_rng(1)
    honest = rng.uniform(0.05, 0.95, (40_000, 2))
    truth = (rng.random(honest.shape) < honest).astype(np.uint8)
    certain = with_temperature(honest, 0.4)  # as a network that is too sure of itself
    found = fit_temperature(truth, certain)
    assert found == pytest.approx(2.5, rel=0.03)
    np.testing.assert_allclose(with_temperature(certain, 2.5), honest, atol=1e-9)
    grid = np.exp(np.linspace(-1, 2, 301))
    slow = min(grid, key=lambda t: log_loss(truth, with_temperature(certain, t)))
    assert abs(np.log(found / slow)) < 0.011
    mended = judge((truth[:20_000], certain[:20_000]), (truth[20_000:], certain[20_000:]), probabilities=True)
    assert mended.n == 40_000 and mended.value == pytest.approx(2.5, rel=0.05)
    assert mended.plain > 0.1 and mended.temperature < 0.02 and mended.isotonic < 0.02


def test_a_temperature_needs_both_labels():
    with pytest.raises(ValueError, match="both labels"):
        fit_temperature(np.ones(4), np.full(4, 0.7))


def test_log_loss_and_logits_by_hand():
    assert log_loss(np.array([1, 0, np.nan]), np.array([0.8, 0.4, 0.1])) == pytest.approx(-np.log([0.8, 0.6]).mean())
    assert logit(np.array([0.5, 0.8])).tolist() == pytest.approx([0.0, np.log(4)])


def test_pool_adjacent_violators():
    curve = fit_isotonic(np.array([1.0, 3.0, 2.0, 4.0, np.nan]), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert curve(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 9.0])).tolist() == [1.0, 1.0, 2.5, 2.5, 2.5, 4.0, 4.0]
    with pytest.raises(ValueError, match="needs values"):
        fit_isotonic(np.array([np.nan]), np.array([1.0]))


def test_values_that_are_bent_are_set_straight():
    rng = np.random.default_rng(2)
    x = rng.gamma(2, size=4000)
    truth = x + rng.normal(0, 0.1, 4000)
    found = judge((truth[:2000], np.sqrt(x[:2000])), (truth[2000:], np.sqrt(x[2000:])), probabilities=False)
    assert found.temperature is None and found.value is None
    assert found.plain > 0.5 > 0.05 > found.isotonic


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(3)
    mean, spread = rng.normal(size=20_000), rng.uniform(0.5, 2, 20_000)
    truth = mean + 3 * spread * rng.standard_t(4, size=20_000)  # too narrow, and not Gaussian
    fit, other = slice(0, 10_000), slice(10_000, None)
    plain = gaussian_factors()
    assert plain[0.95] == pytest.approx(1.959964, abs=1e-6) and plain[0.5] == pytest.approx(0.674490, abs=1e-6)
    assert coverage(truth[other], mean[other], spread[other], plain)[0.95] < 0.55
    factors = interval_factors(truth[fit], mean[fit], spread[fit])
    for level, share in coverage(truth[other], mean[other], spread[other], factors).items():
        assert share == pytest.approx(level, abs=0.012)


def test_interval_factors_by_hand():
    truth, zero, one = np.array([1.0, -4.0, 2.0, 3.0, np.nan]), np.zeros(5), np.ones(5)
    # of 4 values the 3rd (5 * 0.5 rounded up), the 4th (5 * 0.8), and none for 5 * 0.9
    assert interval_factors(truth, zero, one, (0.5, 0.8, 0.9)) == {0.5: 3.0, 0.8: 4.0, 0.9: np.inf}
    spread = np.array([1.0, 0.0, 1.0, 1.0, 1.0])  # a member that never differs gives no interval
    assert interval_factors(truth, zero, spread, (0.5, 0.8)) == {0.5: 3.0, 0.8: np.inf}
    assert coverage(truth, zero, one, {0.5: 2.0}) == {0.5: 0.5}
    with pytest.raises(ValueError, match="different sizes"):
        interval_factors(np.ones(2), np.ones(3), np.ones(2))
