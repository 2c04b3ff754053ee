"""Each operation that edits are followed through, in small functions beside plain evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from seqmill.effects.local.program import LocalProgram
from seqmill.effects.local.rules_linear import spread
from seqmill.effects.local.trace import trace
from seqmill.training.augment import one_hot

BP, CHANNELS = 40, 3
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(5, 4, CHANNELS)).astype(np.float32)
DENSE = RNG.normal(size=(CHANNELS, 2)).astype(np.float32)
NARROW = RNG.normal(size=(9, CHANNELS, 1)).astype(np.float32)
PLACES = RNG.normal(size=(BP, 1)).astype(np.float32)
ALL = RNG.normal(size=(BP * CHANNELS, 2)).astype(np.float32)


def conv(x, kernel=KERNEL, **how):
    how = {"window_strides": (1,), "padding": "SAME", "dimension_numbers": ("NWC", "WIO", "NWC")} | how
    return lax.conv_general_dilated(x, kernel, **how)


def pooled(x, init, op, size, stride, padding="VALID"):
    return lax.reduce_window(x, init, op, (1, size, 1), (1, stride, 1), padding)


def grouped(x, size):
    return x.reshape(1, -1, size, CHANNELS).max(2)


def residual(x):
    return x[:, 4:-4] + conv(jnp.tanh(x), KERNEL[:, :3], padding="VALID", rhs_dilation=(2,))


# Name -> function of one-hot bases (1, BP, 4), and whether it stays followed up to its last, mixing operation.
FUNCTIONS = {
    "dilated": (lambda x: conv(jnp.tanh(conv(x)), KERNEL[:, :3], rhs_dilation=(3,)).sum(1), True),
    "strided": (lambda x: jnp.tanh(conv(x, window_strides=(3,), padding=[(2, 1)])).sum(1), True),
    "channels first": (
        lambda x: jnp.tanh(conv(x.transpose(0, 2, 1), dimension_numbers=("NCW", "WIO", "NCW"))).sum(2), True
    ),
    "few outputs": (lambda x: jnp.tanh(conv(jnp.tanh(conv(x)), NARROW)).sum(1), True),
    "few outputs, not padded": (lambda x: jnp.tanh(conv(jnp.tanh(conv(x)), NARROW, padding="VALID")).sum(1), True),
    "windowed maximum": (lambda x: pooled(conv(x), -jnp.inf, lax.max, 4, 2, "SAME").sum(1), True),
    "windowed sum": (lambda x: jnp.tanh(pooled(conv(x), 0.0, lax.add, 3, 3)).sum(1), True),
    "grouped maximum": (lambda x: conv(x)[:, : BP // 6 * 6].reshape(1, -1, 6, CHANNELS).max(2).sum(1), True),
    "pools of pools": (lambda x: grouped(grouped(conv(x)[:, 1:40], 3)[:, :12], 4).sum(1), True),
    "pools wider than what is left": (lambda x: grouped(grouped(conv(conv(x), KERNEL[:, :3]), 10), 2).sum(1), True),
    "residual": (lambda x: residual(conv(x)).sum(1), True),
    "other strand": (lambda x: jnp.tanh(conv(x[:, ::-1, ::-1])[:, ::-1] + conv(x)).sum(1), True),
    "places": (lambda x: jnp.tanh(conv(x) * PLACES).sum(1), True),
    "padded": (lambda x: jnp.exp(jnp.pad(conv(x), ((0, 0), (3, 5), (0, 0)))).sum(1), True),
    "joined channels": (lambda x: jnp.tanh(jnp.concatenate([conv(x), x], axis=-1)).sum(1), True),
    "joined positions": (lambda x: jnp.concatenate([jnp.ones((1, 3, 3)), conv(x)], axis=1).max(1), True),
    "maximum of all": (lambda x: conv(x).max(1) - conv(x).min(1), True),
    "softmax of channels": (lambda x: jax.nn.softmax(conv(x), axis=-1).sum(1), True),
    "dense of channels": (lambda x: jnp.tanh(conv(x) @ DENSE).sum(1), True),
    "dense of all": (lambda x: jnp.tanh(jnp.tanh(conv(x)).reshape(1, -1) @ ALL), True),
    "upsampled": (lambda x: conv(jnp.repeat(jnp.tanh(conv(x)[:, :20]), 2, axis=1), KERNEL[:, :3]).sum(1), True),
    "sorted": (lambda x: jnp.sort(conv(x), axis=1)[:, 5], False),
    "softmax of positions": (lambda x: (jax.nn.softmax(conv(x), axis=1) * PLACES).sum(1), False),
    "sum so far": (lambda x: jnp.cumsum(conv(x), axis=1)[:, 20], False),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_gives_what_plain_evaluation_gives(name):
    (function, followed), width = FUNCTIONS[name], 2

    def whole(weights, inputs):
        return {"y": function(one_hot(inputs["sequence"]))}

    traced = trace(whole, (), {"sequence": jax.ShapeDtypeStruct((1, BP), jnp.uint8)})
    codes = RNG.integers(0, 5, (2, BP)).astype(np.uint8)
    starts = np.arange(BP - width + 1, dtype=np.int32)
    values = RNG.integers(0, 5, (len(starts), width)).astype(np.uint8)
    program = LocalProgram(traced, width=width, span=BP, edits=len(starts), many=True)
    rows = (np.arange(len(starts)) % 2).astype(np.int32)
    reference, kept = program.reference((), {"sequence": codes})
    found = program.effects(program.weights(()), kept, rows, starts, values)["y"]
    edited = codes[rows]
    edited[np.arange(len(starts))[:, None], starts[:, None] + np.arange(width)] = values
    plain = jax.jit(jax.vmap(lambda row: whole((), {"sequence": row[None]})["y"][0]))
    expected = plain(edited) - plain(codes)[rows]
    np.testing.assert_allclose(reference["y"], plain(codes), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, float(np.abs(plain(codes)).max())))
    assert bool(program.whole_from) != followed


@pytest.mark.slow
@pytest.mark.parametrize(("positions", "width"), [(8, 8), (8, 11), (9, 9), (11, 10), (17, 21), (7, 11), (3, 5)])
def test_windows_are_convolved_with_fewer_products(positions, width):
    x = RNG.normal(size=(3, positions, 64)).astype(np.float32)
    weights = RNG.normal(size=(width, 64, 66)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (width - 1, width - 1), (0, 0)))
    plain = [
        np.einsum("etc,tco->eo", padded[:, q : q + width], weights.astype(np.float64))
        for q in range(positions + width - 1)
    ]
    plain = np.stack(plain, axis=1)
    np.testing.assert_allclose(spread(x, weights, 1), plain, atol=3e-6 * np.abs(plain).max())
