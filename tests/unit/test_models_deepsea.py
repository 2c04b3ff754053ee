"""DeepSEA: published size, the same numbers as slow loops, learning, messages."""

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import network_toys as net
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, layer_parameters
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError

SMALL = {"filters": [5, 4, 3], "width": 3, "pools": [2, 2, 1], "dropout": [0.2, 0.2, 0.5], "hidden": 6}


@pytest.mark.slow
def test_published_parameters_layer_by_layer():
    model = build("deepsea", {}, {"sequence": toys.sequence_spec(1000)}, {"marks": net.target("marks", 919)}, 0)
    # 1,000 bp: 993, pooled 248; 241, pooled 60; 53 positions of 960 channels.
    assert layer_parameters(model) == {
        "convs.0.kernel": 8 * 4 * 320, "convs.0.bias": 320,
        "convs.1.kernel": 8 * 320 * 480, "convs.1.bias": 480,
        "convs.2.kernel": 8 * 480 * 960, "convs.2.bias": 960,
        "hidden.kernel": 53 * 960 * 925, "hidden.bias": 925,
        "heads.layers.marks.kernel": 925 * 919, "heads.layers.marks.bias": 919,
    }  # fmt: skip
    assert count_parameters(model) == 52_843_119


@pytest.mark.slow
def test_equals_a_slow_network():
    model = build("deepsea", SMALL, {"sequence": toys.sequence_spec(30)}, {"y": net.target("y", 2)}, 3)
    x = net.one_hot(np.random.default_rng(0), 3, 30)
    expected = []
    for h in x.astype(np.float64):
        for layer, pool in zip(model.convs, (2, 2, 1)):
            h = net.slow_pool(net.relu(net.slow_conv(h, layer)), pool)
        h = net.relu(net.slow_dense(h.ravel(), model.hidden))
        expected.append(net.slow_dense(h, model.heads.layers["y"]))
    found = model({"sequence": jnp.asarray(x)}, train=False)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_learns():
    rng = np.random.default_rng(1)
    batch = {"inputs/sequence": rng.integers(0, 4, (16, 30), np.uint8), "targets/y": rng.random((16, 2)) < 0.5}
    net.check_learns("deepsea", SMALL, {"sequence": toys.sequence_spec(30)}, {"y": net.target("y", 2)}, batch)


def test_refuses_what_does_not_fit():
    spec, y = {"sequence": toys.sequence_spec(80)}, {"y": net.target("y", 1)}
    with pytest.raises(InputError, match="deepsea: a window of 80 bp is too short for width and pools"):
        build("deepsea", {}, spec, y, 0)
    with pytest.raises(InputError, match="filters, pools and dropout must be lists of one length"):
        build("deepsea", {"filters": [3]}, spec, y, 0)
