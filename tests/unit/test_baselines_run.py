"""Baselines from dataset to predictions."""

import hashlib
import logging

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.unit import training_toys as toys

from seqmill.baselines import rows, tune
from seqmill.baselines.boosting import Boosted
from seqmill.baselines.fitted import _fit, read_fits, tensors_of
from seqmill.baselines.run import run_baseline
from seqmill.baselines.tune import Chosen
from seqmill.config.baselines import LINEAR_ALPHAS, Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import ArraySpec


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_motifs_are_found_and_bytes_repeat(tmp_path):
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    for out in ("a", "b"):
        folder = tmp_path / out / "kmer" / "0.0.zarr"
        run_baseline(folder, name="kmer", baseline=Baseline(kind="kmer", dataset="toy", k=5), dataset=dataset, fold="0")
    found = PredictionsReader(tmp_path / "a" / "kmer" / "0.0.zarr")
    assert roc_auc_score(found.truth("bound")[:, 0], found.predicted("bound")[:, 0]) > 0.95
    assert found.rows()["name"].tolist() == [f"row{i}" for i in range(1100, 1300)]
    assert (found.attrs["kind"], found.attrs["model"], found.attrs["features"]) == ("baseline", "kmer", 512)
    assert set(found.attrs["chosen"]["bound"]["alpha"]) <= set(LINEAR_ALPHAS)
    other = PredictionsReader(tmp_path / "b" / "kmer" / "0.0.zarr")
    assert found.digest == other.digest


def feature_dataset(folder, missing: float, kind: str = "quantity"):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 8)).astype(np.float32)
    y = (x @ rng.normal(size=(8, 2)) + 0.1 * rng.normal(size=(500, 2))).astype(np.float32)
    if kind == "fraction":
        y = 1 / (1 + np.exp(-y))
    y[rng.random(y.shape) < missing] = np.nan
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (8,), "features"), x),
        "targets/value/main": (toys.label_spec("value", ["v", "w"], kind, "float32", missing="nan"), y),
    }
    parts = [("all", "train", 300), ("all", "valid", 100), ("all", "test", 100)]
    return toys.write_dataset(folder, parts, arrays, reverse_complement=False)


@pytest.mark.parametrize("kind", ["quantity", "fraction"])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_features_without_a_sequence(tmp_path, missing, kind):
    dataset = feature_dataset(tmp_path / "f.zarr", missing, kind)
    out = tmp_path / "linear" / "0.0.zarr"
    run_baseline(out, name="linear", baseline=Baseline(kind="kmer", dataset="f"), dataset=dataset, fold="0")
    found = PredictionsReader(out)
    for track in (0, 1):
        keep = found.mask("value")[:, track]
        assert keep.mean() == pytest.approx(1 - missing, abs=0.15)
        truth, predicted = found.truth("value")[keep, track], found.predicted("value")[keep, track]
        assert np.corrcoef(truth, predicted)[0, 1] > 0.95


def test_a_profile_is_predicted_bin_by_bin(tmp_path, monkeypatch):
    """GC of each bin from local counts; small blocks and every second bin must give nearly the same."""
    rng = np.random.default_rng(0)
    n, window, bin_bp = 300, 1600, 200
    codes = rng.integers(0, 4, (n, window), dtype=np.uint8)
    rich = rng.random((n, window // bin_bp)).repeat(bin_bp, axis=1)
    codes = np.where(rng.random((n, window)) < rich, rng.integers(1, 3, (n, window)), codes).astype(np.uint8)
    gc = ((codes == 1) | (codes == 2)).reshape(n, -1, bin_bp).mean(axis=2).astype(np.float32)
    spec = ArraySpec(
        "target", "cover", ("example", "bins", "tracks"), "float32", (6, 1), "profile", group="main", bp_per_bin=bin_bp,
        offset_bp=200, rc="reverse", shift="moves", tracks=("t",),
    )  # fmt: skip
    arrays = {"inputs/sequence": (toys.sequence_spec(window), codes), "targets/cover/main": (spec, gc[:, 1:7, None])}
    parts = [("tiles", "train", 200), ("tiles", "valid", 50), ("tiles", "test", 50)]
    dataset = toys.write_dataset(tmp_path / "p.zarr", parts, arrays)
    found = []
    # these bins know nothing of their neighbours
    baseline = Baseline(kind="kmer", dataset="p", k=2, context_bp=[0])
    for bins in (10_000, 700):
        monkeypatch.setattr(tune, "BIN_ROWS", bins)
        monkeypatch.setattr(rows, "BLOCK_BYTES", 64_000_000 if bins == 10_000 else 200_000)
        out = tmp_path / str(bins) / "0.0.zarr"
        run_baseline(out, name="k", baseline=baseline, dataset=dataset, fold="0")
        reader = PredictionsReader(out)
        found.append(reader.predicted("cover"))
        assert np.array_equal(reader.truth("cover"), gc[250:, 1:7, None])
        assert np.corrcoef(found[-1].ravel(), gc[250:, 1:7].ravel())[0, 1] > 0.95
    assert np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1] > 0.95


def test_a_fit_that_is_of_something_else(tmp_path):
    dataset, out = feature_dataset(tmp_path / "f.zarr", 0.0), tmp_path / "linear" / "0.0.zarr"
    baseline = Baseline(kind="kmer", dataset="f")
    run_baseline(out, name="linear", baseline=baseline, dataset=dataset, fold="0")
    assert read_fits(out, dataset, baseline).keys() == {"value"}
    with pytest.raises(
        InputError, match=r"0\.0\.zarr.*was fitted with another dataset \([0-9a-f]{64}, now [0-9a-f]{64}\)"
    ):
        read_fits(out, feature_dataset(tmp_path / "g.zarr", 0.3), baseline)
    (tmp_path / "m.meme").write_text("MEME version 4\n")
    with pytest.raises(InputError, match=r"was fitted with another file of motifs \(None, now [0-9a-f]{64}\)"):
        read_fits(out, dataset, Baseline(kind="pwm", dataset="f", motifs=tmp_path / "m.meme"))


def test_a_track_that_boosted_trees_could_not_learn_keeps_its_constant():
    tensors = tensors_of({"bound": Chosen(None, Boosted([0.25, -3.5]), {})})
    assert _fit(tensors, "bound").boosters == [0.25, -3.5]


def test_rows_left_out_to_bound_memory_are_told(tmp_path, monkeypatch, caplog):
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    monkeypatch.setattr(tune, "HELD_BYTES", 600 * 4 * 512)
    out = tmp_path / "kmer" / "0.0.zarr"
    with caplog.at_level(logging.WARNING, "seqmill"):
        run_baseline(out, name="kmer", baseline=Baseline(kind="kmer", dataset="toy"), dataset=dataset, fold="0")
    assert "kmer baseline: target bound: 600 training rows left out to bound memory" in caplog.text


def test_messages(tmp_path):
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")

    def fail(match, fold="0", data=dataset, **changes):
        baseline = Baseline(kind="kmer", dataset="toy", **changes)
        with pytest.raises(InputError, match=match):
            run_baseline(tmp_path / "k" / "0.0.zarr", name="k", baseline=baseline, dataset=data, fold=fold)
        assert not (tmp_path / "k" / "0.0.zarr").exists()

    fail(r"has no run '3'; it has 0", fold="3")
    fail(r"has no target 'bind'; it has bound", targets=["bind"])
    runs = {"0": {"train": ["train"], "valid": ["valid"], "test": []}}
    empty = toys.write_dataset(tmp_path / "e.zarr", toys.PARTS, toys.motif_arrays(1600), runs=runs)
    fail("the test part of run 0 has no rows", data=empty)
