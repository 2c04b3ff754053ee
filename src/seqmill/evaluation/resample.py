"""Values of metrics on resampled blocks, fast enough for every track of a run.

A resample of blocks is a weight for each row (how often its block was drawn), so nothing is sorted twice: scores are
ranked once, and each resample needs only weighted cumulative sums (AUROC, average precision, Spearman) or a product
of the weights with sums kept for each block (Pearson, R²). The results are those of `seqmill.metrics` on the
repeated rows. Percentile intervals: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqmill.metrics.bootstrap import BLOCK_BP, MIN_BLOCKS, TOO_FEW, genome_blocks, table_blocks

RESAMPLES = 500
MAX_ROW_BLOCKS = 10_000
LEAST_DEFINED = 0.95


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


def draw(blocks: Blocks, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each block is drawn: (resamples, blocks) int32, each line sums to the number of blocks.

    The same blocks and seed give the same draws, so that two models on the same rows are resampled together.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    out = np.zeros((resamples, blocks.count), np.int32)
    for line in out if blocks.count else ():
        line += np.bincount(generator.integers(0, blocks.count, blocks.count), minlength=blocks.count).astype(np.int32)
    return out


def _ties(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Last place of each run of equal values, and the run of each place; None if all values differ."""
    last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
    return None if last.all() else (np.flatnonzero(last), np.append(0, np.cumsum(last)[:-1]))


class Ranked:
    """AUROC and average precision of one track under weights of blocks; ties are handled as scikit-learn does.

    Parameters
    ----------
    truth : (n,) 0 or 1. score : (n,) larger means more likely 1. block : (n,) block of each row.
    """

    names = ("auroc", "auprc")

    def __init__(self, truth: np.ndarray, score: np.ndarray, block: np.ndarray):
        order = np.argsort(-score, kind="stable")
        self.positive, self.block = truth[order].astype(np.int64), block[order]
        self.ties = _ties(score[order])

    def values(self, weights: np.ndarray) -> tuple[float, float]:
        """AUROC and average precision, given how often each block is drawn; NaN if a class has no weight."""
        weights = weights[self.block]
        positives, every = np.cumsum(weights * self.positive), np.cumsum(weights)
        if self.ties is not None:
            positives, every = positives[self.ties[0]], every[self.ties[0]]
        n_positive = int(positives[-1]) if len(positives) else 0
        n_negative = int(every[-1]) - n_positive if len(every) else 0
        if not n_positive:
            return np.nan, np.nan
        step = np.diff(positives, prepend=0)
        precision = float(np.sum(step * (positives / np.maximum(every, 1)))) / n_positive
        if not n_negative:
            return np.nan, precision
        negatives = np.diff(every - positives, prepend=0)
        wins = float(np.sum(negatives * (positives - step / 2)))
        return wins / (n_positive * n_negative), precision


class Sums:
    """Sums of two variables for each block; Pearson's r and R² of any weighting of blocks follow from them.

    Parameters
    ----------
    blocks : number of blocks. tracks : number of tracks that are summed side by side.
    centre : (tracks,) a value near the mean of truth and prediction; subtracting it keeps the squares exact enough.
    """

    names = ("pearson", "r2")

    def __init__(self, blocks: int, centre: np.ndarray):
        self.centre = np.asarray(centre, np.float64)
        self.table = np.zeros((6, blocks, len(self.centre)))

    def add(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray, block: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        truth, predicted : (n, ..., tracks). mask : same, True where present. block : (n,) block of each row.
        """
        inner = tuple(range(1, truth.ndim - 1))
        with np.errstate(invalid="ignore"):
            y = np.where(mask, truth - self.centre, 0.0)
            x = np.where(mask, predicted - self.centre, 0.0)
        order = np.argsort(block, kind="stable")
        starts = np.flatnonzero(np.append(True, np.diff(block[order]) > 0))
        for part, values in zip(self.table, (mask, y, x, y * y, x * x, y * x)):
            each = values.sum(axis=inner, dtype=np.float64) if inner else values.astype(np.float64)
            part[block[order][starts]] += np.add.reduceat(each[order], starts, axis=0)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Pearson's r and R² (1 - residual / total sum of squares).

        Parameters
        ----------
        weights : (resamples, blocks).

        Returns
        -------
        (2, resamples, tracks) float64, NaN where truth (or, for r, the prediction) does not vary.
        """
        n, y, x, yy, xx, yx = (weights.astype(np.float64) @ part for part in self.table)
        with np.errstate(invalid="ignore", divide="ignore"):
            total, spread = yy - y * y / n, xx - x * x / n
            # rounding leaves about 1e-16 of the squares where nothing varies
            total = np.where(total > 1e-12 * yy, total, np.nan)
            spread = np.where(spread > 1e-12 * xx, spread, np.nan)
            pearson = (yx - y * x / n) / np.sqrt(total * spread)
            residual = yy - 2 * yx + xx
            return np.stack([np.clip(pearson, -1, 1), 1 - residual / total])


def _midranks(weights: np.ndarray, ties: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Midrank of each place among the repeated rows, less 1/2; ``weights`` in the order of the values."""
    up_to = np.cumsum(weights)
    if ties is None:
        up_to -= weights * 0.5
        return up_to
    upper = up_to[ties[0]]
    return ((np.append(0.0, upper[:-1]) + upper) / 2)[ties[1]]


class Monotone:
    """Spearman's correlation of one track under weights of blocks: Pearson's r of
    midranks, ranked anew for each weighting.

    Parameters
    ----------
    truth, predicted : (n,) without missing values. block : (n,) block of each row.
    """

    names = ("spearman",)

    def __init__(self, truth: np.ndarray, predicted: np.ndarray, block: np.ndarray):
        by_truth, by_predicted = np.argsort(truth, kind="stable"), np.argsort(predicted, kind="stable")
        place = np.empty_like(by_predicted)
        place[by_predicted] = np.arange(len(place))
        self.place = place[by_truth]  # among the predictions, of each row in the order of truth
        self.blocks = block[by_truth], block[by_predicted]
        self.ties = _ties(truth[by_truth]), _ties(predicted[by_predicted])

    def values(self, weights: np.ndarray) -> tuple[float]:
        """Spearman's correlation, given how often each block is drawn; NaN where one side does not vary."""
        weights = weights.astype(np.float64)
        w = weights[self.blocks[0]]
        middle = float(w.sum()) / 2
        y = _midranks(w, self.ties[0]) - middle
        x = _midranks(weights[self.blocks[1]], self.ties[1])[self.place] - middle
        weighted = w * y
        w *= x
        spread = float(np.dot(weighted, y)) * float(np.dot(w, x))
        return (float(np.dot(weighted, x)) / np.sqrt(spread) if spread > 0 else np.nan,)


def interval(values: np.ndarray, blocks: int) -> tuple[float, float, str]:
    """Percentile 95 % interval of resampled values.

    Returns
    -------
    Low, high and an empty string; or NaN, NaN and the reason why there is no interval.
    """
    if blocks < MIN_BLOCKS:
        return np.nan, np.nan, TOO_FEW
    defined = values[~np.isnan(values)]
    if len(defined) < LEAST_DEFINED * len(values):
        share = 100 * (1 - len(defined) / len(values))
        return np.nan, np.nan, f"no interval: undefined in {share:.0f} % of resamples"
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high), ""
