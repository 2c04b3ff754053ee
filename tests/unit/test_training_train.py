"""From a dataset to a model folder and predictions."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.unit import training_toys as toys

from seqmill.config.models import Model
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.marker import verify_folder
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import ArraySpec
from seqmill.training.artefact import load_network
from seqmill.training.loop import DivergedError
from seqmill.training.predict import predict, predictor
from seqmill.training.train import train_model

SMALL = {"filters": [24], "widths": [8], "pools": [6], "hidden": [16], "dropout": 0.0}


def model_of(**changes) -> Model:
    training = {"batch_size": 64, "max_epochs": 8, "optimizer": {"learning_rate": 0.01}} | changes.pop("training", {})
    values = {"architecture": "basset", "dataset": "toy", "settings": SMALL, "training": training} | changes
    return Model.model_validate(values)


def digests(folder: Path, *names: str) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toys.motif_dataset(tmp_path_factory.mktemp("train") / "toy.zarr")


@pytest.fixture(scope="module")
def trained(dataset):
    out = dataset.parent / "models" / "toy" / "0.1"
    train_model(out, name="toy", model=model_of(), dataset=dataset, fold="0", seed=1)
    return out


@pytest.fixture(scope="module")
def predictions(dataset, trained):
    out = dataset.parent / "predictions" / "toy" / "0.1.zarr"
    predict(out, model_folder=trained, dataset=dataset)
    return PredictionsReader(out)


def test_a_planted_motif_is_learned(predictions):
    truth, predicted = predictions.truth("bound"), predictions.predicted("bound")
    assert predicted.dtype == np.float32
    for track in (0, 1):
        assert roc_auc_score(truth[:, track], predicted[:, track]) > 0.9


def test_predictions_are_those_of_the_test_rows_in_order(predictions, dataset):
    rows = predictions.rows()
    assert rows["name"].tolist() == [f"row{i}" for i in range(1100, 1300)]
    assert set(rows["fold"]) == {"test"}
    assert predictions.mask("bound").all()
    assert {key: predictions.attrs[key] for key in ("kind", "model", "fold", "seed", "part", "both_strands")} == {
        "kind": "network", "model": "toy", "fold": "0", "seed": 1, "part": "test", "both_strands": True,
    }  # fmt: skip


def test_the_model_folder_says_all(trained, dataset):
    reader = ModelReader(trained)
    info = reader.info
    assert info["dataset"] == "toy.zarr"
    assert info["parameters"] == sum(v.size for k, v in reader.tensors().items() if k.startswith("params."))
    assert info["tracks"] == {"bound": ["motif", "other"]}
    assert (info["fold"], info["seed"], info["xla_threads"], info["device"]) == ("0", 1, 1, "cpu")
    history = reader.history
    assert [entry["epoch"] for entry in history] == list(range(1, len(history) + 1))
    assert info["valid_loss"] == min(entry["valid_loss"] for entry in history)
    assert history[info["best_epoch"] - 1]["valid_loss"] == info["valid_loss"]
    assert verify_folder(trained) == []
    moved = reader.tensors()["state.conv_norms.0.mean"]
    assert np.abs(moved).max() > 0.01


def test_equal_seeds_give_equal_bytes(trained, dataset, tmp_path):
    files = ("model.safetensors", "model.json", "history.jsonl")
    again, other = tmp_path / "toy" / "0.1", tmp_path / "toy" / "0.2"
    train_model(again, name="toy", model=model_of(), dataset=dataset, fold="0", seed=1)
    assert digests(again, *files) == digests(trained, *files)
    train_model(other, name="toy", model=model_of(training={"max_epochs": 1}), dataset=dataset, fold="0", seed=2)
    assert digests(other, "model.safetensors") != digests(trained, "model.safetensors")


def test_batch_size_of_prediction_and_padding_change_nothing(trained, dataset, predictions):
    network = load_network(trained)
    run = predictor(network, strands=True)
    from seqmill.stores.dataset import DatasetReader

    codes = DatasetReader(dataset).read("inputs/sequence", 1100, 1103)
    padded = np.concatenate([codes, np.full((61, 60), 4, np.uint8)])
    found = np.asarray(run({"inputs/sequence": padded})["bound"])[:3]
    np.testing.assert_allclose(found, predictions.predicted("bound")[:3], rtol=1e-5)
    turned = np.where(padded < 4, 3 - padded, 4)[:, ::-1].astype(np.uint8)
    np.testing.assert_allclose(run({"inputs/sequence": turned})["bound"][:3], found, rtol=1e-5)


@pytest.mark.slow
def test_the_best_state_is_kept_not_the_last(dataset, tmp_path):
    """A rate that is far too large after a good start: early stopping must return the start."""
    model = model_of(training={"max_epochs": 6, "patience": 2, "optimizer": {"name": "sgd", "learning_rate": 3.0}})
    train_model(tmp_path / "toy" / "0.0", name="toy", model=model, dataset=dataset, fold="0", seed=0)
    reader = ModelReader(tmp_path / "toy" / "0.0")
    losses = [entry["valid_loss"] for entry in reader.history]
    assert len(losses) == min(6, int(np.argmin(losses)) + 3)
    predict(tmp_path / "p" / "0.0.zarr", model_folder=reader.folder, dataset=dataset, part="valid")
    valid = PredictionsReader(tmp_path / "p" / "0.0.zarr")
    assert valid.n == 200


def two_kinds(folder: Path, **changes) -> Path:
    """Features → a quantity with gaps and binary labels with a mask."""
    rng = np.random.default_rng(0)
    n = 400
    x = rng.normal(size=(n, 6)).astype(np.float32)
    value = (1000 + 50 * (x @ rng.normal(size=(6, 2)))).astype(np.float32)
    value[rng.random((n, 2)) < 0.2] = np.nan
    labels = (x[:, :2] > 0).astype(np.uint8)
    present = rng.random((n, 2)) < 0.7
    labels[~present] = 1 - labels[~present]
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (6,), "features"), x),
        "targets/value/main": (toys.label_spec("value", ["v", "w"], "quantity", "float32", missing="nan"), value),
        "targets/calls/main": (toys.label_spec("calls", ["a", "b"]), labels),
        "mask/calls/main": (
            ArraySpec("mask", "calls", ("example", "tracks"), "bool", (2,), "binary", group="main", tracks=("a", "b")),
            present,
        ),
    }
    for path, replacement in changes.items():
        spec, _ = arrays[path]
        arrays[path] = (spec, replacement)
    parts = [("all", "train", 300), ("all", "valid", 50), ("all", "test", 50)]
    return toys.write_dataset(folder, parts, arrays, reverse_complement=False)


DENSE = {"architecture": "dense", "settings": {"hidden": [16]}}


def test_other_inputs_and_kinds_by_the_same_loop(tmp_path):
    dataset = two_kinds(tmp_path / "two.zarr")
    model = model_of(**DENSE, training={"batch_size": 32, "max_epochs": 15, "optimizer": {"learning_rate": 0.03}})
    train_model(tmp_path / "m" / "0.0", name="m", model=model, dataset=dataset, fold="0", seed=0)
    predict(tmp_path / "p" / "0.0.zarr", model_folder=tmp_path / "m" / "0.0", dataset=dataset)
    found = PredictionsReader(tmp_path / "p" / "0.0.zarr")
    truth, mask = found.truth("value"), found.mask("value")
    assert np.array_equal(mask, ~np.isnan(truth))
    for track in (0, 1):
        keep = mask[:, track]
        assert np.corrcoef(truth[keep, track], found.predicted("value")[keep, track])[0, 1] > 0.9
        keep = found.mask("calls")[:, track]
        assert 20 < keep.sum() < 50
        assert roc_auc_score(found.truth("calls")[keep, track], found.predicted("calls")[keep, track]) > 0.9
    assert found.attrs["both_strands"] is False


def test_an_infinite_input_stops_with_step_and_row(tmp_path):
    x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    x[123, 4] = np.inf
    dataset = two_kinds(tmp_path / "inf.zarr", **{"inputs/features": x})
    with pytest.raises(DivergedError, match=r"loss is nan at step \d+; 1 row\(s\) .* not finite: dataset rows 123$"):
        train_model(tmp_path / "m", name="m", model=model_of(**DENSE), dataset=dataset, fold="0", seed=0)
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_a_rate_that_explodes_says_so(dataset, tmp_path):
    model = model_of(training={"optimizer": {"name": "sgd", "learning_rate": 1e30}})
    cause = r"lower learning_rate or set optimizer\.global_clipnorm; .*(layer|parameters?) \w+\.\d"
    with pytest.raises(DivergedError, match=cause):
        train_model(tmp_path / "m", name="m", model=model, dataset=dataset, fold="0", seed=0)
    assert not (tmp_path / "m").exists()
    with pytest.raises(DivergedError, match=r"^m/0\.0: the loss is .* \(so it ended before, and would again; "):
        train_model(tmp_path / "m", name="m", model=model, dataset=dataset, fold="0", seed=0)


def test_messages_of_what_does_not_fit(dataset, tmp_path):
    def fail(match: str, fold: str = "0", data: Path = dataset, **changes) -> None:
        with pytest.raises(InputError, match=match):
            train_model(tmp_path / "m", name="m", model=model_of(**changes), dataset=data, fold=fold, seed=0)
        assert not (tmp_path / "m").exists()

    fail(r"toy\.zarr: has no run '7'; it has 0", fold="7")
    fail(r"toy\.zarr: has no target 'bond'; it has bound", targets={"bond": 1.0})
    fail("max_jitter_bp: 4 bp asked for, but array 'sequence' has a margin of 0 bp", training={"max_jitter_bp": 4})
    constant = two_kinds(tmp_path / "constant.zarr", **{"targets/value/main": np.full((400, 2), 5, np.float32)})
    fail(r"target 'value': all training labels of each track are the same \(5\)", data=constant, **DENSE)
    runs = {"0": {"train": ["train"], "valid": [], "test": ["test"]}}
    arrays = toys.motif_arrays(1600)
    empty = toys.write_dataset(tmp_path / "empty.zarr", toys.PARTS, arrays, runs=runs)
    fail("run 0 has no validation rows for early stopping; set split.valid or split.inner_valid", data=empty)
    runs["0"]["train"] = []
    empty = toys.write_dataset(tmp_path / "none.zarr", toys.PARTS, arrays, runs=runs)
    fail(r"pool 'all' has no rows in folds \(none\)", data=empty)


def test_a_changed_own_architecture_is_refused(dataset, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from seqmill.models.basset import Basset\nclass Mine(Basset):\n    pass\n")
    model = model_of(architecture=f"{path}:Mine", training={"max_steps": 2})
    train_model(tmp_path / "m" / "0.0", name="m", model=model, dataset=dataset, fold="0", seed=0)
    load_network(tmp_path / "m" / "0.0")
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(InputError, match=r"mine\.py: has changed since model .* was trained with it"):
        load_network(tmp_path / "m" / "0.0")


def test_a_dataset_that_was_rebuilt_or_is_another_is_refused(trained, tmp_path):
    rebuilt = toys.write_dataset(tmp_path / "toy.zarr", toys.PARTS, toys.motif_arrays(1600, seed=9))
    with pytest.raises(InputError, match=r"toy\.zarr: was rebuilt after model .* was trained on it; .* train again"):
        predict(tmp_path / "p" / "0.1.zarr", model_folder=trained, dataset=rebuilt)
    longer = toys.write_dataset(tmp_path / "longer.zarr", toys.PARTS, toys.motif_arrays(1600, bp=80))
    with pytest.raises(InputError, match=r"input 'sequence' is \(80,\), model .* was trained on \(60,\)"):
        predict(tmp_path / "p" / "0.1.zarr", model_folder=trained, dataset=longer)
    other = two_kinds(tmp_path / "other.zarr")
    with pytest.raises(InputError, match=r"other\.zarr: has no input 'sequence', which model .* was trained on"):
        predict(tmp_path / "p" / "0.1.zarr", model_folder=trained, dataset=other)
    assert not (tmp_path / "p").exists()


def test_a_damaged_model_is_refused(trained, tmp_path):
    copy = tmp_path / "0.1"
    shutil.copytree(trained, copy)
    text = (copy / "model.json").read_text()
    (copy / "model.json").write_text(text.replace('"seed": 1', '"seed": 2').replace('"seed":1', '"seed":2'))
    with pytest.raises(DamageError, match=r"model\.json"):
        load_network(copy)
    assert json.loads(text)["seed"] == 1


@pytest.mark.slow
def test_jitter_and_profiles_end_to_end(tmp_path):
    """A profile that is the local density of G: learned from jittered, turned windows with margins."""
    rng = np.random.default_rng(0)
    n, window, margin, bin_bp = 500, 64, 16, 8
    codes = rng.integers(0, 4, (n, window + 2 * margin), dtype=np.uint8)
    gc = ((codes == 1) | (codes == 2)).reshape(n, -1, bin_bp).mean(axis=2).astype(np.float32)
    profile = np.stack([100 * gc, 0.01 * gc], axis=2)
    spec = ArraySpec(
        "target", "cover", ("example", "bins", "tracks"), "float32", (12, 2), "profile", group="main",
        bp_per_bin=bin_bp, margin_bp=margin, rc="reverse", shift="moves", tracks=("big", "small"),
    )  # fmt: skip
    arrays = {
        "inputs/sequence": (toys.sequence_spec(window, margin_bp=margin), codes),
        "targets/cover/main": (spec, profile),
    }
    parts = [("tiles", "train", 400), ("tiles", "valid", 50), ("tiles", "test", 50)]
    dataset = toys.write_dataset(tmp_path / "prof.zarr", parts, arrays, margin_bp=margin)
    model = model_of(
        architecture="profile_cnn",
        settings={"channels": 12, "dilated_layers": 0, "stem_width": 5, "tower_width": 3, "dropout": 0.0},
        training={"batch_size": 32, "max_epochs": 5, "max_jitter_bp": 16, "optimizer": {"learning_rate": 0.01}},
    )
    train_model(tmp_path / "m" / "0.0", name="m", model=model, dataset=dataset, fold="0", seed=0)
    predict(tmp_path / "p" / "0.0.zarr", model_folder=tmp_path / "m" / "0.0", dataset=dataset)
    found = PredictionsReader(tmp_path / "p" / "0.0.zarr")
    assert found.targets["cover"].shape_per_example == (8, 2)
    assert np.array_equal(found.truth("cover"), profile[450:, 2:10])
    for track in (0, 1):
        truth, predicted = found.truth("cover")[..., track], found.predicted("cover")[..., track]
        assert np.corrcoef(truth.ravel(), predicted.ravel())[0, 1] > 0.9
        assert predicted.mean() == pytest.approx(truth.mean(), rel=0.1)
