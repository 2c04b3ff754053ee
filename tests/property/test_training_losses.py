"""Every loss and its gradient stay finite, however extreme outputs and labels are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.config.heads import LOSSES
from seqmill.training.losses import Fit, loss_of

SHAPES = {"profile": (2, 3, 2), "beta_binomial": (2, 2, 2), "contact": (2, 2, 2, 2)}
CASES = [(kind, name) for kind, names in LOSSES.items() for name in names]
_COMPILED = {}


def value_and_gradient(kind, name):
    if (kind, name) not in _COMPILED:

        def mean(raw, truth, present, scale):
            losses, counted = loss_of(kind, name).loss(raw, truth, present, Fit(0.0, scale))
            return jnp.sum(jnp.where(counted, losses, 0.0))

        _COMPILED[kind, name] = jax.jit(jax.value_and_grad(mean))
    return _COMPILED[kind, name]


EXTREMES = np.array([-1e4, -90.0, -20.0, -1.0, 0.0, 1.0, 20.0, 90.0, 1e4], np.float32)


def labels(kind, rng, shape):
    if kind == "binary":
        return rng.integers(0, 2, shape)
    if kind == "fraction":
        return rng.choice([0.0, 0.5, 1.0], shape)
    if kind in ("class", "distribution"):
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[0])]
    counts = np.floor(10 ** rng.uniform(-1, 6, shape))
    return np.sort(counts, axis=1) if kind == "beta_binomial" else counts


@pytest.mark.parametrize(("kind", "name"), CASES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_losses_and_gradients_are_finite(kind, name, seed, scale):
    rng, shape = np.random.default_rng(seed), SHAPES.get(kind, (2, 2))
    present = rng.random(shape) < 0.7
    truth = np.where(present, labels(kind, rng, shape), 0).astype(np.float32)
    loss, gradient = value_and_gradient(kind, name)(rng.choice(EXTREMES, shape), truth, present, np.float32(scale))
    assert np.isfinite(float(loss))
    assert np.isfinite(np.asarray(gradient)).all()
