"""Every target kind against SciPy and scikit-learn, and what is left out of each metric."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import betabinom, multinomial, pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    log_loss,
    matthews_corrcoef,
    r2_score,
    roc_auc_score,
)
from tests.unit.evaluation_toys import pooled, rows_of, spec, write

from seqmill.evaluation.tables import evaluate

N = 240
rng = np.random.default_rng(0)
CLASS = rng.integers(0, 3, N)
ONE_HOT = np.eye(3, dtype=np.float32)[CLASS]
CALLED = (rng.dirichlet(np.ones(3), N) + 0.4 * ONE_HOT).astype(np.float32)
CALLED[0] = [0.0, 0.0, 1.0]
SHARES = rng.dirichlet(np.ones(4), N).astype(np.float32)
GUESSED = (SHARES + rng.dirichlet(np.ones(4), N)).astype(np.float32)
SIGNAL = rng.poisson(rng.gamma(1, 2, size=(N, 1, 2)) * np.ones((1, 6, 1))).astype(np.float32)
SIGNAL[3] = 0
EXPECTED = (SIGNAL + rng.normal(0, 1, SIGNAL.shape)).astype(np.float32)
EXPECTED[5] = -1
TRIALS = rng.integers(0, 30, (N, 2))
MEAN, CONCENTRATION = rng.uniform(0.05, 0.95, (N, 2)), rng.uniform(1, 50, (N, 2))
COUNTED = np.stack([rng.binomial(TRIALS, MEAN), TRIALS], axis=1).astype(np.float32)
FITTED = np.stack([MEAN, CONCENTRATION], axis=1).astype(np.float32)
COUNTS = rng.negative_binomial(2, 0.1, (N, 2)).astype(np.float32)
RATE = (COUNTS * rng.lognormal(0, 0.5, COUNTS.shape)).astype(np.float32)
MAPS = rng.normal(size=(N, 4, 4, 1)).astype(np.float32)
SEEN = (MAPS + rng.normal(size=MAPS.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    known = np.ones((N, 3), bool)
    known[::5] = False
    values = {
        "site": (CALLED, ONE_HOT, known),
        "mix": (GUESSED, SHARES, np.ones(SHARES.shape, bool)),
        "signal": (EXPECTED, SIGNAL, np.ones(SIGNAL.shape, bool)),
        "meth": (FITTED, COUNTED, np.ones(COUNTED.shape, bool)),
        "reads": (RATE, COUNTS, np.ones(COUNTS.shape, bool)),
        "map": (SEEN, MAPS, np.ones(MAPS.shape, bool)),
        "code": (np.zeros((N, 5), np.float32), np.zeros((N, 5), np.float32), np.ones((N, 5), bool)),
    }
    specs = {
        "site": spec("class", ["EI", "IE", "N"]),
        "mix": spec("distribution", ["p", "q", "r", "s"]),
        "signal": spec("profile", ["plus", "minus"], (6, 2)),
        "meth": spec("beta_binomial", ["a", "b"], (2, 2)),
        "reads": spec("count", ["a", "b"]),
        "map": spec("contact", ["hic"], (4, 4, 1)),
        "code": spec("none", list("vwxyz")),
    }
    path = write(folder, values, specs, rows=rows_of(N))
    evaluate(folder / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(folder / "toy")
    assert set(found["target"]) == set(specs) - {"code"}
    defined = found[found["value"].notna()]
    assert ((defined["ci_low"] <= defined["value"]) & (defined["value"] <= defined["ci_high"])).mean() > 0.95
    return found.set_index(["target", "over", "track", "metric"]).sort_index()


def value(judged, target, track, metric):
    return judged.loc[(target, "track", track, metric), "value"]


def test_classes(judged):
    keep = np.arange(N) % 5 != 0
    y, p = CLASS[keep], CALLED[keep].astype(float)
    p /= p.sum(axis=1, keepdims=True)
    for i, track in enumerate(["EI", "IE", "N"]):
        assert value(judged, "site", track, "auroc") == pytest.approx(roc_auc_score(y == i, CALLED[keep, i]), rel=1e-5)
        found = average_precision_score(y == i, CALLED[keep, i])
        assert value(judged, "site", track, "auprc") == pytest.approx(found, rel=1e-5)
        assert judged.loc[("site", "track", track, "auroc"), "n_pos"] == (y == i).sum()
    whole = judged.loc[("site", "target")].droplevel("track")["value"]
    assert whole["accuracy"] == pytest.approx(accuracy_score(y, p.argmax(axis=1)), rel=1e-5)
    assert whole["matthews"] == pytest.approx(matthews_corrcoef(y, p.argmax(axis=1)), rel=1e-5)
    assert whole["cross_entropy"] == pytest.approx(log_loss(y, p, labels=range(3)), rel=1e-5)
    assert set(judged.loc[("site", "target"), "n"]) == {keep.sum()}
    macro = roc_auc_score(ONE_HOT[keep], CALLED[keep], average="macro")
    means = judged.xs(("site", "mean of tracks", "auroc"), level=("target", "over", "metric"))
    assert means["value"].item() == pytest.approx(macro, rel=1e-5)


def test_distributions(judged):
    for i, track in enumerate("pqrs"):
        found = pearsonr(SHARES[:, i], GUESSED[:, i])[0]
        assert value(judged, "mix", track, "pearson") == pytest.approx(found, rel=1e-5)
    q = GUESSED.astype(float) / GUESSED.sum(axis=1, keepdims=True)
    whole = judged.loc[("mix", "target")].droplevel("track")["value"]
    assert whole["cross_entropy"] == pytest.approx(-np.mean((SHARES * np.log(q)).sum(axis=1)), rel=1e-5)
    each = [jensenshannon(a, b, base=2) for a, b in zip(SHARES.astype(float), q)]
    assert whole["jsd"] == pytest.approx(np.mean(each), rel=1e-5)


def test_profiles(judged):
    for i, track in enumerate(["plus", "minus"]):
        y, x = SIGNAL[..., i].astype(float), EXPECTED[..., i].astype(float)
        assert value(judged, "signal", track, "pearson") == pytest.approx(pearsonr(y.ravel(), x.ravel())[0], rel=1e-5)
        x = np.maximum(x, 0)
        totals = pearsonr(np.log1p(y.sum(axis=1)), np.log1p(x.sum(axis=1)))[0]
        assert value(judged, "signal", track, "counts_pearson") == pytest.approx(totals, rel=1e-5)
        shown = y.sum(axis=1) > 0
        assert not shown[3]
        flat = np.where(x.sum(axis=1, keepdims=True) > 0, x, 1)[shown]
        each = [jensenshannon(a, b, base=2) for a, b in zip(y[shown], flat)]
        assert value(judged, "signal", track, "jsd") == pytest.approx(np.mean(each), rel=1e-5)
        p = 0.999 * flat / flat.sum(axis=1, keepdims=True) + 0.001 / 6
        likelihood = [
            (multinomial.logpmf(a, a.sum(), b) - multinomial(a.sum(), np.full(6, 1 / 6)).logpmf(a)) / a.sum()
            + np.log(1 / 6)
            for a, b in zip(y[shown], p / p.sum(axis=1, keepdims=True))
        ]
        assert value(judged, "signal", track, "multinomial") == pytest.approx(np.mean(likelihood), rel=1e-5)
        counts = judged.loc[("signal", "track", track), "n"]
        assert counts[["pearson", "jsd", "counts_pearson"]].tolist() == [6 * N, shown.sum(), N]


def test_counted_fractions(judged):
    for i, track in enumerate("ab"):
        keep = TRIALS[:, i] > 0
        y, x = COUNTED[keep, 0, i] / TRIALS[keep, i], FITTED[keep, 0, i]
        assert 0 < keep.sum() < N
        for metric, found in (("pearson", pearsonr(y, x)[0]), ("spearman", spearmanr(y, x)[0]), ("r2", r2_score(y, x))):
            assert value(judged, "meth", track, metric) == pytest.approx(found, rel=1e-4)
        m, c = FITTED[keep, :, i].astype(float).T
        found = betabinom.logpmf(COUNTED[keep, 0, i], TRIALS[keep, i], m * c, (1 - m) * c).mean()
        assert value(judged, "meth", track, "log_likelihood") == pytest.approx(found, rel=1e-5)


def test_counts(judged):
    for i, track in enumerate("ab"):
        y, x = COUNTS[:, i], RATE[:, i]
        assert value(judged, "reads", track, "pearson") == pytest.approx(pearsonr(y, x)[0], rel=1e-5)
        assert value(judged, "reads", track, "spearman") == pytest.approx(spearmanr(y, x)[0], rel=1e-5)
        assert value(judged, "reads", track, "log_pearson") == pytest.approx(
            pearsonr(np.log1p(y), np.log1p(x))[0], rel=1e-5
        )


def test_contacts(judged):
    assert value(judged, "map", "hic", "pearson") == pytest.approx(pearsonr(MAPS.ravel(), SEEN.ravel())[0], rel=1e-5)
    each = [pearsonr(a.ravel(), b.ravel())[0] for a, b in zip(MAPS, SEEN)]
    assert value(judged, "map", "hic", "window_pearson") == pytest.approx(np.mean(each), rel=1e-5)


def test_signal_below_zero_has_no_shape(tmp_path):
    """Log ratios: Pearson's r is defined, metrics of counts are not, and say so."""
    truth = np.random.default_rng(1).normal(size=(N, 6, 1)).astype(np.float32) - 3
    path = write(
        tmp_path,
        {"ratio": (truth, truth, np.ones(truth.shape, bool))},
        {"ratio": spec("profile", ["a"], (6, 1))},
        rows=rows_of(N),
    )
    evaluate(tmp_path / "toy", name="toy", predictions=[path], figures=False)
    found = pooled(tmp_path / "toy").query("over == 'track'").set_index("metric")
    assert found.loc["pearson", "value"] == pytest.approx(1)
    assert found.loc[["jsd", "multinomial", "counts_pearson"], "value"].isna().all()
    assert found.loc["jsd", "note"] == "undefined: no window with signal, none of it negative"


def test_bins_without_data_do_not_count(tmp_path):
    """A window with masked bins is judged on the others, whatever lies under the mask."""
    mask = np.random.default_rng(2).random(SIGNAL.shape) < 0.7
    specs, found = {"signal": spec("profile", ["plus", "minus"], (6, 2))}, []
    for hidden in (np.nan, 1e6):
        truth, guess = np.where(mask, SIGNAL, hidden).astype(np.float32), np.where(mask, EXPECTED, 7).astype(np.float32)
        path = write(tmp_path / str(hidden), {"signal": (guess, truth, mask)}, specs, rows=rows_of(N))
        evaluate(tmp_path / f"out{hidden}", name="toy", predictions=[path], figures=False)
        found.append((tmp_path / f"out{hidden}/metrics.tsv").read_bytes())
    assert found[0] == found[1]
    line = pooled(tmp_path / "outnan").query("track == 'plus'").set_index("metric")["value"]
    y, x = np.where(mask, SIGNAL, 0)[..., 0], np.maximum(np.where(mask, EXPECTED, 0)[..., 0], 0)
    each = []
    for a, b, known in zip(y, x, mask[..., 0]):
        if a.sum() > 0:
            each.append(jensenshannon(a[known], b[known] if b.sum() > 0 else known[known].astype(float), base=2))
    assert line["jsd"] == pytest.approx(np.mean(each), rel=1e-5)
