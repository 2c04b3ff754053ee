"""Irreproducible discovery rate on simulated scores whose noise is known."""

import numpy as np
import pytest

from seqmill.reads.idr import LEAST, Mixture, _fit, _rate, idr, matched, peak_rates
from seqmill.reads.peaks import Peaks, empty_peaks


def _scores(n, share, rho, mean, seed):
    """Hidden scores of two replicates as in section 3.1 of the paper, and which pairs are reproducible."""
    rng = np.random.default_rng(seed)
    real = rng.random(n) < share
    signal = rng.multivariate_normal([mean, mean], [[1, rho], [rho, 1]], n)
    return np.where(real[:, None], signal, rng.normal(size=(n, 2))), real


@pytest.mark.parametrize(("share", "rho", "mean", "seed"), [(0.65, 0.84, 2.5, 1), (0.3, 0.4, 2.5, 2)])
def test_simulated_mixture_is_recovered(share, rho, mean, seed):
    scores, real = _scores(2000, share, rho, mean, seed)
    # only ranks count: one replicate on another scale
    found = idr(np.exp(scores[:, 0]), scores[:, 1])
    assert found.mixture is not None
    assert found.mixture.share == pytest.approx(share, abs=0.06)
    assert found.mixture.rho == pytest.approx(rho, abs=0.1)
    chosen = found.rate <= 0.05
    assert (~real[chosen]).mean() <= 0.1 and real[chosen].sum() >= 0.8 * real.sum()
    # the rate that is told is that of the truth
    wide = found.rate <= 0.2
    assert (~real[wide]).mean() == pytest.approx(found.rate[wide].max(), abs=0.06)


def test_rare_reproducible_pairs_are_found():
    scores, real = _scores(4000, 0.05, 0.9, 3.5, 3)
    found = idr(scores[:, 0], scores[:, 1])
    assert found.mixture is not None and found.mixture.share == pytest.approx(0.05, abs=0.02)
    chosen = found.rate <= 0.05
    assert real[chosen].mean() > 0.88 and real[chosen].sum() >= 0.8 * real.sum()


@pytest.mark.parametrize("seed", range(4))
def test_of_noise_nothing_is_reproducible(seed):
    scores = np.random.default_rng(seed).normal(size=(600, 2))
    found = idr(scores[:, 0], scores[:, 1])
    assert found.mixture is None and (found.rate == 1).all() and (found.local == 1).all()


def test_opposite_replicates_are_not_reproducible():
    one = np.arange(300.0)
    assert (idr(one, -one).rate <= 0.05).sum() == 0


def test_ties_share_their_rank():
    scores, real = _scores(1500, 0.5, 0.8, 3, 5)
    coarse = np.round(scores)
    found = idr(coarse[:, 0], coarse[:, 1])
    chosen = found.rate <= 0.05
    assert found.mixture is not None and real[chosen].mean() > 0.88 and chosen.sum() > 300
    equal = (coarse == coarse[0]).all(axis=1)
    assert np.ptp(found.rate[equal]) == 0


def test_all_ties_and_too_few_pairs_are_noise():
    assert (idr(np.ones(100), np.ones(100)).rate == 1).all()
    few = np.arange(LEAST - 1.0)
    assert idr(few, few).mixture is None
    assert idr(few[:0], few[:0]).rate.size == 0


def test_rate_is_the_mean_of_all_at_least_as_good():
    np.testing.assert_allclose(_rate(np.array([0.5, 0.0, 0.1, 0.1])), [0.175, 0.0, 0.2 / 3, 0.2 / 3])


def test_copula_of_independent_parts_has_no_likelihood():
    """With mean 0, deviation 1 and correlation 0 the mixture is noise: its copula is 1 everywhere."""
    rng = np.random.default_rng(0)
    u, v = (rng.permutation(np.arange(1, 301)) / 301 for _ in range(2))
    _, gain = _fit(u, v, Mixture(0.0, 1.0, 0.0, 0.5))
    assert abs(gain) < 10


def _peaks(rows):
    contig, start, end, p, summit = (np.array(column) for column in zip(*rows))
    return Peaks(contig.astype(np.int32), start, end, p * 1.0, p * 1.0, p * 1.0, summit)


def test_match_is_the_best_overlap_then_the_nearest_summit():
    pooled = _peaks([(0, 100, 200, 9, 150), (0, 300, 400, 9, 310), (0, 300, 400, 9, 390), (1, 100, 200, 9, 150)])
    other = _peaks([(0, 90, 120, 5, 100), (0, 130, 230, 4, 180), (0, 290, 410, 3, 305), (0, 290, 410, 2, 395)])
    assert matched(pooled, other).tolist() == [1, 2, 3, -1]
    assert matched(pooled, empty_peaks()).tolist() == [-1] * 4
    assert matched(empty_peaks(), pooled).tolist() == []


def test_pooled_peaks_without_a_match_are_not_reproducible():
    scores, _ = _scores(400, 0.6, 0.85, 3, 6)
    start = np.arange(400) * 1000

    def peaks(p):
        return _peaks([(0, s, s + 200, q, s + 100) for s, q in zip(start.tolist(), p.tolist())])

    one, two = peaks(np.exp(scores[:, 0])), peaks(np.exp(scores[:, 1]))
    rates, mixture = peak_rates(peaks(scores.sum(axis=1)), one, two.take(np.arange(400) >= 100))
    assert mixture is not None and (rates[:100] == 1).all() and (rates[100:] <= 0.05).sum() > 100
