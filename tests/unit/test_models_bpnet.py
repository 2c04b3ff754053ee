"""BPNet: size, profiles that lie where the target lies, what they see, controls, learning, messages."""

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import network_toys as net
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, layer_parameters
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec

SMALL = {"filters": 3, "width": 5, "dilated_layers": 2, "profile_width": 7}
REACH = 2 + (2 + 4) + 3  # bases that a position sees on each side


def profile(bins: int, offset_bp: int, tracks: int = 1, bp_per_bin: int = 1, name: str = "profile"):
    return net.target(name, tracks, "profile", bins, bp_per_bin=bp_per_bin, offset_bp=offset_bp)


def control_spec(bins: int, offset_bp: int, tracks: int = 2, bp_per_bin: int = 1) -> ArraySpec:
    names = tuple(f"c{i}" for i in range(tracks))
    geometry = {"bp_per_bin": bp_per_bin, "offset_bp": offset_bp, "rc": "reverse", "shift": "moves"}
    axes = ("example", "bins", "tracks")
    return ArraySpec("input", "control", axes, "float32", (bins, tracks), "profile", tracks=names, **geometry)


def slow_trunk(model, x: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Activations over which the profile of bases start to stop is made, N beyond the window."""
    bases = np.array([x[p] if 0 <= p < len(x) else np.zeros(4) for p in range(start - REACH, stop + REACH)])
    h = net.relu(net.slow_conv(bases, model.stem))
    for dilation, layer in zip((2, 4), model.dilated):
        h = h[dilation:-dilation] + net.relu(net.slow_conv(h, layer, dilation))
    return h


@pytest.mark.slow
def test_published_parameters_layer_by_layer():
    targets = {"count": net.target("count", 1, "count"), "profile": profile(1000, 557)}
    model = build("bpnet", {}, {"sequence": toys.sequence_spec(2114)}, targets, 0)
    expected = {"stem.kernel": 21 * 4 * 64, "stem.bias": 64, "profiles.profile.kernel": 75 * 64}
    expected |= {"profiles.profile.bias": 1, "heads.layers.count.kernel": 64, "heads.layers.count.bias": 1}
    for layer in range(8):
        expected |= {f"dilated.{layer}.kernel": 3 * 64 * 64, f"dilated.{layer}.bias": 64}
    assert layer_parameters(model) == expected
    assert count_parameters(model) == 109_122
    # 2,114 bp are exactly what 1,000 bp see.
    assert (model.start - model.reach, model.stop + model.reach) == (0, 2114)
    outputs = model({"sequence": jnp.zeros((1, 2114, 4))}, train=False)
    assert {name: y.shape for name, y in outputs.items()} == {"profile": (1, 1000, 1), "count": (1, 1)}


def test_the_tower_of_bpnet_sees_1034_bases_on_each_side():
    model = build("bpnet", {"width": 25, "dilated_layers": 9}, {"sequence": toys.sequence_spec(1000)},
                  {"profile": profile(1000, 0)}, 0)  # fmt: skip
    assert model.reach - 75 // 2 == 1034


@pytest.mark.slow
@pytest.mark.parametrize(("bins", "bin_bp", "offset"), [(10, 1, 15), (10, 1, 0), (7, 1, 33), (4, 3, 20), (40, 1, 0)])
def test_equals_a_slow_network_wherever_the_target_lies(bins, bin_bp, offset):
    targets = {"profile": profile(bins, offset, 2, bin_bp), "count": net.target("count", 2, "count")}
    model = build("bpnet", SMALL, {"sequence": toys.sequence_spec(40)}, targets, 3)
    x = net.one_hot(np.random.default_rng(0), 2, 40)
    outputs = model({"sequence": jnp.asarray(x)}, train=False)
    for row in range(2):
        h = slow_trunk(model, x[row].astype(np.float64), offset, offset + bins * bin_bp)
        logits = net.slow_conv(h, model.profiles["profile"])
        expected = [logits[b * bin_bp : (b + 1) * bin_bp].mean(axis=0) for b in range(bins)]
        np.testing.assert_allclose(outputs["profile"][row], expected, rtol=1e-4, atol=1e-5)
        count = net.slow_dense(h.mean(axis=0), model.heads.layers["count"])
        np.testing.assert_allclose(outputs["count"][row], count, rtol=1e-4, atol=1e-5)


def test_two_profiles_each_in_its_place():
    targets = {"near": profile(6, 4, name="near"), "far": profile(3, 20, name="far", bp_per_bin=4)}
    model = build("bpnet", SMALL, {"sequence": toys.sequence_spec(40)}, targets, 3)
    x = net.one_hot(np.random.default_rng(0), 1, 40)
    outputs = model({"sequence": jnp.asarray(x)}, train=False)
    near = net.slow_conv(slow_trunk(model, x[0], 4, 10), model.profiles["near"])
    far = net.slow_conv(slow_trunk(model, x[0], 20, 32), model.profiles["far"]).reshape(3, 4, 1).mean(axis=1)
    np.testing.assert_allclose(outputs["near"][0], near, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["far"][0], far, rtol=1e-4, atol=1e-5)


def test_a_control_is_added_to_the_heads():
    targets = {"profile": profile(10, 15, 2), "count": net.target("count", 1, "count")}
    inputs = {"sequence": toys.sequence_spec(40), "control": control_spec(20, 12)}
    model = build("bpnet", SMALL, inputs, targets, 3)
    rng = np.random.default_rng(0)
    x, control = net.one_hot(rng, 1, 40), rng.poisson(2.0, (1, 20, 2)).astype(np.float32)
    control[0, 5, 0] = np.nan
    outputs = model({"sequence": jnp.asarray(x), "control": jnp.asarray(control)}, train=False)
    h = slow_trunk(model, x[0], 15, 25)
    known = np.nan_to_num(control[0].astype(np.float64))
    shape = net.slow_conv(h, model.profiles["profile"])
    shape = shape + net.slow_dense(known[3:13], model.control_heads.layers["profile"])
    np.testing.assert_allclose(outputs["profile"][0], shape, rtol=1e-4, atol=1e-5)
    features = np.append(h.mean(axis=0), np.log(1 + known.sum()))
    count = net.slow_dense(features, model.heads.layers["count"])
    np.testing.assert_allclose(outputs["count"][0], count, rtol=1e-4, atol=1e-5)


def test_learns():
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (16, 10, 2)).astype(np.float32)
    batch = {
        "inputs/sequence": rng.integers(0, 4, (16, 40), np.uint8),
        "inputs/control": rng.poisson(1.0, (16, 10, 2)).astype(np.float32),
        "targets/profile": counts,
        "targets/count": counts.sum(axis=1),
    }
    inputs = {"sequence": toys.sequence_spec(40), "control": control_spec(10, 15)}
    targets = {"profile": profile(10, 15, 2), "count": net.target("count", 2, "count")}
    net.check_learns("bpnet", SMALL, inputs, targets, batch)


def test_refuses_what_does_not_fit():
    spec = {"sequence": toys.sequence_spec(40)}
    with pytest.raises(InputError, match="bpnet: needs a target of kind 'profile', the dataset has y"):
        build("bpnet", SMALL, spec, {"y": net.target("y", 1)}, 0)
    with pytest.raises(InputError, match="width and profile_width must be odd"):
        build("bpnet", {"width": 20}, spec, {"profile": profile(10, 15)}, 0)
    for control in (control_spec(20, 16), control_spec(10, 14), control_spec(10, 0, bp_per_bin=4)):
        with pytest.raises(InputError, match=r"does not cover target 'profile' \(10 bins of 1 bp from 15 bp on\)"):
            build("bpnet", SMALL, spec | {"control": control}, {"profile": profile(10, 15)}, 0)
