"""Irreproducible discovery rate: Li, Brown, Huang and Bickel 2011, Ann Appl Stat 5:1752.

Scores of the same peaks in two replicates are a mixture of a reproducible part, whose (hidden, normal) scores are high
and correlated, and of noise, whose scores are independent. Only ranks are used (a semiparametric copula): the mixture
is fitted by expectation and maximisation on pseudo-values, sections 2.2 and 2.3 of the paper.
"""

from typing import NamedTuple

import numpy as np

from seqmill.reads.overlap import overlaps
from seqmill.reads.peaks import Peaks

LEAST = 20
"""Pairs below which nothing is fitted."""
STARTS = ((2.6, 1.3, 0.8, 0.7), (1.0, 1.0, 0.5, 0.3), (3.0, 1.0, 0.9, 0.1))
TOLERANCE, ROUNDS = 1e-4, 300
GRID = 4001
MAX_RHO, LEAST_SIGMA, LEAST_SHARE = 0.999, 0.05, 1e-4
# 2 x gain in log likelihood over independence that four parameters reach by chance once in 100,000 (chi-square, 4 df).
LEAST_GAIN = 28.5


class Mixture(NamedTuple):
    """The reproducible part: mean, standard deviation and correlation of its hidden scores, and its share."""

    mean: float
    sigma: float
    rho: float
    share: float


class Idr(NamedTuple):
    """A fit. ``mixture`` is None where replicates agree no better than chance, or there are too few pairs to tell.

    local : float64 (n,), the probability of each pair to be noise. rate : float64 (n,), the irreproducible discovery
    rate: the mean of ``local`` over all pairs at least as good.
    """

    mixture: Mixture | None
    local: np.ndarray
    rate: np.ndarray


def idr(one: np.ndarray, two: np.ndarray) -> Idr:
    """Irreproducible discovery rate of pairs of scores.

    Parameters
    ----------
    one, two : float (n,), scores of the same peaks in two replicates, high is good. Equal ones share their mean rank.

    Notes
    -----
    Fitted from three starts, the likeliest taken. Where the mixture is not clearly likelier than independence, all
    pairs are noise (rate 1): of two lists of noise the share is not identified, and could come out as anything.
    """
    from scipy.stats import rankdata

    n = len(one)
    noise = Idr(None, np.ones(n), np.ones(n))
    if n < LEAST:
        return noise
    u, v = (rankdata(np.asarray(score, np.float64)) / (n + 1) for score in (one, two))
    fits = [_fit(u, v, Mixture(*start)) for start in STARTS]
    mixture, gain = max(fits, key=lambda fit: fit[1])
    if not 2 * gain > LEAST_GAIN:
        return noise
    local = 1 - _responsible(*_pseudo(u, v, mixture), mixture)
    return Idr(mixture, local, _rate(local))


def _rate(local: np.ndarray) -> np.ndarray:
    """Mean of ``local`` over the pairs that have no higher one."""
    ordered = np.sort(local)
    mean = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return mean[np.searchsorted(ordered, local, side="right") - 1]


def _fit(u: np.ndarray, v: np.ndarray, mixture: Mixture) -> tuple[Mixture, float]:
    """One step of expectation and maximisation for each set of pseudo-values, until the mixture stands still.

    Returns the mixture and the log likelihood of its copula, which is 0 for independence.
    """
    for _ in range(ROUNDS):
        x, y = _pseudo(u, v, mixture)
        updated = _maximise(x, y, _responsible(x, y, mixture))
        moved = max(abs(new - old) for new, old in zip(updated, mixture))
        mixture = updated
        if moved < TOLERANCE:
            break
    x, y = _pseudo(u, v, mixture)
    signal, background = _log_densities(x, y, mixture)
    margins = _log_margin(x, mixture) + _log_margin(y, mixture)
    return mixture, float((np.logaddexp(signal, background) - margins).sum())


def _pseudo(u: np.ndarray, v: np.ndarray, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Hidden scores that the mixture's margin gives for the ranks."""
    from scipy.special import ndtr

    mean, sigma, _, share = mixture
    grid = np.linspace(min(-6.0, mean - 6 * sigma), max(6.0, mean + 6 * sigma), GRID)
    cdf = share * ndtr((grid - mean) / sigma) + (1 - share) * ndtr(grid)
    return np.interp(u, cdf, grid), np.interp(v, cdf, grid)


def _log_densities(x: np.ndarray, y: np.ndarray, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Logs of the two parts' joint densities times their shares."""
    mean, sigma, rho, share = mixture
    a, b, left = (x - mean) / sigma, (y - mean) / sigma, 1 - rho**2
    signal = -(a**2 - 2 * rho * a * b + b**2) / (2 * left) - np.log(2 * np.pi * sigma**2 * np.sqrt(left))
    background = -(x**2 + y**2) / 2 - np.log(2 * np.pi)
    return np.log(share) + signal, np.log1p(-share) + background


def _log_margin(x: np.ndarray, mixture: Mixture) -> np.ndarray:
    mean, sigma, _, share = mixture
    signal = np.log(share / sigma) - ((x - mean) / sigma) ** 2 / 2
    return np.logaddexp(signal, np.log1p(-share) - x**2 / 2) - np.log(2 * np.pi) / 2


def _responsible(x: np.ndarray, y: np.ndarray, mixture: Mixture) -> np.ndarray:
    """Probability of each pair to be of the reproducible part."""
    signal, background = _log_densities(x, y, mixture)
    return np.exp(signal - np.logaddexp(signal, background))


def _maximise(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Mixture:
    """Equations of the M step (both margins of the reproducible part are equal); the mean is not below noise's 0."""
    total = max(float(weight.sum()), 1e-9)
    mean = max(float((weight * (x + y)).sum()) / (2 * total), 0.0)
    a, b = x - mean, y - mean
    squares = max(float((weight * (a**2 + b**2)).sum()), 1e-12)
    rho = 2 * float((weight * a * b).sum()) / squares
    share = float(np.clip(total / len(x), LEAST_SHARE, 1 - LEAST_SHARE))
    sigma = max(np.sqrt(squares / (2 * total)), LEAST_SIGMA)
    return Mixture(mean, float(sigma), float(np.clip(rho, 0, MAX_RHO)), share)


def matched(pooled: Peaks, replicate: Peaks) -> np.ndarray:
    """The replicate's peak that each pooled peak is compared with: its row, -1 for none; int64 (n,).

    The one with the most shared bases; of several the one with the nearest summit, then the lower p-value.
    """
    pairs = overlaps(pooled, replicate)
    apart = np.abs(pooled.summit[pairs.first] - replicate.summit[pairs.second])
    order = np.lexsort((-replicate.p[pairs.second], apart, -pairs.bases, pairs.first))
    row = np.full(len(pooled.start), -1, np.int64)
    first, place = np.unique(pairs.first[order], return_index=True)
    row[first] = pairs.second[order][place]
    return row


def peak_rates(pooled: Peaks, one: Peaks, two: Peaks) -> tuple[np.ndarray, Mixture | None]:
    """Irreproducible discovery rate of pooled peaks by the p-values of their matches in two replicates.

    Returns
    -------
    float64 (n,), 1 where a replicate has no peak, and the fitted mixture.
    """
    left, right = matched(pooled, one), matched(pooled, two)
    both = (left >= 0) & (right >= 0)
    rate = np.ones(len(pooled.start))
    found = idr(one.p[left[both]], two.p[right[both]])
    rate[both] = found.rate
    return rate, found.mixture
