"""What training rows tell of a target: sums and extremes, centre and scale, and labels that cannot be learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.training.losses import Loss

_ROUNDING = 1e-3  # a mean of counts times its bin, in float32, is this near to a whole number


class Statistics:
    """Sum, sum of squares, extremes and count of labels, for each track, gaps left out. Add blocks with `add`.

    ``whole`` stays True for the tracks whose values times ``bin_bp`` are whole numbers: raw counts, or means of them.
    """

    def __init__(self, tracks: int, bin_bp: int = 1):
        self.count, self.whole, self.bin_bp = np.zeros(tracks, np.int64), np.ones(tracks, bool), bin_bp
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
        counts = filled * self.bin_bp
        with np.errstate(invalid="ignore"):  # of infinite values, which are refused later
            self.whole &= (np.abs(counts - np.rint(counts)) <= _ROUNDING).all(axis=0)
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


def fit_scaling(loss: Loss, statistics: Statistics) -> Scaling:
    """Scaling from training statistics; a track without spread, or without a value, keeps scale 1."""
    tracks = len(statistics.count)
    centre, scale = np.zeros(tracks), np.ones(tracks)
    if loss.scaling != "none":
        n = np.maximum(statistics.count, 1)
        mean = statistics.total / n
        spread = np.sqrt(np.maximum(statistics.squares / n - mean**2, 0.0))
        if loss.scaling == "standard":
            centre, scale = mean, np.where(spread > 0, spread, 1.0)
        else:
            scale = np.where(mean > 0, mean, 1.0)
    return Scaling(centre.astype(np.float32), scale.astype(np.float32))


def check_labels(name: str, spec: Any, loss: Loss, statistics: Statistics, where: str) -> list[str]:
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
    least, most = loss.limits
    if (least is not None and low < least) or (most is not None and high > most):
        expected = f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
        hint = "; for signal below zero set loss: mse for it" if spec.kind == "profile" else ""
        raise InputError(
            where,
            f"target {name!r} ({spec.kind}) has values from {low:g} to {high:g}, expected {expected}{hint}",
            record=name,
        )
    constant = [track for track, a, b in zip(tracks, statistics.low, statistics.high) if not a < b]
    if len(constant) == len(tracks):
        if spec.kind == "class":
            only = tracks[int(np.argmax(statistics.high))]
            raise InputError(where, f"target {name!r}: all training rows are of class {only!r}", record=name)
        raise InputError(
            where,
            f"target {name!r}: all training labels of {'each track' if len(tracks) > 1 else 'the track'} are the same "
            f"({low:g}); there is nothing to learn",
            record=name,
        )
    return constant
