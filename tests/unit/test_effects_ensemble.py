"""Runs applied to any sequences, scores of each kind of target, and places that no training has seen."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from tests.unit import effects_world as world
from tests.unit import training_toys as toys
from tests.unit.network_toys import target

from seqmill.config.models import Prediction
from seqmill.effects import measures
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.unseen import Unseen
from seqmill.runtime.errors import InputError
from seqmill.stores.model import ModelReader


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset with margins, and runs 0.0, 1.0 on it."""
    folder = tmp_path_factory.mktemp("ensemble")
    dataset = world.write_dataset(folder, margin_bp=world.MARGIN_BP)
    first = world.train(folder, dataset, "0", 0)
    return dataset, [first, world.another(first, "1", 0)]


def linear(model, codes):
    """Scores of both targets by loops over the weights; codes of the window only."""
    found = {}
    for name, (kernel, constant) in world.weights(model).items():
        rows = [constant + sum(kernel[at, code] for at, code in enumerate(row) if code < 4) for row in codes]
        found[name] = np.array(rows)
    return found


def test_each_run_gives_its_own_scores_of_any_number_of_sequences(made):
    _, models = made
    ensemble = Ensemble(models, world.PLAIN)
    assert (ensemble.window_bp, ensemble.margin_bp, ensemble.extent_bp, len(ensemble)) == (60, 4, 68, 2)
    assert set(ensemble.targets) == {"bound", "level"}
    codes = np.random.default_rng(0).integers(0, 5, (37, 68), dtype=np.uint8)
    reduce = measures.scores(ensemble.targets, ["level", "bound"])
    found = ensemble.apply(codes, reduce)
    for values, model in zip(found, models, strict=True):
        for name, expected in linear(model, codes[:, 4:-4]).items():
            np.testing.assert_allclose(values[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)
    assert np.abs(found[0]["level"] - found[1]["level"]).max() > 0.01
    (second,) = ensemble.apply(codes[:1], reduce, [1])
    np.testing.assert_allclose(second["level"], found[1]["level"][:1], rtol=1e-5)


def test_strands_and_shifts_are_averaged(made):
    _, models = made
    codes = np.random.default_rng(1).integers(0, 4, (3, 68), dtype=np.uint8)
    ensemble = Ensemble(models[:1], Prediction(shifts_bp=[-2, 0, 3]))
    (found,) = ensemble.apply(codes, lambda predicted: {"level": predicted["level"]})
    views = [codes[:, 4 + shift : 64 + shift] for shift in (-2, 0, 3)]
    both = [strand for view in views for strand in (view, 3 - view[:, ::-1])]
    expected = np.mean([linear(models[0], view)["level"] for view in both], axis=0)
    np.testing.assert_allclose(found["level"], expected, rtol=1e-4, atol=1e-4)
    assert ensemble.both_strands and ensemble.shifts_bp == (-2, 0, 3)


def test_networks_that_need_more_than_a_sequence_are_refused(tmp_path):
    n = sum(size for *_, size in world.PARTS)
    rng = np.random.default_rng(2)
    features = toys.ArraySpec("input", "features", ("example", "feature"), "float32", (3,), "features")
    arrays = {
        "inputs/sequence": (toys.sequence_spec(60), rng.integers(0, 4, (n, 60), dtype=np.uint8)),
        "inputs/features": (features, rng.normal(size=(n, 3)).astype(np.float32)),
        "targets/level/main": (
            toys.label_spec("level", ["a"], "quantity", "float32"),
            rng.normal(size=(n, 1)).astype(np.float32),
        ),
    }
    dataset = toys.write_dataset(tmp_path / "more.zarr", world.PARTS, arrays, runs=world.RUNS, chunk=16)
    model = world.train(tmp_path, dataset, "0", 0)
    with pytest.raises(
        InputError,
        match=r"0\.0: reads .*features.*; maps and variants need a network that reads one sequence and nothing else",
    ):
        Ensemble([model], world.PLAIN)


def test_runs_of_other_networks_do_not_make_an_ensemble(made):
    _, models = made
    other = world.another(models[0], "0", 1, name="other")
    with pytest.raises(InputError, match=r"other/0\.1: name differs from that of .*net/0\.0"):
        Ensemble([models[0], other], world.PLAIN)


def test_scores_of_each_kind():
    x = np.array([[0.25, 0.5], [0.0, 1.0]], np.float32)
    logits = [[-np.log(3), 0], [np.log(1e-6 / (1 - 1e-6)), -np.log(1e-6 / (1 - 1e-6))]]
    for kind in ("binary", "fraction"):
        np.testing.assert_allclose(measures.score(jnp.asarray(x), target("t", 2, kind)), logits, rtol=1e-2)
    np.testing.assert_allclose(measures.score(jnp.asarray(x), target("t", 2, "quantity")), x)
    classes = measures.score(jnp.asarray(x), target("t", 2, "class"))
    np.testing.assert_allclose(classes, np.log(np.maximum(x, 1e-6)), rtol=1e-5)
    signal = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    expected = [[np.log1p(0 + 2 + 4), np.log1p(1 + 3 + 5)], [np.log1p(6 + 8 + 10), np.log1p(7 + 9 + 11)]]
    np.testing.assert_allclose(measures.score(jnp.asarray(signal), target("t", 2, "profile", bins=3)), expected, 1e-6)
    np.testing.assert_allclose(measures.score(jnp.asarray(x), target("t", 2, "count")), np.log1p(x), rtol=1e-6)
    mean_and_concentration = np.array([[[0.25, 0.5], [30.0, 9.0]]], np.float32)
    found = measures.score(jnp.asarray(mean_and_concentration), target("t", 2, "beta_binomial"))
    np.testing.assert_allclose(found, [[-np.log(3), 0]], atol=1e-6)


def test_targets_without_a_score_are_named():
    specs = {"a": target("a", 1), "embedding": target("embedding", 3, "none")}
    assert measures.check_targets(specs, ["a"], "maps.m") == ["a"]
    with pytest.raises(InputError, match=r"maps\.m: target 'b' is not predicted; known: a, embedding"):
        measures.check_targets(specs, ["b"], "maps.m")
    with pytest.raises(InputError, match="target 'embedding' of kind 'none' has no score; leave it out of 'targets'"):
        measures.check_targets(specs, None, "maps.m")


def test_unseen_places_share_no_base_with_training_windows(made):
    """Rows of fold a end at 19,060 and b at 34,060, with margins of 4 bp; run 0 has learned a, run 1 b, both v."""
    dataset, models = made
    infos = [ModelReader(model).info for model in models]
    places = pd.DataFrame(
        [
            ("toy", "chr1", 19_063, 19_100),  # touches the margin of the last row of a
            ("toy", "chr1", 19_064, 19_100),
            ("toy", "chr1", 19_900, 19_996),
            ("toy", "chr1", 19_900, 19_997),  # ... of the first row of b
            ("toy", "chr1", 50_000, 50_100),
            ("toy", "chr2", 0, 60),
            ("other", "chr1", 0, 60),
        ],
        columns=["genome", "contig", "start", "end"],
    )
    free = Unseen(infos, [dataset]).of(places)
    assert free[0].tolist() == [False, True, True, True, True, True, True]
    assert free[1].tolist() == [True, True, True, False, True, True, True]


def test_a_dataset_that_was_rebuilt_is_refused(made, tmp_path):
    _, models = made
    other = world.write_dataset(tmp_path, name="other")
    with pytest.raises(InputError, match=r"net/0\.0: dataset toy\.zarr, which it was trained on, was rebuilt; train"):
        Unseen([ModelReader(models[0]).info], [other])
