"""Random changes of sequences: each kind against lists of letters, what is drawn, and that nothing else moves."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit import training_toys as toys

from seqmill.config.augment import Augment
from seqmill.config.models import Model
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec
from seqmill.training import evoaug
from seqmill.training.augment import View, one_hot
from seqmill.training.evoaug import Augmentation, augmentation_of, marked, plain_from
from seqmill.training.jitter import Jitter
from seqmill.training.train import train_model

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def codes_of(*texts: str) -> jnp.ndarray:
    """Padded with N to the longest."""
    longest = max(map(len, texts))
    return jnp.asarray([["ACGTN".index(base) for base in text.ljust(longest, "N")] for text in texts], jnp.uint8)


def texts_of(codes) -> list[str]:
    return ["".join("ACGTN"[code] for code in row) for row in np.asarray(codes)]


def one(number: int) -> jnp.ndarray:
    return jnp.asarray([number], jnp.int32)


def slow_delete(text: str, start: int, count: int, filling: str) -> str:
    left, right = count // 2, count - count // 2
    end = len(text) - right
    return filling[:left] + text[:start] + text[start + count :] + filling[end : len(text)]


def slow_insert(text: str, start: int, count: int, filling: str) -> str:
    """New bases are those of the filling at the places where they end up."""
    out = [*text[:start], *[None] * count, *text[start:]][count // 2 : count // 2 + len(text)]
    return "".join(filling[place] if base is None else base for place, base in enumerate(out))


def slow_invert(text: str, start: int, count: int) -> str:
    turned = "".join(COMPLEMENT[base] for base in reversed(text[start : start + count]))
    return text[:start] + turned + text[start + count :]


WINDOW = st.tuples(st.text("ACGTN", min_size=1, max_size=12), st.text("ACGT", min_size=16, max_size=16), st.data())


DELETE, INSERT, TRANSLOCATE, INVERT = map(jax.jit, (evoaug.delete, evoaug.insert, evoaug.translocate, evoaug.invert))


@settings(deadline=None, max_examples=100)
@given(WINDOW)
def test_each_kind_does_what_lists_of_letters_do(window):
    text, filling, data = window
    length, codes, fill = one(len(text)), codes_of(text.ljust(16, "N")), codes_of(filling)
    count = data.draw(st.integers(0, len(text)))
    start = data.draw(st.integers(0, len(text) - count))
    place = data.draw(st.integers(0, len(text)))
    shift = data.draw(st.integers(-len(text), len(text)))
    expected = [
        (DELETE(codes, length, one(start), one(count), fill), slow_delete(text, start, count, filling)),
        (INSERT(codes, length, one(place), one(count), fill), slow_insert(text, place, count, filling)),
        (TRANSLOCATE(codes, length, one(shift)), text[-shift % len(text) :] + text[: -shift % len(text)]),
        (INVERT(codes, one(start), one(count)), slow_invert(text, start, count)),
    ]
    for changed, slow in expected:
        assert texts_of(changed) == [slow.ljust(16, "N")]


def test_known_answers():
    codes, fill, end = codes_of("AACCGGTT"), codes_of("TTTTTTTT"), one(8)
    assert texts_of(DELETE(codes, end, one(2), one(3), fill)) == ["TAAGTTTT"]
    assert texts_of(INSERT(codes, end, one(4), one(4), fill)) == ["CCTTTTGG"]
    assert texts_of(TRANSLOCATE(codes, end, one(3))) == ["GTTAACCG"]
    assert texts_of(TRANSLOCATE(codes, end, one(-3))) == ["CGGTTAAC"]
    assert texts_of(INVERT(codes, one(1), one(3))) == ["AGGTGGTT"]
    bits = jnp.asarray([[0, 1, 2, 9, 10, 11, 3, 4]], jnp.uint32)
    assert texts_of(evoaug.mutate(codes_of("AACCGNTT"), bits, jnp.asarray([10], jnp.uint32))) == ["CGAGGNAC"]
    assert texts_of(evoaug.mutate(codes, bits, jnp.asarray([0], jnp.uint32))) == ["AACCGGTT"]


ALL = {
    "max_deletion_bp": 3, "max_insertion_bp": 4, "max_translocation_bp": 5, "max_inversion_bp": 6,
    "mutation_fraction": 0.3, "noise_std": 0.2,
}  # fmt: skip


@pytest.mark.parametrize(("most", "hard", "expected"), [(None, True, {6}), (2, True, {2}), (3, False, {1, 2, 3})])
def test_as_many_kinds_as_asked_for_and_each_as_often(most, hard, expected):
    drawn = np.random.default_rng(0).random((6000, 7), np.float32)
    chosen = np.asarray(Augmentation(Augment(**ALL, max_augs=most, hard=hard)).chosen(drawn))
    assert chosen.shape == (6000, 6)
    number = chosen.sum(axis=1)
    assert set(number) == expected
    np.testing.assert_allclose(chosen.mean(axis=0), np.mean(sorted(expected)) / 6, atol=0.03)
    np.testing.assert_allclose([np.mean(number == n) for n in expected], 1 / len(expected), atol=0.03)


@cache
def compiled(**section):
    own = Augmentation(Augment(**section))
    return jax.jit(lambda codes, lengths, on, key: own.show(codes, lengths, on, key, one_hot))


def show(text: str, rows: int = 400, key: int = 0, length: int | None = None, on=None, **section) -> np.ndarray:
    codes = jnp.repeat(codes_of(text), rows, axis=0)
    lengths = jnp.full((rows, 1), len(text) if length is None else length)
    on = jnp.ones(rows, bool) if on is None else on
    return np.asarray(compiled(**section)(codes, lengths, on, jax.random.key(key)))


def letters(hot: np.ndarray) -> list[str]:
    return texts_of(np.where(hot.sum(axis=-1) > 0.5, hot.argmax(axis=-1), 4))


TEXT = "ACGGTCATTGCANNACGTTGACCA"


@pytest.mark.slow
def test_drawn_lengths_and_places_reach_all_allowed_ones_and_no_other():
    rotations = {TEXT[-s % 24 :] + TEXT[: -s % 24] for s in range(-5, 6)}
    assert set(letters(show(TEXT, max_translocation_bp=5))) == rotations
    inversions = {slow_invert(TEXT, start, count) for count in range(4) for start in range(25 - count)}
    assert set(letters(show(TEXT, 3000, max_inversion_bp=3))) == inversions
    for kind, slow in (("deletion", slow_delete), ("insertion", slow_insert)):
        possible = {
            tuple(base if base in "ACGTN" else "?" for base in slow(TEXT, start, count, "?" * 24))
            for count in range(3)
            for start in range(25 - (count if kind == "deletion" else 0))
        }
        found = letters(show(TEXT, 3000, **{f"max_{kind}_bp": 2}))
        fits = [{p for p in possible if all(q in ("?", b) for q, b in zip(p, text))} for text in found]
        assert all(fits)
        assert set.union(*fits) == possible
        assert all("N" not in text.replace("NN", "", 1) or text.count("N") <= 2 for text in found)


def test_mutations_have_their_rate_and_all_three_bases_and_leave_n():
    found = letters(show("AN" * 50, 400, mutation_fraction=0.2))
    joined = np.array([list(text) for text in found])
    assert (joined[:, 1::2] == "N").all()
    shares = [np.mean(joined[:, ::2] == base) for base in "ACGT"]
    np.testing.assert_allclose(shares, [0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3], atol=0.01)


def test_noise_has_its_deviation_and_leaves_n():
    found = show("AN" * 50, 400, noise_std=0.3)
    assert (found[:, 1::2] == 0).all()
    noise = found[:, ::2] - np.array([1, 0, 0, 0], np.float32)
    assert abs(noise.std() - 0.3) < 0.003
    assert abs(noise.mean()) < 0.003


def test_padding_stays_and_is_never_drawn_into_the_sequence():
    found = letters(show("ACGTACGTAC" + "N" * 6, 500, length=10, **{**ALL, "noise_std": 0.0}))
    assert {text[10:] for text in found} == {"N" * 6}
    assert not any("N" in text[:10] for text in found)
    assert len(set(found)) > 450
    assert set(letters(show("N" * 6, 50, length=0, max_insertion_bp=3, max_deletion_bp=3))) == {"N" * 6}


def test_equal_keys_give_equal_changes_and_examples_that_are_left_out_stay():
    first, again, other = (show(TEXT, key=key, **ALL) for key in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    half = jnp.arange(400) % 2 == 0
    part = show(TEXT, key=1, on=half, **ALL)
    assert np.array_equal(part[::2], first[::2])
    assert np.array_equal(part[1::2], np.asarray(one_hot(jnp.repeat(codes_of(TEXT), 200, axis=0))))


SEQUENCE = toys.sequence_spec(32, margin_bp=8)
LABELS = toys.label_spec("labels", ["x", "y"])
PLAIN = View({"sequence": SEQUENCE}, {"labels": LABELS}, Jitter(8, 1), True)


def batch_of(rows: int = 64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "inputs/sequence": rng.integers(0, 5, (rows, 48), dtype=np.uint8),
        "targets/labels": rng.integers(0, 2, (rows, 2), dtype=np.uint8),
    }


def test_a_view_changes_sequences_only_in_training_and_draws_the_same_shift_and_strand():
    batch, key = batch_of(), jax.random.key(3)
    changed = replace(PLAIN, changes=Augmentation(Augment(mutation_fraction=0.2)))
    show = jax.jit(changed.show)
    plain, found = jax.jit(PLAIN.show)(batch, key), show(batch, key)
    assert np.array_equal(found["targets/labels"], batch["targets/labels"])
    same = np.asarray(found["inputs/sequence"] == plain["inputs/sequence"]).all(axis=-1)
    known = np.asarray(plain["inputs/sequence"]).sum(axis=-1) > 0
    assert same[~known].all()
    assert 0.7 < same[known].mean() < 0.9
    assert np.array_equal(show(batch)["inputs/sequence"], one_hot(batch["inputs/sequence"][:, 8:40]))
    off = show(batch | {evoaug.ROWS: np.zeros(64, bool)}, key)
    assert np.array_equal(off["inputs/sequence"], plain["inputs/sequence"])


def test_two_sequences_are_changed_independently():
    inputs = {name: replace(SEQUENCE, name=name, margin_bp=0) for name in ("a", "b")}
    view = View(inputs, {}, Jitter(0, 1), False, Augmentation(Augment(mutation_fraction=0.5)))
    codes = np.zeros((64, 48), np.uint8)
    shown = view.show({"inputs/a": codes, "inputs/b": codes}, jax.random.key(0))
    assert not np.array_equal(shown["inputs/a"], shown["inputs/b"])


def test_without_changes_the_compiled_view_is_as_it_was():
    """What `show` did before there were changes, written down again."""

    def before(batch, key):
        shift_key, strand_key = jax.random.split(key)
        shift = jax.random.randint(shift_key, (64,), -8, 9) * 1
        return PLAIN._view(batch, shift, jax.random.bernoulli(strand_key, 0.5, (64,)))

    def show(batch, key):
        return PLAIN.show(batch, key)

    texts = [
        jax.jit(run).lower(batch_of(), jax.random.key(0)).as_text().replace(f"jit_{run.__name__}", "jit")
        for run in (before, show)
    ]
    assert texts[0] == texts[1]


def test_sections_that_say_nothing_or_too_much():
    with pytest.raises(ValidationError, match="nothing to change: set at least one of max_deletion_bp, "):
        Augment(max_augs=1)
    with pytest.raises(ValidationError, match=r"max_augs is 3, but only 1 kind\(s\) are used: mutation"):
        Augment(mutation_fraction=0.1, max_augs=3)
    assert Augment(**ALL).kinds() == ["deletion", "insertion", "translocation", "inversion", "mutation", "noise"]


def refused(match: str, arrays: dict, allowed: bool = True, **section) -> None:
    with pytest.raises(InputError, match=match):
        augmentation_of(Augment(**section), arrays, reverse_complement=allowed)


def test_datasets_that_cannot_be_changed_so():
    features = ArraySpec("input", "f", ("example", "n"), "float32", (3,), "features")
    fixed, veto = replace(SEQUENCE, shift="forbidden"), replace(SEQUENCE, rc="forbidden")
    refused("training.augment: the dataset has no sequence to change; its arrays: f", {"f": features}, noise_std=0.1)
    message = "array 's' of the dataset forbids shifts; leave max_insertion_bp out"
    refused(message, {"s": fixed}, max_insertion_bp=2, mutation_fraction=0.1)
    refused("array 's' of the dataset has no reverse complement; leave max_inv", {"s": veto}, max_inversion_bp=2)
    refused("array 's' of the dataset has no reverse complement", {"s": SEQUENCE}, False, max_inversion_bp=2)
    refused("max_deletion_bp is 32, the window of 's' has 32 bp", {"s": SEQUENCE}, max_deletion_bp=32)
    assert augmentation_of(None, {"f": features}) is None
    assert augmentation_of(Augment(mutation_fraction=0.1), {"s": fixed}, reverse_complement=False) is not None


def test_the_last_passes_are_plain():
    section = Augment(noise_std=0.1, plain_epochs=2)
    assert plain_from(section, steps=50, steps_per_epoch=10) == 30
    assert plain_from(section, steps=45, steps_per_epoch=10) == 30
    assert plain_from(Augment(noise_std=0.1), steps=50, steps_per_epoch=10) is None
    assert plain_from(None, steps=50, steps_per_epoch=10) is None
    with pytest.raises(InputError, match=r"plain_epochs is 2, but the training has 2 pass\(es\)"):
        plain_from(section, steps=20, steps_per_epoch=10)
    batches = marked(iter([{"row": np.arange(3)}] * 3), 29, 30)
    assert [batch[evoaug.ROWS].tolist() for batch in batches] == [[True] * 3, [False] * 3, [False] * 3]
    assert [*next(marked(iter([{"row": np.arange(3)}]), 0, None))] == ["row"]


def train(out: Path, dataset: Path, **training) -> tuple[str, list[dict]]:
    settings = {"filters": [12], "widths": [8], "pools": [6], "hidden": [8], "dropout": 0.0}
    training = {"batch_size": 100, "max_epochs": 3, "optimizer": {"learning_rate": 0.01}} | training
    model = Model(architecture="basset", dataset="toy", settings=settings, training=training)
    train_model(out, name="toy", model=model, dataset=dataset, fold="0", seed=1)
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(), history


@pytest.mark.slow
def test_a_training_with_changes_waits_for_its_plain_passes(tmp_path):
    """With a rate of nothing the validation loss does not fall: early stopping alone would end it after two passes."""
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    stuck = {"max_epochs": 4, "patience": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-30}}
    augment = {"max_deletion_bp": 3, "mutation_fraction": 0.3, "max_augs": 1, "plain_epochs": 1}
    first, history = train(tmp_path / "a", dataset, **stuck, augment=augment)
    other, plain = train(tmp_path / "b", dataset, **stuck)
    assert first != other
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    assert [entry["epoch"] for entry in plain] == [1, 2]
    assert history[0]["train_loss"] != plain[0]["train_loss"]
