"""DanQ: published size, the LSTM against slow loops, one compiled step, learning, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.unit import network_toys as net
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, layer_parameters
from seqmill.models.danq import BidirectionalLSTM
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError

SMALL = {"filters": 5, "width": 4, "pool": 3, "lstm": 4, "hidden": 6}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_lstm(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Hochreiter and Schmidhuber's cell with a forget gate, one unit at a time."""
    units = len(recurrent)
    hidden, cell, out = np.zeros(units), np.zeros(units), []
    for moment in x:
        new_hidden, new_cell = np.zeros(units), np.zeros(units)
        for u in range(units):
            take, keep, new, show = (
                moment @ kernel[:, g * units + u] + hidden @ recurrent[:, g * units + u] + bias[g * units + u]
                for g in range(4)
            )
            new_cell[u] = sigmoid(keep) * cell[u] + sigmoid(take) * np.tanh(new)
            new_hidden[u] = sigmoid(show) * np.tanh(new_cell[u])
        hidden, cell = new_hidden, new_cell
        out.append(hidden)
    return np.array(out)


def slow_both(x: np.ndarray, lstm: BidirectionalLSTM) -> np.ndarray:
    parts = [np.asarray(p[...], np.float64) for p in (lstm.kernel, lstm.recurrent, lstm.bias)]
    forwards = slow_lstm(x, *(p[0] for p in parts))
    backwards = slow_lstm(x[::-1], *(p[1] for p in parts))[::-1]
    return np.concatenate([forwards, backwards], axis=1)


def test_published_parameters_layer_by_layer():
    model = build("danq", {}, {"sequence": toys.sequence_spec(1000)}, {"marks": net.target("marks", 919)}, 0)
    # 1,000 bp: 975 positions, pooled to 75; four gates a unit, two directions.
    assert layer_parameters(model) == {
        "conv.kernel": 26 * 4 * 320, "conv.bias": 320,
        "lstm.kernel": 2 * 320 * 4 * 320, "lstm.recurrent": 2 * 320 * 4 * 320, "lstm.bias": 2 * 4 * 320,
        "hidden.kernel": 75 * 640 * 925, "hidden.bias": 925,
        "heads.layers.marks.kernel": 925 * 919, "heads.layers.marks.bias": 919,
    }  # fmt: skip
    assert count_parameters(model) == 46_926_479


@pytest.mark.slow
def test_lstm_equals_slow_loops():
    lstm = BidirectionalLSTM(3, 4, nnx.Rngs(5))
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    found = lstm(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, [slow_both(row, lstm) for row in x], rtol=1e-4, atol=1e-5)
    assert np.array_equal(lstm.bias[...][:, 4:8], np.ones((2, 4)))
    assert np.abs(np.asarray(lstm.recurrent[...])).max() <= 0.5


@pytest.mark.slow
def test_lstm_and_its_gradient_equal_the_plain_form():
    """One direction after the other, position by position, differentiated by jax."""
    lstm = BidirectionalLSTM(3, 4, nnx.Rngs(5))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)
    graph, state = nnx.split(lstm)

    def plain(state, x):
        kernel, recurrent, bias = (nnx.merge(graph, state).__dict__[n][...] for n in ("kernel", "recurrent", "bias"))
        directions = []
        for number, order in enumerate((range(7), range(6, -1, -1))):
            hidden, cell, out = jnp.zeros((2, 4)), jnp.zeros((2, 4)), {}
            for place in order:
                gates = x[:, place] @ kernel[number] + hidden @ recurrent[number] + bias[number]
                take, keep, new, show = (gates[:, 4 * g : 4 * g + 4] for g in range(4))
                cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(take) * jnp.tanh(new)
                hidden = out[place] = jax.nn.sigmoid(show) * jnp.tanh(cell)
            directions.append(jnp.stack([out[place] for place in range(7)], axis=1))
        return jnp.concatenate(directions, axis=-1)

    weights = jnp.asarray(np.random.default_rng(1).normal(size=(2, 7, 8)), jnp.float32)
    expected = jax.grad(lambda s, x: jnp.sum(weights * plain(s, x)), argnums=(0, 1))(state, x)
    found = jax.grad(lambda s, x: jnp.sum(weights * nnx.merge(graph, s)(x)), argnums=(0, 1))(state, x)
    np.testing.assert_allclose(lstm(x), plain(state, x), rtol=1e-5, atol=1e-6)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_equals_a_slow_network():
    model = build("danq", SMALL, {"sequence": toys.sequence_spec(20)}, {"y": net.target("y", 2)}, 3)
    x = net.one_hot(np.random.default_rng(0), 3, 20)
    expected = []
    for row in x.astype(np.float64):
        h = net.slow_pool(net.relu(net.slow_conv(row, model.conv)), 3)
        h = net.relu(net.slow_dense(slow_both(h, model.lstm).ravel(), model.hidden))
        expected.append(net.slow_dense(h, model.heads.layers["y"]))
    found = model({"sequence": jnp.asarray(x)}, train=False)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bp", [40, 400])
def test_the_cell_is_compiled_once_for_any_length(bp):
    model = build("danq", SMALL, {"sequence": toys.sequence_spec(bp)}, {"y": net.target("y", 2)}, 3)
    traced = str(jax.make_jaxpr(lambda x: model({"sequence": x}, train=False)["y"])(jnp.zeros((1, bp, 4))))
    assert traced.count("scan[") == 1
    # tanh of the new cell and of the shown cell stand once for each direction, not once a position.
    assert traced.count("= tanh") == 4


@pytest.mark.slow
def test_learns():
    rng = np.random.default_rng(1)
    batch = {"inputs/sequence": rng.integers(0, 4, (16, 30), np.uint8), "targets/y": rng.random((16, 2)) < 0.5}
    net.check_learns("danq", SMALL, {"sequence": toys.sequence_spec(30)}, {"y": net.target("y", 2)}, batch)


def test_refuses_a_short_window():
    with pytest.raises(InputError, match="danq: a window of 37 bp is too short"):
        build("danq", {}, {"sequence": toys.sequence_spec(37)}, {"y": net.target("y", 1)}, 0)
