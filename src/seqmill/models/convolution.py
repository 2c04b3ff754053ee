"""A 1-D convolution with fewer products, for wide kernels over many channels on a CPU.

The fast FIR algorithm with two phases (Mou and Duhamel, IEEE Transactions on Signal Processing 39:1322 (1991); Parker
and Parhi 1997): outputs at even and odd positions share one of their half-length convolutions, so that three instead of
four are computed; applied twice, nine sixteenths of the products are left. Results differ from the plain way by
rounding (some 1e-6 of the largest).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

_LEVELS = 2
_MIN_CHANNELS = 64  # below, the sums take what the products save
_MIN_WIDTH = 6  # half of a quarter kernel would be zeros


def fast_convolve(x: Array, kernel: Array, levels: int = _LEVELS) -> Array:
    """Cross-correlation without padding.

    Parameters
    ----------
    x : (example, position, input channel).
    kernel : (width, input channel, output channel).
    levels : how often positions are split into even and odd ones; 0 is the plain way.

    Returns
    -------
    (example, position - width + 1, output channel).
    """
    if levels == 0:
        return jax.lax.conv_general_dilated(x, kernel, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
    examples, length, channels = x.shape
    width, outputs = kernel.shape[0], length - kernel.shape[0] + 1
    taps, pairs = (width + 1) // 2, (outputs + 1) // 2
    kernel = jnp.pad(kernel, ((0, 2 * taps - width), (0, 0), (0, 0)))
    x = jnp.pad(x, ((0, 0), (0, 2 * (pairs + taps) - length), (0, 0)))
    phases = x.reshape(examples, pairs + taps, 2, channels)
    even, odd, next_even = phases[:, :-1, 0], phases[:, :-1, 1], phases[:, 1:, 0]
    first, second = kernel[0::2], kernel[1::2]
    shared = fast_convolve(odd, first + second, levels - 1)
    at_even = shared + fast_convolve(even - odd, first, levels - 1)
    at_odd = shared + fast_convolve(next_even - odd, second, levels - 1)
    return jnp.stack([at_even, at_odd], axis=2).reshape(examples, 2 * pairs, -1)[:, :outputs]


# Kept together under its name, so that mutagenesis knows it for a convolution (`seqmill.effects.local`).
_one_operation = jax.jit(fast_convolve)


def convolve(x: Array, kernel: Array, strides: Any, padding: Any, **how: Any) -> Array:
    """In place of `jax.lax.conv_general_dilated` in `flax.nnx.Conv`: the fast way where it is the faster one.

    That is, for float32 on a CPU: a wide kernel from many channels to many, neither strided nor dilated, far from ends.
    """
    width, channels, outputs = kernel.shape
    fast = (
        jax.default_backend() == "cpu"
        and x.dtype == kernel.dtype == jnp.float32
        and width >= _MIN_WIDTH
        and min(channels, outputs) >= _MIN_CHANNELS
        and x.shape[1] >= 4 * width
        and tuple(strides) == tuple(how["lhs_dilation"]) == tuple(how["rhs_dilation"]) == (1,)
        and how["feature_group_count"] == 1
        and padding in ("SAME", "VALID")
    )
    if not fast:
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, **how)
    if padding == "SAME":
        x = jnp.pad(x, ((0, 0), ((width - 1) // 2, width // 2), (0, 0)))
    return _one_operation(x, kernel)
