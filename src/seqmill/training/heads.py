"""Heads: targets with their losses, weights and the statistics of the training rows; raw outputs to predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from seqmill.config.heads import Head, loss_name
from seqmill.runtime.errors import InputError
from seqmill.training.kinds import Scaling, Statistics
from seqmill.training.losses import Fit, Loss, loss_of


class TargetLoss(NamedTuple):
    """Sum of weighted losses and number of labels (or profiles, or classes) that are present."""

    total: Array
    labels: Array


@dataclass(frozen=True)
class FittedHead:
    """How one target is learned and predicted.

    Attributes
    ----------
    kind : of the target. section : its settings. scaling : of the training rows.
    class_weights : float32 (2, track) of a binary target, (class,) of a class target, None for 1.
    track_weights : float32 (track,), None for 1.
    """

    kind: str
    section: Head
    scaling: Scaling
    class_weights: np.ndarray | None = None
    track_weights: np.ndarray | None = None

    @cached_property
    def loss(self) -> Loss:
        return loss_of(self.kind, self.section.loss)

    @property
    def weight(self) -> float:
        return self.section.weight

    def _fit(self, ndim: int) -> Fit:
        centre, scale = jnp.asarray(self.scaling.centre), jnp.asarray(self.scaling.scale)
        if ndim == 1:  # a target without tracks
            centre, scale = centre[0], scale[0]
        return Fit(centre, scale, self.section.shape_weight, self.section.scale_free)

    def losses(self, raw: Array, truth: Array, present: Array) -> TargetLoss:
        """Loss of a batch: raw outputs, float32 labels without gaps, which of them are known (bool), of one shape.

        Class and track weights multiply the losses; the number of labels that they are averaged over stays.
        """
        smoothed, smoothing = truth, self.section.label_smoothing
        if smoothing:
            classes = 2 if self.kind == "binary" else truth.shape[-1]
            smoothed = truth * (1 - smoothing) + smoothing / classes
        each, counted = self.loss.loss(raw, smoothed, present, self._fit(raw.ndim))
        if self.class_weights is not None:
            weights = jnp.asarray(self.class_weights)
            each = each * (jnp.where(truth > 0.5, weights[1], weights[0]) if self.kind == "binary" else truth @ weights)
        if self.track_weights is not None:
            each = each * jnp.asarray(self.track_weights)
        return TargetLoss(jnp.sum(jnp.where(counted, each, 0.0)), jnp.sum(counted))

    def predict(self, raw: Array) -> Array:
        """Probabilities, values or expected counts, of the shape of the target; without another head's total."""
        return self.loss.predict(raw, self._fit(raw.ndim))

    def to_json(self) -> dict[str, Any]:
        weights = {"class_weights": self.class_weights, "track_weights": self.track_weights}
        return {
            "kind": self.kind,
            "section": {**self.section.model_dump(mode="json"), "loss": loss_name(self.kind, self.section)},
            "scaling": self.scaling.to_json(),
            **{key: None if value is None else value.tolist() for key, value in weights.items()},
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "FittedHead":
        weights = [
            None if value[key] is None else np.asarray(value[key], np.float32)
            for key in ("class_weights", "track_weights")
        ]
        section = Head.model_validate(value["section"])
        return FittedHead(value["kind"], section, Scaling.from_json(value["scaling"]), *weights)


def predictions_of(heads: Mapping[str, FittedHead], outputs: Mapping[str, Array]) -> dict[str, Array]:
    """Predictions of all targets from the raw outputs of a network.

    A multinomial profile with a ``total`` is its predicted shape times the total that the count head predicts: the
    mean total of the training rows, times predicted count / mean count of the training rows, track by track (or by
    the single track of the count target). So counts and profile need not be in the same unit.
    """
    predictions = {name: head.predict(outputs[name]) for name, head in heads.items()}
    for name, head in heads.items():
        if head.section.total is not None:
            count = predictions[head.section.total] / jnp.asarray(heads[head.section.total].scaling.scale)
            predictions[name] = predictions[name] * count[:, None, :]
    return predictions


def fit_weights(
    name: str, spec: Any, head: Head, statistics: Statistics, where: str
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Class and track weights of a head, see `FittedHead`.

    Raises
    ------
    InputError
        Weights name tracks or classes that the target does not have, or are not as many as it has.
    """
    tracks = list(spec.tracks) or [name]
    unknown = [track for track in head.track_weights if track not in tracks]
    if unknown:
        raise InputError(where, f"target {name!r}: track_weights name {unknown[0]!r}, which is none of its tracks")
    by_track = np.array([head.track_weights.get(track, 1.0) for track in tracks], np.float32)
    weights = _class_weights(name, tracks, spec.kind == "binary", head.class_weights, statistics, where)
    return weights, by_track if head.track_weights else None


def _class_weights(
    name: str, tracks: list[str], binary: bool, given: Any, statistics: Statistics, where: str
) -> np.ndarray | None:
    if given is None:
        return None
    if given == "balanced":
        return _balanced(binary, statistics)
    if isinstance(given, dict):
        unknown = [key for key in given if key not in tracks]
        if unknown:
            what = "tracks" if binary else "classes"
            raise InputError(where, f"target {name!r}: class_weights name {unknown[0]!r}, which is none of its {what}")
        rows = [given.get(track, [1.0, 1.0] if binary else 1.0) for track in tracks]
    else:
        rows = [given] * len(tracks) if binary else given
    expected = (len(tracks), 2) if binary else (len(tracks),)
    if any(np.shape(row) != expected[1:] for row in rows) or len(rows) != expected[0] or np.min(rows) < 0:
        takes = "two numbers, [negative, positive]" if binary else f"{len(tracks)} numbers ({', '.join(tracks[:5])})"
        raise InputError(where, f"target {name!r}: class_weights are {given}; expected {takes}, none below 0")
    return np.asarray(rows, np.float32).T


def _balanced(binary: bool, statistics: Statistics) -> np.ndarray:
    """All rows / (classes × rows of the class); a class without a row has weight 1."""
    if binary:
        rows = np.stack([statistics.count - statistics.total, statistics.total])
        every = statistics.count
    else:
        rows, every = statistics.total, statistics.total.sum()
    weights = np.where(rows > 0, every / (len(rows) * np.maximum(rows, 1)), 1.0)
    return weights.astype(np.float32)
