"""Metrics that follow from sums over rows: sums are kept for each block, so a resample is one product of matrices.

A statistic says what is summed for each row (`terms`) and how metrics follow from the sums (`finish`). Its state, if
any, is fixed by the first rows it sees.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from seqmill.metrics.classes import correlation_of_classes, surprise

View = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
CALL_AT = 0.5


class Statistic(Protocol):
    """Metrics of every track (or of the whole target: one column) from sums.

    Attributes
    ----------
    names : of the metrics. undefined : why a metric that has values may still be undefined. empty : why it may have
    none.
    """

    names: tuple[str, ...]
    undefined: str
    empty: str

    def terms(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(k, n, columns) of rows (n, ..., tracks); the first of the k counts what was judged."""
        ...

    def finish(self, sums: np.ndarray) -> np.ndarray:
        """(k, resamples, columns) to (metrics, resamples, columns), NaN where undefined."""
        ...


class BlockSums:
    """Terms of a statistic, summed for each block; add rows with `add`.

    Parameters
    ----------
    statistic : new, not used before. blocks : number of blocks.
    """

    def __init__(self, statistic: Statistic, blocks: int):
        self.statistic, self.blocks = statistic, blocks
        self.table: np.ndarray | None = None

    def add(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray, block: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        truth, predicted : (n, ..., tracks). mask : same, True where present. block : (n,) block of each row.
        """
        each = self.statistic.terms(truth, predicted, mask)
        if self.table is None:
            self.table = np.zeros((len(each), self.blocks, each.shape[2]))
        order = np.argsort(block, kind="stable")
        starts = np.flatnonzero(np.append(True, np.diff(block[order]) > 0))
        self.table[:, block[order][starts]] += np.add.reduceat(each[:, order], starts, axis=1)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Metrics (metrics, resamples, columns) for weights (resamples, blocks) of blocks."""
        if self.table is None:
            raise ValueError("no rows were added")
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.statistic.finish(weights.astype(np.float64) @ self.table)

    @property
    def judged(self) -> np.ndarray:
        """Values (or windows, or rows) of each column, int64."""
        return np.zeros(0, np.int64) if self.table is None else self.table[0].sum(axis=0).astype(np.int64)


def as_is(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The view that changes nothing."""
    return truth, predicted, mask


class Moments:
    """Pearson's r and R² (1 - residual / total sum of squares) over all values of a track.

    Parameters
    ----------
    names : of Pearson's r, and of R² where it is wanted.
    view : (truth, predicted, mask) to what is compared, e.g. logarithms of window totals.

    A value near the mean is subtracted first, which keeps the squares exact enough.
    """

    undefined, empty = "truth or prediction is constant", "no values"

    def __init__(self, names: tuple[str, ...] = ("pearson", "r2"), view: View = as_is):
        self.names, self.view = names, view
        self.centre: np.ndarray | None = None

    def terms(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
        truth, predicted, mask = self.view(truth, predicted, mask)
        inner = tuple(range(1, truth.ndim - 1))
        if self.centre is None:
            every = (0, *inner)
            present = np.maximum(mask.sum(axis=every), 1)
            self.centre = np.where(mask, truth, 0).sum(axis=every, dtype=np.float64) / present
        with np.errstate(invalid="ignore"):
            y = np.where(mask, truth - self.centre, 0.0)
            x = np.where(mask, predicted - self.centre, 0.0)
        out = np.empty((6, len(truth), truth.shape[-1]))
        for place, values in zip(out, (mask, y, x, y * y, x * x, y * x)):
            place[:] = values.sum(axis=inner, dtype=np.float64) if inner else values
        return out

    def finish(self, sums: np.ndarray) -> np.ndarray:
        n, y, x, yy, xx, yx = sums
        total, spread = yy - y * y / n, xx - x * x / n
        # rounding leaves about 1e-16 of the squares where nothing varies
        total = np.where(total > 1e-12 * yy, total, np.nan)
        spread = np.where(spread > 1e-12 * xx, spread, np.nan)
        pearson = np.clip((yx - y * x / n) / np.sqrt(total * spread), -1, 1)
        return np.stack([pearson, 1 - (yy - 2 * yx + xx) / total][: len(self.names)])


class Calls:
    """Matthews' correlation and accuracy of calls: predicted probability of at least 0.5.

    Matthews (1975) Biochimica et Biophysica Acta 405:442.
    """

    names: tuple[str, ...] = ("matthews", "accuracy")
    undefined, empty = "truth or calls are of one class", "no values"

    def terms(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
        positive, called = mask & (truth > 0), mask & (predicted >= CALL_AT)
        return np.stack([mask, positive, called, positive & called]).astype(np.float64)

    def finish(self, sums: np.ndarray) -> np.ndarray:
        n, positive, called, both = sums
        spread = positive * (n - positive) * called * (n - called)
        matthews = np.where(spread > 0, (n * both - positive * called) / np.sqrt(spread), np.nan)
        return np.stack([matthews, (n - positive - called + 2 * both) / n])


class WindowMeans:
    """Means over windows (or rows) of metrics that each of them has.

    Parameters
    ----------
    names : of the metrics.
    of_window : (truth, predicted, mask) to (metrics, n, columns), NaN where a window has none.
    empty : why none may have any.
    """

    undefined = ""

    def __init__(self, names: tuple[str, ...], of_window: Callable[..., np.ndarray], empty: str):
        self.names, self.of_window, self.empty = names, of_window, empty

    def terms(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
        found = self.of_window(truth, predicted, mask)
        present = ~np.isnan(found).any(axis=0)
        return np.concatenate([present[None].astype(np.float64), np.where(present, found, 0.0)])

    def finish(self, sums: np.ndarray) -> np.ndarray:
        return np.where(sums[0] > 0, sums[1:] / sums[0], np.nan)


class Classes:
    """Accuracy, Matthews' correlation and cross-entropy of a target with one of several classes.

    As `seqmill.metrics.classes`; a row counts where all of its classes are known.
    """

    names: tuple[str, ...] = ("accuracy", "matthews", "cross_entropy")
    undefined, empty = "truth or calls are of one class", "no values"

    def terms(self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
        known = np.asarray(mask.all(axis=1))
        truth = np.where(known[:, None], truth, 0.0)
        true, called = truth.argmax(axis=1), predicted.argmax(axis=1)
        every = np.arange(truth.shape[1])[:, None]
        rows = [known, (true == called) & known, np.where(known, surprise(truth, predicted), 0.0)]
        return np.concatenate([np.stack(rows), (every == true) & known, (every == called) & known])[:, :, None]

    def finish(self, sums: np.ndarray) -> np.ndarray:
        n, right, cost = sums[:3]
        classes = (len(sums) - 3) // 2
        matthews = correlation_of_classes(n, right, sums[3 : 3 + classes], sums[3 + classes :])
        return np.stack([right / n, matthews, np.where(n > 0, cost / n, np.nan)])
