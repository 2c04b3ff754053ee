"""Averages over folds and seeds on any dataset: each row only by the models that never saw it."""

import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.config.models import Model
from seqmill.runtime.errors import InputError
from seqmill.stores.predictions import PredictionsReader
from seqmill.training.across import predict_across
from seqmill.training.predict import predict
from seqmill.training.train import train_model

RUNS = {
    "0": {"train": ["a"], "valid": ["v"], "test": ["b"]},
    "1": {"train": ["b"], "valid": ["v"], "test": ["a"]},
}
PARTS = [("x", "a", 40), ("x", "b", 30), ("x", "v", 20)]
MODEL = Model.model_validate(
    {
        "architecture": "dense", "dataset": "toy.zarr", "settings": {"hidden": [4]},
        "training": {"batch_size": 16, "max_steps": 3, "optimizer": {"learning_rate": 0.05}},
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset with two runs, and two seeds of a network on each."""
    folder = tmp_path_factory.mktemp("across")
    dataset = toys.write_dataset(folder / "toy.zarr", PARTS, toys.motif_arrays(90), runs=RUNS, chunk=16)
    for fold in RUNS:
        for seed in (0, 1):
            out = folder / f"models/net/{fold}.{seed}"
            train_model(out, name="net", model=MODEL, dataset=dataset, fold=fold, seed=seed)
    return folder


def models(world, *runs):
    return [world / f"models/net/{run}" for run in runs or ("0.0", "0.1", "1.0", "1.1")]


def across(world, out, *runs, dataset=None, **more):
    predict_across(
        out, models=models(world, *runs), dataset=dataset or world / "toy.zarr", trained_on=[world / "toy.zarr"], **more
    )
    return PredictionsReader(out)


def own_dataset(folder, starts, monkeypatch, seed=5):
    """One run of test rows that begin at ``starts``."""
    plain = toys.toy_rows
    monkeypatch.setattr(toys, "toy_rows", lambda parts: plain(parts).assign(start=starts, end=np.array(starts) + 60))
    arrays = toys.motif_arrays(len(starts), seed=seed)
    runs = {"0": {"train": [], "valid": [], "test": ["test"]}}
    return toys.write_dataset(folder, [("y", "test", len(starts))], arrays, runs=runs)


def single(world, tmp_path, run, **more):
    out = tmp_path / f"{run}.zarr"
    return across(world, out, run, **more).predicted("bound")


@pytest.mark.slow
def test_the_training_dataset_is_predicted_out_of_fold(world, tmp_path):
    found = across(world, tmp_path / "all.zarr")
    assert found.rows()["fold"].tolist() == ["a"] * 40 + ["b"] * 30
    for fold, rows in (("1", slice(0, 40)), ("0", slice(40, 70))):
        stack = []
        for seed in (0, 1):
            out = tmp_path / f"{fold}.{seed}.zarr"
            predict(out, model_folder=world / f"models/net/{fold}.{seed}", dataset=world / "toy.zarr")
            stack.append(PredictionsReader(out).predicted("bound").astype(np.float64))
        np.testing.assert_allclose(found.predicted("bound")[rows], np.mean(stack, axis=0), rtol=1e-5)
        np.testing.assert_allclose(found.spread("bound")[rows], np.std(stack, axis=0), rtol=1e-3, atol=1e-7)
        assert np.ptp(stack, axis=0).max() > 1e-3  # seeds differ, so that the mean says something
    assert {key: found.attrs[key] for key in ("fold", "seed", "out_of_fold", "models", "kind")} == {
        "fold": "all", "seed": "mean", "out_of_fold": True, "kind": "network",
        "models": {"net/0.0": 30, "net/0.1": 30, "net/1.0": 40, "net/1.1": 40},
    }  # fmt: skip


@pytest.mark.slow
def test_new_rows_are_predicted_by_all_and_known_places_by_some(world, tmp_path, monkeypatch):
    """Rows of "a" end at 39,060; a window from 39,059 on shares a base, one from 39,060 on shares none."""
    other = own_dataset(tmp_path / "other.zarr", [39_059, 39_060, 200_000], monkeypatch)
    found = across(world, tmp_path / "p.zarr", dataset=other)
    assert found.attrs["models"] == {"net/0.0": 2, "net/0.1": 2, "net/1.0": 3, "net/1.1": 3}
    each = {}
    for run in ("1.0", "1.1"):
        each[run] = single(world, tmp_path, run, dataset=other).astype(np.float64)
    np.testing.assert_allclose(found.predicted("bound")[0], (each["1.0"][0] + each["1.1"][0]) / 2, rtol=1e-5)
    clear = own_dataset(tmp_path / "clear.zarr", [39_060, 300_000, 200_000], monkeypatch)
    stack = [single(world, tmp_path, run, dataset=clear) for run in ("0.0", "0.1", "1.0", "1.1")]
    found = across(world, tmp_path / "q.zarr", dataset=clear)
    np.testing.assert_allclose(found.predicted("bound"), np.mean(stack, axis=0, dtype=np.float64), rtol=1e-5)
    assert found.attrs["out_of_fold"] is False
    one = across(world, tmp_path / "r.zarr", "0.1", dataset=clear)
    assert (one.attrs["fold"], one.attrs["seed"]) == ("0", 1)
    assert not one.spread("bound").any()


def test_rows_that_every_run_was_trained_on_are_refused(world, tmp_path, monkeypatch):
    with pytest.raises(
        InputError, match=r"toy\.zarr: 20 of 90 rows \(first: chr1:70000-70060\) overlap training rows of e"
    ):
        across(world, tmp_path / "p.zarr", part="all")
    with pytest.raises(
        InputError, match=r"40 of 70 rows .* of model net \(fold 0\); choose another part, or add the fold"
    ):
        across(world, tmp_path / "p.zarr", "0.0")
    with pytest.raises(InputError, match=r"20 of 20 rows"):
        across(world, tmp_path / "p.zarr", part="valid")
    test_of_0 = across(world, tmp_path / "p.zarr", "0.0", runs=["0"])
    assert test_of_0.n == 30
    empty = own_dataset(tmp_path / "o.zarr", [1], monkeypatch)
    with pytest.raises(InputError, match=r"o\.zarr: the train part has no rows"):
        across(world, tmp_path / "q.zarr", dataset=empty, part="train")


def test_rows_without_labels_are_predicted(world, tmp_path, monkeypatch):
    labelled = own_dataset(tmp_path / "labelled.zarr", [500_000, 600_000], monkeypatch)
    arrays = {key: value for key, value in toys.motif_arrays(2, seed=5).items() if key.startswith("inputs")}
    runs = {"0": {"train": [], "valid": [], "test": ["test"]}}
    bare = toys.write_dataset(tmp_path / "bare.zarr", [("y", "test", 2)], arrays, runs=runs)
    found, expected = (across(world, tmp_path / f"{x.name}.p.zarr", dataset=x) for x in (bare, labelled))
    np.testing.assert_array_equal(found.predicted("bound"), expected.predicted("bound"))
    assert not found.mask("bound").any()
    assert expected.mask("bound").all()


def test_the_dataset_of_the_training_must_be_as_it_was(world, tmp_path, monkeypatch):
    other = own_dataset(tmp_path / "other.zarr", [500_000], monkeypatch)
    with pytest.raises(
        InputError, match=r"dataset toy\.zarr, which model net/0\.0 was trained on, was rebuilt; train it"
    ):
        predict_across(tmp_path / "p.zarr", models=models(world), dataset=other, trained_on=[])


def test_nothing_but_predictions_is_replaced(world, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(InputError, match="mine: exists and is no predictions store; name another folder"):
        across(world, tmp_path / "mine")
    with pytest.raises(InputError, match="exists and is no predictions store"):
        across(world, world / "models/net/0.0")
    first = across(world, tmp_path / "p.zarr").digest
    assert across(world, tmp_path / "p.zarr").digest == first
