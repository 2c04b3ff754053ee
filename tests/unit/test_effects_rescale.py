"""Rules of DeepLIFT, each operation of a network's program on its own: sums hold, and what has no rule is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqmill.effects.attribution.plain_convolution import as_products
from seqmill.effects.attribution.rescale import evaluate, multipliers, trace
from seqmill.effects.attribution.rescale_rules import UnknownOperation


def attention(x):
    weights = jax.nn.softmax(x @ jnp.swapaxes(x, 1, 2), axis=-1)
    return weights @ x


def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)


def recurrent(x):
    def step(carry, row):
        hidden, total = carry
        hidden = jnp.tanh(row @ jnp.eye(4) * 0.7 + hidden * jax.nn.sigmoid(row))
        return (hidden, total + hidden * row), hidden

    (_, total), rows = jax.lax.scan(step, (jnp.zeros((2, 4)), jnp.zeros((2, 4))), jnp.swapaxes(x, 0, 1), reverse=True)
    return rows.sum(axis=0) + total


FUNCTIONS = {
    "activations": lambda x: jax.nn.softplus(x) + jax.nn.gelu(x) + jax.nn.silu(x) + jax.nn.elu(x) + jnp.abs(x),
    "one activation of decisions": jax.jit(lambda x: jnp.where(x > 0.3, x * x, -x)),
    "products": lambda x: x * x[:, ::-1] / (1 + x**2) + 1 / (2 + jnp.cos(x)),
    "attention": attention,
    "layer norm": layer_norm,
    "max pooling": lambda x: nnx.max_pool(x, (3,), strides=(2,)),
    "mean pooling": lambda x: nnx.avg_pool(x, (3,), strides=(2,)),
    "extremes": lambda x: (
        jnp.maximum(x, x[:, ::-1]) + jnp.minimum(x, x.max(axis=1, keepdims=True)) + x.min(axis=1)[:, None]
    ),
    "recurrent": recurrent,
    "moves of places": lambda x: jnp.concatenate(
        [x[:, 1:3], jnp.repeat(x, 2, axis=1), x[:, jnp.array([2, 0])]], axis=1
    ),
    "log-sum-exp": lambda x: jax.nn.log_softmax(x, axis=1) + jax.nn.logsumexp(x, axis=(1, 2))[:, None, None],
}


def explain(function, x, ref, seed):
    program = trace(function, x)
    (out,), at_input = evaluate(program, [x])
    (out_ref,), at_reference = evaluate(program, [ref])
    weight = jnp.asarray(np.random.default_rng(seed).normal(size=out.shape))
    (found,) = multipliers(program, [True], at_input, at_reference, [weight])
    return float((found * (x - ref)).sum()), float((weight * (out - out_ref)).sum()), found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sums_hold(name):
    with jax.enable_x64(True):
        rng = np.random.default_rng(len(name))
        x, ref = jnp.asarray(rng.normal(size=(2, 2, 7, 4)))
        ref = ref.at[:, 2].set(x[:, 2])  # places that do not differ
        added, expected, found = explain(FUNCTIONS[name], x, ref, 1)
        assert abs(added - expected) < 1e-9 * max(1, abs(expected))
        assert np.isfinite(found).all()


@pytest.mark.slow
def test_equal_sides_have_the_gradient():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 4)))
        for name in ("activations", "products", "max pooling", "recurrent"):
            program = trace(FUNCTIONS[name], x)
            values = evaluate(program, [x])
            weight = jnp.ones_like(values[0][0])
            (found,) = multipliers(program, [True], values[1], values[1], [weight])
            expected = jax.grad(lambda x, f=FUNCTIONS[name]: f(x).sum())(x)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("function", "operation", "why"),
    [
        (lambda x: jnp.sort(x, axis=1), "sort", ""),
        (lambda x: jnp.where(x > 0, x, x[:, ::-1]), "select_n", "a decision that depends on the sequence"),
        (lambda x: jax.lax.while_loop(lambda y: y.sum() < 100, lambda y: y + jnp.abs(x), x), "while", ""),
        (lambda x: x**x, "pow", "of several values that depend on the sequence"),
        (lambda x: jnp.cumprod(x, axis=1), "cumprod", ""),
    ],
)
def test_what_has_no_rule_is_named(function, operation, why):
    x = jnp.ones((1, 3, 2))
    with pytest.raises(UnknownOperation) as caught:
        explain(function, x, 2 * x, 0)
    assert (caught.value.operation, why in caught.value.why) == (operation, True)


@pytest.mark.parametrize(
    ("channels", "how"),
    [
        (4, {"padding": "SAME"}),
        (20, {"padding": "VALID", "rhs_dilation": (3,)}),
        (20, {"padding": [(2, 5)], "window_strides": (2,)}),
    ],
)
def test_convolutions_as_products(channels, how):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, kernel = jnp.asarray(rng.normal(size=(2, 23, channels))), jnp.asarray(rng.normal(size=(5, channels, 6)))
        arguments = {"window_strides": (1,), **how, "dimension_numbers": ("NWC", "WIO", "NWC")}
        program = trace(lambda x: jax.lax.conv_general_dilated(x, kernel, **arguments), x)
        (equation,) = [e for e in program.jaxpr.eqns if e.primitive.name == "conv_general_dilated"]
        found = as_products(x, kernel, **equation.params)
        np.testing.assert_allclose(found, jax.lax.conv_general_dilated(x, kernel, **arguments), rtol=1e-12, atol=1e-12)
        assert as_products(x.astype(jnp.float32), kernel.astype(jnp.float32), **equation.params) is None
