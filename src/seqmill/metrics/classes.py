"""Metrics of targets with one of several classes, or with shares of classes that sum to 1.

Truth and prediction are (rows, classes): shares of each row, one-hot where the class is known for certain. The
predicted class is the one with the largest value, the first of equal ones. Rows with NaN are left out.
"""

import numpy as np

from seqmill.metrics.score import Score, undefined

LEAST_SHARE = 1e-7  # a predicted share of 0 costs as much as this one, so that one row cannot cost without limit


def _known(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if truth.ndim != 2 or truth.shape != predicted.shape:
        raise ValueError(f"expected (rows, classes) twice, found {truth.shape} and {predicted.shape}")
    keep = ~(np.isnan(truth) | np.isnan(predicted)).any(axis=1)
    if mask is not None:
        keep &= np.asarray(mask, bool)
    return truth[keep], predicted[keep]


def surprise(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Cross-entropy of each row in nats, float64 (rows,); predicted shares are divided by their sum."""
    predicted = np.maximum(np.asarray(predicted, np.float64), 0)
    total = predicted.sum(axis=-1, keepdims=True)
    flat = np.full_like(predicted, 1 / predicted.shape[-1])
    shares = np.where(total > 0, predicted / np.where(total > 0, total, 1), flat)
    return -np.sum(truth * np.log(np.maximum(shares, LEAST_SHARE)), axis=-1)


def cross_entropy(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Mean cross-entropy of rows in nats; scikit-learn's `log_loss` for one-hot truth.

    Parameters
    ----------
    truth, predicted : (rows, classes). mask : (rows,), False is left out.
    """
    truth, predicted = _known(truth, predicted, mask)
    return Score(float(surprise(truth, predicted).mean())) if len(truth) else undefined("no values")


def class_accuracy(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Share of rows whose predicted class is the true one. Parameters as in `cross_entropy`."""
    truth, predicted = _known(truth, predicted, mask)
    if not len(truth):
        return undefined("no values")
    return Score(float(np.mean(truth.argmax(axis=1) == predicted.argmax(axis=1))))


def correlation_of_classes(
    rows: np.ndarray, right: np.ndarray, true_counts: np.ndarray, called_counts: np.ndarray
) -> np.ndarray:
    """Gorodkin's R_K from counts; for two classes it is Matthews' correlation.

    Gorodkin (2004) Computational Biology and Chemistry 28:367; scikit-learn's `matthews_corrcoef`.

    Parameters
    ----------
    rows, right : (...,) numbers of rows and of right calls. true_counts, called_counts : (classes, ...).

    Returns
    -------
    float64 (...,), NaN where truth or calls are of one class.
    """
    both = np.sum(true_counts * called_counts, axis=0)
    spread = (rows**2 - np.sum(true_counts**2, axis=0)) * (rows**2 - np.sum(called_counts**2, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, (right * rows - both) / np.sqrt(spread), np.nan)


def class_matthews(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Matthews' correlation for several classes (`correlation_of_classes`). Parameters as in `cross_entropy`."""
    truth, predicted = _known(truth, predicted, mask)
    if not len(truth):
        return undefined("no values")
    true, called = truth.argmax(axis=1), predicted.argmax(axis=1)
    counts = [np.bincount(which, minlength=truth.shape[1]).astype(np.float64) for which in (true, called)]
    found = float(correlation_of_classes(np.array(float(len(true))), np.sum(true == called), *counts))
    return undefined("truth or calls are of one class") if np.isnan(found) else Score(found)
