"""DeepBind: size, detectors over both ends, pooling that leaves padding out, learning."""

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import network_toys as net
from tests.unit import training_toys as toys

from seqmill.models.blocks import count_parameters, layer_parameters
from seqmill.models.registry import build
from seqmill.stores.specs import ArraySpec

SMALL = {"motifs": 3, "width": 4, "hidden": 5}
LENGTH = ArraySpec("input", "length", ("example",), "int32", (), "length", units="bp")


def inputs(bp: int) -> dict[str, ArraySpec]:
    return {"sequence": toys.sequence_spec(bp), "length": LENGTH}


def slow_deepbind(model, codes: np.ndarray) -> np.ndarray:
    """The paper's text on one sequence without padding; code 4 is N."""
    width = model.settings.width
    quarter = np.full((width - 1, 4), 0.25)
    bases = np.array([np.eye(4)[code] if code < 4 else np.full(4, 0.25) for code in codes])
    whole = np.concatenate([quarter, bases, quarter])
    responses = net.slow_conv(whole, model.conv)
    if model.settings.both_strands:
        turned = whole[::-1][:, [3, 2, 1, 0]]  # T for A, G for C, C for G, A for T
        responses = np.maximum(responses, net.slow_conv(turned, model.conv)[::-1])
    responses = net.relu(responses)
    h = np.concatenate([responses.max(axis=0), responses.mean(axis=0)])
    if model.hidden is not None:
        h = net.relu(net.slow_dense(h, model.hidden))
    return net.slow_dense(h, model.heads.layers["y"])


def padded(sequences: list[np.ndarray], bp: int) -> dict[str, jnp.ndarray]:
    x = np.zeros((len(sequences), bp, 4), np.float32)
    for row, codes in enumerate(sequences):
        for place, code in enumerate(codes):
            if code < 4:
                x[row, place, code] = 1
    return {"sequence": jnp.asarray(x), "length": jnp.asarray([len(codes) for codes in sequences], jnp.int32)}


def test_published_parameters_layer_by_layer():
    model = build("deepbind", {}, inputs(101), {"bound": net.target("bound", 1)}, 0)
    assert layer_parameters(model) == {
        "conv.kernel": 24 * 4 * 16, "conv.bias": 16,
        "hidden.kernel": 32 * 32, "hidden.bias": 32,
        "heads.layers.bound.kernel": 32, "heads.layers.bound.bias": 1,
    }  # fmt: skip
    assert count_parameters(model) == 2_641


@pytest.mark.parametrize(("hidden", "both_strands"), [(5, False), (0, False), (5, True)])
def test_padding_changes_nothing(hidden, both_strands):
    """Sequences of 3 to 20 bp, padded to 20 and to 33, against each alone by slow loops."""
    settings, y = SMALL | {"hidden": hidden, "both_strands": both_strands}, {"y": net.target("y", 2)}
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 5, n) for n in (3, 11, 20)]
    model = build("deepbind", settings, inputs(20), y, 3)
    expected = [slow_deepbind(model, codes) for codes in sequences]
    for bp in (20, 33):
        found = build("deepbind", settings, inputs(bp), y, 3)(padded(sequences, bp), train=False)["y"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_both_strands_say_the_same():
    model = build("deepbind", SMALL | {"both_strands": True}, inputs(20), {"y": net.target("y", 2)}, 3)
    rng = np.random.default_rng(2)
    sequences = [rng.integers(0, 4, n) for n in (9, 20)]
    turned = [3 - codes[::-1] for codes in sequences]
    found, other = (model(padded(each, 20), train=False)["y"] for each in (sequences, turned))
    np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-6)
    one_strand = build("deepbind", SMALL, inputs(20), {"y": net.target("y", 2)}, 3)
    assert np.abs(one_strand(padded(sequences, 20), train=False)["y"] - found).max() > 1e-4


def test_without_lengths_the_whole_window_counts():
    model = build("deepbind", SMALL, {"sequence": toys.sequence_spec(20)}, {"y": net.target("y", 2)}, 3)
    codes = np.random.default_rng(1).integers(0, 4, 20)
    found = model({"sequence": padded([codes], 20)["sequence"]}, train=False)["y"][0]
    np.testing.assert_allclose(found, slow_deepbind(model, codes), rtol=1e-4, atol=1e-5)


def test_a_motif_at_either_end_is_found():
    """A detector of GATTA answers with its full score wherever it stands, half cut off with half of it."""
    model = build("deepbind", {"motifs": 1, "width": 5, "hidden": 0}, inputs(20), {"y": net.target("y", 1)}, 0)
    motif = np.array([2, 0, 3, 3, 0])
    model.conv.kernel[...] = jnp.asarray(np.eye(4)[motif] - 0.25)[:, :, None]
    model.conv.bias[...] = jnp.zeros(1)
    model.heads.layers["y"].kernel[...] = jnp.asarray([[1.0], [0.0]])
    model.heads.layers["y"].bias[...] = jnp.zeros(1)
    rest = np.ones(10, int)  # C, of which the motif has none
    whole = [np.concatenate(parts) for parts in ((motif, rest), (rest, motif), (rest[:5], motif, rest[5:]))]
    cut = [np.concatenate([motif[2:], rest])]
    found = model(padded(whole + cut, 20), train=False)["y"][:, 0]
    np.testing.assert_allclose(found, [3.75, 3.75, 3.75, 2.25], atol=1e-6)


def test_normalised_maxima_and_means():
    """Batch normalisation of the pooled values, by hand, in training and after it."""
    settings = SMALL | {"batch_norm": True, "hidden": 0}
    model = build("deepbind", settings, inputs(20), {"y": net.target("y", 2)}, 3)
    rng = np.random.default_rng(4)
    sequences = [rng.integers(0, 4, 20) for _ in range(6)]
    plain = build("deepbind", SMALL | {"hidden": 0}, inputs(20), {"y": net.target("y", 6)}, 3)
    plain.conv.kernel[...] = model.conv.kernel[...]
    plain.conv.bias[...] = model.conv.bias[...]
    plain.heads.layers["y"].kernel[...] = jnp.eye(6)
    plain.heads.layers["y"].bias[...] = jnp.zeros(6)
    pooled = np.asarray(plain(padded(sequences, 20), train=False)["y"], np.float64)
    scaled = (pooled - pooled.mean(axis=0)) / np.sqrt(pooled.var(axis=0) + 1e-5)
    head = model.heads.layers["y"]
    found = model(padded(sequences, 20), train=True)["y"]
    np.testing.assert_allclose(found, scaled @ head.kernel[...] + head.bias[...], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"both_strands": True, "batch_norm": True, "pooled_dropout": 0.1}])
def test_learns(more):
    rng = np.random.default_rng(1)
    batch = {
        "inputs/sequence": rng.integers(0, 4, (16, 30), np.uint8),
        "inputs/length": rng.integers(10, 31, 16).astype(np.int32),
        "targets/y": rng.random((16, 2)) < 0.5,
    }
    net.check_learns("deepbind", {"dropout": 0.2} | more, inputs(30), {"y": net.target("y", 2)}, batch)
