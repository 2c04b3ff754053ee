"""The metric table from real predictions stores, against scikit-learn and answers known by construction."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, average_precision_score, matthews_corrcoef, roc_auc_score
from tests.unit.evaluation_toys import N, binary, pooled, rows_of, spec, write

from seqmill.evaluation.tables import evaluate
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker, verify_folder
from seqmill.stores.specs import TargetSpec


def test_binary_values_equal_scikit_learn_and_masked_labels_do_not_count(tmp_path):
    values = binary(np.random.default_rng(3), 1.0)
    path = write(tmp_path, {"peaks": values}, {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")})
    evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(tmp_path / "toy")
    predicted, truth, mask = values
    lines = found.set_index(["track", "metric"])
    for i, track in enumerate("abc"):
        y, x = truth[mask[:, i], i], predicted[mask[:, i], i]
        for metric, function in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
            line = lines.loc[(track, metric)]
            assert line["value"] == pytest.approx(function(y, x), rel=1e-5)
            assert line["ci_low"] < line["value"] < line["ci_high"]
            assert (line["n"], line["n_pos"]) == (len(y), y.sum())
            assert line["prevalence"] == pytest.approx(y.mean(), rel=1e-5)
        for metric, function in (("matthews", matthews_corrcoef), ("accuracy", accuracy_score)):
            line = lines.loc[(track, metric)]
            assert line["value"] == pytest.approx(function(y, x >= 0.5), rel=1e-5)
            assert line["ci_low"] < line["value"] < line["ci_high"]
    each = found.query("over == 'track' and metric == 'auroc'")["value"]
    summary = found[found.metric == "auroc"].set_index("over")["value"]
    assert summary["mean of tracks"] == pytest.approx(each.mean(), rel=1e-5)
    assert summary["median of tracks"] == pytest.approx(each.median(), rel=1e-5)
    assert set(found["blocks"]) == {12}


def test_quantities_and_profiles_equal_scipy(tmp_path):
    rng = np.random.default_rng(4)
    truth, bins = rng.normal(size=(N, 2)).astype(np.float32), rng.poisson(3, size=(N, 5, 2)).astype(np.float32)
    truth[::7, 0] = np.nan
    predicted, expected = rng.normal(size=(N, 2)) + np.nan_to_num(truth), bins + rng.normal(size=bins.shape)
    path = write(
        tmp_path,
        {"level": (predicted, truth, ~np.isnan(truth)), "shape": (expected, bins, np.ones(bins.shape, bool))},
        {"level": spec("quantity", ["a", "b"]), "shape": spec("profile", ["a", "b"], (5, 2))},
    )
    evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(tmp_path / "toy").query("over == 'track'").set_index(["target", "track", "metric"])
    for i, track in enumerate("ab"):
        keep = ~np.isnan(truth[:, i])
        y, x = truth[keep, i], predicted[keep, i].astype(np.float32)
        assert found.loc[("level", track, "pearson"), "value"] == pytest.approx(pearsonr(y, x)[0], rel=1e-5)
        assert found.loc[("level", track, "spearman"), "value"] == pytest.approx(spearmanr(y, x)[0], rel=1e-5)
        residual = ((y - x) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        assert found.loc[("level", track, "r2"), "value"] == pytest.approx(1 - residual, abs=1e-5)
        r = pearsonr(bins[..., i].ravel(), expected[..., i].astype(np.float32).ravel())[0]
        assert found.loc[("shape", track, "pearson"), "value"] == pytest.approx(r, rel=1e-5)
        assert found.loc[("shape", track, "pearson"), "n"] == N * 5


def test_undefined_tracks_are_named_and_left_out_of_the_summary(tmp_path):
    predicted, truth, mask = binary(np.random.default_rng(1), 1.0)
    truth[:, 1] = 0
    mask[:, 2] = False
    path = write(
        tmp_path, {"peaks": (predicted, truth, mask)}, {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    )
    evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(tmp_path / "toy").query("metric == 'auroc'").set_index("track")
    assert found.loc["b", "note"] == "undefined: no positives"
    assert found.loc["c", "note"] == "undefined: no values"
    summary = found[found["over"] == "mean of tracks"].iloc[0]
    assert summary["value"] == found.loc["a", "value"]
    assert summary["note"] == "2 of 3 tracks undefined"


def test_predictions_of_two_dataset_versions_are_refused(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    values = {"peaks": binary(np.random.default_rng(1), 1)}
    first, second = write(tmp_path, values, specs), write(tmp_path, values, specs, model="other", digest="e")
    with pytest.raises(InputError, match=r"toy: predictions \(net 0.0, other 0.0\) were made from different versions"):
        evaluate(tmp_path / "toy", name="toy", predictions=[first, second], figures=False)
    assert not (tmp_path / "toy").exists()


def test_an_empty_test_part_is_said_not_crashed_on(tmp_path):
    values = {"peaks": tuple(array[:0] for array in binary(np.random.default_rng(1), 1.0))}
    level = (np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32), np.zeros((0, 1), bool))
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8"), "level": spec("quantity", ["x"])}
    path = write(tmp_path, {**values, "level": level}, specs, rows=rows_of()[:0])
    evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(tmp_path / "toy").query("over == 'track'")
    assert set(found["note"]) == {"undefined: no values", "undefined: fewer than two values"}
    assert set(found["n"]) == {0}


def test_nan_predictions_are_refused(tmp_path):
    predicted, truth, mask = binary(np.random.default_rng(1), 1.0)
    predicted[0] = np.nan
    mask[0] = True
    path = write(
        tmp_path, {"peaks": (predicted, truth, mask)}, {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    )
    with pytest.raises(InputError, match="predictions of target peaks hold NaN"):
        evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)


def test_bytes_are_the_same_again_and_the_marker_fits(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(5), 1.0)}, specs)
    digests = []
    for _ in range(2):
        evaluate(tmp_path / "evaluation" / "toy", name="toy", predictions=[net], figures=False)
        digests.append(read_marker(tmp_path / "evaluation" / "toy", noun="evaluation").digest)
    assert digests[0] == digests[1]
    assert verify_folder(tmp_path / "evaluation" / "toy") == []
    marker = read_marker(tmp_path / "evaluation" / "toy")
    assert marker.attrs["inputs"] == {"predictions/net/0.0.zarr": read_marker(net).digest}


def test_scalar_target_without_tracks_has_its_own_name(tmp_path):
    rng = np.random.default_rng(4)
    truth = rng.normal(size=N).astype(np.float32)
    one = TargetSpec("score", "quantity", "float32", ("example",), ())
    path = write(tmp_path, {"score": (truth + 1, truth, np.ones(N, bool))}, {"score": one}, unit="row")
    evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(tmp_path / "toy").query("over == 'track'").set_index("metric")
    assert set(found["track"]) == {"score"}
    assert found.loc["pearson", "value"] == pytest.approx(1)
    assert found.loc["pearson", "blocks"] == N
