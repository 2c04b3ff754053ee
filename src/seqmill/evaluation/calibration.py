"""Whether predictions mean what they say: probabilities, values and the spread of an ensemble; and how to mend them.

What mends them (a temperature, a rising curve, factors of the spread) is fitted to the rows of an inner validation
part and applied to others; rows that it is judged on must not be among those it was fitted to.

Reliability and expected calibration error: Guo et al. 2017, ICML, "On Calibration of Modern Neural Networks" (bins of
equal numbers of values, as of Nixon et al. 2019). Temperature: section 4.2 there. Isotonic regression: Zadrozny & Elkan
2002, KDD. Intervals: split conformal prediction with distances in units of the spread (Lei et al. 2018, JASA 113:1094,
section 5.2; Angelopoulos & Bates 2021, arXiv:2107.07511, section 2.3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

BINS = 15
LEVELS = (0.5, 0.8, 0.9, 0.95)
_SMALLEST = 1e-6
_TEMPERATURES = (-3.0, 3.0)  # of its natural logarithm


def _known(*arrays: np.ndarray) -> list[np.ndarray]:
    """Flat float64 arrays without the places where any of them is NaN."""
    flat = [np.asarray(array, np.float64).ravel() for array in arrays]
    if len({len(array) for array in flat}) > 1:
        raise ValueError(f"arrays of different sizes: {[len(array) for array in flat]}")
    keep = ~np.isnan(flat).any(axis=0)
    return [array[keep] for array in flat]


def reliability(truth: np.ndarray, predicted: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Mean prediction and mean truth of bins of equal numbers of values, in the order of the predictions.

    Parameters
    ----------
    truth, predicted : any equal shape: 0 or 1 and probabilities, or values and predicted values. NaN is left out.

    Returns
    -------
    A line a bin: "n", "predicted", "truth". Equal predictions are never in two bins; there may be fewer bins.
    """
    truth, predicted = _known(truth, predicted)
    order = np.argsort(predicted, kind="stable")
    truth, predicted = truth[order], predicted[order]
    edges = np.round(np.linspace(0, len(predicted), bins + 1)).astype(int)[1:-1]
    if len(predicted):  # an edge moves behind the last of equal predictions
        edges = np.searchsorted(predicted, predicted[np.maximum(edges - 1, 0)], side="right")
    edges = np.unique(np.concatenate([[0], edges, [len(predicted)]]))
    rows = [
        {"n": high - low, "predicted": predicted[low:high].mean(), "truth": truth[low:high].mean()}
        for low, high in pairwise(edges)
    ]
    return pd.DataFrame(rows, columns=["n", "predicted", "truth"])


def calibration_error(truth: np.ndarray, predicted: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of mean truth and mean prediction over the bins of `reliability`, weighted by their sizes.

    In units of the prediction; 0 is calibrated. NaN without values.
    """
    table = reliability(truth, predicted, bins)
    if table.empty:
        return float("nan")
    return float(np.average(np.abs(table["truth"] - table["predicted"]), weights=table["n"]))


def log_loss(truth: np.ndarray, probability: np.ndarray) -> float:
    """Mean surprise, in nats, at labels 0 and 1 (or fractions) given probabilities, cut at one millionth."""
    truth, probability = _known(truth, probability)
    p = np.clip(probability, _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log1p(-p)))


def logit(probability: np.ndarray) -> np.ndarray:
    p = np.clip(np.asarray(probability, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.log(p) - np.log1p(-p)


def with_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by ``temperature``: above 1 they become less certain."""
    return 1 / (1 + np.exp(-logit(probability) / temperature))


def fit_temperature(truth: np.ndarray, probability: np.ndarray) -> float:
    """The temperature with the smallest log loss, between e^-3 and e^3.

    Raises ValueError where one of both labels is missing: then any certainty is rewarded.
    """
    from scipy.optimize import minimize_scalar

    truth, probability = _known(truth, probability)
    if not 0 < truth.sum() < len(truth):
        raise ValueError("a temperature needs both labels")
    found = minimize_scalar(
        lambda log: log_loss(truth, with_temperature(probability, float(np.exp(log)))),
        bounds=_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Isotonic:
    """A rising curve from predictions to what they mean: straight between its points, constant outside of them.

    Attributes
    ----------
    x, y : (points,) float64, both rising.
    """

    x: np.ndarray
    y: np.ndarray

    def __call__(self, predicted: np.ndarray) -> np.ndarray:
        return np.interp(predicted, self.x, self.y)


def fit_isotonic(truth: np.ndarray, predicted: np.ndarray) -> Isotonic:
    """The rising curve with the smallest squared error (pool adjacent violators).

    Raises ValueError without values.
    """
    truth, predicted = _known(truth, predicted)
    if not len(truth):
        raise ValueError("a curve needs values")
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(predicted, truth)
    return Isotonic(np.asarray(fitted.X_thresholds_), np.asarray(fitted.y_thresholds_))


def interval_factors(
    truth: np.ndarray, mean: np.ndarray, spread: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> dict[float, float]:
    """How many spreads an interval around the mean must reach on each side to hold the truth in a share ``level``.

    Split conformal prediction: the ceil((n + 1) level)-th smallest distance in spreads, infinite if there is none.
    Other rows that are like these are inside at least as often. A Gaussian would have 1.96 for 0.95.
    """
    truth, mean, spread = _known(truth, mean, spread)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.sort(np.nan_to_num(np.abs(truth - mean) / spread, nan=0.0, posinf=np.inf))
    ranks = {level: int(np.ceil((len(distance) + 1) * level)) for level in levels}
    return {level: float(distance[rank - 1]) if rank <= len(distance) else np.inf for level, rank in ranks.items()}


def gaussian_factors(levels: tuple[float, ...] = LEVELS) -> dict[float, float]:
    """The same for errors that are Gaussian with the spread as their standard deviation."""
    from scipy.special import ndtri

    return {level: float(ndtri((1 + level) / 2)) for level in levels}


def coverage(
    truth: np.ndarray, mean: np.ndarray, spread: np.ndarray, factors: dict[float, float]
) -> dict[float, float]:
    """Share of the truth within so many spreads of the mean, for each level; calibrated: the level itself."""
    truth, mean, spread = _known(truth, mean, spread)
    distance = np.abs(truth - mean)
    return {level: float(np.mean(distance <= factor * spread)) for level, factor in factors.items()}


@dataclass(frozen=True)
class Calibration:
    """How well predictions are calibrated, before and after they were mended by what was fitted to other rows.

    Attributes
    ----------
    plain, isotonic : calibration error. temperature : that with a temperature; None but for probabilities.
    value : the temperature itself. n : values judged.
    """

    n: int
    plain: float
    isotonic: float
    temperature: float | None
    value: float | None


def judge(
    inner: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], *, probabilities: bool, bins: int = BINS
) -> Calibration:
    """Fit to inner rows, judge on test rows.

    Parameters
    ----------
    inner, test : truth and predictions of the rows that may be fitted to, and of those that are judged.
    probabilities : truth is 0 or 1 (or a fraction): fit a temperature, too.
    """

    def error(mend: Callable[[np.ndarray], np.ndarray] | None = None) -> float:
        truth, predicted = _known(*test)
        return calibration_error(truth, mend(predicted) if mend else predicted, bins)

    value = fit_temperature(*inner) if probabilities else None
    return Calibration(
        n=len(_known(*test)[0]),
        plain=error(),
        isotonic=error(fit_isotonic(*inner)),
        temperature=error(lambda p: with_temperature(p, value)) if value is not None else None,
        value=value,
    )
