"""Resampled metrics against the plain metrics on rows that are really repeated."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    log_loss,
    matthews_corrcoef,
    r2_score,
    roc_auc_score,
)

from seqmill.evaluation.ranked import Monotone, Ranked
from seqmill.evaluation.resample import Blocks, draw, intervals, make_blocks
from seqmill.evaluation.sums import BlockSums, Calls, Classes, Moments


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


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("worth", "cells"), [(20, 4_000_000), (1e9, 40), (0, 1)])
def test_all_resamples_together_are_those_one_by_one(monkeypatch, tied, worth, cells):
    """By matrices in one piece or many, and by cumulative sums."""
    monkeypatch.setattr("seqmill.evaluation.ranked.WORTH", worth)
    monkeypatch.setattr("seqmill.evaluation.ranked.CELLS", cells)
    rng = np.random.default_rng(4)
    truth = (rng.random(400) < 0.1).astype(np.float32)
    score = np.round(rng.normal(size=400) + truth, 1 if tied else 12)
    block = rng.integers(0, 15, 400)
    draws = draw(Blocks(block, 15, "row"), 1, resamples=30)
    scorer = Ranked(truth, score, block)
    assert scorer.resampled(draws) == pytest.approx(np.array([scorer.values(line) for line in draws]), abs=1e-12)


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
    sums = BlockSums(Moments(), 12)
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
    sums = BlockSums(Moments(), 2)
    truth = np.full((50, 1), 0.3)
    sums.add(truth, np.random.default_rng(0).normal(size=(50, 1)), np.ones((50, 1), bool), np.arange(50) % 2)
    assert np.isnan(sums.values(np.ones((1, 2)))).all()


def test_calls_equal_scikit_learn_on_repeated_rows():
    rng = np.random.default_rng(6)
    truth = (rng.random((80, 2)) < 0.4).astype(np.uint8)
    predicted = np.clip(rng.normal(0.35, 0.2, size=truth.shape) + 0.2 * truth, 0, 1)
    predicted[:3] = 0.5  # is called
    mask, block = rng.random(truth.shape) < 0.8, rng.integers(0, 12, 80)
    sums = BlockSums(Calls(), 12)
    for piece in (slice(0, 30), slice(30, 80)):
        sums.add(truth[piece], predicted[piece], mask[piece], block[piece])
    draws = rng.multinomial(12, np.ones(12) / 12, size=5)
    found = sums.values(draws)
    assert sums.judged.tolist() == mask.sum(axis=0).tolist()
    for r, weights in enumerate(draws):
        again = np.repeat(np.arange(80), weights[block])
        for track in range(2):
            keep = mask[again][:, track]
            y, x = truth[again][keep, track], predicted[again][keep, track] >= 0.5
            assert found[0, r, track] == pytest.approx(matthews_corrcoef(y, x), abs=1e-12)
            assert found[1, r, track] == pytest.approx(accuracy_score(y, x), abs=1e-12)


def test_classes_equal_scikit_learn_on_repeated_rows():
    rng = np.random.default_rng(7)
    which = rng.integers(0, 4, 90)
    truth = np.eye(4, dtype=np.float32)[which]
    shares = rng.dirichlet(np.ones(4), 90) + 0.5 * truth
    mask, block = np.repeat(rng.random((90, 1)) < 0.8, 4, axis=1), rng.integers(0, 12, 90)
    sums = BlockSums(Classes(), 12)
    for piece in (slice(0, 30), slice(30, 90)):
        sums.add(truth[piece], shares[piece], mask[piece], block[piece])
    draws = rng.multinomial(12, np.ones(12) / 12, size=5)
    found = sums.values(draws)[..., 0]
    for r, weights in enumerate(draws):
        again = np.repeat(np.arange(90), weights[block])
        again = again[mask[again, 0]]
        y, p = which[again], shares[again] / shares[again].sum(axis=1, keepdims=True)
        assert found[0, r] == pytest.approx(accuracy_score(y, p.argmax(axis=1)), abs=1e-12)
        assert found[1, r] == pytest.approx(matthews_corrcoef(y, p.argmax(axis=1)), abs=1e-12)
        assert found[2, r] == pytest.approx(log_loss(y, p, labels=range(4)), abs=1e-9)


def test_draws_are_a_function_of_seed_and_fold_and_one_block_short():
    blocks = Blocks(np.arange(30), 30, "row")
    first, again, seed, fold = draw(blocks, 1, "0"), draw(blocks, 1, "0"), draw(blocks, 2, "0"), draw(blocks, 1, "1")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, seed)
    assert not np.array_equal(first, fold)
    assert (first.sum(axis=1) == 29).all()
    assert first.mean() == pytest.approx(29 / 30)
    assert draw(Blocks(np.zeros(4, int), 1, "row"), 1).sum() == 0
    assert draw(Blocks(np.zeros(0, int), 0, "row"), 1).shape == (500, 0)


def test_spread_of_a_mean_over_few_blocks_is_that_of_theory():
    """One block short: the variance of a mean of n blocks is that of the blocks / n, not (n - 1) / n of it."""
    each = np.array([3.0, -1.0, 0.5, 2.0])
    draws = draw(Blocks(np.arange(4), 4, "row"), 3, resamples=40_000)
    means = draws @ each / draws.sum(axis=1)
    assert means.var() == pytest.approx(each.var(ddof=1) / 4, rel=0.03)


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


def test_intervals_or_the_reason_why_not():
    values = np.stack([np.arange(1001.0)] * 4, axis=1)
    values[:100, 1], values[:50, 2], values[:, 3] = np.nan, np.nan, np.nan
    low, high, reasons = intervals(values, 10)
    assert low.tolist()[:1] + high.tolist()[:1] == [25.0, 975.0]
    assert (low[2], high[2]) == pytest.approx(np.percentile(np.arange(50, 1001), [2.5, 97.5]))
    undefined = "no interval: undefined in {} % of resamples"
    assert reasons == ["", undefined.format(10), "", undefined.format(100)]
    assert np.isnan(low[[1, 3]]).all()
    low, high, reasons = intervals(values, 9)
    assert np.isnan(low).all()
    assert np.isnan(high).all()
    assert reasons == ["too few blocks for an interval"] * 4


def test_interval_covers_the_true_value_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    inside = 0
    for trial in range(60):
        truth = (rng.random(400) < 0.5).astype(float)
        score = rng.normal(size=400) + truth  # AUROC of two unit normals one apart is 0.7602
        blocks = Blocks(np.arange(400), 400, "row")
        scorer = Ranked(truth, score, np.arange(len(truth)))
        values = np.array([scorer.values(line)[:1] for line in draw(blocks, trial, resamples=200)])
        (low,), (high,), _ = intervals(values, 400)
        inside += low < 0.76025 < high
    assert inside >= 50
