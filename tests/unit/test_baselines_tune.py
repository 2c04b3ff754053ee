"""Baselines: every kind and fit, and how their settings are chosen."""

import logging
from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler
from tests.unit import training_toys as toys

from seqmill.baselines import tune
from seqmill.baselines.fitted import read_fits
from seqmill.baselines.run import run_baseline
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import ArraySpec


class OnlyRows:
    """A reader that gives no other rows than the given ranges."""

    def __init__(self, reader, ranges):
        self.reader, self.ranges = reader, ranges

    def __getattr__(self, name):
        return getattr(self.reader, name)

    def read(self, key, start, stop):
        assert any(a <= start and stop <= b for a, b in self.ranges), f"{key} {start}-{stop}"
        return self.reader.read(key, start, stop)


@pytest.mark.parametrize("fit", ["linear", "lasso", "elastic_net", "boosting"])
def test_settings_are_chosen_without_a_test_row(tmp_path, fit):
    """Rows of the test part are not even read, and what is chosen is best on the validation rows."""
    reader = DatasetReader(toys.motif_dataset(tmp_path / "toy.zarr"))
    train, valid = [(0, 300), (1300, 1400)], [(900, 1100)]
    baseline = Baseline(
        kind="kmer", dataset="toy", k=3, min_k=1, fit=fit, leaves=[2, 8], max_trees=60, central_bp=[60, 20]
    )
    guarded = OnlyRows(reader, [*train, *valid])
    tune.fit_target(guarded, "bound", baseline, True, train, valid)
    baseline = baseline.model_copy(update={"refit": False})
    chosen = tune.fit_target(guarded, "bound", baseline, True, train, valid)
    with pytest.raises(AssertionError, match="1100-1200"):
        chosen.predict(1100, 1200)
    assert chosen.settings["central_bp"] == 60  # a motif is anywhere, so a part of the window knows less
    chosen.rows.reader = reader
    losses = {}
    labels = reader.read("targets/bound", 900, 1100)
    names = {"boosting": ["leaves"], "elastic_net": ["alpha", "l1_ratio"]}.get(fit, ["alpha"])
    fields = {"alpha": "alphas", "l1_ratio": "l1_ratios", "leaves": "leaves"}
    values = [baseline.penalties if name == "alpha" else getattr(baseline, fields[name]) for name in names]
    for setting in product(*values):
        one = baseline.model_copy(update={fields[n]: [v] for n, v in zip(names, setting)} | {"central_bp": [60]})
        predicted = tune.fit_target(reader, "bound", one, True, train, valid).predict(900, 1100)
        losses[setting] = [log_loss(labels[:, t], predicted[:, t]) for t in range(2)]
    for track in range(2):
        best = tuple(chosen.settings[name][track] for name in names)
        assert losses[best][track] == pytest.approx(min(each[track] for each in losses.values()), abs=1e-4)


def run(tmp_path, dataset, label="b", **settings):
    out = tmp_path / label / "0.0.zarr"
    run_baseline(out, name=label, baseline=Baseline(dataset="d", **settings), dataset=dataset, fold="0")
    return PredictionsReader(out)


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"kind": "gapped_kmer", "k": 4, "word_bp": 6}, 0.95),
        ({"kind": "kmer", "k": 4, "fit": "lasso"}, 0.9),
        ({"kind": "kmer", "k": 4, "fit": "elastic_net", "l1_ratios": [0.5]}, 0.9),
        ({"kind": "kmer", "k": 4, "fit": "boosting", "max_trees": 100, "leaves": [4]}, 0.9),
        ({"kind": "pwm"}, 0.95),
    ],
)
def test_every_kind_finds_the_motif(tmp_path, settings, least):
    if settings["kind"] == "pwm":
        path = tmp_path / "m.meme"
        rows = "".join(" ".join("1" if base == code else "0" for base in range(4)) + "\n" for code in toys.MOTIF)
        path.write_text("MEME version 4\n\nMOTIF e\nletter-probability matrix: alength= 4 w= 6\n" + rows)
        settings = settings | {"motifs": path}
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    found = run(tmp_path, dataset, **settings)
    read = read_fits(found.folder, dataset, Baseline(dataset="d", **settings))
    assert np.array_equal(read["bound"].predict(1100, 1300), found.predicted("bound"))
    for track in range(2):
        assert roc_auc_score(found.truth("bound")[:, track], found.predicted("bound")[:, track]) > least


def test_boosted_trees_repeat_and_depend_on_the_seed(tmp_path):
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    settings = {"kind": "kmer", "k": 3, "fit": "boosting", "max_trees": 40, "leaves": [4]}
    first, again, other = (
        run(tmp_path, dataset, label, seed=s, **settings) for label, s in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.predicted("bound").tobytes() == again.predicted("bound").tobytes()
    assert first.predicted("bound").tobytes() != other.predicted("bound").tobytes()
    assert all(0 < trees <= 40 for trees in first.attrs["chosen"]["bound"]["trees"])


def test_trees_find_what_a_line_cannot(tmp_path):
    """Values that depend on the product of two features, with gaps, and a track that never varies."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 3)).astype(np.float32)
    y = np.stack([np.sign(x[:, 0] * x[:, 1]), np.full(1500, 3.0)], axis=1).astype(np.float32)
    y[rng.random(y.shape) < 0.2] = np.nan
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (3,), "features"), x),
        "targets/value/main": (toys.label_spec("value", ["v", "w"], "quantity", "float32", missing="nan"), y),
    }
    parts = [("all", "train", 1000), ("all", "valid", 250), ("all", "test", 250)]
    dataset = toys.write_dataset(tmp_path / "f.zarr", parts, arrays, reverse_complement=False)
    scores = {}
    for fit in ("linear", "boosting"):
        found = run(tmp_path, dataset, fit, kind="kmer", fit=fit)
        keep = found.mask("value")[:, 0]
        scores[fit] = np.corrcoef(found.truth("value")[keep, 0], found.predicted("value")[keep, 0])[0, 1]
        np.testing.assert_allclose(found.predicted("value")[:, 1], 3.0, rtol=1e-5)
    assert scores["boosting"] > 0.9 > 0.3 > scores["linear"]
    assert found.attrs["chosen"]["value"]["trees"][1] == 0


@pytest.mark.parametrize("fit", ["linear", "lasso", "boosting"])
def test_classes(tmp_path, fit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 3)).astype(np.float32)
    number = (x + rng.normal(size=x.shape) * 0.3).argmax(axis=1)
    spec = toys.label_spec("kind", ["a", "b", "c"], "class", "float32")
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (3,), "features"), x),
        "targets/kind/main": (spec, np.eye(3, dtype=np.float32)[number]),
    }
    parts = [("all", "train", 600), ("all", "valid", 150), ("all", "test", 150)]
    dataset = toys.write_dataset(tmp_path / "f.zarr", parts, arrays, reverse_complement=False)
    found = run(tmp_path, dataset, kind="kmer", fit=fit)
    np.testing.assert_allclose(found.predicted("kind").sum(axis=1), 1, rtol=1e-5)
    assert (found.predicted("kind").argmax(axis=1) == number[750:]).mean() > 0.8
    chosen = found.attrs["chosen"]["kind"]
    assert len(set(chosen.get("alpha", chosen.get("leaves")))) == 1  # one setting for all classes


def test_the_surroundings_are_chosen(tmp_path):
    """Bins whose value lies in the bins beside them need them, and others do not."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (200, 800), dtype=np.uint8)
    a = (codes == 0).reshape(200, 8, 100).mean(axis=2).astype(np.float32)
    beside = a[:, 1:7] + a[:, 0:6] + a[:, 2:8]
    axes = ("example", "bins", "tracks")

    def spec(name):
        return ArraySpec(
            "target", name, axes, "float32", (6, 1), "profile", group="main", bp_per_bin=100, offset_bp=100,
            rc="reverse", shift="moves", tracks=("t",),
        )  # fmt: skip

    arrays = {
        "inputs/sequence": (toys.sequence_spec(800), codes),
        "targets/own/main": (spec("own"), a[:, 1:7, None]),
        "targets/beside/main": (spec("beside"), beside[:, :, None]),
    }
    parts = [("tiles", "train", 140), ("tiles", "valid", 30), ("tiles", "test", 30)]
    dataset = toys.write_dataset(tmp_path / "p.zarr", parts, arrays, reverse_complement=False)
    found = run(tmp_path, dataset, kind="kmer", k=1, context_bp=[200, 0, 100])
    assert {name: found.attrs["chosen"][name]["context_bp"] for name in ("own", "beside")} == {"own": 0, "beside": 100}
    assert np.corrcoef(found.truth("beside").ravel(), found.predicted("beside").ravel())[0, 1] > 0.999


def test_kinds_that_cannot_be_fitted(tmp_path, caplog):
    n = 1600
    shares = np.random.default_rng(0).dirichlet([1, 1], n).astype(np.float32)
    arrays = toys.motif_arrays(n) | {
        "targets/tissue/main": (toys.label_spec("tissue", ["x", "y"], "distribution", "float32"), shares)
    }
    dataset = toys.write_dataset(tmp_path / "d.zarr", toys.PARTS, arrays)
    settings = {"kind": "gc", "fit": "boosting", "max_trees": 5, "leaves": [2]}
    message = "gc baseline: target 'tissue' is of kind distribution, which 'fit: boosting' cannot fit"
    with pytest.raises(InputError, match=message):
        run(tmp_path, dataset, targets=["tissue"], **settings)
    with caplog.at_level(logging.WARNING, "seqmill"):
        assert list(run(tmp_path, dataset, **settings).targets) == ["bound"]
    assert "gc baseline: not fitted: tissue" in caplog.text
    found = run(tmp_path, dataset, "l", kind="gc")
    np.testing.assert_allclose(found.predicted("tissue").sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "kmer", "min_k": 6}, "min_k 6 is above k 5"),
        ({"kind": "gapped_kmer", "k": 8, "word_bp": 6}, "k 8 letters within word_bp 6"),
        ({"kind": "gc", "positions": True}, "'positions' goes with 'kmer' and 'gapped_kmer'"),
        ({"kind": "pwm"}, "'motifs' names the motifs of kind 'pwm'"),
        ({"kind": "kmer", "motifs": "x.meme"}, "'motifs' names the motifs of kind 'pwm'"),
        ({"kind": "kmer", "fit": "lasso", "alphas": [1.0]}, "above 0 and, with 'lasso' and 'elastic_net', below 1"),
        ({"kind": "kmer", "alphas": [0.0]}, "above 0"),
        ({"kind": "kmer", "fit": "elastic_net", "l1_ratios": [0.0]}, r"l1_ratios \[0.0\]: above 0, at most 1"),
        ({"kind": "kmer", "leaves": [1]}, "leaves from 2 on"),
        ({"kind": "svm"}, "kmer"),
    ],
)
def test_refused_sections(settings, message):
    with pytest.raises(ValidationError, match=message):
        Baseline(dataset="d", **settings)


def test_the_chosen_model_is_fitted_again_with_the_validation_rows(tmp_path):
    """Two tracks with different penalties: each is scikit-learn's fit of all rows that are no test rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 30)).astype(np.float32)
    weights = rng.normal(size=30)
    y = np.stack([x @ weights, 0.02 * x @ weights + rng.normal(size=400)], axis=1).astype(np.float32)
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (30,), "features"), x),
        "targets/value/main": (toys.label_spec("value", ["v", "w"], "quantity", "float32"), y),
    }
    parts = [("all", "train", 200), ("all", "valid", 100), ("all", "test", 100)]
    dataset = toys.write_dataset(tmp_path / "f.zarr", parts, arrays, reverse_complement=False)
    found = run(tmp_path, dataset, kind="kmer")
    alphas = found.attrs["chosen"]["value"]["alpha"]
    assert alphas[0] < alphas[1]
    scaler = StandardScaler().fit(x[:300].astype(np.float64))
    for track, alpha in enumerate(alphas):
        expected = Ridge(alpha=alpha).fit(scaler.transform(x[:300]), y[:300, track]).predict(scaler.transform(x[300:]))
        np.testing.assert_allclose(found.predicted("value")[:, track], expected, atol=1e-3)
