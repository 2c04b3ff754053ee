"""Averages over moved windows and strands, with networks whose answers are known exactly."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.unit import training_toys as toys

from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import cropped
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.artefact import Network
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import split_module
from seqmill.training.predict import predictor

WINDOW, MARGIN, BIN = 32, 8, 4
BINS = WINDOW // BIN
SEQUENCE = toys.sequence_spec(WINDOW, margin_bp=MARGIN)
STRANDED = TargetSpec(
    "stranded", "profile", "float32", ("example", "bins", "tracks"), (BINS + 4, 2), ("+", "-"), strand_pairs=(1, 0),
    bp_per_bin=BIN, margin_bp=MARGIN, rc="reverse_swap", shift="moves",
)  # fmt: skip
PLACE = TargetSpec(
    "place", "profile", "float32", ("example", "bins", "tracks"), (BINS + 4, 1), ("t",), bp_per_bin=BIN,
    margin_bp=MARGIN, rc="reverse", shift="moves",
)  # fmt: skip
TOTAL = TargetSpec("total", "count", "float32", ("example", "tracks"), (1,), ("t",))
MAP = TargetSpec(
    "map", "contact", "float32", ("example", "bins", "bins", "tracks"), (BINS + 4, BINS + 4, 1), ("t",),
    bp_per_bin=BIN, margin_bp=MARGIN, rc="reverse", shift="moves",
)  # fmt: skip
TARGETS = {spec.name: spec for spec in (STRANDED, PLACE, TOTAL, MAP)}


class Known(nnx.Module):
    """G and C of each bin (strands of one another), each bin's number, the A of the window, A or T of pairs of bins."""

    def __init__(self):
        self.one = nnx.Param(jnp.ones(()))

    def __call__(self, inputs, *, train, key):
        bases = inputs["sequence"].reshape(-1, BINS, BIN, 4).sum(axis=2) * self.one[...]
        weak = bases[:, :, 0] + bases[:, :, 3]
        return {
            "stranded": jnp.stack([bases[:, :, 2], bases[:, :, 1]], axis=2),
            "place": jnp.broadcast_to(jnp.arange(BINS, dtype=jnp.float32)[:, None], (len(bases), BINS, 1)),
            "total": bases[:, :, 0].sum(axis=1, keepdims=True),
            "map": (weak[:, :, None] * weak[:, None, :])[..., None],
        }


def network(inputs=None, targets=None) -> Network:
    graph, params, rest = split_module(Known())
    view = View(inputs or {"sequence": SEQUENCE}, targets or TARGETS, Jitter(0, 1), True)
    return Network(
        info={}, digest="", graph=graph, params=params, rest=rest, view=view, heads={},
        objective=SimpleNamespace(predictions=lambda heads, outputs: {name: outputs[name] for name in view.targets}),
        predicted={name: cropped(spec) for name, spec in view.targets.items()},
    )  # fmt: skip


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(0, 4, (6, WINDOW + 2 * MARGIN), dtype=np.uint8)


def window(codes, shift):
    return codes[:, MARGIN + shift : MARGIN + shift + WINDOW]


def per_bin(codes, base):
    return (window(codes, 0) == base).reshape(len(codes), BINS, BIN).sum(axis=2)


@pytest.mark.parametrize("strands", [False, True])
@pytest.mark.parametrize("shifts", [(0,), (0, 4), (-8, 0, 4, 8), (8, 0)])
def test_what_depends_on_the_sequence_alone_stays_where_it_is(codes, shifts, strands):
    found = predictor(network(), strands=strands, shifts_bp=shifts)({"inputs/sequence": codes})
    expected = np.stack([per_bin(codes, 2), per_bin(codes, 1)], axis=2)
    np.testing.assert_array_equal(found["stranded"], expected)
    weak = per_bin(codes, 0) + per_bin(codes, 3)
    np.testing.assert_allclose(found["map"][..., 0], weak[:, :, None] * weak[:, None, :], rtol=1e-6)


def test_edges_are_averages_of_the_windows_that_cover_them(codes):
    """The network says the number of the bin in its own window: bin i is i - 1, i and i + 2 of the three windows."""
    shifts = {4: 1, 0: 0, -8: -2}
    found = predictor(network(), strands=False, shifts_bp=tuple(shifts))({"inputs/sequence": codes})
    for i in range(BINS):
        covering = [i - bins for bins in shifts.values() if 0 <= i - bins < BINS]
        assert len(covering) == (2 if i in (0, BINS - 2, BINS - 1) else 3)
        np.testing.assert_allclose(found["place"][:, i, 0], np.mean(covering), rtol=1e-6)


def test_single_values_are_averaged_over_windows_and_strands(codes):
    shifts = (0, -3, 8)
    found = predictor(network(targets={"total": TOTAL}), strands=False, shifts_bp=shifts)({"inputs/sequence": codes})
    adenines = np.mean([(window(codes, shift) == 0).sum(axis=1) for shift in shifts], axis=0)
    np.testing.assert_allclose(found["total"][:, 0], adenines, rtol=1e-6)
    both = predictor(network(targets={"total": TOTAL}), strands=True, shifts_bp=shifts)({"inputs/sequence": codes})
    thymines = np.mean([(window(codes, shift) == 3).sum(axis=1) for shift in shifts], axis=0)
    np.testing.assert_allclose(both["total"][:, 0], (adenines + thymines) / 2, rtol=1e-6)


def test_pieces_of_a_bin_go_to_the_nearest_bin(codes):
    """Bins of 4 bp: a window moved by 1 bp keeps its bins, one moved by 3 bp gives the next."""
    found = predictor(network(), strands=False, shifts_bp=(0, 1, 3))({"inputs/sequence": codes})
    guanines = [(window(codes, shift) == 2).reshape(len(codes), BINS, BIN).sum(axis=2) for shift in (0, 1, 3)]
    for i in range(BINS):
        counts = [guanines[0][:, i], guanines[1][:, i]] + ([guanines[2][:, i - 1]] if i else [])
        np.testing.assert_allclose(found["stranded"][:, i, 0], np.mean(counts, axis=0), rtol=1e-6)


def test_a_window_is_moved_before_it_is_turned(codes):
    found = network().view.at({"inputs/sequence": codes}, jnp.int32(4), other_strand=True)["inputs/sequence"]
    turned = (3 - window(codes, 4))[:, ::-1]
    np.testing.assert_array_equal(found, turned[..., None] == np.arange(4))


def test_shifts_that_cannot_be():
    def fail(match, shifts=(0, 4), **arrays):
        with pytest.raises(InputError, match=r"prediction\.shifts_bp: " + match):
            predictor(network(**arrays), strands=True, shifts_bp=shifts)

    fail("12 bp asked for, but input 'sequence' has a margin of 8 bp; raise margin_bp of the dataset", (0, -12))
    axes, shape = ("example", "bins", "tracks"), (BINS + 4, 1)
    control = ArraySpec(
        "input", "control", axes, "float32", shape, "profile", bp_per_bin=BIN, margin_bp=MARGIN, shift="moves"
    )
    both = {"sequence": SEQUENCE, "control": control}
    fail("6 bp is not a whole number of bins of input 'control', 4 bp", (0, 4, 6), inputs=both)
    table = toys.sequence_spec(WINDOW, shift="forbidden")
    fail("input 'sequence' of the dataset forbids shifts", inputs={"sequence": table}, targets={"total": TOTAL})
    features = ArraySpec("input", "f", ("example", "n"), "float32", (3,), "features")
    fail(r"no input of the dataset moves with the window \(f\)", inputs={"f": features}, targets={"total": TOTAL})
    predictor(network(inputs={"f": features}, targets={"total": TOTAL}), strands=False, shifts_bp=(0,))
