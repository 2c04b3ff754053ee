"""Metrics of yes/no targets. Truth is 0 or 1; entries that are NaN or masked are left out."""

import numpy as np

from seqmill.metrics.score import Score, average_ranks, flat_pair, undefined


def _classes(truth: np.ndarray) -> tuple[int, int, str]:
    """Numbers of ones and of zeros, and why no ranking metric exists, if so."""
    if not np.isin(truth, (0.0, 1.0)).all():
        return 0, 0, "truth holds values other than 0 and 1"
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not len(truth):
        return 0, 0, "no values"
    if not positives:
        return positives, negatives, "no positives"
    return positives, negatives, "" if negatives else "no negatives"


def auroc(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Area under the ROC curve: the chance that a positive is above a negative, ties counting one half.

    Mann & Whitney (1947) Annals of Mathematical Statistics 18:50; equal to scikit-learn's `roc_auc_score`.

    Parameters
    ----------
    truth, predicted : any equal shape; truth 0 or 1, predicted any scale. NaN is left out.
    mask : False is left out.
    """
    truth, predicted = flat_pair(truth, predicted, mask)
    positives, negatives, reason = _classes(truth)
    if reason:
        return undefined(reason)
    ranks = average_ranks(predicted)[truth == 1].sum()
    return Score(float((ranks - positives * (positives + 1) / 2) / (positives * negatives)))


def auprc(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None) -> Score:
    """Average precision: precision at each distinct threshold, weighted by the recall gained there.

    Equal to scikit-learn's `average_precision_score`; no interpolation (Davis & Goadrich 2006, ICML). Parameters as
    in `auroc`. Without negatives it is 1; without positives it is undefined.
    """
    truth, predicted = flat_pair(truth, predicted, mask)
    positives, _, reason = _classes(truth)
    if reason and reason != "no negatives":
        return undefined(reason)
    order = np.argsort(-predicted, kind="stable")
    ordered = predicted[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # the last of each run of equal scores
    hits = np.cumsum(truth[order])[last]
    called = np.flatnonzero(last) + 1
    return Score(float(np.sum(np.diff(hits, prepend=0) / positives * hits / called)))


def accuracy(
    truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None, *, threshold: float = 0.5
) -> Score:
    """Share of entries whose call (``predicted`` >= ``threshold``) is the truth. Parameters as in `auroc`."""
    truth, predicted = flat_pair(truth, predicted, mask)
    reason = _classes(truth)[2]
    if reason and reason not in ("no positives", "no negatives"):
        return undefined(reason)
    return Score(float(np.mean((predicted >= threshold) == (truth == 1))))


def matthews(
    truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray | None = None, *, threshold: float = 0.5
) -> Score:
    """Matthews' correlation of calls (``predicted`` >= ``threshold``) with the truth, -1 to 1.

    Matthews (1975) Biochimica et Biophysica Acta 405:442. Undefined when truth or calls are of one class
    (scikit-learn says 0 there). Parameters as in `auroc`.
    """
    truth, predicted = flat_pair(truth, predicted, mask)
    reason = _classes(truth)[2]
    if reason:
        return undefined(reason)
    called = predicted >= threshold
    if called.all() or not called.any():
        return undefined("all calls are the same")
    return Score(float(np.corrcoef(truth, called)[0, 1]))
