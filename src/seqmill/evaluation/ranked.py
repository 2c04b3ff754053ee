"""Metrics of ranks on resampled blocks, fast enough for every track of a run.

A resample of blocks is a weight for each row (how often its block was drawn), so nothing is sorted twice: values are
ranked once, and each resample needs only weighted cumulative sums. The results are those of `seqmill.metrics` on the
repeated rows.
"""

import numpy as np

WORTH = 20  # a product of matrices beats cumulative sums up to about this many multiplications a row
CELLS = 4_000_000


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

    def resampled(self, draws: np.ndarray) -> np.ndarray:
        """`values` of every line of (resamples, blocks), float64 (resamples, 2).

        Both metrics are sums over the places of positives, and need only how often each block occurs up to there: where
        places times blocks are few, that is a product of matrices (of whole numbers, so exact in any order).
        """
        last = np.arange(len(self.block)) if self.ties is None else self.ties[1]
        runs = np.unique(last[self.positive == 1])  # runs of equal scores that hold a positive
        if not len(runs) or len(runs) * draws.shape[1] > WORTH * len(last):
            return np.array([self.values(line) for line in draws]).reshape(len(draws), 2)
        weights, blocks = draws.T.astype(np.float64), draws.shape[1]
        run = np.searchsorted(runs, last)  # of each place: the first run with a positive that is not before it
        inside = last == runs[np.minimum(run, len(runs) - 1)]

        def counted(rows: np.ndarray, start: int, stop: int) -> np.ndarray:
            cells = (run[rows] - start) * blocks + self.block[rows]
            return np.bincount(cells, minlength=(stop - start) * blocks).reshape(-1, blocks) @ weights

        every_positive = np.bincount(self.block[self.positive == 1], minlength=blocks) @ weights
        negatives = np.bincount(self.block, minlength=blocks) @ weights - every_positive
        above, positives = np.zeros(len(draws)), np.zeros(len(draws))
        wins, precision = np.zeros(len(draws)), np.zeros(len(draws))
        step = max(1, CELLS // max(blocks, len(draws)))
        for start in range(0, len(runs), step):
            stop = min(start + step, len(runs))
            rows = np.arange(*np.searchsorted(run, [start, stop]))
            positive = self.positive[rows] == 1
            found = counted(rows[positive], start, stop)
            called = above + np.cumsum(counted(rows, start, stop), axis=0)
            right = positives + np.cumsum(found, axis=0)
            tied = counted(rows[~positive & inside[rows]], start, stop)
            precision += np.sum(found * right / np.maximum(called, 1), axis=0)
            wins += np.sum(found * (negatives - (called - right) + tied / 2), axis=0)
            above, positives = called[-1], right[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            area = np.where(negatives > 0, wins / (every_positive * negatives), np.nan)
            return np.stack([area, np.where(every_positive > 0, precision / every_positive, np.nan)], axis=1)


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

    def resampled(self, draws: np.ndarray) -> np.ndarray:
        """`values` of every line of (resamples, blocks), float64 (resamples, 1)."""
        return np.array([self.values(line) for line in draws]).reshape(len(draws), 1)
