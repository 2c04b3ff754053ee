"""The primer's network: published size, the same numbers as slow loops, learning, messages."""

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import network_toys as net
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, layer_parameters
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError

SMALL = {"filters": 5, "width": 4, "pool": 3, "hidden": 6}


@pytest.mark.parametrize(("tracks", "total"), [(1, 6_209), (2, 6_226)])
def test_published_parameters_layer_by_layer(tracks, total):
    model = build("primer_cnn", {}, {"sequence": toys.sequence_spec(50)}, {"bound": net.target("bound", tracks)}, 0)
    # 50 bp: 39 positions, pooled to 9.
    assert layer_parameters(model) == {
        "conv.kernel": 12 * 4 * 32, "conv.bias": 32,
        "hidden.kernel": 9 * 32 * 16, "hidden.bias": 16,
        "heads.layers.bound.kernel": 16 * tracks, "heads.layers.bound.bias": tracks,
    }  # fmt: skip
    assert count_parameters(model) == total


def test_equals_a_slow_network():
    model = build("primer_cnn", SMALL, {"sequence": toys.sequence_spec(20)}, {"y": net.target("y", 2)}, 3)
    x = net.one_hot(np.random.default_rng(0), 3, 20)
    expected = []
    for row in x.astype(np.float64):
        h = net.slow_pool(net.slow_conv(row, model.conv), 3)  # no activation between them
        h = net.relu(net.slow_dense(h.ravel(), model.hidden))
        expected.append(net.slow_dense(h, model.heads.layers["y"]))
    found = model({"sequence": jnp.asarray(x)}, train=False)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_learns():
    rng = np.random.default_rng(1)
    batch = {"inputs/sequence": rng.integers(0, 4, (16, 30), np.uint8), "targets/y": rng.random((16, 2)) < 0.5}
    net.check_learns("primer_cnn", SMALL, {"sequence": toys.sequence_spec(30)}, {"y": net.target("y", 2)}, batch)


def test_refuses_a_short_window():
    with pytest.raises(InputError, match="primer_cnn: a window of 14 bp is too short"):
        build("primer_cnn", {}, {"sequence": toys.sequence_spec(14)}, {"y": net.target("y", 1)}, 0)
