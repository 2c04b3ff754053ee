"""Shift, reverse complement and one-hot coding against plain NumPy, each rule, row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import crop_margin, cropped, reverse_complement_allowed
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.augment import View, crop, one_hot, reverse_complement
from seqmill.training.jitter import Jitter, jitter_of

PROFILE = TargetSpec(
    "profile", "profile", "float32", ("example", "bins", "tracks"), (12, 3), ("a+", "a-", "c"), (),
    strand_pairs=(1, 0, 2), bp_per_bin=4, margin_bp=8, rc="reverse_swap", shift="moves",
)  # fmt: skip
SEQUENCE = toys.sequence_spec(32, margin_bp=8)
LABELS = TargetSpec("labels", "binary", "uint8", ("example", "tracks"), (2,), ("x", "y"), strand_pairs=(0, 1))


def arrays(n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "inputs/sequence": rng.integers(0, 5, (n, 48), dtype=np.uint8),
        "targets/profile": rng.random((n, 12, 3), dtype=np.float32),
        "targets/labels": rng.integers(0, 2, (n, 2), dtype=np.uint8),
        "mask/labels": rng.random((n, 2)) < 0.5,
    }


def slow(batch, row, shift, flip):
    """One example by Python loops."""
    codes = [int(c) for c in batch["inputs/sequence"][row][8 + shift : 8 + shift + 32]]
    first = 2 + shift // 4
    bins = [batch["targets/profile"][row][b].tolist() for b in range(first, first + 8)]
    if flip:
        codes = [{0: 3, 1: 2, 2: 1, 3: 0}.get(c, 4) for c in reversed(codes)]
        bins = [[b[1], b[0], b[2]] for b in reversed(bins)]
    hot = [[float(c == base) for base in range(4)] for c in codes]
    return np.array(hot), np.array(bins, np.float32)


def test_one_hot_of_n_is_zero():
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert one_hot(jnp.arange(5, dtype=jnp.uint8)).tolist() == expected


@pytest.mark.parametrize(("shift", "flip"), [(0, False), (0, True), (-8, False), (4, True)])
def test_given_shift_and_strand(shift, flip):
    batch = arrays()
    view = View({"sequence": SEQUENCE}, {"profile": PROFILE, "labels": LABELS}, Jitter(8, 4), True)
    shown = view._view(batch, jnp.full(40, shift), jnp.full(40, flip))
    for row in range(40):
        hot, bins = slow(batch, row, shift, flip)
        assert np.array_equal(shown["inputs/sequence"][row], hot)
        assert np.array_equal(shown["targets/profile"][row], bins)
    assert np.array_equal(shown["targets/labels"], batch["targets/labels"])
    assert np.array_equal(shown["mask/labels"], batch["mask/labels"])


def test_drawn_views_are_one_of_the_allowed_and_move_all_arrays_together():
    batch = arrays(200)
    view = View({"sequence": SEQUENCE}, {"profile": PROFILE, "labels": LABELS}, Jitter(8, 4), True)
    shown = jax.jit(view.show)(batch, jax.random.key(1))
    found = []
    for row in range(200):
        matches = [
            (shift, flip)
            for shift in (-8, -4, 0, 4, 8)
            for flip in (False, True)
            if np.array_equal(shown["inputs/sequence"][row], slow(batch, row, shift, flip)[0])
        ]
        assert len(matches) == 1
        assert np.array_equal(shown["targets/profile"][row], slow(batch, row, *matches[0])[1])
        found += matches
    assert len(set(found)) == 10
    plain = view.show(batch)
    assert np.array_equal(plain["targets/profile"], batch["targets/profile"][:, 2:10])
    assert np.array_equal(crop_margin(batch["targets/profile"], PROFILE), batch["targets/profile"][:, 2:10])


def test_no_strand_is_drawn_where_it_is_forbidden():
    batch = arrays(50)
    view = View({"sequence": SEQUENCE}, {"profile": PROFILE}, Jitter(0, 1), False)
    shown = view.show({key: batch[key] for key in ("inputs/sequence", "targets/profile")}, jax.random.key(0))
    assert np.array_equal(shown["targets/profile"], batch["targets/profile"][:, 2:10])


def test_both_axes_of_a_contact_map_turn_round():
    axes = ("example", "bins", "bins", "tracks")
    spec = TargetSpec(
        "c", "quantity", "float32", axes, (4, 4, 1), ("t",), bp_per_bin=8, margin_bp=8, rc="reverse", shift="moves"
    )
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    assert np.array_equal(reverse_complement(jnp.asarray(x), spec)[0, :, :, 0], x[0, ::-1, ::-1, 0])
    assert np.array_equal(crop(jnp.asarray(x), spec, jnp.array([8]))[0, :, :, 0], x[0, 2:4, 2:4, 0])
    assert cropped(spec).shape_per_example == (2, 2, 1)


def test_padding_stays_at_the_end_of_a_turned_sequence():
    codes = jnp.asarray([[0, 0, 1, 4, 4], [3, 2, 1, 0, 0]], jnp.uint8)
    turned = reverse_complement(codes, toys.sequence_spec(5), jnp.asarray([3, 5]))
    assert turned.tolist() == [[2, 3, 3, 4, 4], [3, 3, 2, 1, 0]]


def test_jitter_is_a_multiple_of_every_bin_and_within_every_margin():
    assert jitter_of([SEQUENCE, PROFILE], 8) == Jitter(8, 4)
    assert jitter_of([SEQUENCE, PROFILE], 7) == Jitter(4, 4)
    assert jitter_of([LABELS, SEQUENCE], 3) == Jitter(3, 1)
    assert jitter_of([SEQUENCE], 0) == Jitter(0, 1)
    with pytest.raises(InputError, match="9 bp asked for, but array 'sequence' has a margin of 8 bp"):
        jitter_of([SEQUENCE], 9)
    with pytest.raises(InputError, match="3 bp is less than one bin of 4 bp"):
        jitter_of([PROFILE], 3)
    fixed = ArraySpec("input", "f", ("example", "n"), "float32", (3,), "features", shift="forbidden")
    with pytest.raises(InputError, match="array 'f' of the dataset forbids shifts"):
        jitter_of([fixed], 8)


def test_reverse_complement_needs_a_sequence_and_no_veto():
    features = ArraySpec("input", "f", ("example", "n"), "float32", (3,), "features")
    veto = ArraySpec("input", "s", ("example", "n"), "uint8", (3,), "states", rc="forbidden")
    assert reverse_complement_allowed({"s": SEQUENCE, "p": PROFILE})
    assert not reverse_complement_allowed({"f": features})
    assert not reverse_complement_allowed({"s": SEQUENCE, "v": veto})
