"""How predictions of each target kind are judged: one entry of `KINDS` a kind."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seqmill.evaluation.ranked import Monotone, Ranked
from seqmill.evaluation.sums import Calls, Classes, Moments, Statistic, View, WindowMeans, as_is
from seqmill.metrics.classes import surprise
from seqmill.metrics.fractions import beta_binomial_log_likelihood
from seqmill.metrics.profile import distance_of_shares, jsd, likelihood_of_shares, shares

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def _nothing() -> list[Statistic]:
    return []


@dataclass(frozen=True)
class Kind:
    """Metrics of one target kind.

    Attributes
    ----------
    view : rows (truth, predicted, mask) as tracks are judged on them, e.g. a fraction of two counts.
    ranked : metrics of each track that need its values in order, or None.
    summed : makes the statistics of each track. whole : makes those of the target as a whole.
    positives : whether truth is yes or no, so that positives are counted.
    """

    view: View = as_is
    ranked: type[Ranked] | type[Monotone] | None = None
    summed: Callable[[], list[Statistic]] = _nothing
    whole: Callable[[], list[Statistic]] = _nothing
    positives: bool = False


def window_totals(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> Arrays:
    """log(1 + total) of the known bins of each window (n, tracks); windows with negative signal are masked."""
    inner = tuple(range(1, truth.ndim - 1))
    y, x = np.where(mask, truth, 0.0), np.where(mask, np.maximum(predicted, 0), 0.0)
    usable = np.asarray(mask.any(axis=inner) & ~(y < 0).any(axis=inner))
    total = np.where(usable, y.sum(axis=inner), 0.0)
    return np.log1p(total), np.log1p(x.sum(axis=inner)), usable


def logarithms(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> Arrays:
    """log(1 + count); predictions below 0 count as 0, negative truth is masked."""
    known = mask & ~(truth < 0)
    return np.log1p(np.where(known, truth, 0.0).astype(np.float64)), np.log1p(np.maximum(predicted, 0.0)), known


def fractions(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> Arrays:
    """Successes / trials and predicted mean (n, tracks) of (n, 2, tracks); rows without trials are masked."""
    trials = truth[:, 1].astype(np.float64)
    known = mask.all(axis=1) & (trials > 0)
    return np.where(known, truth[:, 0] / np.where(known, trials, 1), np.nan), predicted[:, 0], known


def _of_shape(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Distance and log-likelihood of the shape of each window and track, (2, n, tracks), over its known bins.

    Which windows are judged depends on the truth alone, so that two predictions are judged on the same: a negative
    prediction counts as 0, one that is 0 everywhere as flat.
    """
    known = np.moveaxis(mask, 1, -1)
    y = np.where(known, np.moveaxis(truth, 1, -1), 0.0)
    x = np.where(known, np.maximum(np.moveaxis(predicted, 1, -1), 0), 0.0)
    x = np.where(x.any(axis=-1, keepdims=True), x, known)
    p, q = shares(y), shares(x)
    return np.stack([distance_of_shares(p, q), likelihood_of_shares(p, q)])


def _within_window(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pearson's r inside each window, (1, n, tracks)."""
    inner = tuple(range(1, truth.ndim - 1))
    n = np.maximum(mask.sum(axis=inner, keepdims=True), 1)
    y, x = np.where(mask, truth, 0.0).astype(np.float64), np.where(mask, predicted, 0.0).astype(np.float64)
    y = np.where(mask, y - y.sum(axis=inner, keepdims=True) / n, 0.0)
    x = np.where(mask, x - x.sum(axis=inner, keepdims=True) / n, 0.0)
    yy, xx = (y * y).sum(axis=inner), (x * x).sum(axis=inner)
    # a constant prediction has learnt nothing of the window: r is 0, so that all predictions share the windows
    r = (y * x).sum(axis=inner) / np.sqrt(np.where((yy > 0) & (xx > 0), yy * xx, 1))
    return np.where(yy > 0, np.clip(r, -1, 1), np.nan)[None]


def _of_counts(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Beta-binomial log-likelihood, (1, n, tracks); means are kept off 0 and 1, where it may be infinite."""
    known = mask.all(axis=1) & (truth[:, 1] > 0)
    mean = np.clip(predicted[:, 0].astype(np.float64), 1e-6, 1 - 1e-6)
    concentration = np.clip(predicted[:, 1].astype(np.float64), 1e-6, 1e9)
    found = beta_binomial_log_likelihood(truth[:, 0], truth[:, 1], mean, concentration)
    return np.where(known, found, np.nan)[None]


def _of_distribution(truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cross-entropy and Jensen-Shannon distance of each row, (2, n, 1)."""
    known = np.asarray(mask.all(axis=1))
    truth = np.where(known[:, None], truth, 1.0)
    guess = np.maximum(predicted, 0)
    guess = np.where(guess.any(axis=1, keepdims=True), guess, 1.0)
    found = np.stack([surprise(truth, guess), jsd(truth, guess)])
    return np.where(known, found, np.nan)[:, :, None]


def _moments() -> list[Statistic]:
    return [Moments()]


def _count() -> list[Statistic]:
    return [Moments(("pearson",)), Moments(("log_pearson",), logarithms)]


def _profile() -> list[Statistic]:
    shape = WindowMeans(("jsd", "multinomial"), _of_shape, "no window with signal, none of it negative")
    return [Moments(("pearson",)), shape, Moments(("counts_pearson",), window_totals)]


def _contact() -> list[Statistic]:
    return [Moments(("pearson",)), WindowMeans(("window_pearson",), _within_window, "truth is constant in each window")]


def _beta_binomial() -> list[Statistic]:
    likelihood = WindowMeans(("log_likelihood",), _of_counts, "no row with trials")
    return [Moments(("pearson", "r2"), fractions), likelihood]


def _distribution() -> list[Statistic]:
    return [WindowMeans(("cross_entropy", "jsd"), _of_distribution, "no row with all shares")]


KINDS = {
    "binary": Kind(ranked=Ranked, summed=lambda: [Calls()], positives=True),
    "quantity": Kind(ranked=Monotone, summed=_moments),
    "fraction": Kind(ranked=Monotone, summed=_moments),
    "count": Kind(ranked=Monotone, summed=_count),
    "profile": Kind(summed=_profile),
    "contact": Kind(summed=_contact),
    "class": Kind(ranked=Ranked, whole=lambda: [Classes()], positives=True),
    "distribution": Kind(ranked=Monotone, summed=lambda: [Moments(("pearson",))], whole=_distribution),
    "beta_binomial": Kind(view=fractions, ranked=Monotone, summed=_beta_binomial),
}
ORDER = ("auroc", "auprc", "pearson", "spearman", "r2", "log_pearson")


def metrics_of(kind: Kind) -> tuple[str, ...]:
    """Metrics of each track in the order of the table: those of `ORDER` first."""
    names = [*(kind.ranked.names if kind.ranked else ()), *(name for item in kind.summed() for name in item.names)]
    return tuple(sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)))


def judged_kinds() -> tuple[str, ...]:
    """Target kinds that are judged; others, such as "none", are kept in stores and left alone here."""
    return tuple(KINDS)
