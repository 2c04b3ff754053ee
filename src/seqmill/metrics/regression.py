"""Metrics of measured values. Entries that are NaN or masked are left out."""

import numpy as np

from seqmill.metrics.score import Score, average_ranks, flat_pair, undefined


def _why_not(truth: np.ndarray, predicted: np.ndarray, *, must_vary: bool = True) -> str:
    if len(truth) < 2:
        return "fewer than two values"
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        return "infinite values"
    if np.ptp(truth) == 0:
        return "truth is constant"
    if must_vary and np.ptp(predicted) == 0:
        return "prediction is constant"
    return ""


def _correlation(x: np.ndarray, y: np.ndarray) -> Score:
    x, y = x - x.mean(), y - y.mean()
    # scaled first, so that squares of tiny or huge values neither vanish nor overflow
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    r = np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y))
    return Score(float(np.clip(r, -1, 1)))


def pearson(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Pearson's correlation.

    Parameters
    ----------
    truth, predicted : any equal shape, taken as one list; NaN is left out.
    mask : False is left out.
    """
    truth, predicted = flat_pair(truth, predicted, mask)
    reason = _why_not(truth, predicted)
    return undefined(reason) if reason else _correlation(truth, predicted)


def spearman(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Spearman's rank correlation: `pearson` of ranks, ties sharing their mean rank. Parameters as in `pearson`."""
    truth, predicted = flat_pair(truth, predicted, mask)
    reason = _why_not(truth, predicted)
    return undefined(reason) if reason else _correlation(average_ranks(truth), average_ranks(predicted))


def r2(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Share of variance explained, 1 - SS(residual) / SS(total); negative when worse than the mean of the truth.

    Equal to scikit-learn's `r2_score`. Parameters as in `pearson`.
    """
    truth, predicted = flat_pair(truth, predicted, mask)
    reason = _why_not(truth, predicted, must_vary=False)
    if reason:
        return undefined(reason)
    residual, total = np.sum((truth - predicted) ** 2), np.sum((truth - truth.mean()) ** 2)
    return Score(float(1 - residual / total)) if total > 0 else undefined("truth is constant within precision")


def mean_squared_error(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Mean of squared differences, in squared units of the truth. Parameters as in `pearson`."""
    truth, predicted = flat_pair(truth, predicted, mask)
    return Score(float(np.mean((truth - predicted) ** 2))) if len(truth) else undefined("no values")
