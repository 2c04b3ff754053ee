"""Attribution: contributions add up, on every architecture; DeepLIFT in plain loops and gradients as references."""

import jax
import numpy as np
import pytest
from tests.unit import attribution_toys as toys
from tests.unit.network_toys import slow_conv, values

from seqmill.effects.attribution.contributions import Attribution, references
from seqmill.effects.mutagenesis import Stretch
from seqmill.models import registry
from seqmill.runtime.errors import InputError

GOAL = 1e-4
REACHED = 1e-9


def attribute(networks, method="deeplift", part=None, codes=None, **how):
    ensemble = toys.ensemble(
        *networks, both_strands=how.pop("both_strands", False), batch_size=how.pop("batch_size", 4)
    )
    codes = toys.codes(ensemble.extent_bp) if codes is None else codes
    stretch = Stretch(codes, *(part or (0, ensemble.extent_bp)), tuple(range(len(networks))))
    (found,) = Attribution(ensemble, method=method, **how).effects([stretch])
    return codes[1:-1], found


def test_every_architecture_is_claimed():
    with_targets = set(registry._BUILT_IN) - {"autoencoder"}
    assert {architecture for architecture, *_ in toys.NETWORKS.values()} == with_targets


@pytest.mark.slow
@pytest.mark.parametrize("name", toys.NETWORKS)
def test_deeplift_adds_up_on_every_architecture(name):
    """Also at N, and with a batch that is smaller than the number of references."""
    network = toys.network(*toys.NETWORKS[name])
    bp = network.view.inputs["sequence"].shape_per_example[0]
    _, found = attribute([network], codes=toys.codes(bp, n_at=(3,)), references=3, batch_size=2)
    assert found.error["out"].shape == (1, 2)
    assert found.error["out"].max() < REACHED < GOAL
    values = found.changes["substitutions/out"][0]
    assert values.shape == (bp, 4, 2)
    assert np.isnan(values[3]).all() and np.isfinite(np.delete(values, 3, axis=0)).all()
    assert np.abs(np.nan_to_num(values)).max() > 1e-6


@pytest.mark.slow
def test_sum_of_contributions_is_the_difference_from_the_mean_of_the_references():
    """Computed from what is stored: the score of the sequence, and those of its references as sequences."""
    network = toys.network(*toys.NETWORKS["basset"])
    codes, found = attribute([network], references=3, both_strands=True)
    own = found.changes["substitutions/out"][0][np.arange(len(codes)), codes]
    gradient = Attribution(toys.ensemble(network, both_strands=True), method="gradient_input")
    others = [np.concatenate([[0], each, [0]]).astype(np.uint8) for each in references(codes, 3)]
    scores = [found.reference["out"][0] for found in gradient.effects(Stretch(x, 0, len(codes)) for x in others)]
    np.testing.assert_allclose(own.sum(axis=0), found.reference["out"][0] - np.mean(scores, axis=0), rtol=1e-5)


def slow_deeplift(module, x, ref):
    """Multipliers (position, base, track) of a primer_cnn, one number at a time; x, ref float (bp, 4).

    Of a maximum the side with the larger one decides which position carries the difference; a position that has not
    moved has the gradient at the sequence, as in Captum.
    """
    width = module.pool
    first = [slow_conv(side, module.conv) for side in (x, ref)]
    runs = len(first[0]) // width
    pooled = [side[: runs * width].reshape(runs, width, -1).max(axis=1) for side in first]
    (hidden_kernel, hidden_bias), (head_kernel, _) = values(module.hidden), values(module.heads.layers["out"])
    before = [side.reshape(-1) @ hidden_kernel + hidden_bias for side in pooled]
    found = np.zeros((*x.shape, head_kernel.shape[1]))
    kernel, _ = values(module.conv)
    for track in range(head_kernel.shape[1]):
        at_hidden = [
            head_kernel[unit, track] * (max(a, 0) - max(b, 0)) / (a - b) for unit, (a, b) in enumerate(zip(*before))
        ]
        at_pooled = (hidden_kernel @ np.array(at_hidden)).reshape(runs, -1)
        for run in range(runs):
            for channel in range(kernel.shape[2]):
                a, b = pooled[0][run, channel], pooled[1][run, channel]
                own, other = (
                    run * width + int(np.argmax(side[run * width : (run + 1) * width, channel])) for side in first
                )
                chosen = own if a >= b else other
                for place in {own, chosen}:
                    moved = first[0][place, channel] - first[1][place, channel]
                    share = (a - b) / moved if moved and place == chosen else float(not moved and place == own)
                    found[place : place + len(kernel), :, track] += (
                        at_pooled[run, channel] * share * kernel[:, :, channel]
                    )
    return found


def test_deeplift_is_that_of_plain_loops():
    settings = ("primer_cnn", 30, {"filters": 4, "width": 6, "pool": 3, "hidden": 5}, "quantity")
    network = toys.network(*settings)
    module = toys.nnx.merge(network.graph, network.params, network.rest, copy=True)
    codes, found = attribute([network], references=3)
    x, expected = np.eye(4)[codes], 0
    for other in references(codes, 3):
        ref = np.eye(4)[other]
        multipliers = slow_deeplift(module, x, ref)
        expected = expected + (multipliers - (multipliers * ref[..., None]).sum(axis=1, keepdims=True)) / 3
    np.testing.assert_allclose(found.changes["substitutions/out"][0], expected, rtol=1e-5, atol=1e-6)


def test_all_methods_agree_on_a_linear_network_and_runs_are_apart():
    networks = [toys.network("dense", 20, {"hidden": []}, "quantity", seed=seed) for seed in (0, 1)]
    kernels = [values(toys.nnx.merge(n.graph, n.params, n.rest, copy=True).heads.layers["out"])[0] for n in networks]
    for method in ("gradient_input", "integrated_gradients", "deeplift"):
        codes, found = attribute(networks, method, part=(4, 16), references=4, steps=2)
        for run, kernel in enumerate(kernels):
            weights = kernel.reshape(20, 4, 2)
            if method != "gradient_input":
                mean = np.mean([weights[np.arange(20), other] for other in references(codes, 4)], axis=0)
                weights = weights - mean[:, None]
                assert found.error["out"][run].max() < REACHED
            np.testing.assert_allclose(found.changes["substitutions/out"][run], weights[4:16], rtol=1e-5, atol=1e-6)
        assert bool(found.error) is (method != "gradient_input")


def test_gradients_are_those_of_finite_differences_and_steps_make_the_integral_exact():
    network = toys.network(*toys.NETWORKS["dense"])
    module = toys.nnx.merge(network.graph, network.params, network.rest, copy=True)
    layers = [values(layer) for layer in [*module.layers, module.heads.layers["out"]]]

    def score(x):
        for number, (kernel, bias) in enumerate(layers):
            x = x @ kernel + bias
            x = np.maximum(x, 0) if number + 1 < len(layers) else x
        return x

    codes, found = attribute([network], "gradient_input")
    x = np.eye(4)[codes].reshape(-1)
    slow = np.stack([(score(x + step) - score(x - step)) / 2e-6 for step in 1e-6 * np.eye(80)]).reshape(20, 4, 2)
    np.testing.assert_allclose(found.changes["substitutions/out"][0], slow, atol=1e-5)
    np.testing.assert_allclose(found.reference["out"][0], score(x), rtol=1e-5)
    errors = [
        attribute([network], "integrated_gradients", references=3, steps=n)[1].error["out"].max() for n in (5, 500)
    ]
    assert errors[1] < errors[0] / 20


def test_references_depend_on_the_sequence_alone_and_keep_its_dinucleotides():
    codes = toys.codes(60, n_at=(10, 11))[1:-1]
    found = references(codes, 4)
    np.testing.assert_array_equal(found[:2], references(codes, 2))
    assert len({each.tobytes() for each in found}) == 4 and (references(codes[::-1].copy(), 1)[0] != found[0]).any()
    for each in found:
        assert (np.flatnonzero(each == 4) == [10, 11]).all()
        np.testing.assert_array_equal(
            np.bincount(5 * each[:-1].astype(int) + each[1:], minlength=25),
            np.bincount(5 * codes[:-1].astype(int) + codes[1:], minlength=25),
        )


def test_a_region_is_the_same_in_any_company():
    network = toys.network(*toys.NETWORKS["dense"])
    attribution = Attribution(toys.ensemble(network), references=3)
    stretches = [Stretch(toys.codes(20, seed), 2, 9) for seed in range(3)]
    whole = list(attribution.effects(stretches))
    (alone,) = attribution.effects(stretches[1:2])
    for path, change in alone.changes.items():
        np.testing.assert_array_equal(change, whole[1].changes[path])


class _Sorted(toys.nnx.Module):
    """Sorts what it sees: no rule."""

    def __init__(self, how):
        self.how = how

    def __call__(self, inputs, *, train, key):
        x = inputs["sequence"].reshape(len(inputs["sequence"]), -1)
        if self.how == "sort":
            return {"out": jax.numpy.sort(x, axis=1)[:, :2]}
        return {"out": jax.numpy.where(x.sum(axis=1, keepdims=True) > x[:, :1], x[:, :2], 0)}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "sort",
            "maps.m: method deeplift has no rule for the operation 'sort' of architecture dense; methods that work: ",
        ),
        (
            "choice",
            "maps.m: method deeplift has no rule for the operation 'select_n' of architecture dense: a decision that "
            "depends on the sequence; methods that work: ",
        ),
    ],
)
def test_operations_without_a_rule_are_named(how, message):
    network = toys.network("dense", 20, {"hidden": []}, "quantity")
    network.graph, network.params, network.rest = toys.split_module(_Sorted(how))
    with pytest.raises(InputError) as caught:
        Attribution(toys.ensemble(network), where="maps.m")
    assert str(caught.value) == message + "mutagenesis, gradient_input, integrated_gradients"
    Attribution(toys.ensemble(network), method="gradient_input")


def test_mistakes_are_named():
    network = toys.network("dense", 20, {"hidden": []}, "quantity")
    with pytest.raises(InputError, match=r"maps\.m: target 'x' is not predicted; known: out"):
        Attribution(toys.ensemble(network), ["x"], where="maps.m")
    with pytest.raises(ValueError, match=r"positions 5 to 5 of \(20,\) bases"):
        list(Attribution(toys.ensemble(network), method="gradient_input").effects([Stretch(toys.codes(20), 5, 5)]))
