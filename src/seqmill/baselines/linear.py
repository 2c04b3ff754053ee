"""Linear models of many tracks at once: ridge from sums of products, logistic regression by one joint L-BFGS.

Both give what scikit-learn's Ridge and LogisticRegression give on standardised features (tested against them), but
scikit-learn fits one track after another and holds all rows: here ridge holds one block of rows, whatever the number
of rows, and the logistic fit multiplies the features with all tracks at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Linear:
    """``features @ weights + intercept`` for raw (not standardised) features; weights float64 (feature, track)."""

    weights: np.ndarray
    intercept: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weights.astype(np.float32) + self.intercept.astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return np.exp(-np.logaddexp(0, -x))


class RidgeSums:
    """Sums of products from which ridge regressions of any strength follow; add blocks with `add`."""

    def __init__(self, features: int, tracks: int):
        self.n = 0
        self.x, self.y = np.zeros(features), np.zeros(tracks)
        self.xx, self.xy = np.zeros((features, features)), np.zeros((features, tracks))

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Features (n, feature) and values (n, track), without gaps."""
        x, y = x.astype(np.float64), y.astype(np.float64)
        self.n += len(x)
        self.x += x.sum(axis=0)
        self.y += y.sum(axis=0)
        self.xx += x.T @ x
        self.xy += x.T @ y

    def solve(self, alphas: Sequence[float]) -> list[Linear]:
        """Ridge regressions with an unpenalised intercept on standardised features, one for each alpha.

        The penalty is that of scikit-learn: squared error summed over rows + alpha · |weights|². A feature that does
        not vary has weight 0.
        """
        n = max(self.n, 1)
        mean_x, mean_y = self.x / n, self.y / n
        covariance = self.xx - n * np.outer(mean_x, mean_x)
        products = self.xy - n * np.outer(mean_x, mean_y)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0.0) / n)
        varies = spread > 1e-9 * np.maximum(1.0, np.abs(mean_x))
        spread = np.where(varies, spread, 1.0)
        inverse = varies / spread
        values, vectors = np.linalg.eigh(covariance * np.outer(inverse, inverse))
        turned = vectors.T @ (products * inverse[:, None])
        fits = []
        for alpha in alphas:
            weights = vectors @ (turned / (np.maximum(values, 0.0) + alpha)[:, None]) * inverse[:, None]
            fits.append(Linear(weights, mean_y - mean_x @ weights))
        return fits


def fit_logistic(
    x: np.ndarray, y: np.ndarray, present: np.ndarray, alphas: Sequence[float], *, iterations: int = 100
) -> list[Linear]:
    """Logistic regressions of all tracks, one for each alpha.

    Parameters
    ----------
    x : float32 (n, feature); standardised in place. y : float32 (n, track) in 0..1 (fractions allowed).
    present : bool (n, track), labels that count.
    alphas : strengths; cross-entropy summed over rows + alpha / 2 · |weights|², so alpha = 1 / C of scikit-learn.
    iterations : of L-BFGS for each alpha; the fit of a larger alpha starts the next smaller one.

    Returns
    -------
    In the order of ``alphas``. A track whose labels are all the same keeps weights 0 and an intercept that gives its
    mean label, moved half a count towards 1/2.
    """
    from scipy.optimize import minimize

    mean, spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    spread[spread < 1e-9] = np.inf
    x -= mean.astype(np.float32)
    x /= spread.astype(np.float32)
    features, tracks = x.shape[1], y.shape[1]
    count = present.sum(axis=0)
    total = np.where(present, y, 0.0).sum(axis=0)
    prior = (total + 0.5) / (count + 1)
    varies = np.array([np.ptp(y[keep, t]) > 0 if keep.any() else False for t, keep in enumerate(present.T)], bool)
    weight = (present & varies).astype(np.float32)
    scale = 1 / np.maximum(count, 1)  # each track's loss as a mean: one step length then suits all tracks

    def loss(flat: np.ndarray, alpha: float) -> tuple[float, np.ndarray]:
        w, b = flat[: features * tracks].reshape(features, tracks), flat[features * tracks :]
        logits = x @ w.astype(np.float32) + b.astype(np.float32)
        each = (np.logaddexp(0, logits) - y * logits) * weight
        residual = (sigmoid(logits) - y) * weight
        gradient = (x.T @ residual).astype(np.float64) + alpha * w
        value = (each.sum(axis=0, dtype=np.float64) + alpha / 2 * np.square(w).sum(axis=0)) * scale
        steps = residual.sum(axis=0, dtype=np.float64) * scale
        return float(value.sum()), np.concatenate([(gradient * scale).ravel(), steps])

    flat = np.concatenate([np.zeros(features * tracks), np.log(prior / (1 - prior))])
    fits: dict[int, Linear] = {}
    for place in np.argsort(-np.asarray(alphas), kind="stable"):
        options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-7, "gtol": 1e-6}
        flat = minimize(loss, flat, args=(alphas[place],), jac=True, method="L-BFGS-B", options=options).x
        weights = flat[: features * tracks].reshape(features, tracks) / spread[:, None]
        fits[int(place)] = Linear(weights, flat[features * tracks :] - mean @ weights)
    return [fits[place] for place in range(len(alphas))]


def choose(fits: Sequence[Linear], losses: np.ndarray) -> tuple[Linear, np.ndarray]:
    """For each track the fit with the smallest validation loss (the first of equals).

    Parameters
    ----------
    losses : float64 (fit, track); a track without validation labels has equal losses.

    Returns
    -------
    The joint fit, and the index of the chosen one for each track.
    """
    best = np.argmin(losses, axis=0)
    weights = np.stack([fits[f].weights[:, t] for t, f in enumerate(best)], axis=1)
    return Linear(weights, np.array([fits[f].intercept[t] for t, f in enumerate(best)])), best
