"""Linear models of many tracks at once, from sums of products: ridge, lasso and elastic net.

Ridge gives what scikit-learn's gives on standardised features (tested against it), but scikit-learn fits one track
after another and holds all rows: here one block of rows is held, whatever their number. Lasso and elastic net are
scikit-learn's coordinate descent, on rows that have the same sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Linear:
    """``features @ weights + intercept`` for raw (not standardised) features; weights float64 (feature, track)."""

    weights: np.ndarray
    intercept: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weights.astype(np.float32) + self.intercept.astype(np.float32)

    @staticmethod
    def joined(fits: Sequence[Any], best: np.ndarray) -> "Linear":
        """The fit that has of each track the weights of its best one."""
        weights = np.stack([fits[f].weights[:, t] for t, f in enumerate(best)], axis=1)
        return Linear(weights, np.array([fits[f].intercept[t] for t, f in enumerate(best)]))


class RidgeSums:
    """Sums of products from which linear models of any strength follow; add blocks with `add`."""

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

    def _standardised(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Products of standardised features, their products with the tracks, and 1 / spread (0: does not vary)."""
        n = max(self.n, 1)
        mean_x, mean_y = self.x / n, self.y / n
        covariance = self.xx - n * np.outer(mean_x, mean_x)
        products = self.xy - n * np.outer(mean_x, mean_y)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0.0) / n)
        varies = spread > 1e-9 * np.maximum(1.0, np.abs(mean_x))
        inverse = varies / np.where(varies, spread, 1.0)
        return covariance * np.outer(inverse, inverse), products * inverse[:, None], inverse

    def _raw(self, weights: np.ndarray, inverse: np.ndarray) -> Linear:
        n = max(self.n, 1)
        weights = weights * inverse[:, None]
        return Linear(weights, self.y / n - self.x / n @ weights)

    def solve(self, alphas: Sequence[float]) -> list[Linear]:
        """Ridge regressions with an unpenalised intercept on standardised features, one for each alpha.

        The penalty is that of scikit-learn: squared error summed over rows + alpha · |weights|². A feature that does
        not vary has weight 0.
        """
        products, targets, inverse = self._standardised()
        values, vectors = np.linalg.eigh(products)
        turned = vectors.T @ targets
        return [self._raw(vectors @ (turned / (np.maximum(values, 0.0) + alpha)[:, None]), inverse) for alpha in alphas]

    def solve_sparse(self, parts: Sequence[float], l1_ratio: float) -> list[Linear]:
        """Elastic nets (lasso: ``l1_ratio`` 1) with an unpenalised intercept on standardised features.

        Parameters
        ----------
        parts : strengths as parts of that at which all of a track's weights become 0. The objective is that of
            scikit-learn: squared error / (2 rows) + alpha · (ratio · |weights|₁ + (1 − ratio) / 2 · |weights|²).
        """
        from sklearn.linear_model import enet_path

        products, targets, inverse = self._standardised()
        values, vectors = np.linalg.eigh(products)
        roots = np.sqrt(np.maximum(values, 1e-9 * max(float(values[-1]), 1e-30)))
        rows = roots[:, None] * vectors.T  # rows.T @ rows is `products`, and as many as there are features
        images = (vectors.T @ targets) / roots[:, None]
        strongest = np.abs(targets).max(axis=0) / (len(rows) * l1_ratio)
        order = np.argsort(-np.asarray(parts), kind="stable")
        weights = np.zeros((len(parts), *targets.shape))
        gram, images_of = rows.T @ rows, rows.T @ images
        for track in np.flatnonzero(strongest > 0):
            _, path, _ = enet_path(
                rows,
                images[:, track],
                l1_ratio=l1_ratio,
                alphas=np.asarray(parts)[order] * strongest[track],
                precompute=gram,
                Xy=images_of[:, track],
                tol=1e-4,
                max_iter=2000,
            )
            weights[order, :, track] = path.T
        return [self._raw(each, inverse) for each in weights]


def choose(losses: np.ndarray, joint: bool = False) -> np.ndarray:
    """For each track the number of the fit with the smallest validation loss (the first of equals).

    Parameters
    ----------
    losses : float64 (fit, track); a track without validation labels has equal losses.
    joint : one fit for all tracks, that with the smallest sum.
    """
    best = np.argmin(losses, axis=0)
    return np.full_like(best, np.argmin(losses.sum(axis=1))) if joint else best
