"""Confidence intervals by resampling blocks: neighbouring windows are not independent, blocks nearly are."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

MIN_BLOCKS = 10
BLOCK_BP = 100_000
TOO_FEW = "too few blocks for an interval"

Metric = Callable[..., float]


class Interval(NamedTuple):
    """Bounds of a percentile interval; both None when ``reason`` says why there is none."""

    low: float | None
    high: float | None
    blocks: int
    reason: str = ""


def genome_blocks(contigs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Block of each window: its contig where there are at least 10, else a contiguous stretch of at least 100 kb.

    Parameters
    ----------
    contigs : (n,) names. starts : (n,) 0-based starts of windows, in bp.

    Returns
    -------
    int64 (n,), blocks numbered from 0. A contig is cut at multiples of 100 kb; the rest of its last stretch belongs to
    the stretch before.
    """
    _, contig = np.unique(np.asarray(contigs), return_inverse=True)
    contig = contig.reshape(-1)
    starts = np.asarray(starts, np.int64)
    if not len(contig) or contig.max() + 1 >= MIN_BLOCKS:
        return contig.astype(np.int64)
    ends = np.zeros(contig.max() + 1, np.int64)
    np.maximum.at(ends, contig, starts + 1)
    last = np.maximum(ends // BLOCK_BP - 1, 0)
    stretch = np.minimum(starts // BLOCK_BP, last[contig])
    _, blocks = np.unique(np.stack([contig, stretch]), axis=1, return_inverse=True)
    return blocks.reshape(-1).astype(np.int64)


def table_blocks(rows: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Block of each row of a sequence table: the row itself, or its group. Returns int64 (rows,)."""
    if groups is None:
        return np.arange(rows, dtype=np.int64)
    return np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _resamples(blocks: np.ndarray, n: int, seed: int) -> Iterator[np.ndarray]:
    """Row indices of ``n`` draws of as many blocks as there are, with replacement."""
    order = np.argsort(blocks, kind="stable")
    ids, first, sizes = np.unique(blocks[order], return_index=True, return_counts=True)
    rng = np.random.default_rng(seed)
    for _ in range(n):
        drawn = rng.integers(0, len(ids), len(ids))
        counts = sizes[drawn]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield order[np.repeat(first[drawn], counts) + offsets]


def _interval(values: list[float], blocks: int, level: float) -> Interval:
    found = np.array(values)
    found = found[~np.isnan(found)]
    if len(found) < len(values) / 2:
        return Interval(None, None, blocks, "the metric is undefined in most resamples")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), blocks)


def bootstrap_interval(
    metric: Metric, blocks: np.ndarray, *arrays: np.ndarray, n: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile interval of ``metric(*arrays)`` over resampled blocks.

    Efron & Tibshirani (1993) An Introduction to the Bootstrap, chapters 8 and 13.

    Parameters
    ----------
    metric : takes the resampled arrays; returns a float or a `Score`. NaN resamples are left out.
    blocks : (rows,) block of each row, as of `genome_blocks` or `table_blocks`.
    arrays : each (rows, ...).
    n : number of resamples. seed : same seed, same interval. level : 0.95 for a 95 % interval.
    """
    blocks, data = np.asarray(blocks), [np.asarray(array) for array in arrays]
    for array in data:
        if len(array) != len(blocks):
            raise ValueError(f"{len(blocks)} rows have blocks, {len(array)} rows are given")
    number = len(np.unique(blocks))
    if number < MIN_BLOCKS:
        return Interval(None, None, number, TOO_FEW)
    values = [float(metric(*(array[rows] for array in data))) for rows in _resamples(blocks, n, seed)]
    return _interval(values, number, level)


def bootstrap_difference(
    metric: Metric,
    blocks: np.ndarray,
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *rest: np.ndarray,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of ``metric(truth, first, *rest) - metric(truth, second, *rest)``, paired.

    Both predictions are judged on the same resampled blocks. Parameters as in `bootstrap_interval`.
    """

    def difference(truth, first, second, *rest):
        return float(metric(truth, first, *rest)) - float(metric(truth, second, *rest))

    return bootstrap_interval(difference, blocks, truth, first, second, *rest, n=n, seed=seed, level=level)
