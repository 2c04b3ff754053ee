"""A plain dense network over any named inputs: the simplest thing that reads every kind of dataset.

Sequences enter as one-hot, calls of neighbours as −1, 0 (missing) or 1 beside a distance on a logarithmic scale,
lengths not at all, a control as log(1 + sum of each track in the window), everything else as it is. All are flattened
and joined; there is one ReLU layer for each number in ``hidden``.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from pydantic import Field

from seqmill.config.base import Section
from seqmill.models.blocks import dropout, linear
from seqmill.models.heads import Heads
from seqmill.models.registry import register

# Distances to neighbouring calls span 2 bp to Mb; their logarithm is divided by that of 1 Mb.
_LOG_MB = math.log(1e6)


class DenseSettings(Section):
    """Hidden layers of the network."""

    hidden: list[int] = Field([64])
    dropout: float = Field(0.0, ge=0, lt=1)


def as_features(x: Array, kind: str) -> Array:
    """Float32 features (example, n) of one input of a given kind.

    States 0, 1 and any other number (missing) become −1, 1, 0. Distances in bp become log(1 + d) / log(1 Mb).
    A profile (example, bin, track) becomes log(1 + sum of the track), gaps as 0.
    """
    if kind == "profile":
        x = jnp.log1p(jnp.maximum(jnp.nan_to_num(x.astype(jnp.float32)).sum(axis=1), 0))
    elif kind == "states":
        x = jnp.where(x == 0, -1.0, jnp.where(x == 1, 1.0, 0.0))
    elif kind == "distances":
        x = jnp.log1p(x.astype(jnp.float32)) / _LOG_MB
    return x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(x.shape[0], -1)


def _width(spec: Any) -> int:
    if spec.kind == "profile":
        return spec.shape_per_example[-1]
    return math.prod(spec.shape_per_example) * (4 if spec.kind == "sequence" else 1)


@register("dense")
class Dense(nnx.Module):
    """Outputs logits (or raw values), one array a target."""

    Settings = DenseSettings

    def __init__(self, inputs: Mapping[str, Any], targets: Mapping[str, Any], settings: DenseSettings, rngs: nnx.Rngs):
        inputs = {name: spec for name, spec in inputs.items() if spec.kind != "length"}
        self.kinds = {name: spec.kind for name, spec in inputs.items()}
        self.settings = settings
        features = 0
        for spec in inputs.values():
            features += _width(spec)
        layers = []
        for units in settings.hidden:
            layers.append(linear(features, units, rngs))
            features = units
        self.layers = nnx.List(layers)
        self.heads = Heads(features, targets, rngs)

    def __call__(self, inputs: Mapping[str, Array], *, train: bool, key: Array | None = None) -> dict[str, Array]:
        x = jnp.concatenate([as_features(inputs[name], kind) for name, kind in self.kinds.items()], axis=1)
        for number, layer in enumerate(self.layers):
            x = nnx.relu(layer(x))
            x = dropout(x, self.settings.dropout, None if key is None else jax.random.fold_in(key, number), train)
        return self.heads(x)
