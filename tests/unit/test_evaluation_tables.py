"""The metric table from real predictions stores, against scikit-learn and answers known by construction."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from seqmill.evaluation.tables import evaluate, verdict
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import read_marker, verify_folder
from seqmill.stores.predictions import PredictionsWriter
from seqmill.stores.specs import TargetSpec

N = 600


def rows_of(n=N, contigs=12):
    contig = np.arange(n) % contigs
    start = np.arange(n) // contigs * 1000
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": [f"chr{i + 1}" for i in contig],
            "start": start,
            "end": start + 600,
            "strand": 1,
            "pool": "peaks",
            "fold": "test",
            "group": "",
            "name": "",
            "source_row": np.arange(n),
        }
    )


def spec(kind, tracks, shape=None, dtype="float32"):
    shape = shape or (len(tracks),)
    axes = ("example", "bins", "tracks") if len(shape) == 2 else ("example", "tracks")
    return TargetSpec("t", kind, dtype, axes, shape, tuple(tracks), strand_pairs=range(len(tracks)))


def write(folder, values, specs, *, model="net", kind="network", rows=None, digest="d", fold="0", unit="contig"):
    attrs = {"kind": kind, "model": model, "dataset": "toy", "dataset_digest": digest, "fold": fold, "seed": 0}
    rows = rows_of() if rows is None else rows
    path = folder / model / f"{fold}.0.zarr"
    with PredictionsWriter(path, model, {**attrs, "bootstrap_unit": unit}, specs) as writer:
        for start in range(0, len(rows), 250):
            piece = slice(start, start + 250)
            writer.append(rows[piece], {t: tuple(a[piece] for a in arrays) for t, arrays in values.items()})
    return path


def binary(rng, skill, n=N, tracks=3, mask=True):
    truth = (np.random.default_rng(0).random((n, tracks)) < 0.3).astype(np.uint8)
    predicted = (rng.normal(size=(n, tracks)) + skill * truth).astype(np.float32)
    present = np.random.default_rng(1).random((n, tracks)) < (0.9 if mask else 2)
    return predicted, truth, present


def table(out, name="metrics"):
    return pd.read_csv(out / f"{name}.tsv", sep="\t", keep_default_na=False, na_values=[""])


def test_binary_values_equal_scikit_learn_and_masked_labels_do_not_count(tmp_path):
    values = binary(np.random.default_rng(3), 1.0)
    path = write(tmp_path, {"peaks": values}, {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")})
    evaluate(tmp_path / "toy", name="toy", predictions=[path])
    found = table(tmp_path / "toy")
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
    evaluate(tmp_path / "toy", name="toy", predictions=[path])
    found = table(tmp_path / "toy").query("over == 'track'").set_index(["target", "track", "metric"])
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


def test_comparison_says_better_worse_and_no_difference(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(5), 1.0)}, specs)
    weak = write(tmp_path, {"peaks": binary(np.random.default_rng(6), 0.1)}, specs, model="weak", kind="baseline")
    strong = write(tmp_path, {"peaks": binary(np.random.default_rng(7), 3.0)}, specs, model="strong", kind="baseline")
    same = write(tmp_path, {"peaks": binary(np.random.default_rng(5), 1.0)}, specs, model="same", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[weak, net, strong, same])
    found = table(tmp_path / "toy", "comparison").set_index(["baseline", "metric"])
    assert found.loc[("weak", "auroc"), "verdict"] == "better than"
    assert found.loc[("strong", "auroc"), "verdict"] == "worse than"
    assert found.loc[("same", "auroc"), "verdict"] == "no clear difference"
    assert found.loc[("same", "auroc"), "difference"] == 0
    line = found.loc[("weak", "auprc")]
    assert line["ci_low"] < line["difference"] < line["ci_high"]
    assert (line["tracks"], line["tracks_better"]) == (3, 3)
    assert list(table(tmp_path / "toy")["model"].unique()) == ["net", "same", "strong", "weak"]


def test_paired_interval_is_narrower_than_unpaired(tmp_path):
    """Two nearly equal models on the same rows: their difference is known better than either value."""
    specs = {"peaks": spec("binary", ["a"], dtype="uint8")}
    predicted, truth, mask = binary(np.random.default_rng(8), 1.0, tracks=1)
    nudged = predicted + np.random.default_rng(9).normal(size=predicted.shape).astype(np.float32) * 0.1
    net = write(tmp_path, {"peaks": (predicted, truth, mask)}, specs)
    base = write(tmp_path, {"peaks": (nudged, truth, mask)}, specs, model="base", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base])
    paired = table(tmp_path / "toy", "comparison").query("metric == 'auroc'").iloc[0]
    alone = table(tmp_path / "toy").query("metric == 'auroc' and over == 'track' and model == 'net'").iloc[0]
    assert paired["ci_high"] - paired["ci_low"] < 0.5 * (alone["ci_high"] - alone["ci_low"])


def test_few_blocks_give_words_instead_of_an_interval(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    rows = rows_of(contigs=3)  # each short of 200 kb: one stretch of 100 kb or more a contig
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(1), 1)}, specs, rows=rows)
    base = write(tmp_path, {"peaks": binary(np.random.default_rng(2), 0)}, specs, rows=rows, model="b", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base])
    found = table(tmp_path / "toy")
    assert set(found["blocks"]) == {3}
    assert set(found["note"]) == {"too few blocks for an interval"}
    assert found["ci_low"].isna().all()
    assert set(table(tmp_path / "toy", "comparison")["verdict"]) == {"too few blocks for an interval"}


def test_undefined_tracks_are_named_and_left_out_of_the_summary(tmp_path):
    predicted, truth, mask = binary(np.random.default_rng(1), 1.0)
    truth[:, 1] = 0
    mask[:, 2] = False
    path = write(
        tmp_path, {"peaks": (predicted, truth, mask)}, {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    )
    evaluate(tmp_path / "toy", name="toy", predictions=[path])
    found = table(tmp_path / "toy").query("metric == 'auroc'").set_index("track")
    assert found.loc["b", "note"] == "undefined: no positives"
    assert found.loc["c", "note"] == "undefined: no values"
    summary = found[found["over"] == "mean of tracks"].iloc[0]
    assert summary["value"] == found.loc["a", "value"]
    assert summary["note"] == "2 of 3 tracks undefined"


def test_other_rows_are_not_compared(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    values = {"peaks": binary(np.random.default_rng(1), 1)}
    net = write(tmp_path, values, specs)
    base = write(tmp_path, values, specs, model="b", kind="baseline", rows=rows_of().assign(source_row=7))
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base])
    assert set(table(tmp_path / "toy", "comparison")["verdict"]) == {
        "not comparable: the predictions are of different rows"
    }


def test_predictions_of_two_dataset_versions_are_refused(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    values = {"peaks": binary(np.random.default_rng(1), 1)}
    first, second = write(tmp_path, values, specs), write(tmp_path, values, specs, model="other", digest="e")
    with pytest.raises(InputError, match=r"toy: predictions \(net 0.0, other 0.0\) were made from different versions"):
        evaluate(tmp_path / "toy", name="toy", predictions=[first, second])
    assert not (tmp_path / "toy").exists()


def test_an_empty_test_part_is_said_not_crashed_on(tmp_path):
    values = {"peaks": tuple(array[:0] for array in binary(np.random.default_rng(1), 1.0))}
    level = (np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32), np.zeros((0, 1), bool))
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8"), "level": spec("quantity", ["x"])}
    path = write(tmp_path, {**values, "level": level}, specs, rows=rows_of()[:0])
    evaluate(tmp_path / "toy", name="toy", predictions=[path])
    found = table(tmp_path / "toy").query("over == 'track'")
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
        evaluate(tmp_path / "toy", name="toy", predictions=[path])


def test_bytes_are_the_same_again_and_the_marker_fits(tmp_path):
    specs = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8")}
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(5), 1.0)}, specs)
    digests = []
    for _ in range(2):
        evaluate(tmp_path / "evaluation" / "toy", name="toy", predictions=[net])
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
    evaluate(tmp_path / "toy", name="toy", predictions=[path])
    found = table(tmp_path / "toy").query("over == 'track'").set_index("metric")
    assert set(found["track"]) == {"score"}
    assert found.loc["pearson", "value"] == pytest.approx(1)
    assert found.loc["pearson", "blocks"] == N


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.2, "better than"),
        (-0.2, -0.01, "worse than"),
        (-0.1, 0.1, "no clear difference"),
        (0, 0, "no clear difference"),
    ],
)
def test_verdict(low, high, words):
    assert verdict(low, high, "") == words
