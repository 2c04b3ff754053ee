"""One-dimensional convolutions in float64 on a CPU as matrix products: XLA has no fast kernel for them there.

Some seven times as fast for Basset's second layer. Everything else goes its usual way.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

_UNFOLDED_CHANNELS = 16
"""Up to so many input channels all taps make one product; with more, each tap one of its own."""


def as_products(
    x: Array,
    kernel: Array,
    *,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any,
    rhs_dilation: Any,
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> Array | None:
    """The result of `jax.lax.conv_general_dilated`, with its parameters; None where it should be asked itself."""
    plain = (
        jax.default_backend() == "cpu"
        and x.dtype == kernel.dtype == jnp.float64
        and x.ndim == 3
        and tuple(lhs_dilation) == (1,)
        and feature_group_count == batch_group_count == 1
    )
    if not plain:
        return None
    (low, high), (stride,), (dilation,) = padding[0], window_strides, rhs_dilation
    if min(low, high) < 0:
        return None
    x = x.transpose([dimension_numbers.lhs_spec[axis] for axis in (0, 2, 1)])  # example, position, channel
    kernel = kernel.transpose([dimension_numbers.rhs_spec[axis] for axis in (2, 1, 0)])  # width, in, out
    x = jnp.pad(x, ((0, 0), (low, high), (0, 0)))
    width, channels, outputs = kernel.shape
    count = (x.shape[1] - (width - 1) * dilation - 1) // stride + 1
    last = (count - 1) * stride + 1
    taps = [x[:, n * dilation : n * dilation + last : stride] for n in range(width)]
    if channels <= _UNFOLDED_CHANNELS:
        y = jnp.concatenate(taps, axis=-1) @ kernel.reshape(width * channels, outputs)
    else:
        y = sum((tap @ kernel[n] for n, tap in enumerate(taps[1:], 1)), start=taps[0] @ kernel[0])
    order = dimension_numbers.out_spec  # where example, channel and position lie in the result
    return y.transpose([(0, 2, 1)[order.index(axis)] for axis in range(3)])
