"""The result of a metric: a number, or NaN with the reason why there is none."""

from typing import NamedTuple

import numpy as np


class Score(NamedTuple):
    """``value`` is NaN exactly when ``reason`` says why the metric is undefined."""

    value: float
    reason: str = ""

    def __float__(self) -> float:
        return self.value


def undefined(reason: str) -> Score:
    """A score without a value."""
    return Score(float("nan"), reason)


def flat_pair(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays as float64 (n,), without entries that are NaN in either or False in ``mask``.

    Raises
    ------
    ValueError
        Shapes differ (a fault of the caller, not of the data).
    """
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    allowed = np.ones(truth.shape, bool) if mask is None else np.asarray(mask, bool)
    if not truth.shape == predicted.shape == allowed.shape:
        raise ValueError(f"shapes differ: truth {truth.shape}, predicted {predicted.shape}, mask {allowed.shape}")
    keep = allowed & ~(np.isnan(truth) | np.isnan(predicted))
    return truth[keep], predicted[keep]


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, float64 (n,); equal values share the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(values) else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + 1 + ends) / 2, ends - starts)
    return ranks
