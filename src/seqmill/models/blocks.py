"""Parts that architectures share. Arrays are (example, position, channel), channels last, float32."""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from seqmill.models.convolution import convolve

# The default of torch's Linear and Conv layers: weight and bias uniform in ±1/sqrt(fan_in).
_TORCH_WEIGHT = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias(fan_in: int):
    """Initialiser of a bias as torch does it: uniform in ±1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)

    def init(key, shape, dtype=jnp.float32, **_):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def conv(
    inputs: int, outputs: int, width: int, rngs: nnx.Rngs, *, padding: str = "SAME", dilation: int = 1
) -> nnx.Conv:
    """1-D convolution with the initialisation of torch."""
    return nnx.Conv(
        inputs,
        outputs,
        (width,),
        padding=padding,
        kernel_dilation=dilation,
        kernel_init=_TORCH_WEIGHT,
        bias_init=torch_bias(inputs * width),
        conv_general_dilated=convolve,
        rngs=rngs,
    )


def linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """Dense layer with the initialisation of torch."""
    return nnx.Linear(inputs, outputs, kernel_init=_TORCH_WEIGHT, bias_init=torch_bias(inputs), rngs=rngs)


def batch_norm(channels: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Batch normalisation with torch's constants: epsilon 1e-5, running statistics renewed by one tenth a step."""
    return nnx.BatchNorm(channels, momentum=0.9, epsilon=1e-5, rngs=rngs)


def max_pool(x: Array, width: int) -> Array:
    """Maximum over consecutive, non-overlapping runs of ``width`` positions; an incomplete last run is dropped.

    The gradient goes to the first of equal values, as that of ``nnx.max_pool`` does.
    """
    if width == 1:
        return x
    runs = x.shape[1] // width
    return _highest(x[:, : runs * width].reshape(x.shape[0], runs, width, x.shape[2]))


@jax.custom_jvp
def _highest(x: Array) -> Array:
    """Maximum along axis 2, written out: XLA's windowed maximum has a gradient several times slower on CPUs."""
    return functools.reduce(jnp.maximum, [x[:, :, number] for number in range(x.shape[2])])


@_highest.defjvp
def _highest_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    highest, place = x[:, :, 0], jnp.zeros((*x.shape[:2], x.shape[3]), jnp.int32)
    for number in range(1, x.shape[2]):
        place = jnp.where(x[:, :, number] > highest, number, place)
        highest = jnp.maximum(highest, x[:, :, number])
    chosen = place[:, :, None] == jnp.arange(x.shape[2])[:, None]
    return highest, jnp.where(chosen, tangent, 0).sum(axis=2)


def dropout(x: Array, rate: float, key: Array | None, train: bool) -> Array:
    """Inverted dropout. Unchanged outside training or at rate 0; the key is the caller's, so modules hold none."""
    if not train or rate == 0:
        return x
    assert key is not None
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))


def count_parameters(module: nnx.Module) -> int:
    """Number of trained values (batch statistics not counted)."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def layer_parameters(module: nnx.Module) -> dict[str, int]:
    """Trained values by path of each layer's parameters, for example ``{"conv.0.kernel": 22800}``."""
    flat = nnx.to_flat_state(nnx.state(module, nnx.Param))
    return {".".join(str(part) for part in path): leaf[...].size for path, leaf in flat}
