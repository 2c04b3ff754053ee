"""One network learns a target of each kind that has more than a number an example, from dataset to predictions."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from tests.unit import training_toys as toys

from seqmill.config.heads import Head
from seqmill.config.models import Model
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import ArraySpec
from seqmill.training.labels import fit_heads
from seqmill.training.predict import predict
from seqmill.training.train import train_model

BINS, ROWS = 6, 700
SLOPES = np.array([[-2.0, -1.0, 0.0, 0.0, 1.0, 2.0], [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]])


def target(name: str, kind: str, tracks: tuple[str, ...], dtype="float32", extra: dict[str, int] | None = None):
    extra = extra or {}
    axes, shape = ("example", *extra, "tracks"), (*extra.values(), len(tracks))
    return ArraySpec("target", name, axes, dtype, shape, kind, group="main", tracks=tracks)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """Labels drawn by known rules of two features x: class, shares, successes, profile and its total."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2)).astype(np.float32)
    classes = (x @ [[3, 0, -3], [0, 3, 0]]).argmax(axis=1)
    trials = rng.integers(0, 30, ROWS)
    hits = rng.binomial(trials, expit(2 * x[:, 0]))
    totals = np.exp(4 + 0.8 * x[:, 1])
    shape = softmax(x[:, :1, None] * SLOPES.T[None], axis=1)  # (row, bin, track)
    profile = rng.poisson(totals[:, None, None] * shape * [1, 3])
    arrays = {
        "inputs/x": (ArraySpec("input", "x", ("example", "n"), "float32", (2,), "features"), x),
        "targets/class/main": (target("class", "class", ("a", "b", "c"), "uint8"), np.eye(3, dtype=np.uint8)[classes]),
        "targets/shares/main": (
            target("shares", "distribution", ("p", "q")),
            np.stack([expit(x[:, 1]), expit(-x[:, 1])], axis=1).astype(np.float32),
        ),
        "targets/methylated/main": (
            target("methylated", "beta_binomial", ("cell",), extra={"count": 2}),
            np.stack([hits, trials], axis=1)[:, :, None].astype(np.float32),
        ),
        "targets/profile/main": (
            target("profile", "profile", ("plus", "minus"), extra={"bins": BINS}),
            profile.astype(np.float32),
        ),
        "targets/total/main": (target("total", "count", ("plus", "minus")), profile.sum(axis=1).astype(np.float32)),
    }
    parts = [("rows", "train", 500), ("rows", "valid", 100), ("rows", "test", 100)]
    dataset = toys.write_dataset(folder / "kinds.zarr", parts, arrays)
    model = Model.model_validate(
        {
            "architecture": "dense",
            "dataset": "kinds",
            "settings": {"hidden": []},
            "targets": {
                "class": {"class_weights": "balanced", "label_smoothing": 0.01},
                "shares": {},
                "methylated": {"track_weights": {"cell": 2}},
                "profile": {"loss": "multinomial", "total": "total"},
                "total": {"loss": "log_mse"},
            },
            "training": {"batch_size": 50, "max_epochs": 30, "patience": 30, "optimizer": {"learning_rate": 0.05}},
        }
    )
    train_model(folder / "m", name="kinds", model=model, dataset=dataset, fold="0", seed=0)
    predict(folder / "p.zarr", model_folder=folder / "m", dataset=dataset)
    test = slice(600, ROWS)
    known = {"class": classes, "rate": expit(2 * x[:, 0]), "totals": totals, "shape": shape, "share": expit(x[:, 1])}
    return PredictionsReader(folder / "p.zarr"), {key: values[test] for key, values in known.items()}, folder


@pytest.mark.slow
def test_classes_and_shares(predictions):
    reader, known, _ = predictions
    found = reader.predicted("class")
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == known["class"]).mean() > 0.9
    np.testing.assert_allclose(reader.predicted("shares")[:, 0], known["share"], atol=0.03)


def test_successes_of_trials(predictions):
    reader, known, _ = predictions
    mean, concentration = reader.predicted("methylated")[:, :, 0].T
    assert np.abs(mean - known["rate"]).mean() < 0.05
    assert (concentration > 5).all()  # the labels are binomial: concentration without end


def test_a_profile_is_its_shape_times_its_predicted_total(predictions):
    reader, known, _ = predictions
    profile, total = reader.predicted("profile"), reader.predicted("total")
    # Profile and count are in one unit here, so the sum of the profile is near the count (means of training rows).
    np.testing.assert_allclose(profile.sum(axis=1), total, rtol=1e-3)
    np.testing.assert_allclose(profile / profile.sum(axis=1, keepdims=True), known["shape"], atol=0.05)
    assert np.abs(np.log(total / (known["totals"][:, None] * [1, 3]))).mean() < 0.15


def test_the_model_keeps_its_heads(predictions):
    _, _, folder = predictions
    info = ModelReader(folder / "m").info
    heads = info["heads"]
    assert {name: head["section"]["loss"] for name, head in heads.items()} == {
        "class": "cross_entropy",
        "shares": "cross_entropy",
        "methylated": "likelihood",
        "profile": "multinomial",
        "total": "log_mse",
    }
    assert len(heads["class"]["class_weights"]) == 3
    assert heads["methylated"]["track_weights"] == [2]
    assert (info["objective"], list(info["predicted"])) == ("supervised", list(heads))


def test_normalised_tracks_and_the_multinomial_loss(tmp_path, caplog):
    counts = np.random.default_rng(3).poisson(5, (40, BINS, 2)).astype(np.float32)
    counts[..., 1] /= 7
    dataset = toys.write_dataset(
        tmp_path / "d.zarr",
        [("rows", "train", 40)],
        {
            "inputs/x": (ArraySpec("input", "x", ("example", "n"), "float32", (2,), "features"), counts[:, 0]),
            "targets/p/main": (target("p", "profile", ("raw", "scaled"), extra={"bins": BINS}), counts),
        },
    )
    reader = DatasetReader(dataset)
    _, _, notes = fit_heads(reader, {"p": Head(loss="multinomial")}, [(0, 40)], "m/0.0")
    assert notes == ["target p: loss multinomial is for raw counts; normalised tracks: scaled"]
    assert f"m/0.0: {notes[0]}" in caplog.text
    assert fit_heads(reader, {"p": Head()}, [(0, 40)], "m/0.0")[2] == []
