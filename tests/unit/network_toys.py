"""What tests of networks share: specs of targets, a training step, layers in plain NumPy loops."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from seqmill.config.heads import Head
from seqmill.models.registry import build
from seqmill.stores.specs import TargetSpec
from seqmill.training.augment import View
from seqmill.training.heads import FittedHead
from seqmill.training.jitter import Jitter
from seqmill.training.kinds import Scaling
from seqmill.training.objectives import Supervised, split_module


def target(name: str, tracks: int, kind: str = "binary", bins: int | None = None, **geometry: Any) -> TargetSpec:
    names = tuple(f"t{i}" for i in range(tracks))
    shape, axes = (tracks,), ("example", "tracks")
    if bins is not None:
        shape, axes = (bins, tracks), ("example", "bins", "tracks")
    return TargetSpec(name, kind, "float32", axes, shape, names, strand_pairs=tuple(range(tracks)), **geometry)


def one_hot(rng: np.random.Generator, n: int, bp: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[rng.integers(0, 4, (n, bp))]


def values(layer: nnx.Module) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer in float64."""
    return np.asarray(layer.kernel[...], np.float64), np.asarray(layer.bias[...], np.float64)


def slow_conv(x: np.ndarray, layer: nnx.Module, dilation: int = 1) -> np.ndarray:
    """Unpadded convolution of one example (position, channel), one number at a time."""
    kernel, bias = values(layer)
    width, _, filters = kernel.shape
    out = np.zeros((len(x) - (width - 1) * dilation, filters))
    for p in range(len(out)):
        for f in range(filters):
            out[p, f] = bias[f] + sum(x[p + w * dilation] @ kernel[w, :, f] for w in range(width))
    return out


def slow_pool(x: np.ndarray, width: int) -> np.ndarray:
    return np.array([x[p : p + width].max(axis=0) for p in range(0, len(x) - width + 1, width)])


def slow_dense(x: np.ndarray, layer: nnx.Module) -> np.ndarray:
    kernel, bias = values(layer)
    return x @ kernel + bias


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def plain_head(spec: TargetSpec, **settings: Any) -> FittedHead:
    """A head that scales nothing."""
    tracks = max(1, len(spec.tracks))
    scaling = Scaling(np.zeros(tracks, np.float32), np.ones(tracks, np.float32))
    return FittedHead(spec.kind, Head(**settings), scaling)


def check_learns(architecture: str, settings: dict, inputs: Mapping, targets: Mapping, batch: Mapping) -> None:
    """Eight steps on one batch by the trainer's objective: compiled once, every parameter moves, the loss falls."""
    module = build(architecture, settings, inputs, targets, 1)
    graph, params, rest = split_module(module)
    heads = {name: plain_head(spec) for name, spec in targets.items()}
    view = View(inputs, targets, Jitter(0, 1), False)
    objective = Supervised(graph, view, heads, optax.adam(3e-3))
    state, losses = objective.init(params, rest), []
    step = jax.jit(objective.step)
    for number in range(8):
        loss, state, aux = step(state, batch, jax.random.key(number))
        losses.append(float(loss))
        assert np.isfinite(float(aux["gradient_norm"]))
    assert step._cache_size() == 1
    for before, after in zip(jax.tree.leaves(params), jax.tree.leaves(state.params), strict=True):
        assert not jnp.array_equal(before, after)
    assert losses[-1] < losses[0]
