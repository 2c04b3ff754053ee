"""Networks: published sizes, what they accept, their messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, dropout, layer_parameters, max_pool
from seqmill.models.profile_cnn import prime_factors
from seqmill.models.registry import build, find
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec, TargetSpec


def target(name: str, tracks: int, kind: str = "binary", bins: int | None = None, **geometry) -> TargetSpec:
    names = tuple(f"t{i}" for i in range(tracks))
    shape, axes = ((tracks,), ("example", "tracks"))
    if bins is not None:
        shape, axes = (bins, tracks), ("example", "bins", "tracks")
    return TargetSpec(name, kind, "float32", axes, shape, names, strand_pairs=tuple(range(tracks)), **geometry)


@pytest.fixture(scope="module")
def basset():
    return build("basset", {}, {"sequence": toys.sequence_spec(600)}, {"peaks": target("peaks", 164)}, 0)


@pytest.mark.slow
def test_basset_has_the_published_parameters_layer_by_layer(basset):
    # 300 filters of 19 bp over 4 bases and so on; 10 positions of 200 channels are left of 600 bp.
    expected = {
        "convs.0.kernel": 19 * 4 * 300, "convs.0.bias": 300,
        "convs.1.kernel": 11 * 300 * 200, "convs.1.bias": 200,
        "convs.2.kernel": 7 * 200 * 200, "convs.2.bias": 200,
        "conv_norms.0.scale": 300, "conv_norms.0.bias": 300,
        "conv_norms.1.scale": 200, "conv_norms.1.bias": 200,
        "conv_norms.2.scale": 200, "conv_norms.2.bias": 200,
        "denses.0.kernel": 2000 * 1000, "denses.0.bias": 1000,
        "denses.1.kernel": 1000 * 1000, "denses.1.bias": 1000,
        "dense_norms.0.scale": 1000, "dense_norms.0.bias": 1000,
        "dense_norms.1.scale": 1000, "dense_norms.1.bias": 1000,
        "heads.layers.peaks.kernel": 1000 * 164, "heads.layers.peaks.bias": 164,
    }  # fmt: skip
    assert layer_parameters(basset) == expected
    assert count_parameters(basset) == 4_135_064


def test_basset_equals_a_slow_numpy_network():
    """A small Basset in evaluation mode against loops written from the paper's text."""
    settings = {"filters": [3, 2], "widths": [4, 3], "pools": [2, 2], "hidden": [5], "dropout": 0.3}
    model = build("basset", settings, {"sequence": toys.sequence_spec(20)}, {"y": target("y", 2)}, 3)
    rng = np.random.default_rng(0)
    for norm in [*model.conv_norms, *model.dense_norms]:
        for name in ("mean", "var", "scale", "bias"):
            variable = getattr(norm, name)
            variable[...] = jnp.asarray(rng.uniform(0.5, 1.5, variable[...].shape), jnp.float32)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (3, 20))]
    found = model({"sequence": jnp.asarray(x)}, train=False)["y"]

    def norm(v, layer):
        mean, var, scale, bias = (np.asarray(getattr(layer, n)[...]) for n in ("mean", "var", "scale", "bias"))
        return (v - mean) / np.sqrt(var + 1e-5) * scale + bias

    expected = []
    for row in x.astype(np.float64):
        h = row
        for layer, bn, pool in zip(model.convs, model.conv_norms, (2, 2)):
            kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
            out = [
                [np.sum(h[p : p + len(kernel)] * kernel[:, :, f]) + bias[f] for f in range(kernel.shape[2])]
                for p in range(len(h) - len(kernel) + 1)
            ]
            h = np.maximum(norm(np.array(out), bn), 0)
            h = np.array([h[p : p + pool].max(axis=0) for p in range(0, len(h) - pool + 1, pool)])
        dense = model.denses[0]
        h = np.maximum(
            norm(h.ravel() @ np.asarray(dense.kernel[...]) + np.asarray(dense.bias[...]), model.dense_norms[0]), 0
        )
        head = model.heads.layers["y"]
        expected.append(h @ np.asarray(head.kernel[...]) + np.asarray(head.bias[...]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_initial_weights_follow_the_seed_and_torch_bounds(basset):
    again = build("basset", {}, {"sequence": toys.sequence_spec(600)}, {"peaks": target("peaks", 164)}, 0)
    other = build("basset", {}, {"sequence": toys.sequence_spec(600)}, {"peaks": target("peaks", 164)}, 1)
    kernel = np.asarray(basset.convs[0].kernel[...])
    assert np.array_equal(kernel, again.convs[0].kernel[...])
    assert not np.array_equal(kernel, other.convs[0].kernel[...])
    bound = 1 / np.sqrt(19 * 4)
    assert np.abs(kernel).max() <= bound
    assert np.abs(kernel).max() > 0.98 * bound
    bias = np.asarray(basset.denses[0].bias[...])
    assert np.abs(bias).max() <= 1 / np.sqrt(2000)
    assert bias.std() > 0


def test_dropout_scales_what_it_keeps_and_needs_no_key_outside_training():
    x = jnp.ones((200, 100))
    y = np.asarray(dropout(x, 0.25, jax.random.key(0), True))
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert np.array_equal(dropout(x, 0.25, None, False), x)


def test_max_pool_drops_an_incomplete_run():
    x = jnp.asarray([[1, 5, 2, 0, 9.0]])[..., None]
    assert max_pool(x, 2)[0, :, 0].tolist() == [5, 2]


def test_dense_reads_every_kind_of_input():
    specs = {
        "sequence": toys.sequence_spec(5),
        "genotype": ArraySpec("input", "genotype", ("example", "genes"), "uint8", (7,), "genotype"),
        "states": ArraySpec("input", "states", ("example", "cells", "calls"), "uint8", (2, 4), "states"),
        "distances": ArraySpec("input", "distances", ("example", "cells", "calls"), "uint32", (2, 4), "distances"),
    }
    model = build("dense", {"hidden": [3]}, specs, {"y": target("y", 2), "z": target("z", 1)}, 0)
    assert model.layers[0].kernel[...].shape == (5 * 4 + 7 + 8 + 8, 3)
    inputs = {
        "sequence": jnp.zeros((6, 5, 4)),
        "genotype": jnp.ones((6, 7), jnp.uint8),
        "states": jnp.full((6, 2, 4), 255, jnp.uint8),
        "distances": jnp.zeros((6, 2, 4), jnp.uint32),
    }
    outputs = model(inputs, train=False)
    assert {name: y.shape for name, y in outputs.items()} == {"y": (6, 2), "z": (6, 1)}
    # Missing calls add nothing: the sum of the genotype's weights and the bias is all there is.
    hidden = model.layers[0]
    kernel = np.asarray(hidden.kernel[...])
    order = list(model.kinds)
    assert order == sorted(specs)
    offset = sum(int(np.prod(specs[name].shape_per_example)) for name in order[: order.index("genotype")])
    expected = np.maximum(kernel[offset : offset + 7].sum(axis=0) + np.asarray(hidden.bias[...]), 0)
    head = model.heads.layers["y"]
    np.testing.assert_allclose(outputs["y"][0], expected @ head.kernel[...] + head.bias[...], rtol=1e-5)


@pytest.mark.parametrize(("n", "factors"), [(1, []), (2, [2]), (32, [2] * 5), (12, [2, 2, 3]), (7, [7])])
def test_prime_factors(n, factors):
    assert prime_factors(n) == factors


@pytest.mark.slow
def test_profile_cnn_gives_the_bins_of_the_target():
    profile = target("p", 3, "profile", bins=6, bp_per_bin=8, offset_bp=16)
    spec = {"sequence": toys.sequence_spec(80)}
    model = build("profile_cnn", {"channels": 4, "dilated_layers": 1}, spec, {"p": profile, "y": target("y", 2)}, 0)
    x = jnp.zeros((2, 80, 4))
    outputs = model({"sequence": x}, train=False)
    assert outputs["p"].shape == (2, 6, 3)
    assert outputs["y"].shape == (2, 2)
    # A base far right of the window's left half moves the bins near it only: bin 0 spans 16..24 bp.
    near = build("profile_cnn", {"channels": 4, "dilated_layers": 0}, spec, {"p": profile}, 0)
    change = near({"sequence": x.at[0, 20, 1].set(1)}, train=False)["p"] - near({"sequence": x}, train=False)["p"]
    moved = np.abs(np.asarray(change[0])).max(axis=1) > 0
    assert moved[0]
    assert not moved[4:].any()


def test_networks_refuse_what_does_not_fit():
    spec = {"sequence": toys.sequence_spec(80)}
    with pytest.raises(InputError, match=r"'basett' is unknown; known: autoencoder, basset, .*, profile_cnn, or path"):
        find("basett")
    with pytest.raises(InputError, match=r"unknown key 'filter'; did you mean 'filters'\?"):
        build("basset", {"filter": [3]}, spec, {"y": target("y", 1)}, 0)
    with pytest.raises(InputError, match="a window of 80 bp is too short"):
        build("basset", {}, spec, {"y": target("y", 1)}, 0)
    with pytest.raises(InputError, match="needs exactly one sequence input, the dataset has 0"):
        build("basset", {}, {}, {"y": target("y", 1)}, 0)
    bad = target("p", 1, "profile", bins=6, bp_per_bin=32)
    with pytest.raises(InputError, match="does not lie on the bins of a window of 80 bp"):
        build("profile_cnn", {}, spec, {"p": bad}, 0)
    two = {"p": target("p", 1, "profile", bins=1, bp_per_bin=16), "q": target("q", 1, "profile", bins=1, bp_per_bin=8)}
    with pytest.raises(InputError, match=r"profiles must share one bin_bp, found \[8, 16\]"):
        build("profile_cnn", {}, spec, two, 0)


def test_a_users_own_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from flax import nnx\n"
        "from seqmill.config.base import Section\n"
        "from seqmill.models.heads import Heads\n"
        "class Settings(Section):\n    scale: float = 1.0\n"
        "class Mine(nnx.Module):\n"
        "    Settings = Settings\n"
        "    def __init__(self, inputs, targets, settings, rngs):\n        self.heads = Heads(4, targets, rngs)\n"
        "    def __call__(self, inputs, *, train, key=None):\n"
        "        return self.heads(inputs['sequence'].mean(axis=1))\n"
    )
    model = build(f"{path}:Mine", {"scale": 2.0}, {"sequence": toys.sequence_spec(8)}, {"y": target("y", 2)}, 0)
    assert model({"sequence": jnp.ones((1, 8, 4))}, train=True)["y"].shape == (1, 2)
    with pytest.raises(InputError, match=r"has no flax\.nnx module class 'Other'"):
        find(f"{path}:Other")
    with pytest.raises(InputError, match="no such Python file"):
        find(f"{tmp_path / 'none.py'}:Mine")
    path.write_text("import does_not_exist\n")
    with pytest.raises(InputError, match="cannot be imported: ModuleNotFoundError"):
        find(f"{path}:Mine")


@pytest.mark.slow
def test_batch_statistics_are_renewed_in_training_only(basset):
    graph, params, rest = nnx.split(basset, nnx.Param, ...)
    x = {"sequence": jnp.asarray(np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (4, 600))])}

    def run(train):
        module = nnx.merge(graph, params, rest, copy=True)
        module(x, train=train, key=jax.random.key(0))
        return np.asarray(module.conv_norms[0].mean[...])

    before = np.asarray(basset.conv_norms[0].mean[...])
    assert np.array_equal(run(False), before)
    activations = np.asarray(basset.convs[0](x["sequence"])).mean(axis=(0, 1))
    np.testing.assert_allclose(run(True), 0.9 * before + 0.1 * activations, rtol=1e-4, atol=1e-6)
