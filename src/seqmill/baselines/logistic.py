"""Logistic regressions of many tracks at once: ridge by L-BFGS, lasso and elastic net by proximal gradients.

Both give what scikit-learn's LogisticRegression gives on standardised features (tested against it); scikit-learn
fits one track after another, here each step multiplies the features with all tracks at once.
"""

from collections.abc import Callable, Sequence

import numpy as np

from seqmill.baselines.linear import Linear

Residual = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return np.exp(-np.logaddexp(0, -x))


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x) / sum of exp over the last axis, without overflow."""
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def cross_entropy(raw: np.ndarray, y: np.ndarray, classes: bool) -> np.ndarray:
    """Cross-entropy of each label, (n, track). With ``classes`` the tracks share one softmax, and so one loss."""
    if not classes:
        return np.logaddexp(0, raw) - y * raw
    top = raw.max(axis=1, keepdims=True)
    return y * (top + np.log(np.exp(raw - top).sum(axis=1, keepdims=True)) - raw)


class _Problem:
    """Labels, which of them count, and standardised features (in place) of a joint logistic fit."""

    def __init__(self, x: np.ndarray, y: np.ndarray, present: np.ndarray, classes: bool):
        self.mean, self.spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        self.spread[self.spread < 1e-9] = np.inf
        x -= self.mean.astype(np.float32)
        x /= self.spread.astype(np.float32)
        if classes:  # a row counts with all its classes or not at all
            present = np.repeat(present.all(axis=1, keepdims=True), y.shape[1], axis=1)
        self.x, self.y, self.classes = x, np.where(present, y, 0).astype(np.float32), classes
        self.count = present.sum(axis=0)
        prior = (self.y.sum(axis=0, dtype=np.float64) + 0.5) / (self.count + 1)
        self.start = np.log(prior) if classes else np.log(prior / (1 - prior))
        varies = np.array([bool(keep.any()) and np.ptp(y[keep, t]) > 0 for t, keep in enumerate(present.T)], bool)
        self.weight = (present & (True if classes else varies)).astype(np.float32)
        self.scale = 1 / np.maximum(self.count, 1)  # each track's loss as a mean: one step length then suits all

    def residual(self, raw: np.ndarray) -> np.ndarray:
        expected = softmax(raw) if self.classes else sigmoid(raw)
        return (expected - self.y) * self.weight

    def raw(self, w: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self.x @ w.astype(np.float32) + b.astype(np.float32)

    def linear(self, w: np.ndarray, b: np.ndarray) -> Linear:
        weights = w / self.spread[:, None]
        return Linear(weights, b - self.mean @ weights)


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    present: np.ndarray,
    alphas: Sequence[float],
    *,
    classes: bool = False,
    iterations: int = 100,
) -> list[Linear]:
    """Logistic regressions of all tracks, one for each alpha.

    Parameters
    ----------
    x : float32 (n, feature); standardised in place. y : float32 (n, track) in 0..1 (fractions allowed).
    present : bool (n, track), labels that count.
    alphas : strengths; cross-entropy summed over rows + alpha / 2 · |weights|², so alpha = 1 / C of scikit-learn.
    classes : the tracks are classes that exclude each other, and their probabilities sum to 1 (multinomial).
    iterations : of L-BFGS for each alpha; the fit of a larger alpha starts the next smaller one.

    Returns
    -------
    In the order of ``alphas``. A track whose labels are all the same keeps weights 0 and an intercept that gives its
    mean label, moved half a count towards 1/2.
    """
    from scipy.optimize import minimize

    problem = _Problem(x, y, present, classes)
    features, tracks = x.shape[1], y.shape[1]

    def loss(flat: np.ndarray, alpha: float) -> tuple[float, np.ndarray]:
        w, b = flat[: features * tracks].reshape(features, tracks), flat[features * tracks :]
        raw = problem.raw(w, b)
        residual = problem.residual(raw)
        each = cross_entropy(raw, problem.y, classes) * problem.weight
        gradient = (x.T @ residual).astype(np.float64) + alpha * w
        value = (each.sum(axis=0, dtype=np.float64) + alpha / 2 * np.square(w).sum(axis=0)) * problem.scale
        steps = residual.sum(axis=0, dtype=np.float64) * problem.scale
        return float(value.sum()), np.concatenate([(gradient * problem.scale).ravel(), steps])

    flat = np.concatenate([np.zeros(features * tracks), problem.start])
    fits: dict[int, Linear] = {}
    for place in np.argsort(-np.asarray(alphas), kind="stable"):
        options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-7, "gtol": 1e-6}
        flat = minimize(loss, flat, args=(alphas[place],), jac=True, method="L-BFGS-B", options=options).x
        weights = flat[: features * tracks].reshape(features, tracks)
        fits[int(place)] = problem.linear(weights, flat[features * tracks :])
    return [fits[place] for place in range(len(alphas))]


def fit_sparse_logistic(
    x: np.ndarray,
    y: np.ndarray,
    present: np.ndarray,
    parts: Sequence[float],
    l1_ratio: float,
    *,
    classes: bool = False,
    iterations: int = 300,
    tolerance: float = 1e-4,
) -> list[Linear]:
    """Logistic regressions with an elastic-net penalty (lasso: ``l1_ratio`` 1), one for each strength.

    Accelerated proximal gradients with restarts: Beck & Teboulle (2009) SIAM Journal on Imaging Sciences 2:183;
    O'Donoghue & Candès (2015) Foundations of Computational Mathematics 15:715.

    Parameters
    ----------
    x, y, present, classes : as in `fit_logistic`.
    parts : strengths as parts of that at which all of a track's weights become 0. The objective is mean cross-entropy
        + alpha · (ratio · |weights|₁ + (1 − ratio) / 2 · |weights|²).
    iterations : at most, for each strength. tolerance : it stops when a step changes no weight by more than this part
        of the largest.
    """
    problem = _Problem(x, y, present, classes)
    features, tracks = x.shape[1], y.shape[1]
    w, b = np.zeros((features, tracks)), problem.start.copy()
    strongest = np.abs(x.T @ problem.residual(problem.raw(w, b))).max(axis=0) * problem.scale / l1_ratio
    step = 1 / ((0.5 if classes else 0.25) * max(_largest_eigenvalue(x), len(x)) * problem.scale)
    fits: dict[int, Linear] = {}
    for place in np.argsort(-np.asarray(parts), kind="stable"):
        alpha = parts[place] * (np.full(tracks, strongest.max()) if classes else strongest)
        near_w, near_b, momentum = w, b, 1.0
        for _ in range(iterations):
            residual = problem.residual(problem.raw(near_w, near_b))
            gradient = (x.T @ residual).astype(np.float64) * problem.scale
            moved = near_w - step * gradient
            shrunk = np.sign(moved) * np.maximum(np.abs(moved) - step * alpha * l1_ratio, 0)
            new_w = shrunk / (1 + step * alpha * (1 - l1_ratio))
            new_b = near_b - step * residual.sum(axis=0, dtype=np.float64) * problem.scale
            if np.vdot(near_w - new_w, new_w - w) + np.vdot(near_b - new_b, new_b - b) > 0:
                momentum = 1.0  # it went too far
            following = (1 + np.sqrt(1 + 4 * momentum * momentum)) / 2
            carry = (momentum - 1) / following
            change = max(np.abs(new_w - w).max(), np.abs(new_b - b).max())
            near_w, near_b = new_w + carry * (new_w - w), new_b + carry * (new_b - b)
            w, b, momentum = new_w, new_b, following
            if change <= tolerance * max(1e-3, float(np.abs(w).max())):
                break
        fits[int(place)] = problem.linear(w, b)
    return [fits[place] for place in range(len(parts))]


def _largest_eigenvalue(x: np.ndarray) -> float:
    """Of xᵀx, from 30 power iterations, 10 % added as these come from below."""
    v = np.ones(x.shape[1], np.float32)
    value = 1e-12
    for _ in range(30):
        v = x.T @ (x @ v)
        value = float(np.linalg.norm(v)) or 1e-12
        v = v / np.float32(value)
    return 1.1 * value
