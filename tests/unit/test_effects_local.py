"""The fast way of mutagenesis gives what whole predictions give, for every network and every place of an edit."""

import numpy as np
import pytest
from tests.unit.local_worlds import World
from tests.unit.test_models_export import NETWORKS

from seqmill.effects.local.pairs import LocalPairs
from seqmill.effects.local.scores import LocalScores, changed_windows
from seqmill.effects.measures import scores
from seqmill.effects.mutagenesis import edited, list_edits
from seqmill.stores.maps import EDITS

TOLERANCE = 1e-5  # of the range of the output


def sequence(bp: int, seed: int = 0) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(0, 4, bp).astype(np.uint8)
    codes[[3, bp // 2, bp - 1]] = 4  # N at an end too
    return codes


def both_ways(world: World, sequences: np.ndarray, codes: np.ndarray, run: int = 0):
    reduce = scores(world.targets, list(world.targets))
    local = LocalScores(world, reduce)
    reference, changes = local.changes(run, codes, sequences)
    (expected,) = world.apply(np.concatenate([codes[None], sequences]), reduce, [run])
    (many,) = world.apply(np.random.default_rng(1).integers(0, 4, (64, world.extent_bp), dtype=np.uint8), reduce, [run])
    for name, x in expected.items():
        scale = max(np.ptp(many[name]), np.ptp(x))
        # A whole prediction is itself known to some units in its last place only.
        allowed = TOLERANCE * scale + 4 * np.finfo(np.float32).eps * np.abs(x).max()
        np.testing.assert_allclose(reference[name], x[0], rtol=0, atol=allowed)
        np.testing.assert_allclose(changes[name], x[1:] - x[0], rtol=0, atol=allowed)
        assert np.abs(changes[name]).max() > 20 * allowed  # not all zeros, that would be no test
    return local


def substitutions(codes: np.ndarray) -> np.ndarray:
    padded = np.concatenate([codes[-1:], codes, codes[:1]])
    return edited(padded, list_edits(codes, EDITS[:1])[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "autoencoder"])
def test_every_network_every_substitution(name):
    world = World(name)
    codes = sequence(world.extent_bp)
    assert both_ways(world, substitutions(codes), codes).usable


@pytest.mark.slow
@pytest.mark.parametrize("name", ["basset", "bpnet", "deepbind"])
def test_both_strands_and_shifted_windows_of_the_second_run(name):
    world = World(name, runs=2, strands=True, margin_bp=32, shifts_bp=(0, -32, 32))
    codes = sequence(world.extent_bp)
    assert both_ways(world, substitutions(codes)[::5], codes, run=1).usable


@pytest.mark.slow
@pytest.mark.parametrize("name", ["basset", "profile_cnn"])
def test_deletions_and_insertions_near_the_ends_are_followed_and_others_predicted_whole(name):
    world = World(name)
    codes = sequence(world.extent_bp)
    padded = np.concatenate([[1], codes, [2]]).astype(np.uint8)
    sequences = edited(padded, list_edits(codes, EDITS[1:])[1::3])
    _, width = changed_windows(codes, sequences)
    sequences = sequences[(width <= 4) | (width > world.extent_bp // 4)]  # two programs are enough to compile
    assert both_ways(world, sequences, codes).usable


@pytest.mark.slow
def test_runs_share_a_program_and_a_replaced_stretch_is_one_window():
    world = World("basset", runs=2)
    codes = sequence(world.extent_bp)
    other = codes.copy()
    other[40:47] = (codes[40:47] + 1) % 4
    local = both_ways(world, np.stack([other, codes]), codes, run=0)
    count = len(local.programs._programs)
    _, changes = local.changes(1, codes, np.stack([other, codes]))
    assert len(local.programs._programs) == count
    assert not changes["peaks"][1].any()


def test_a_difference_between_both_ways_is_said_and_whole_predictions_are_taken(caplog):
    world = World("basset")
    codes = sequence(world.extent_bp)
    honest = world.apply
    world.apply = lambda codes, reduce, members: [
        {name: 2 * x for name, x in found.items()} for found in honest(codes, reduce, members)
    ]
    reduce = scores(world.targets, list(world.targets))
    local, sequences = LocalScores(world, reduce), substitutions(codes)[:30]
    _, changes = local.changes(0, codes, sequences)
    (found,) = world.apply(np.concatenate([codes[None], sequences]), reduce, [0])
    np.testing.assert_array_equal(changes["peaks"], found["peaks"][1:] - found["peaks"][0])
    assert not local.usable and "the fast way differs from whole predictions of basset by" in caplog.text


def test_pairs_of_alleles_of_many_sequences():
    world = World("basset")
    rng = np.random.default_rng(4)
    refs = rng.integers(0, 4, (9, world.extent_bp)).astype(np.uint8)
    alts = refs.copy()
    alts[:, 60] = (alts[:, 60] + 1) % 4  # eight substitutions, and a deletion that moves the right half
    alts[8, 60:-1] = refs[8, 61:]
    third = refs[2].copy()
    third[60] = (third[60] + 2) % 4
    codes = np.concatenate([refs, alts, third[None]])
    ref, alt = np.append(np.arange(9), 2), np.arange(9, 19)
    reduce = scores(world.targets, list(world.targets))
    pairs = LocalPairs(world, reduce)
    found = pairs.predict(0, codes, ref, alt)["peaks"]
    (expected,) = world.apply(codes, reduce, [0])
    assert pairs.usable
    np.testing.assert_allclose(found, expected["peaks"], atol=TOLERANCE * np.ptp(expected["peaks"]))
    assert np.abs(found[alt] - found[ref]).max() > 0.001 * np.ptp(expected["peaks"])


def test_changed_windows():
    codes = np.array([0, 1, 2, 3, 4], np.uint8)
    rows = np.array([[0, 1, 2, 3, 4], [1, 1, 2, 3, 4], [0, 2, 2, 0, 4], [0, 1, 2, 3, 0]], np.uint8)
    first, width = changed_windows(codes, rows)
    assert first.tolist() == [0, 0, 1, 4] and width.tolist() == [0, 1, 3, 1]
