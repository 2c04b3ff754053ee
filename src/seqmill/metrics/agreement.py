"""Agreement of predictions with measured effects, and its intervals from blocks, many predictors at once.

Percentile intervals: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13. All predictors are
judged on the same draws, so that differences of their resampled values are paired.
"""

import math
from functools import cached_property

import numpy as np

from seqmill.metrics.bootstrap import MIN_BLOCKS, TOO_FEW, Interval
from seqmill.metrics.score import average_ranks

DRAWS_BYTES = 64_000_000
LEVEL = 0.95


class Draws:
    """Resamples of blocks of rows, as many blocks as there are, with replacement.

    Parameters
    ----------
    blocks : (n,) block of each row, of any type that can be sorted. resamples : how many. seed : same seed, same draws.

    Attributes
    ----------
    count : number of blocks. index : int64 (n,), number of each row's block.
    weights : int32 (resamples, blocks), how often each block is drawn.
    """

    def __init__(self, blocks: np.ndarray, resamples: int, seed: int):
        ids, index = np.unique(np.asarray(blocks), return_inverse=True)
        self.count, self.index, self.resamples, self.seed = len(ids), index.reshape(-1), resamples, seed

    @cached_property
    def weights(self) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        even = np.full(self.count, 1 / max(self.count, 1))
        return rng.multinomial(self.count, even, size=self.resamples).astype(np.int32)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over each resample, float64 (resamples, columns), of values (n, columns)."""
        per_block = np.zeros((self.count, values.shape[1]))
        np.add.at(per_block, self.index, values)
        return self.weights @ per_block

    def interval(self, resampled: np.ndarray) -> Interval:
        """95 % percentile interval of resampled values (resamples,); none below `MIN_BLOCKS` blocks."""
        if self.count < MIN_BLOCKS:
            return Interval(None, None, self.count, TOO_FEW)
        return percentiles(resampled, self.count)


def percentiles(resampled: np.ndarray, blocks: int) -> Interval:
    """The middle 95 % of resampled values (resamples,); NaN are left out, but not more than half."""
    known = resampled[np.isfinite(resampled)]
    if len(known) < max(1, len(resampled) / 2):
        return Interval(None, None, blocks, "the metric is undefined in most resamples")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), blocks)


def _moments(sums: np.ndarray) -> np.ndarray:
    """Correlation from sums of 1, x, y, xx, yy, xy along the first axis; NaN where it is not defined."""
    n, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        varies = np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0)
        found = (xy - x * y / n) / np.sqrt(varies)
    return np.where((n > 1) & (varies > 1e-18 * np.maximum(n, 1) ** 2), np.clip(found, -1, 1), np.nan)


def correlation(
    truth: np.ndarray, predicted: np.ndarray, draws: Draws, *, ranked: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's, or with ``ranked`` Spearman's, correlation of measured values with each predictor.

    Parameters
    ----------
    truth : (n,). predicted : (n, predictors). Rows that are NaN in either are left out of that predictor. Ranks are
        those of all rows, not of each resample.

    Returns
    -------
    float64 (predictors,) and (resamples, predictors); NaN where a side does not vary.
    """
    truth = np.broadcast_to(np.asarray(truth, np.float64)[:, None], predicted.shape)
    known = np.isfinite(truth) & np.isfinite(predicted)
    x, y = (_standard(_ranks(side, known) if ranked else side, known) for side in (truth, predicted))
    parts = np.stack([known.astype(np.float64), x, y, x * x, y * y, x * y])
    value = _moments(parts.sum(axis=1))
    return value, _moments(np.stack([draws.sums(part) for part in parts]))


def _ranks(side: np.ndarray, known: np.ndarray) -> np.ndarray:
    out = np.zeros(side.shape)
    for column in range(side.shape[1]):
        rows = known[:, column]
        out[rows, column] = average_ranks(side[rows, column])
    return out


def _standard(side: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Columns moved to mean 0 and scaled to deviation 1 over the known rows, 0 elsewhere."""
    side = np.where(known, side, 0.0).astype(np.float64)
    n = np.maximum(known.sum(axis=0), 1)
    side = np.where(known, side - side.sum(axis=0) / n, 0.0)
    spread = np.sqrt((side * side).sum(axis=0) / n)
    return side / np.where(spread > 0, spread, 1.0)


def sign_agreement(truth: np.ndarray, predicted: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Share of rows whose predicted sign is the measured one; a prediction of 0 counts one half.

    Parameters
    ----------
    truth : (n,), not 0. predicted : (n, predictors), NaN is left out.

    Returns
    -------
    float64 (predictors,) and (resamples, predictors).
    """
    right = (np.sign(predicted) * np.sign(truth)[:, None] + 1) / 2
    known = np.isfinite(right)
    right = np.where(known, right, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = right.sum(axis=0) / known.sum(axis=0)
        return value, draws.sums(right) / draws.sums(known.astype(np.float64))


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of ``n`` independent rows: Wilson (1927), Journal of the American Statistical
    Association 22:209."""
    z = 1.959963984540054
    middle, width = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)


def area(positive: np.ndarray, predicted: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Area under the ROC curve of each predictor, ties counting one half.

    Parameters
    ----------
    positive : bool (n,). predicted : (n, predictors), NaN is left out.

    Returns
    -------
    float64 (predictors,) and (resamples, predictors); NaN without positives or negatives.
    """
    values, resampled = [], []
    for column in predicted.T:
        rows = np.flatnonzero(np.isfinite(column))
        order = rows[np.argsort(column[rows], kind="stable")]
        first = np.flatnonzero(np.diff(column[order], prepend=np.nan) != 0)  # of each run of equal scores
        ones, blocks = positive[order].astype(np.float64), draws.index[order]
        values.append(_area(np.ones((1, len(order))), ones, first)[0])
        step = max(1, DRAWS_BYTES // (8 * max(len(order), 1)))
        parts = [_area(draws.weights[i : i + step][:, blocks], ones, first) for i in range(0, draws.resamples, step)]
        resampled.append(np.concatenate(parts))
    return np.array(values), np.stack(resampled, axis=1)


def _area(weight: np.ndarray, ones: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Area under the curve for each row of weights (draws, n) of rows in ascending order of their scores."""
    if not len(ones):
        return np.full(len(weight), np.nan)
    pos = np.add.reduceat(weight * ones, first, axis=1)
    neg = np.add.reduceat(weight * (1 - ones), first, axis=1)
    pairs = pos.sum(axis=1) * neg.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (pos * (np.cumsum(neg, axis=1) - neg / 2)).sum(axis=1) / np.where(pairs > 0, pairs, np.nan)


def ceiling(truth: np.ndarray, error: np.ndarray) -> float:
    """Largest correlation that a perfect prediction of the true effects could have with their noisy measurement.

    The square root of the measurement's reliability, 1 - mean(error²) / variance (Spearman 1904, American Journal of
    Psychology 15:72). NaN without errors or variance, 0 where the errors explain all of it.

    Parameters
    ----------
    truth, error : (n,) measured values and their standard errors; rows that are NaN in either are left out.
    """
    known = np.isfinite(truth) & np.isfinite(error)
    if known.sum() < 2 or not np.var(truth[known], ddof=1) > 0:
        return math.nan
    return math.sqrt(max(0.0, 1 - float(np.mean(error[known] ** 2)) / float(np.var(truth[known], ddof=1))))
