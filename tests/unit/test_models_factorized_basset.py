"""Factorized Basset: size layer by layer, what a position sees, the same numbers as slow loops, learning, messages."""

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import network_toys as net
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, layer_parameters
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError

SMALL = {"filters": [[3, 4], [5]], "widths": [[3, 5], [3]], "pools": [3, 2], "hidden": [6]}


@pytest.mark.slow
def test_parameters_layer_by_layer():
    model = build(
        "factorized_basset", {}, {"sequence": toys.sequence_spec(600)}, {"peaks": net.target("peaks", 164)}, 0
    )
    layers = {
        (0, 0): (3, 4, 48), (0, 1): (3, 48, 64), (0, 2): (3, 64, 100), (0, 3): (7, 100, 150), (0, 4): (7, 150, 300),
        (1, 0): (7, 300, 200), (1, 1): (3, 200, 200), (1, 2): (3, 200, 200),
        (2, 0): (7, 200, 200),
    }  # fmt: skip
    expected = {}
    for (stack, layer), (width, before, after) in layers.items():
        expected[f"stacks.{stack}.{layer}.kernel"] = width * before * after
        for name in (f"stacks.{stack}.{layer}.bias", f"norms.{stack}.{layer}.scale", f"norms.{stack}.{layer}.bias"):
            expected[name] = after
    # 600 bp, pooled to 200, 50 and 12 positions of 200 channels.
    for number, features in enumerate((12 * 200, 1000)):
        expected[f"denses.{number}.kernel"] = features * 1000
        for name in (f"denses.{number}.bias", f"dense_norms.{number}.scale", f"dense_norms.{number}.bias"):
            expected[name] = 1000
    expected |= {"heads.layers.peaks.kernel": 1000 * 164, "heads.layers.peaks.bias": 164}
    assert layer_parameters(model) == expected
    assert count_parameters(model) == 4_963_542


@pytest.mark.slow
def test_stacks_see_as_far_as_bassets_filters():
    widths = build(
        "factorized_basset", {}, {"sequence": toys.sequence_spec(600)}, {"y": net.target("y", 1)}, 0
    ).settings.widths
    assert [1 + sum(width - 1 for width in stack) for stack in widths] == [19, 11, 7]


@pytest.mark.slow
def test_equals_a_slow_network():
    model = build("factorized_basset", SMALL, {"sequence": toys.sequence_spec(20)}, {"y": net.target("y", 2)}, 3)
    rng = np.random.default_rng(0)
    norms = [*model.norms[0], *model.norms[1], *model.dense_norms]
    for norm in norms:
        for name in ("mean", "var", "scale", "bias"):
            variable = getattr(norm, name)
            variable[...] = jnp.asarray(rng.uniform(0.5, 1.5, variable[...].shape), jnp.float32)

    def normed(v, layer):
        mean, var, scale, bias = (
            np.asarray(getattr(layer, n)[...], np.float64) for n in ("mean", "var", "scale", "bias")
        )
        return net.relu((v - mean) / np.sqrt(var + 1e-5) * scale + bias)

    x = net.one_hot(rng, 3, 20)
    expected = []
    for h in x.astype(np.float64):
        for stack, stack_norms, pool in zip(model.stacks, model.norms, (3, 2)):
            for layer, norm in zip(stack, stack_norms):
                half = layer.kernel[...].shape[0] // 2
                h = normed(net.slow_conv(np.pad(h, ((half, half), (0, 0))), layer), norm)
            h = net.slow_pool(h, pool)
        h = normed(net.slow_dense(h.ravel(), model.denses[0]), model.dense_norms[0])
        expected.append(net.slow_dense(h, model.heads.layers["y"]))
    found = model({"sequence": jnp.asarray(x)}, train=False)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_learns():
    rng = np.random.default_rng(1)
    batch = {"inputs/sequence": rng.integers(0, 4, (16, 30), np.uint8), "targets/y": rng.random((16, 2)) < 0.5}
    net.check_learns("factorized_basset", SMALL, {"sequence": toys.sequence_spec(30)}, {"y": net.target("y", 2)}, batch)


def test_refuses_what_does_not_fit():
    spec, y = {"sequence": toys.sequence_spec(40)}, {"y": net.target("y", 1)}
    with pytest.raises(InputError, match=r"a window of 40 bp is too short for pools \[3, 4, 4\]"):
        build("factorized_basset", {}, spec, y, 0)
    with pytest.raises(InputError, match="filters and widths must have one shape"):
        build("factorized_basset", {"widths": [[3], [3], [3]]}, spec, y, 0)
