"""Fast forms of blocks against the plain ones: values, and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqmill.models.blocks import max_pool


@pytest.mark.slow
@pytest.mark.parametrize(("length", "width"), [(12, 3), (14, 4), (30, 13), (5, 5)])
def test_max_pool_and_its_gradient_are_those_of_the_windowed_maximum(length, width):
    """Small whole numbers, so that most maxima are reached twice."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-2, 3, (3, length, 5)), jnp.float32)
    weights = jnp.asarray(rng.standard_normal((3, length // width, 5)), jnp.float32)

    def plain(x):
        return nnx.max_pool(x, (width,), (width,), padding="VALID")

    expected, pull = jax.vjp(plain, x)
    found, own_pull = jax.vjp(lambda x: max_pool(x, width), x)
    assert np.array_equal(found, expected)
    assert np.array_equal(jax.jit(lambda x: max_pool(x, width))(x), expected)
    assert np.array_equal(own_pull(weights)[0], pull(weights)[0])
    # In the forward mode of differentiation each maximum follows its own position.
    _, moved = jax.jvp(lambda x: max_pool(x, width), (x,), (jnp.ones_like(x),))
    assert np.array_equal(moved, jnp.ones_like(expected))


def test_max_pool_keeps_nan():
    x = jnp.asarray([1.0, jnp.nan, 3.0, 0.0])[None, :, None]
    assert np.isnan(max_pool(x, 2)[0, 0, 0])
    assert max_pool(x, 2)[0, 1, 0] == 3
