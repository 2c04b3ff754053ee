"""From features to one array a target."""

from collections.abc import Mapping
from typing import Any

from flax import nnx
from jax import Array

from seqmill.models.blocks import linear


class Heads(nnx.Module):
    """One dense layer a target, on features (example, n): outputs (example, *shape of the target)."""

    def __init__(self, features: int, targets: Mapping[str, Any], rngs: nnx.Rngs):
        self.shapes = {name: tuple(spec.shape_per_example) for name, spec in targets.items()}
        self.layers = nnx.Dict({name: linear(features, _size(shape), rngs) for name, shape in self.shapes.items()})

    def __call__(self, x: Array) -> dict[str, Array]:
        return {name: layer(x).reshape(x.shape[0], *self.shapes[name]) for name, layer in self.layers.items()}


class BinHeads(nnx.Module):
    """One dense layer a target applied at every bin: (example, bin, channel) to (example, bin, track)."""

    def __init__(self, channels: int, targets: Mapping[str, Any], rngs: nnx.Rngs):
        self.layers = nnx.Dict({name: linear(channels, len(spec.tracks), rngs) for name, spec in targets.items()})

    def __call__(self, x: Mapping[str, Array]) -> dict[str, Array]:
        return {name: layer(x[name]) for name, layer in self.layers.items()}


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
