"""Resampled metrics against the plain metrics on rows that are really repeated."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from seqmill.evaluation.resample import Blocks, Monotone, Ranked, Sums, draw, interval, make_blocks


def rows_table(contigs, starts, width=100, group=None):
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": contigs,
            "start": starts,
            "end": np.asarray(starts) + width,
            "group": group if group is not None else "",
        }
    )


@pytest.mark.parametrize("tied", [False, True])
def test_ranking_equals_metric_on_repeated_rows(tied):
    rng = np.random.default_rng(1)
    truth = (rng.random(300) < 0.2).astype(np.float32)
    score = rng.normal(size=300) + truth
    score = np.round(score, 1 if tied else 12)
    scorer = Ranked(truth, score, np.arange(len(truth)))
    for _ in range(20):
        weights = rng.integers(0, 4, 300)
        again = np.repeat(np.arange(300), weights)
        auroc, auprc = scorer.values(weights)
        assert auroc == pytest.approx(roc_auc_score(truth[again], score[again]), abs=1e-12)
        assert auprc == pytest.approx(average_precision_score(truth[again], score[again]), abs=1e-12)


def test_ranking_of_one_class_is_undefined():
    ones = np.ones(5, np.int64)
    assert np.isnan(Ranked(np.zeros(5), np.arange(5.0), np.arange(5)).values(ones)).all()
    auroc, auprc = Ranked(np.ones(5), np.arange(5.0), np.arange(5)).values(ones)
    assert np.isnan(auroc)
    assert auprc == 1
    assert np.isnan(Ranked(np.zeros(0), np.zeros(0), np.zeros(0, np.int64)).values(np.zeros(0, np.int64))).all()


def test_spearman_equals_scipy_on_repeated_rows():
    rng = np.random.default_rng(2)
    truth = np.round(rng.normal(size=200), 1)
    predicted = np.round(truth + rng.normal(size=200), 1)
    scorer = Monotone(truth, predicted, np.arange(200))
    for _ in range(20):
        weights = rng.integers(0, 4, 200)
        again = np.repeat(np.arange(200), weights)
        assert scorer.values(weights)[0] == pytest.approx(spearmanr(truth[again], predicted[again])[0], abs=1e-12)
    assert np.isnan(Monotone(np.ones(9), np.arange(9.0), np.arange(9)).values(np.ones(9, np.int64))[0])


def test_sums_equal_pearson_and_r2_on_repeated_rows_with_gaps():
    rng = np.random.default_rng(3)
    truth = rng.normal(1000, 1, size=(60, 4, 2))
    predicted = truth + rng.normal(size=truth.shape)
    mask = rng.random(truth.shape) < 0.8
    truth[~mask] = np.nan
    block = rng.integers(0, 12, 60)
    sums = Sums(12, np.array([1000.2, 999.0]))
    for start in (0, 25):
        piece = slice(start, 25 if start == 0 else 60)
        sums.add(truth[piece], predicted[piece], mask[piece], block[piece])
    draws = rng.multinomial(12, np.ones(12) / 12, size=5)
    found = sums.values(draws)
    for r, weights in enumerate(draws):
        again = np.repeat(np.arange(60), weights[block])
        for track in range(2):
            keep = mask[again][..., track]
            y, x = truth[again][..., track][keep], predicted[again][..., track][keep]
            assert found[0, r, track] == pytest.approx(pearsonr(y, x)[0], abs=1e-9)
            assert found[1, r, track] == pytest.approx(r2_score(y, x), abs=1e-9)


def test_sums_of_constants_are_undefined():
    sums = Sums(2, np.array([0.1]))
    truth = np.full((50, 1), 0.3)
    sums.add(truth, np.random.default_rng(0).normal(size=(50, 1)), np.ones((50, 1), bool), np.arange(50) % 2)
    assert np.isnan(sums.values(np.ones((1, 2)))).all()


def test_draws_are_a_function_of_the_seed_and_sum_to_the_number_of_blocks():
    blocks = Blocks(np.arange(30), 30, "row")
    first, again, other = draw(blocks, 1, 50), draw(blocks, 1, 50), draw(blocks, 2, 50)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first.sum(axis=1) == 30).all()
    assert first.mean() == pytest.approx(1)


def test_blocks_are_contigs_where_there_are_ten():
    rows = rows_table([f"chr{i}" for i in range(1, 11)] * 2, list(range(20)))
    blocks = make_blocks(rows, "contig")
    assert (blocks.count, blocks.unit) == (10, "contig")
    assert np.array_equal(blocks.index[:10], blocks.index[10:])


def test_blocks_of_few_contigs_are_stretches():
    starts = [0, 99_999, 100_000, 250_000, 299_000, 310_000]
    blocks = make_blocks(rows_table(["chr1"] * 6, starts), "contig")
    # the last 10 kb belong to the stretch before, so that no stretch is short
    assert blocks.index.tolist() == [0, 0, 1, 2, 2, 2]
    assert (blocks.count, blocks.unit) == (3, "stretch of at least 100 kb")


def test_equal_contig_names_of_two_genomes_are_two_contigs():
    rows = pd.concat([rows_table(["chr1"], [5]), rows_table(["chr1"], [5]).assign(genome="other")])
    assert make_blocks(rows, "contig").count == 2


def test_blocks_of_tables():
    rows = rows_table([""] * 4, [-1] * 4, group=["b", "a", "b", "c"])
    assert make_blocks(rows, "row").count == 4
    groups = make_blocks(rows, "group")
    assert groups.count == 3
    assert groups.index[0] == groups.index[2] != groups.index[1]


def test_many_rows_are_drawn_in_bunches():
    blocks = make_blocks(rows_table([""] * 25_000, [-1] * 25_000), "row")
    assert blocks.count == 10_000
    assert set(np.bincount(blocks.index)) == {2, 3}
    assert blocks.unit == "random bunch of about 2 rows"


def test_interval_or_the_reason_why_not():
    values = np.arange(1001.0)
    assert interval(values, 10) == (25.0, 975.0, "")
    assert interval(values, 9)[2] == "too few blocks for an interval"
    values[:100] = np.nan
    assert interval(values, 10)[2] == "no interval: undefined in 10 % of resamples"


def test_interval_covers_the_true_value_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    inside = 0
    for trial in range(60):
        truth = (rng.random(400) < 0.5).astype(float)
        score = rng.normal(size=400) + truth  # AUROC of two unit normals one apart is 0.7602
        blocks = Blocks(np.arange(400), 400, "row")
        scorer = Ranked(truth, score, np.arange(len(truth)))
        values = np.array([scorer.values(line)[0] for line in draw(blocks, trial, 200)])
        low, high, _ = interval(values, 400)
        inside += low < 0.76025 < high
    assert inside >= 50
