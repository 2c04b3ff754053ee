"""Means over runs, and models beside each other: differences, intervals and verdicts, recomputed the slow way."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.unit.evaluation_toys import PEAKS, N, binary, pooled, rows_of, spec, table, write

from seqmill.evaluation.compare import sentence, verdict
from seqmill.evaluation.resample import draw, make_blocks
from seqmill.evaluation.runs import SEED
from seqmill.evaluation.tables import evaluate


def runs_of(folder, model, kind, skill, folds=("0", "1"), seeds=(0,)):
    """A model on folds whose test rows and labels differ."""
    paths = []
    for fold in folds:
        for seed in seeds:
            rng = np.random.default_rng([ord(model[0]), int(fold), hash(seed) % 97 if seed == "mean" else seed])
            rows = rows_of().assign(source_row=np.arange(N) + N * int(fold))
            values = {"peaks": binary(rng, skill, truth_seed=int(fold))}
            paths.append(write(folder, values, PEAKS, model=model, kind=kind, fold=fold, seed=seed, rows=rows))
    return paths


def slow_aurocs(path, target="peaks"):
    """AUROC of each track, whole and on 12 repeated sets of rows, by scikit-learn."""
    from seqmill.stores.predictions import PredictionsReader

    reader = PredictionsReader(path)
    truth, score, mask = reader.truth(target), reader.predicted(target), reader.mask(target)
    blocks = make_blocks(reader.rows(), "contig")
    draws = draw(blocks, SEED, reader.attrs["fold"])[:12]
    every = [np.arange(reader.n)] + [np.repeat(np.arange(reader.n), weights[blocks.index]) for weights in draws]
    found = []
    for track in range(truth.shape[1]):
        keep = [rows[mask[rows, track]] for rows in every]
        found.append([roc_auc_score(truth[rows, track], score[rows, track]) for rows in keep])
    return np.array(found).T


def test_means_over_runs_are_means_over_seeds_then_folds_on_the_same_resamples(tmp_path):
    from seqmill.evaluation.runs import lines_of, open_runs, pooled_pair

    net = runs_of(tmp_path, "net", "network", 1.0, seeds=(0, 1, 2))
    # one seed of fold 1 is missing: each fold counts the same all the same
    paths = [path for path in net if path.name != "1.2.zarr"] + runs_of(tmp_path, "base", "baseline", 0.4)
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    lines = lines_of(open_runs(paths, "toy"))
    ours, theirs = (side[0] for side in pooled_pair(*lines, "peaks"))
    assert [line.model for line in lines] == ["net", "base"]

    slow = {path: slow_aurocs(path) for path in paths}
    fold0, fold1 = (np.mean([slow[p] for p in net if p in slow and p.name[0] == fold], axis=0) for fold in "01")
    expected = (fold0 + fold1) / 2
    baseline = np.mean([slow[p] for p in paths if "base" in str(p)], axis=0)
    assert ours.value[0] == pytest.approx(expected[0], abs=1e-9)
    assert ours.resampled[0, :12] == pytest.approx(expected[1:], abs=1e-6)
    assert theirs.resampled[0, :12] == pytest.approx(baseline[1:], abs=1e-6)

    found = pooled(tmp_path / "toy").query("model == 'net' and metric == 'auroc'").set_index("over")
    assert found.loc["mean of tracks", "value"] == pytest.approx(expected[0].mean(), rel=1e-5)
    assert found.loc["median of tracks", "value"] == pytest.approx(np.median(expected[0]), rel=1e-5)
    assert set(found["runs"]) == {5}
    assert set(found["blocks"]) == {24}
    assert found.loc["mean of tracks", "n"] == 2 * binary(np.random.default_rng(0), 0)[2].sum()
    line = pooled(tmp_path / "toy", "comparison").iloc[0]
    assert line["difference"] == pytest.approx((expected - baseline)[0].mean(), rel=1e-4)
    again = (ours.resampled[0].astype(float) - theirs.resampled[0]).mean(axis=1)
    assert [line["ci_low"], line["ci_high"]] == pytest.approx(np.percentile(again, [2.5, 97.5]), rel=1e-4)


def test_ensembles_are_models_of_their_own(tmp_path):
    paths = runs_of(tmp_path, "net", "network", 1.0, seeds=(0, 1, "mean")) + runs_of(tmp_path, "base", "baseline", 0.4)
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    found = (
        pooled(tmp_path / "toy").query("over == 'mean of tracks' and metric == 'auroc'").set_index(["model", "seed"])
    )
    runs = table(tmp_path / "toy").query("over == 'mean of tracks' and metric == 'auroc' and fold != 'all'")
    runs = runs.set_index(["model", "fold", "seed"])["value"]
    assert found["runs"].to_dict() == {("net", "all"): 4, ("net", "mean"): 2, ("base", "all"): 2}
    seeds = [runs["net", fold, seed] for fold in "01" for seed in "01"]
    assert found.loc[("net", "all"), "value"] == pytest.approx(np.mean(seeds), rel=1e-5)
    assert found.loc[("net", "mean"), "value"] == pytest.approx(runs["net", :, "mean"].mean(), rel=1e-5)
    compared = pooled(tmp_path / "toy", "comparison").query("metric == 'auroc'")
    assert compared["seed"].tolist() == ["all", "mean"]


def test_only_folds_that_both_have_are_compared(tmp_path):
    paths = runs_of(tmp_path, "net", "network", 1.0) + runs_of(tmp_path, "base", "baseline", 0.4, folds=("1",))
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    found = table(tmp_path / "toy", "comparison").query("metric == 'auroc'")
    assert found["fold"].tolist() == ["all", "1"]
    assert found["runs"].tolist() == [1, 1]
    assert found["blocks"].tolist() == [12, 12]
    assert found["difference"].nunique() == 1


def test_comparison_says_better_worse_and_no_difference(tmp_path):
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(5), 1.0)}, PEAKS)
    weak = write(tmp_path, {"peaks": binary(np.random.default_rng(6), 0.1)}, PEAKS, model="weak", kind="baseline")
    strong = write(tmp_path, {"peaks": binary(np.random.default_rng(7), 3.0)}, PEAKS, model="strong", kind="baseline")
    same = write(tmp_path, {"peaks": binary(np.random.default_rng(5), 1.0)}, PEAKS, model="same", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[weak, net, strong, same], figures=False)
    found = pooled(tmp_path / "toy", "comparison").set_index(["baseline", "metric"])
    assert found.loc[("weak", "auroc"), "verdict"] == "better than"
    assert found.loc[("strong", "auroc"), "verdict"] == "worse than"
    assert found.loc[("same", "auroc"), "verdict"] == "no clear difference"
    assert found.loc[("same", "auroc"), "difference"] == 0
    line = found.loc[("weak", "auprc")]
    assert line["ci_low"] < line["difference"] < line["ci_high"]
    assert (line["tracks"], line["tracks_better"]) == (3, 3)
    assert found.loc[("strong", "auroc"), ["tracks_better", "tracks_clearly_worse"]].tolist() == [0, 3]
    assert list(table(tmp_path / "toy")["model"].unique()) == ["net", "same", "strong", "weak"]


def test_each_track_has_its_own_verdict(tmp_path):
    """The network is better on a, worse on b, and has no label to be judged by on c."""
    rng = np.random.default_rng(5)
    predicted, truth, mask = binary(rng, np.array([2.0, 0.0, 1.0]))
    other = binary(rng, np.array([0.0, 2.0, 1.0]))[0]
    mask[:, 2] = False
    net = write(tmp_path, {"peaks": (predicted, truth, mask)}, PEAKS)
    base = write(tmp_path, {"peaks": (other, truth, mask)}, PEAKS, model="base", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base], figures=False)
    found = table(tmp_path / "toy", "comparison_tracks").query("metric == 'auroc'").set_index("track")
    assert found["verdict"].to_dict() == {"a": "better than", "b": "worse than", "c": "undefined: no values"}
    values = pooled(tmp_path / "toy").query("metric == 'auroc' and over == 'track'").set_index(["model", "track"])
    for track in "ab":
        line = found.loc[track]
        assert line["network_value"] == values.loc[("net", track), "value"]
        assert line["difference"] == pytest.approx(line["network_value"] - line["baseline_value"], abs=1e-5)
        assert line["ci_low"] < line["difference"] < line["ci_high"]
        assert line["n_pos"] == truth[mask[:, "ab".index(track)], "ab".index(track)].sum()
    line = pooled(tmp_path / "toy", "comparison").query("metric == 'auroc'").iloc[0]
    counts = ["tracks", "tracks_better", "tracks_clearly_better", "tracks_clearly_worse"]
    assert line[counts].tolist() == [2, 1, 1, 1]


def test_groups_of_tracks_are_averaged_apart(tmp_path):
    grouped = {"peaks": spec("binary", ["a", "b", "c"], dtype="uint8", groups=("tf", "tf", "histone"))}
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(5), np.array([2.0, 1.0, 0.0]))}, grouped)
    base = write(tmp_path, {"peaks": binary(np.random.default_rng(6), 0.3)}, grouped, model="base", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base], figures=False)
    found = pooled(tmp_path / "toy").query("metric == 'auroc' and model == 'net'")
    each = found[found["over"] == "track"].set_index("track")
    assert each["group"].to_dict() == {"a": "tf", "b": "tf", "c": "histone"}
    groups = found[found["over"] == "mean of group"].set_index("group")
    assert groups.loc["tf", "value"] == pytest.approx(each.loc[["a", "b"], "value"].mean(), rel=1e-5)
    assert groups.loc["histone", ["value", "ci_low", "ci_high"]].tolist() == pytest.approx(
        each.loc["c", ["value", "ci_low", "ci_high"]].tolist()
    )
    compared = pooled(tmp_path / "toy", "comparison").query("metric == 'auroc'")
    assert compared["over"].tolist() == ["mean of tracks", "mean of group", "mean of group"]
    assert compared["tracks"].tolist() == [3, 2, 1]
    assert compared["sentence"].iloc[1].startswith("net is better than base: AUROC, mean of 2 tracks of tf: ")


def test_paired_interval_is_narrower_than_unpaired(tmp_path):
    """Two nearly equal models on the same rows: their difference is known better than either value."""
    specs = {"peaks": spec("binary", ["a"], dtype="uint8")}
    predicted, truth, mask = binary(np.random.default_rng(8), 1.0, tracks=1)
    nudged = predicted + np.random.default_rng(9).normal(size=predicted.shape).astype(np.float32) * 0.02
    net = write(tmp_path, {"peaks": (predicted, truth, mask)}, specs)
    base = write(tmp_path, {"peaks": (nudged, truth, mask)}, specs, model="base", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base], figures=False)
    paired = pooled(tmp_path / "toy", "comparison").query("metric == 'auroc'").iloc[0]
    alone = pooled(tmp_path / "toy").query("metric == 'auroc' and over == 'track' and model == 'net'").iloc[0]
    assert paired["ci_high"] - paired["ci_low"] < 0.5 * (alone["ci_high"] - alone["ci_low"])


def test_few_blocks_give_words_instead_of_an_interval(tmp_path):
    rows = rows_of(contigs=3)  # each short of 200 kb: one stretch of 100 kb or more a contig
    net = write(tmp_path, {"peaks": binary(np.random.default_rng(1), 1)}, PEAKS, rows=rows)
    base = write(tmp_path, {"peaks": binary(np.random.default_rng(2), 0)}, PEAKS, rows=rows, model="b", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base], figures=False)
    found = table(tmp_path / "toy")
    assert set(found["blocks"]) == {3}
    assert set(found["note"]) == {"too few blocks for an interval"}
    assert found["ci_low"].isna().all()
    compared = table(tmp_path / "toy", "comparison")
    assert set(compared["verdict"]) == {"too few blocks for an interval"}
    assert compared["sentence"][0].startswith(
        "too few blocks to tell net and b apart (3, at least 10 are needed): AUROC"
    )
    assert set(table(tmp_path / "toy", "comparison_tracks")["verdict"]) == {"too few blocks for an interval"}


@pytest.mark.parametrize(("contigs", "interval"), [(1, False), (2, True)])
def test_a_fold_of_a_single_block_cannot_vary(tmp_path, contigs, interval):
    """Ten folds of one block are ten blocks, but say nothing of how a fold would vary; of two, they do."""
    paths = []
    for fold in range(10):
        rows = rows_of(40, contigs=contigs).assign(source_row=np.arange(40) + 40 * fold)
        values = {"peaks": binary(np.random.default_rng(fold), 1, n=40, mask=False, truth_seed=fold)}
        paths.append(write(tmp_path, values, PEAKS, fold=str(fold), rows=rows))
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    found = pooled(tmp_path / "toy").query("metric == 'accuracy'")
    assert set(found["blocks"]) == {10 * contigs}
    assert found["ci_low"].notna().all() == interval
    assert found["note"].eq("too few blocks for an interval").all() != interval


def test_a_track_without_labels_in_one_fold_is_the_mean_of_the_others(tmp_path):
    paths = []
    for fold in "012":
        predicted, truth, mask = binary(np.random.default_rng(int(fold)), 1.0, truth_seed=int(fold))
        if fold == "1":
            truth[:, 0] = 0
        rows = rows_of().assign(source_row=np.arange(N) + N * int(fold))
        paths.append(write(tmp_path, {"peaks": (predicted, truth, mask)}, PEAKS, fold=fold, rows=rows))
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    found = table(tmp_path / "toy").query("metric == 'auroc' and track == 'a'").set_index("fold")
    assert found.loc["all", "value"] == pytest.approx(found.loc[["0", "2"], "value"].mean(), rel=1e-5)
    assert found.loc["all", "note"] == "undefined in 1 of 3 runs"
    assert found.loc["all", "ci_low"] < found.loc["all", "value"] < found.loc["all", "ci_high"]


def test_a_seed_that_calls_nothing_is_told(tmp_path):
    """Matthews' correlation of a seed that calls all rows the same does not exist; the mean is of the other seed."""
    paths = []
    for seed in (0, 1):
        predicted, truth, mask = binary(np.random.default_rng(seed), 1.0)
        stored = {"peaks": (predicted * (0.1 if seed else 1), truth, mask)}
        paths.append(write(tmp_path, stored, PEAKS, seed=seed))
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    found = table(tmp_path / "toy").query("metric == 'matthews' and track == 'a'").set_index("seed")
    assert found.loc["1", "note"] == "undefined: truth or calls are of one class"
    assert found.loc["all", "value"] == found.loc["0", "value"]
    assert found.loc["all", "note"] == "undefined in 1 of 2 runs"


def test_a_run_that_is_undefined_for_one_model_is_left_out_for_both(tmp_path):
    paths = []
    for fold in "01":
        rows = rows_of().assign(source_row=np.arange(N) + N * int(fold))
        for model, kind, skill in (("net", "network", 1.0), ("base", "baseline", 0.5)):
            predicted, truth, mask = binary(np.random.default_rng(int(fold)), skill, truth_seed=int(fold))
            silent = fold == "1" and model == "net"
            stored = {"peaks": (predicted * (0.1 if silent else 1), truth, mask)}
            paths.append(write(tmp_path, stored, PEAKS, model=model, kind=kind, fold=fold, rows=rows))
    evaluate(tmp_path / "toy", name="toy", predictions=paths, figures=False)
    runs = table(tmp_path / "toy").query("metric == 'matthews' and over == 'mean of tracks'")
    runs = runs.set_index(["model", "fold"])["value"]
    found = pooled(tmp_path / "toy", "comparison").query("metric == 'matthews'").iloc[0]
    assert runs["base", "0"] != runs["base", "all"]
    assert [found["network_value"], found["baseline_value"]] == [runs["net", "0"], runs["base", "0"]]
    assert found["ci_low"] < found["difference"] < found["ci_high"]


def test_other_rows_or_tracks_are_not_compared(tmp_path):
    values = {"peaks": binary(np.random.default_rng(1), 1)}
    net = write(tmp_path, values, PEAKS)
    base = write(tmp_path, values, PEAKS, model="b", kind="baseline", rows=rows_of().assign(source_row=7))
    named = {"peaks": spec("binary", ["a", "b", "x"], dtype="uint8")}
    other = write(tmp_path, values, named, model="c", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, base, other], figures=False)
    assert set(table(tmp_path / "toy", "comparison")["metric"]) == {"auroc", "auprc", "matthews", "accuracy"}
    found = table(tmp_path / "toy", "comparison").groupby("baseline")["verdict"].unique()
    assert found["b"].tolist() == ["not comparable: the predictions are of different rows"]
    assert found["c"].tolist() == ["not comparable: the predictions are of different tracks"]
    assert table(tmp_path / "toy", "comparison_tracks").empty


def test_published_predictions_of_some_rows_are_compared_on_those(tmp_path):
    """Both are judged where the published one has a prediction; alone the network keeps all of its rows."""
    predicted, truth, mask = binary(np.random.default_rng(1), 1.0)
    theirs = binary(np.random.default_rng(2), 0.3)[0]
    known = mask & (np.random.default_rng(3).random((N, 1)) < 0.5)
    net = write(tmp_path, {"peaks": (predicted, truth, mask)}, PEAKS)
    paper = write(tmp_path, {"peaks": (theirs, truth, known)}, PEAKS, model="paper", kind="published", seed="paper")
    base = write(tmp_path, {"peaks": (theirs, truth, mask)}, PEAKS, model="base", kind="baseline")
    evaluate(tmp_path / "toy", name="toy", predictions=[net, paper, base], figures=False)
    found = pooled(tmp_path / "toy", "comparison").query("metric == 'auroc'").set_index(["network", "baseline"])
    assert list(found.index) == [("net", "paper"), ("net", "base"), ("paper", "base")]
    assert found["baseline_kind"].tolist() == ["published", "baseline", "baseline"]
    both = [roc_auc_score(truth[known[:, i], i], predicted[known[:, i], i]) for i in range(3)]
    every = [roc_auc_score(truth[mask[:, i], i], predicted[mask[:, i], i]) for i in range(3)]
    assert found.loc[("net", "paper"), "network_value"] == pytest.approx(np.mean(both), rel=1e-5)
    assert found.loc[("net", "base"), "network_value"] == pytest.approx(np.mean(every), rel=1e-5)
    assert found.loc[("paper", "base"), "difference"] == 0
    lines = table(tmp_path / "toy", "comparison_tracks").query("metric == 'auroc' and baseline == 'paper'")
    assert lines["n"].tolist() == known.sum(axis=0).tolist()


@pytest.mark.parametrize(
    ("low", "high", "words", "turned"),
    [
        (0.01, 0.2, "better than", "worse than"),
        (-0.2, -0.01, "worse than", "better than"),
        (-0.1, 0.1, "no clear difference", "no clear difference"),
        (0, 0, "no clear difference", "no clear difference"),
    ],
)
def test_verdict(low, high, words, turned):
    assert verdict(low, high, "") == words
    assert verdict(low, high, "", lower_is_better=True) == turned
    assert verdict(low, high, "why not") == "why not"


def test_sentences():
    line = {
        "network": "basset", "baseline": "kmer", "metric": "auroc", "over": "mean of tracks", "group": "", "tracks": 36,
        "fold": "all", "seed": "all",
        "runs": 15, "blocks": 100, "network_value": 0.98656, "baseline_value": 0.85270, "difference": 0.133863,
        "ci_low": 0.121704, "ci_high": 0.147377, "verdict": "better than",
    }  # fmt: skip
    numbers = "AUROC, mean of 36 tracks: 0.987 vs 0.853, difference +0.134"
    bounds = "[+0.122, +0.147] over 100 blocks (15 runs)"
    assert sentence(line) == f"basset is better than kmer: {numbers} {bounds}"
    few = {**line, "group": "histone", "seed": "mean"}
    assert sentence(few).startswith(
        "basset (seeds averaged) is better than kmer: AUROC, mean of 36 tracks of histone: "
    )
    assert sentence({**few, "tracks": 1, "fold": "3", "seed": "0"}).startswith(
        "basset (fold 3, seed 0) is better than kmer: AUROC of histone: "
    )
    assert sentence({**line, "tracks": 1}).startswith("basset is better than kmer: AUROC: ")
    assert sentence({**line, "verdict": "no clear difference"}) == (
        f"no clear difference between basset and kmer: {numbers} {bounds}"
    )
    assert sentence({**line, "verdict": "too few blocks for an interval", "blocks": 9, "runs": 1}) == (
        f"too few blocks to tell basset and kmer apart (9, at least 10 are needed): {numbers}"
    )
    assert sentence({**line, "metric": "jsd", "over": "target", "verdict": "worse than", "runs": 1}) == (
        "basset is worse than kmer: Jensen-Shannon distance: 0.987 vs 0.853, difference +0.134 [+0.122, +0.147] over "
        "100 blocks; lower is better"
    )
