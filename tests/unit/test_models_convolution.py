"""The convolution with fewer products: the results and gradients of the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqmill.models.blocks import conv
from seqmill.models.convolution import fast_convolve


def _arrays(length, width, channels=3, outputs=5):
    random = np.random.default_rng(length * 100 + width)
    x = random.standard_normal((2, length, channels)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(random.standard_normal((width, channels, outputs)).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3, 6, 7, 8, 11])
@pytest.mark.parametrize("length", [11, 12, 37, 64])
def test_fast_is_the_plain_convolution(length, width, levels):
    x, kernel = _arrays(length, width)
    convolve = jax.jit(fast_convolve, static_argnums=2)
    plain, fast = convolve(x, kernel, 0), convolve(x, kernel, levels)
    assert fast.shape == plain.shape == (2, length - width + 1, 5)
    np.testing.assert_allclose(fast, plain, atol=5e-6 * float(jnp.abs(plain).max()))


@pytest.mark.slow
def test_gradients_are_those_of_the_plain_convolution():
    x, kernel = _arrays(40, 7)

    def loss(levels):
        return lambda x, kernel: jnp.sum(fast_convolve(x, kernel, levels) ** 2)

    for fast, plain in zip(jax.grad(loss(2), (0, 1))(x, kernel), jax.grad(loss(0), (0, 1))(x, kernel), strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-5 * float(jnp.abs(plain).max()))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("width", [7, 8])
def test_a_wide_layer_is_that_of_flax(width, padding):
    layer = conv(64, 64, width, nnx.Rngs(1), padding=padding)
    layer.bias[...] = jnp.arange(64.0)
    x = jax.random.normal(jax.random.key(0), (2, 75, 64))
    fast = layer(x)
    layer.conv_general_dilated = jax.lax.conv_general_dilated
    np.testing.assert_allclose(fast, layer(x), atol=1e-5 * float(jnp.abs(fast).max()))


@pytest.mark.parametrize(
    ("width", "channels", "outputs", "length", "dilation", "dtype", "backend", "fast"),
    [
        (8, 64, 64, 80, 1, jnp.float32, "cpu", True),
        (5, 64, 64, 80, 1, jnp.float32, "cpu", False),
        (8, 32, 64, 80, 1, jnp.float32, "cpu", False),
        (8, 64, 2, 80, 1, jnp.float32, "cpu", False),
        (8, 64, 64, 20, 1, jnp.float32, "cpu", False),
        (8, 64, 64, 80, 2, jnp.float32, "cpu", False),
        (8, 64, 64, 80, 1, jnp.bfloat16, "cpu", False),
        (8, 64, 64, 80, 1, jnp.float32, "gpu", False),
    ],
)
def test_fast_only_where_it_pays(monkeypatch, width, channels, outputs, length, dilation, dtype, backend, fast):
    """Three convolutions of a quarter of the width, each three times, are in the program of the fast way."""
    layer = conv(channels, outputs, width, nnx.Rngs(0), dilation=dilation)
    layer.dtype = dtype
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    program = str(jax.make_jaxpr(layer)(jnp.zeros((1, length, channels), dtype)))
    assert program.count("conv_general_dilated[") == (9 if fast else 1)
