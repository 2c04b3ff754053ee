"""Low-rank changes of fixed kernels.

Hu et al. 2021, LoRA (arXiv 2106.09685), section 4.1: instead of a kernel W (inputs, outputs) two matrices are learned,
A (inputs, rank) and B (rank, outputs), and the layer computes with W + alpha / rank * A B. A starts random, B at zero,
so that the network is the old one before the first step. The inputs of a convolution are its positions and channels:
its kernel (width, channels, outputs) is taken as (width * channels, outputs).
"""

import functools
import zlib
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from seqmill.config.transfer import Lora
from seqmill.runtime.errors import InputError
from seqmill.training.freeze import Fixed, act_as, dotted, lies_in, listed

LAYERS = (nnx.Linear, nnx.Conv)


def changed(kernel: Array, a: Array, b: Array, scale: float) -> Array:
    """A kernel (..., outputs) with its change: kernel + scale * a b, of the kernel's type."""
    change = jnp.matmul(a.astype(jnp.float32), b.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)
    return (kernel.astype(jnp.float32) + scale * change.reshape(kernel.shape)).astype(kernel.dtype)


@functools.cache  # equal graphs have the same class
def low_rank(cls: type) -> type:
    """Class of layers like ``cls`` that compute with a changed kernel; `usual` is ``cls``."""

    class LowRank(cls):
        usual = cls

        def changed_kernel(self) -> Array:
            return changed(self.kernel[...], self.lora_a[...], self.lora_b[...], self.lora_scale)

        def __call__(self, *args: Any, **settings: Any) -> Any:
            before = self.kernel[...]
            self.kernel.set_value(self.changed_kernel())
            try:
                return super().__call__(*args, **settings)
            finally:
                self.kernel.set_value(before)

    return LowRank


def add_lora(module: nnx.Module, section: Lora, trunk: list[str], seed: int, where: str) -> list[str]:
    """Give layers of a frozen network low-rank changes.

    Parameters
    ----------
    trunk : names of the attributes that may be changed. seed : of the random matrices.

    Returns
    -------
    Names of the changed layers.

    Raises InputError for a name of ``section.layers`` that has no such layer.
    """
    found: dict[str, Any] = {
        dotted(path): layer
        for path, layer in nnx.iter_modules(module)
        if isinstance(layer, LAYERS) and isinstance(layer.kernel, Fixed) and lies_in(dotted(path), trunk)
    }
    wanted = found if section.layers is None else {n: la for n, la in found.items() if lies_in(n, section.layers)}
    for place in section.layers or []:
        if not any(lies_in(name, [place]) for name in found):
            raise InputError(where, f"lora: no dense or convolution layer {place!r}; there are {listed(sorted(found))}")
    if not wanted:
        raise InputError(where, "lora: the network has no dense or convolution layer (nnx.Linear, nnx.Conv) to change")
    for name, layer in sorted(wanted.items()):
        outputs = layer.kernel.shape[-1]
        inputs = layer.kernel.size // outputs
        key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
        usual: type = type(layer)
        act_as(layer, low_rank(usual))
        layer.lora_a = nnx.Param(jax.random.normal(key, (inputs, section.rank), jnp.float32) / inputs**0.5)
        layer.lora_b = nnx.Param(jnp.zeros((section.rank, outputs), jnp.float32))
        layer.lora_scale = scale_of(section)
    return sorted(wanted)


def scale_of(section: Lora) -> float:
    """Factor of the product of both matrices."""
    return (section.rank if section.alpha is None else section.alpha) / section.rank


def merge_lora(module: nnx.Module) -> None:
    """Put the changes into the kernels: an ordinary network again, with the same outputs."""
    layers: list[Any] = [layer for _, layer in nnx.iter_modules(module)]
    for layer in layers:
        if hasattr(layer, "lora_scale"):
            layer.kernel.set_value(layer.changed_kernel())
            del layer.lora_a, layer.lora_b, layer.lora_scale
            act_as(layer, type(layer).usual)
