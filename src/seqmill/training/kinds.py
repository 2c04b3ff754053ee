"""Target kinds: what a network's raw output means, how it is compared with the truth, what training rows tell first.

Raw outputs are scale-free: quantities are standardised and profiles divided by their mean over the training rows, so
that one learning rate fits methylation fractions and read counts alike. The statistics live with the model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from seqmill.runtime.errors import InputError

_ONE = float(np.log(np.e - 1))  # softplus of it is 1: an untrained network predicts the mean
_TINY = 1e-6


@dataclass(frozen=True)
class TargetKind:
    """One way to compare outputs with labels.

    Attributes
    ----------
    loss : (raw, truth, centre, scale) to a loss for each element; truth is finite.
    predict : (raw, centre, scale) to probabilities, values or expected counts.
    limits : smallest and largest value that a label may have, or None.
    scaling : "none", "standard" (centre = mean, scale = standard deviation) or "mean" (scale = mean).
    """

    loss: Callable[[Array, Array, Array, Array], Array]
    predict: Callable[[Array, Array, Array], Array]
    limits: tuple[float | None, float | None]
    scaling: str


def _cross_entropy(raw: Array, truth: Array, centre: Array, scale: Array) -> Array:
    return optax.losses.sigmoid_binary_cross_entropy(raw, truth)


def _probability(raw: Array, centre: Array, scale: Array) -> Array:
    return jax.nn.sigmoid(raw)


def _square(raw: Array, truth: Array, centre: Array, scale: Array) -> Array:
    return jnp.square(raw - (truth - centre) / scale)


def _value(raw: Array, centre: Array, scale: Array) -> Array:
    return centre + scale * raw


def _poisson(raw: Array, truth: Array, centre: Array, scale: Array) -> Array:
    """Poisson negative log-likelihood of truth / scale, up to a term without the prediction."""
    rate = jax.nn.softplus(raw + _ONE)
    return rate - truth / scale * jnp.log(rate + _TINY)


def _rate(raw: Array, centre: Array, scale: Array) -> Array:
    return scale * jax.nn.softplus(raw + _ONE)


_POISSON = TargetKind(_poisson, _rate, (0.0, None), "mean")
_MSE = TargetKind(_square, _value, (None, None), "standard")

KINDS: dict[str, TargetKind] = {
    "binary": TargetKind(_cross_entropy, _probability, (0.0, 1.0), "none"),
    "fraction": TargetKind(_cross_entropy, _probability, (0.0, 1.0), "none"),
    "quantity": _MSE,
    "profile": _POISSON,
    "count": _POISSON,
}
PROFILE_LOSSES = {"poisson": _POISSON, "mse": _MSE}


def kind_of(spec: Any, profile_loss: str = "poisson") -> TargetKind:
    """The kind of a target; profiles by Poisson likelihood or mean squared error for each bin."""
    return PROFILE_LOSSES[profile_loss] if spec.kind == "profile" else KINDS[spec.kind]


class Statistics:
    """Sum, sum of squares, extremes and count of labels, for each track, gaps left out. Add blocks with `add`."""

    def __init__(self, tracks: int):
        self.count = np.zeros(tracks, np.int64)
        self.total, self.squares = np.zeros(tracks), np.zeros(tracks)
        self.low, self.high = np.full(tracks, np.inf), np.full(tracks, -np.inf)

    def add(self, values: np.ndarray, mask: np.ndarray | None) -> None:
        """Count a block (example, ..., track), or (example,) for a target without tracks."""
        values = values.reshape(-1, len(self.count)).astype(np.float64)
        present = ~np.isnan(values) if mask is None else mask.reshape(values.shape)
        filled = np.where(present, values, 0.0)
        self.count += present.sum(axis=0)
        self.total += filled.sum(axis=0)
        self.squares += np.square(filled).sum(axis=0)
        self.low = np.minimum(self.low, np.where(present, values, np.inf).min(axis=0, initial=np.inf))
        self.high = np.maximum(self.high, np.where(present, values, -np.inf).max(axis=0, initial=-np.inf))


@dataclass(frozen=True)
class Scaling:
    """Centre and scale of a target, float32 (track,)."""

    centre: np.ndarray
    scale: np.ndarray

    def to_json(self) -> dict[str, list[float]]:
        return {"centre": self.centre.tolist(), "scale": self.scale.tolist()}

    @staticmethod
    def from_json(value: Mapping[str, list[float]]) -> "Scaling":
        return Scaling(np.asarray(value["centre"], np.float32), np.asarray(value["scale"], np.float32))


def fit_scaling(kind: TargetKind, statistics: Statistics) -> Scaling:
    """Scaling from training statistics; a track without spread, or without a value, keeps scale 1."""
    tracks = len(statistics.count)
    centre, scale = np.zeros(tracks), np.ones(tracks)
    if kind.scaling != "none":
        n = np.maximum(statistics.count, 1)
        mean = statistics.total / n
        spread = np.sqrt(np.maximum(statistics.squares / n - mean**2, 0.0))
        if kind.scaling == "standard":
            centre, scale = mean, np.where(spread > 0, spread, 1.0)
        else:
            scale = np.where(mean > 0, mean, 1.0)
    return Scaling(centre.astype(np.float32), scale.astype(np.float32))


def check_labels(name: str, spec: Any, kind: TargetKind, statistics: Statistics, where: str) -> list[str]:
    """Refuse labels that cannot be learned; return the tracks whose training labels are all the same.

    Raises
    ------
    InputError
        No label is present, labels are infinite or outside the limits of their kind, or every track is constant.
    """
    tracks = list(spec.tracks) or [name]
    if not statistics.count.any():
        raise InputError(where, f"target {name!r} has no label in the training rows", record=name)
    low, high = float(statistics.low.min()), float(statistics.high.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = [t for t, a, b in zip(tracks, statistics.low, statistics.high) if np.inf in (-a, b)]
        raise InputError(where, f"target {name!r} holds infinite values in track(s) {', '.join(bad[:5])}", record=name)
    least, most = kind.limits
    if (least is not None and low < least) or (most is not None and high > most):
        expected = f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
        hint = "; for signal below zero set profile_loss: mse" if spec.kind == "profile" else ""
        raise InputError(
            where,
            f"target {name!r} ({spec.kind}) has values from {low:g} to {high:g}, expected {expected}{hint}",
            record=name,
        )
    constant = [track for track, a, b in zip(tracks, statistics.low, statistics.high) if not a < b]
    if len(constant) == len(tracks):
        raise InputError(
            where,
            f"target {name!r}: all training labels of {'each track' if len(tracks) > 1 else 'the track'} are the same "
            f"({low:g}); there is nothing to learn",
            record=name,
        )
    return constant
