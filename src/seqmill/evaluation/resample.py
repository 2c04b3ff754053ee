"""Resamples of blocks of test rows, and intervals from metrics on them.

Percentile intervals: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13. Runs are judged on
blocks of their fold, and folds are drawn independently: strata. From each, one block fewer is drawn than there are
(Rao and Wu 1988, Journal of the American Statistical Association 83:231), as drawing all of a few blocks understates
how much a metric varies.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqmill.metrics.bootstrap import BLOCK_BP, MIN_BLOCKS, TOO_FEW, genome_blocks, table_blocks

RESAMPLES = 500
MAX_ROW_BLOCKS = 10_000
MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class Blocks:
    """Rows by block: what a resample draws together.

    Attributes
    ----------
    index : (n,) int64, block of each row.
    count : number of blocks.
    unit : what a block is, in words.
    """

    index: np.ndarray
    count: int
    unit: str


def make_blocks(rows: pd.DataFrame, unit: str) -> Blocks:
    """Blocks of the rows of a test part.

    Parameters
    ----------
    rows : columns genome, contig, start, end (0-based, half-open), group.
    unit : "contig" (`seqmill.metrics.bootstrap.genome_blocks`: contigs, or stretches of 100 kb where they are few),
        "group" (rows of one group) or "row" (more than 10,000: random bunches).
    """
    n = len(rows)
    if unit == "row" and n > MAX_ROW_BLOCKS:
        # independent rows may be drawn in random bunches: the same spread, for much less memory
        index = np.random.Generator(np.random.PCG64(0)).permutation(n) % MAX_ROW_BLOCKS
        return Blocks(index, MAX_ROW_BLOCKS, f"random bunch of about {round(n / MAX_ROW_BLOCKS)} rows")
    if unit == "contig":
        contigs = pd.factorize(rows["genome"] + "\t" + rows["contig"])[0]
        index = genome_blocks(contigs, rows["start"].to_numpy())
        unit = "contig" if len(np.unique(contigs)) >= MIN_BLOCKS else f"stretch of at least {BLOCK_BP // 1000} kb"
    else:
        index = table_blocks(n, None if unit == "row" else rows["group"].to_numpy(str))
    return Blocks(index, int(index.max()) + 1 if n else 0, unit)


def draw(blocks: Blocks, seed: int, fold: str = "", resamples: int = RESAMPLES) -> np.ndarray:
    """How often each block is drawn: (resamples, blocks) int32, each line sums to the number of blocks less 1.

    The same blocks, seed and fold give the same draws, so that two models on the same rows are resampled together;
    draws of two folds are independent.
    """
    key = int.from_bytes(hashlib.sha256(fold.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    generator = np.random.Generator(np.random.PCG64([seed, key]))
    out = np.zeros((resamples, blocks.count), np.int32)
    for line in out if blocks.count else ():
        drawn = generator.integers(0, blocks.count, blocks.count - 1)
        line += np.bincount(drawn, minlength=blocks.count).astype(np.int32)
    return out


def intervals(values: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Percentile 95 % interval of each column of resampled values.

    Parameters
    ----------
    values : (resamples, columns), NaN where a metric is undefined. blocks : how many there are to draw from.

    Returns
    -------
    Low and high, float64 (columns,), NaN where there is no interval; and for each column why not, else empty.
    """
    values = np.asarray(values, np.float64)
    columns = values.shape[1]
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    if blocks < MIN_BLOCKS:
        return low, high, [TOO_FEW] * columns
    missing = np.isnan(values).mean(axis=0)
    reasons = [f"no interval: undefined in {100 * x:.0f} % of resamples" if x > MOST_UNDEFINED else "" for x in missing]
    whole, gappy = missing == 0, (missing > 0) & (missing <= MOST_UNDEFINED)
    for chosen, percentile in ((whole, np.percentile), (gappy, np.nanpercentile)):
        if chosen.any():
            low[chosen], high[chosen] = percentile(values[:, chosen], [2.5, 97.5], axis=0)
    return low, high, reasons
