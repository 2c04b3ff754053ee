"""What is said of a training that learned nothing, and the loss of predicting the mean, by hand."""

import json
import logging

import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.config.heads import Head
from seqmill.config.models import Model
from seqmill.runtime.errors import InputError
from seqmill.stores.model import ModelReader
from seqmill.stores.specs import ArraySpec
from seqmill.training.augment import View
from seqmill.training.heads import FittedHead
from seqmill.training.jitter import Jitter
from seqmill.training.kinds import Scaling, Statistics
from seqmill.training.notes import learning_notes, mean_loss, mean_output
from seqmill.training.train import train_model


def statistics_of(values: np.ndarray) -> Statistics:
    statistics = Statistics(values.shape[-1])
    statistics.add(values, None)
    return statistics


def head(kind: str, centre: list[float], scale: list[float], **section) -> FittedHead:
    scaling = Scaling(np.asarray(centre, np.float32), np.asarray(scale, np.float32))
    return FittedHead(kind, Head(**section), scaling)


def test_outputs_that_predict_the_mean():
    labels = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    for kind in ("binary", "fraction"):
        found = head(kind, [0, 0], [1, 1]).predict(mean_output(head(kind, [0, 0], [1, 1]), statistics_of(labels))[None])
        np.testing.assert_allclose(found[0], [0.75, 0.25], rtol=1e-6)
    one = head("class", [0, 0], [1, 1])
    np.testing.assert_allclose(one.predict(mean_output(one, statistics_of(labels))[None])[0], [0.75, 0.25], rtol=1e-6)
    counts = head("count", [0, 0], [3, 5])
    np.testing.assert_allclose(counts.predict(mean_output(counts, statistics_of(labels))[None])[0], [3, 5], rtol=1e-5)
    quantity = head("quantity", [7, 8], [3, 5])
    np.testing.assert_allclose(quantity.predict(mean_output(quantity, statistics_of(labels))[None])[0], [7, 8])
    assert mean_output(head("beta_binomial", [0, 0], [1, 1]), statistics_of(labels)) is None


def test_loss_of_the_mean_by_hand():
    """Binary: cross-entropy of the training share; quantity: squared distance to the training mean; gaps left out."""
    train_calls, train_values = np.array([[1.0], [0.0], [0.0], [0.0]]), np.array([[2.0], [4.0], [6.0], [8.0]])
    calls = np.array([[1], [0], [1]], np.uint8)
    values = np.array([[5.0], [np.nan], [11.0]], np.float32)
    scale = train_values.std()
    heads = {"calls": head("binary", [0], [1], weight=2.0), "values": head("quantity", [5], [scale], weight=0.5)}
    targets = {
        "calls": toys.label_spec("calls", ["a"]),
        "values": toys.label_spec("values", ["b"], "quantity", "float32"),
    }
    batch = {
        "row": np.arange(4),
        "targets/calls": np.pad(calls, ((0, 1), (0, 0))),
        "targets/values": values[[0, 1, 2, 2]],
    }
    fitted = {"calls": statistics_of(train_calls), "values": statistics_of(train_values)}
    found = mean_loss(View({}, targets, Jitter(0, 1), False), heads, fitted, iter([(batch, 3)]))
    by_hand = 2 * -(2 * np.log(0.25) + np.log(0.75)) / 3 + 0.5 * ((5 - 5) ** 2 + (11 - 5) ** 2) / scale**2 / 2
    assert found == pytest.approx(by_hand, rel=1e-6)
    assert mean_loss(View({}, {}, Jitter(0, 1), False), {}, {}, iter([])) is None


def entries(train: list[float], valid: list[float]) -> list[dict[str, float]]:
    return [{"epoch": i + 1, "train_loss": a, "valid_loss": b} for i, (a, b) in enumerate(zip(train, valid))]


def test_sentences():
    assert learning_notes(entries([0.9, 0.8], [0.7, 0.6]), 0.65, 0.01) == []
    assert learning_notes(entries([0.9], [0.6]), 0.65, 0.01) == []
    assert learning_notes(entries([0.9, 0.8], [0.7, 0.65]), 0.65, 3.0) == [
        "the best validation loss (0.65, pass 2) is not below that of predicting the mean of the training labels "
        "(0.65): nothing was learned; try another learning_rate (now 3) or more passes, and check the labels"
    ]
    assert learning_notes(entries([0.5, 0.9, 0.5], [0.3, 0.4, 0.5]), None, 1.0) == [
        "the training loss never fell below that of the first pass (0.5); "
        "try another learning_rate (now 1) or more passes, and check the labels"
    ]


def dataset_of(folder, labels: np.ndarray, runs=toys.RUNS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(labels), 4)).astype(np.float32)
    spec = toys.label_spec("calls", [f"t{i}" for i in range(labels.shape[1])], "quantity", "float32", missing="nan")
    if labels.dtype == np.uint8:
        spec = toys.label_spec("calls", [f"t{i}" for i in range(labels.shape[1])])
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (4,), "features"), x),
        "targets/calls/main": (spec, labels),
    }
    parts = [("all", "train", 80), ("all", "valid", 20), ("all", "test", 20)]
    return toys.write_dataset(folder, parts, arrays, reverse_complement=False, runs=runs)


def train(out, dataset, **training) -> ModelReader:
    settings = {"batch_size": 16, "max_steps": 4} | training
    model = Model.model_validate(
        {"architecture": "dense", "dataset": "d", "settings": {"hidden": [4]}, "training": settings}
    )
    train_model(out, name="m", model=model, dataset=dataset, fold="0", seed=0)
    return ModelReader(out)


def test_a_rate_that_learns_nothing_is_noted(tmp_path, caplog):
    """Labels are one in ten, the rate is next to nothing: worse than the share of the training rows."""
    labels = (np.random.default_rng(1).random((120, 2)) < 0.1).astype(np.uint8)
    labels[:80, 1] = 0  # one class in training: named, trained, warned of
    found = train(tmp_path / "m" / "0.0", dataset_of(tmp_path / "d.zarr", labels), optimizer={"learning_rate": 1e-9})
    note = found.info["note"]
    one_class = "target calls: 1 of 2 tracks have one value in all training rows: t1"
    assert note.startswith(f"{one_class}; the best validation loss (")
    assert "is not below that of predicting the mean of the training labels (" in note
    assert note.endswith("try another learning_rate (now 1e-09) or more passes, and check the labels")
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == [f"m/0.0: {one_class}", f"m/0.0: {note.removeprefix(one_class + '; ')}"]


def test_a_good_training_has_no_note_and_its_cost_is_recorded(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="seqmill")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4)).astype(np.float32)  # the features of `dataset_of`
    values = (x[:, :1] * 3 + 10).astype(np.float32)
    values[::9] = np.nan
    found = train(
        tmp_path / "m" / "0.0", dataset_of(tmp_path / "d.zarr", values), max_steps=60, max_epochs=20,
        optimizer={"learning_rate": 0.03},
    )  # fmt: skip
    assert found.info["note"] == ""
    assert "m/0.0: trained in " in caplog.records[-1].getMessage()
    assert "; peak memory " in caplog.records[-1].getMessage()
    record = json.loads((found.folder / "run.json").read_text())
    assert record["peak_memory_bytes"] > 10_000_000
    assert record["device_peak_memory_bytes"] is None  # the CPU backend does not count
    assert record["examples"] == 16 * found.info["steps"]


def test_labels_without_which_nothing_can_be_trained(tmp_path):
    values = np.random.default_rng(0).normal(size=(120, 1)).astype(np.float32)

    def fail(match: str, name: str, **changes) -> None:
        with pytest.raises(InputError, match=match):
            train(tmp_path / "m" / "0.0", dataset_of(tmp_path / f"{name}.zarr", **changes))
        assert not (tmp_path / "m").exists()

    nothing = values.copy()
    nothing[:80] = np.nan
    fail(r"a\.zarr:calls: target 'calls' has no label in the training rows$", "a", labels=nothing)
    blind = values.copy()
    blind[80:100] = np.nan
    fail(r"b\.zarr:calls: target 'calls' has no label in the validation rows of run 0$", "b", labels=blind)
    same = np.zeros((120, 2), np.uint8)
    fail(r"c\.zarr:calls: target 'calls': all training labels of each track are the same \(0\)", "c", labels=same)
    runs = {"0": {"train": [], "valid": ["valid"], "test": ["test"]}}
    fail(r"training rows: pool 'all' has no rows in folds \(none\)$", "d", labels=values, runs=runs)
