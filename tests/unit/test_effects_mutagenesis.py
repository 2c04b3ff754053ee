"""Effects of edits: exact numbers of toy networks, one prediction at a time as the slow reference."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from tests.unit.network_toys import target

from seqmill.effects.mutagenesis import Effects, Mutagenesis, Stretch, edited, embedded
from seqmill.runtime.errors import InputError
from seqmill.stores.maps import EDITS

BP = 12


class Toy:
    """An ensemble whose runs give (sum of weights)^power as value and a motif's best match as another target."""

    folders = (Path("models/toy/0.0"),)
    extent_bp, batch_size = BP, 4

    def __init__(self, runs: int = 2, bp: int = BP):
        rng = np.random.default_rng(0)
        self.extent_bp = bp
        self.weights = rng.normal(size=(runs, bp, 4, 2))
        self.motif = np.array([[3, 0, 0, 0], [0, 0, 3, 0], [0, 2, 0, 1]], float)
        self.targets = {"level": target("level", 2, "quantity"), "match": target("match", 1, "quantity")}
        self.calls: list[tuple[int, int]] = []

    def __len__(self):
        return len(self.weights)

    def value(self, codes, run):
        """float (2,) and (1,) of one sequence, by loops."""
        level = np.zeros(2)
        for at, code in enumerate(codes):
            if code < 4:
                level = level + self.weights[run, at, code]
        best = max(
            sum(self.motif[i, code] if code < 4 else 0 for i, code in enumerate(codes[at : at + 3]))
            for at in range(len(codes) - 2)
        )
        return {"level": level, "match": np.array([best * (run + 1)])}

    def apply(self, codes, reduce, members=None):
        assert codes.dtype == np.uint8 and codes.shape[1] == self.extent_bp
        found = []
        for run in range(len(self)) if members is None else members:
            self.calls.append((run, len(codes)))
            values = [self.value(row, run) for row in codes]
            stacked = {name: jnp.asarray(np.stack([v[name] for v in values]), jnp.float32) for name in values[0]}
            found.append({name: np.asarray(x) for name, x in reduce(stacked).items()})
        return found


def stretch(rng, first, last, runs=(0, 1), bp=BP, n_at=()):
    codes = rng.integers(0, 4, bp + 2, dtype=np.uint8)
    codes[1 + np.array(n_at, int)] = 4
    return Stretch(codes, first, last, runs)


def slow_edit(codes, edit, at, base):
    """The edited window of a list with one more base on each side."""
    left, window, right = [codes[0]], list(codes[1:-1]), [codes[-1]]
    near_left = at < len(window) / 2
    if edit == "substitutions":
        return [*window[:at], base, *window[at + 1 :]]
    if edit == "deletions":
        rest = window[:at] + window[at + 1 :]
        return left + rest if near_left else rest + right
    rest = [*window[:at], base, *window[at:]]
    return rest[1:] if near_left else rest[:-1]


def slow_effects(toy, one, path):
    """float (runs, positions, base, tracks) by one prediction for each edit."""
    edit, name = path.split("/")
    codes, found = one.codes.tolist(), []
    for run in one.runs:
        reference = toy.value(codes[1:-1], run)[name]
        positions = []
        for at in range(one.first, one.last):
            bases = range(4) if edit != "deletions" else [0]
            changes = [toy.value(slow_edit(codes, edit, at, base), run)[name] - reference for base in bases]
            positions.append(np.array(changes) * (np.nan if codes[1 + at] == 4 else 1))
        found.append(positions)
    found = np.array(found)
    return found[:, :, 0] if edit == "deletions" else found


def test_hand_made_deletions_and_insertions():
    """Window CATGCA between A and G: what lies between the edit and the nearer end moves."""
    codes = np.array([0, 1, 0, 3, 2, 1, 0, 2], np.uint8)  # A CATGCA G
    edits = {
        (1, 1, 0): [0, 1, 3, 2, 1, 0],  # A of position 1 out: ACTGCA
        (1, 4, 0): [1, 0, 3, 2, 0, 2],  # C of position 4 out: CATGAG
        (2, 2, 2): [0, 2, 3, 2, 1, 0],  # G before position 2: AGTGCA
        (2, 3, 3): [1, 0, 3, 3, 2, 1],  # T before position 3: CATTGC
        (2, 0, 3): [1, 0, 3, 2, 1, 0],  # before the first base: pushed out at once
        (0, 5, 3): [1, 0, 3, 2, 1, 3],
        (3, 0, 0): [1, 0, 3, 2, 1, 0],
    }
    np.testing.assert_array_equal(edited(codes, np.array(list(edits), np.int32)), list(edits.values()))


def test_effects_are_those_of_single_predictions():
    rng, toy = np.random.default_rng(1), Toy()
    stretches = [
        stretch(rng, 0, BP), stretch(rng, 3, 7, (1,), n_at=[4]), stretch(rng, 5, 6, (0,)), stretch(rng, 2, 9, (1, 0)),
    ]  # fmt: skip
    found = list(Mutagenesis(toy, edits=EDITS).effects(stretches))
    assert [effects.runs for effects in found] == [one.runs for one in stretches]
    for one, effects in zip(stretches, found):
        assert set(effects.changes) == {f"{edit}/{name}" for edit in EDITS for name in toy.targets}
        for path, change in effects.changes.items():
            np.testing.assert_allclose(change, slow_effects(toy, one, path), atol=2e-5, err_msg=path)
        for name, reference in effects.reference.items():
            expected = [toy.value(one.codes[1:-1].tolist(), run)[name] for run in one.runs]
            np.testing.assert_allclose(reference, expected, atol=1e-5)


def test_substitutions_of_a_linear_network_are_differences_of_weights():
    rng, toy = np.random.default_rng(2), Toy(runs=1)
    one = stretch(rng, 0, BP, (0,))
    (effects,) = Mutagenesis(toy, ["level"]).effects([one])
    inside = one.codes[1:-1]
    own = toy.weights[0, np.arange(BP), inside]
    np.testing.assert_allclose(effects.changes["substitutions/level"][0], toy.weights[0] - own[:, None], atol=2e-5)
    assert (effects.changes["substitutions/level"][0, np.arange(BP), inside] == 0).all()


def test_stretches_share_full_batches(monkeypatch):
    """Blocks of two batches: every run is given full blocks until the last, and each edit once."""
    monkeypatch.setattr("seqmill.effects.mutagenesis.BLOCK_BYTES", 100)  # 2 batches of 4 x 12 bp
    rng, toy = np.random.default_rng(3), Toy()
    stretches = [stretch(rng, 2, 5) for _ in range(4)]
    blocks = list(Mutagenesis(toy, ["level"]).effects(stretches))
    assert [size for run, size in toy.calls if run == 0] == [8] * 5  # 4 x (1 + 9) sequences
    toy.calls.clear()
    monkeypatch.undo()
    whole = list(Mutagenesis(toy, ["level"]).effects(stretches))
    assert toy.calls == [(0, 40), (1, 40)]
    for one, other in zip(blocks, whole):
        np.testing.assert_array_equal(one.changes["substitutions/level"], other.changes["substitutions/level"])


def test_results_come_as_soon_as_they_are_whole(monkeypatch):
    monkeypatch.setattr("seqmill.effects.mutagenesis.BLOCK_BYTES", 1)  # one batch
    rng, toy = np.random.default_rng(4), Toy()
    asked = []

    def stretches():
        for number in range(5):
            asked.append(number)
            yield stretch(rng, 2, 5)

    found = Mutagenesis(toy, ["level"]).effects(stretches())
    next(found)
    assert len(asked) <= 2
    assert len(list(found)) == 4


def test_mean_and_spread_over_runs():
    change = np.array([[[1.0, np.nan]], [[2.0, np.nan]], [[6.0, np.nan]]], np.float32)
    effects = Effects((0, 1, 4), changes={"deletions/x": change})
    np.testing.assert_allclose(effects.mean("deletions/x"), [[3, np.nan]])
    np.testing.assert_allclose(effects.spread("deletions/x"), [[np.sqrt(14 / 3), np.nan]], rtol=1e-6)
    assert effects.mean("deletions/x").dtype == np.float32


def test_an_element_without_a_genome_is_averaged_over_backgrounds():
    """A match inside the element counts the same in every background; the linear part is that of its place."""
    toy = Toy(runs=1, bp=30)
    element = np.array([0, 2, 1, 3, 0, 2, 3, 3], np.uint8)
    stretches = embedded(element, 30, 10, np.random.default_rng(0))
    found = list(Mutagenesis(toy).effects(stretches))
    first = stretches[0].first
    expected = toy.weights[0, first : first + 8] - toy.weights[0, np.arange(first, first + 8), element][:, None]
    for effects in found:
        np.testing.assert_allclose(effects.changes["substitutions/level"][0], expected, atol=2e-5)
    assert len({stretch.codes.tobytes() for stretch in stretches}) > 5


def test_mistakes_are_named():
    with pytest.raises(InputError, match=r"maps\.x: target 'leve' is not predicted; known: level, match"):
        Mutagenesis(Toy(), ["leve"], where="maps.x")
    rng = np.random.default_rng(5)
    for one in (stretch(rng, 3, 3), stretch(rng, 3, BP + 1), stretch(rng, -1, 3), stretch(rng, 0, 3, ())):
        with pytest.raises(ValueError, match=r"positions -?\d+ to \d+ of \(14,\) bases"):
            list(Mutagenesis(Toy()).effects([one]))
    with pytest.raises(ValueError, match="an element of 13 bp for windows of 12 bp"):
        embedded(np.zeros(13, np.uint8), BP, 1, rng)
