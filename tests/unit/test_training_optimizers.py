"""Optimisers, schedules and limits of weights, against their formulas."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqmill.config.models import Optimizer
from seqmill.runtime.errors import InputError
from seqmill.training.optimizers import limit_weight_norm, make_optimizer


def rates(steps: int, at: list[int], **section) -> list[float]:
    """Sizes of the updates of plain gradient descent with gradient -1: the learning rates."""
    optimizer = make_optimizer(Optimizer(name="sgd", learning_rate=0.5, **section), steps)
    params = {"w": jnp.zeros(1)}
    state, found = optimizer.init(params), []
    for _ in range(max(at) + 1):
        updates, state = optimizer.update({"w": -jnp.ones(1)}, state, params)
        found.append(float(updates["w"][0]))
    return [found[step] for step in at]


SCHEDULES = [
    ({}, [0.5, 0.5, 0.5]),
    ({"schedule": "linear"}, [0.5, 0.25, 0.05]),
    ({"schedule": "cosine"}, [0.5, 0.25, 0.25 * (1 + np.cos(0.9 * np.pi))]),
    ({"schedule": "exponential", "schedule_settings": {"decay_rate": 0.01}}, [0.5, 0.05, 0.5 * 0.01**0.9]),
    (
        {"schedule": "exponential", "schedule_settings": {"decay_rate": 0.5, "transition_steps": 1}},
        [0.5, 0.5 / 32, 0.5 / 512],
    ),
    ({"schedule": "polynomial", "schedule_settings": {"power": 2}}, [0.5, 0.125, 0.005]),
    ({"warmup_steps": 5}, [0.5 / 6, 0.5, 0.5]),
    ({"schedule": "warmup_constant_schedule", "schedule_settings": {"warmup_steps": 5}}, [0.0, 0.5, 0.5]),
    ({"schedule": "linear", "warmup_steps": 5}, [0.5 / 6, 0.5, 0.1]),
]


@pytest.mark.parametrize(("section", "expected"), SCHEDULES)
def test_rates_at_the_start_the_middle_and_the_end(section, expected):
    assert rates(10, [0, 5, 9], **section) == pytest.approx(expected, rel=1e-5, abs=1e-8)


BAD = [
    (
        {"schedule": "cosinus"},
        r"training\.optimizer\.schedule: 'cosinus' is no schedule of optax; common ones: constant,",
    ),
    ({"schedule": "join_schedules"}, "'join_schedules' is no schedule of optax"),
    ({"schedule": "exponential"}, r"schedule_settings \{\} do not fit optax\.exponential_decay: .*decay_rate"),
    ({"schedule": "linear", "schedule_settings": {"init_value": 1}}, "init_value is the learning_rate"),
    ({"schedule": "linear", "schedule_settings": {"powr": 1}}, r"do not fit optax\.linear_schedule: .*powr"),
    ({"settings": {"momentun": 0.9}}, r"training\.optimizer: settings \{'momentun': 0\.9\} do not fit optax\.sgd: "),
    ({"name": "adma"}, "'adma' is no optimiser of optax; common ones: adam"),
]


@pytest.mark.parametrize(("section", "message"), BAD)
def test_mistakes_are_named(section, message):
    with pytest.raises(InputError, match=message):
        make_optimizer(Optimizer(**{"name": "sgd", **section}), 10)


def test_momentum_by_settings():
    optimizer = make_optimizer(Optimizer(name="sgd", learning_rate=1.0, settings={"momentum": 0.9}), 10)
    state = optimizer.init({"w": jnp.zeros(1)})
    for expected in (-1.0, -1.9, -2.71):
        updates, state = optimizer.update({"w": jnp.ones(1)}, state)
        assert float(updates["w"][0]) == pytest.approx(expected)


def test_weight_decay_joins_the_gradient():
    """As torch's weight_decay: the gradient of half the squared norm, before the optimiser."""
    optimizer = make_optimizer(Optimizer(name="sgd", learning_rate=0.1, weight_decay=0.5), 10)
    params = {"w": jnp.array([2.0])}
    updates, _ = optimizer.update({"w": jnp.array([3.0])}, optimizer.init(params), params)
    assert float(updates["w"][0]) == pytest.approx(-0.1 * (3 + 0.5 * 2))


def test_weights_into_a_unit_are_limited():
    """Kernels (width, inputs, units) and (inputs, units): the norm over all but the last axis; biases are left."""
    rng = np.random.default_rng(0)
    params = {"conv": rng.normal(size=(5, 4, 3)), "dense": rng.normal(size=(6, 2)), "bias": np.full(3, 9.0)}
    params["dense"][:, 1] *= 0.01
    params = {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}
    gradient = {name: jnp.asarray(rng.normal(size=value.shape), jnp.float32) for name, value in params.items()}
    plain = Optimizer(name="sgd", learning_rate=0.1)
    limited = make_optimizer(plain.model_copy(update={"max_weight_norm": 0.9}), 10)
    updates, _ = limited.update(gradient, limited.init(params), params)
    found = optax.apply_updates(params, updates)
    for name, axes in (("conv", (0, 1)), ("dense", (0,))):
        free = np.asarray(params[name]) - 0.1 * np.asarray(gradient[name])
        norm = np.sqrt((free**2).sum(axis=axes))
        np.testing.assert_allclose(found[name], free * np.minimum(1, 0.9 / norm), rtol=1e-5, atol=1e-6)
    assert np.sqrt((np.asarray(found["dense"]) ** 2).sum(axis=0))[1] < 0.5  # a small one is not blown up
    np.testing.assert_allclose(
        found["bias"], np.asarray(params["bias"]) - 0.1 * np.asarray(gradient["bias"]), rtol=1e-6
    )


def test_weights_that_are_all_zero_stay():
    limit = limit_weight_norm(1.0)
    params = {"w": jnp.zeros((2, 2))}
    updates, _ = limit.update({"w": jnp.zeros((2, 2))}, limit.init(params), params)
    assert not np.asarray(updates["w"]).any()
