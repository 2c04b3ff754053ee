"""For any data and any draw of blocks: the quick value is the metric of the rows, repeated as often as drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

from seqmill.evaluation.ranked import Monotone, Ranked
from seqmill.evaluation.resample import Blocks, draw
from seqmill.evaluation.sums import BlockSums, Calls, Moments, WindowMeans


@st.composite
def drawn_rows(draw_):
    """Scores with many ties, truth, block of each row, and how often each block is drawn."""
    n = draw_(st.integers(2, 60))
    count = draw_(st.integers(2, 12))
    seed = draw_(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    block = rng.integers(0, count, n)
    score = rng.integers(0, draw_(st.sampled_from([2, 5, 1000])), n).astype(float)
    truth = rng.integers(0, draw_(st.sampled_from([2, 6])), n).astype(float)
    return score, truth, block, draw(Blocks(block, count, "row"), seed, resamples=3)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(drawn_rows())
def test_quick_values_are_those_of_repeated_rows(case):
    score, truth, block, draws = case
    label = (truth > 0).astype(float)
    ranked, monotone = Ranked(label, score, block), Monotone(truth, score, block)
    every = np.ones((len(truth), 1), bool)
    moments, calls = BlockSums(Moments(), draws.shape[1]), BlockSums(Calls(), draws.shape[1])
    means = BlockSums(WindowMeans(("mean",), lambda y, x, mask: np.where(y > 0, x, np.nan)[None], ""), draws.shape[1])
    for sums, y in ((moments, truth), (calls, label), (means, truth)):
        sums.add(y[:, None], score[:, None], every, block)
    pearson, r2 = moments.values(draws)[..., 0]
    matthews, accuracy = calls.values(draws)[..., 0]
    mean = means.values(draws)[0, :, 0]
    together = ranked.resampled(draws)
    for i, weights in enumerate(draws):
        again = np.repeat(np.arange(len(score)), weights[block])
        y, x, z = truth[again], score[again], label[again]
        if not len(again):  # the blocks drawn hold no row
            assert np.isnan([pearson[i], r2[i], matthews[i], accuracy[i], mean[i]]).all()
            continue
        called = x >= 0.5
        assert accuracy[i] == pytest.approx(np.mean(called == z), abs=1e-12)
        assert np.isnan(matthews[i]) == (len(set(z)) < 2 or len(set(called)) < 2)
        if not np.isnan(matthews[i]):
            assert matthews[i] == pytest.approx(matthews_corrcoef(z, called), abs=1e-9)
        assert np.isnan(mean[i]) == (not (y > 0).any())
        if (y > 0).any():
            assert mean[i] == pytest.approx(x[y > 0].mean())
        auroc, auprc = ranked.values(weights)
        assert together[i] == pytest.approx([auroc, auprc], abs=1e-12, nan_ok=True)
        assert np.isnan(auroc) == (len(set(z)) < 2)
        if len(set(z)) == 2:
            assert auroc == pytest.approx(roc_auc_score(z, x), abs=1e-12)
            assert auprc == pytest.approx(average_precision_score(z, x), abs=1e-12)
        varies = len(set(y)) > 1 and len(set(x)) > 1
        rho = monotone.values(weights)[0]
        assert np.isnan(rho) != varies
        assert np.isnan(pearson[i]) != varies
        if varies:
            assert rho == pytest.approx(spearmanr(y, x)[0], abs=1e-9)
            assert pearson[i] == pytest.approx(np.corrcoef(y, x)[0, 1], abs=1e-9)
        if len(set(y)) > 1:
            assert r2[i] == pytest.approx(1 - ((y - x) ** 2).sum() / ((y - y.mean()) ** 2).sum(), rel=1e-9, abs=1e-9)
