"""Metrics against scikit-learn and SciPy, against answers made by hand, and where they do not exist."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as reference

from seqmill.evaluation.kinds import KINDS, metrics_of
from seqmill.metrics.bootstrap import (
    TOO_FEW,
    bootstrap_difference,
    bootstrap_interval,
    genome_blocks,
    table_blocks,
)
from seqmill.metrics.catalogue import METRICS, describe
from seqmill.metrics.classes import class_accuracy, class_matthews, cross_entropy
from seqmill.metrics.fractions import beta_binomial_log_likelihood
from seqmill.metrics.profile import FLAT_SHARE, jsd, multinomial_log_likelihood, shape_log_likelihood
from seqmill.metrics.ranking import accuracy, auprc, auroc, matthews
from seqmill.metrics.regression import mean_squared_error, pearson, r2, spearman
from seqmill.metrics.score import average_ranks

NAN = float("nan")


def binary(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores with many ties."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.3).astype(float)
    return truth, np.round(rng.normal(truth, 1), 1)


@pytest.mark.parametrize("seed", range(5))
def test_ranking_equals_scikit_learn(seed):
    truth, score = binary(seed)
    assert auroc(truth, score).value == pytest.approx(reference.roc_auc_score(truth, score), abs=1e-12)
    assert auprc(truth, score).value == pytest.approx(reference.average_precision_score(truth, score), abs=1e-12)
    called = score >= 0.5
    assert accuracy(truth, score).value == pytest.approx(reference.accuracy_score(truth, called), abs=1e-12)
    assert matthews(truth, score).value == pytest.approx(reference.matthews_corrcoef(truth, called), abs=1e-12)


def test_ranking_by_hand():
    # positives 3, 2; negatives 2, 1: pairs won 1 + 1 + 1/2 + 1 of 4
    assert auroc([1, 1, 0, 0], [3, 2, 2, 1]).value == 3.5 / 4
    # at 3: precision 1, recall 1/2; at 2: precision 2/3, recall 1
    assert auprc([1, 1, 0, 0], [3, 2, 2, 1]).value == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert auroc([0, 1], [5, 5]).value == 0.5
    assert auroc([0, 1], [-math.inf, math.inf]).value == 1.0
    assert matthews([1, 1, 0, 0], [1, 1, 0, 0]).value == pytest.approx(1)
    assert accuracy([1, 0, 0], [0.5, 0.5, 0.4]).value == pytest.approx(2 / 3)
    assert accuracy([1, 1], [2, 0], threshold=3).value == 0.0


@pytest.mark.parametrize(
    ("metric", "truth", "predicted", "reason"),
    [
        (auroc, [1, 1], [0, 1], "no negatives"),
        (auroc, [0, 0], [0, 1], "no positives"),
        (auroc, [], [], "no values"),
        (auroc, [NAN, 1], [0, NAN], "no values"),
        (auroc, [0, 0.5], [0, 1], "truth holds values other than 0 and 1"),
        (auprc, [0, 0], [0, 1], "no positives"),
        (matthews, [0, 1], [1, 1], "all calls are the same"),
        (matthews, [1, 1], [1, 0], "no negatives"),
        (accuracy, [], [], "no values"),
        (pearson, [1, 1], [0, 1], "truth is constant"),
        (pearson, [0, 1], [2, 2], "prediction is constant"),
        (pearson, [1], [1], "fewer than two values"),
        (pearson, [1, math.inf], [1, 2], "infinite values"),
        (spearman, [1, 1, 1], [1, 2, 3], "truth is constant"),
        (r2, [1, 1], [0, 1], "truth is constant"),
        (r2, [1, NAN], [0, 1], "fewer than two values"),
        (mean_squared_error, [NAN], [1], "no values"),
    ],
)
def test_undefined_metrics_say_why(metric, truth, predicted, reason):
    score = metric(np.array(truth, float), np.array(predicted, float))
    assert math.isnan(score.value)
    assert score.reason == reason


def test_defined_metrics_give_no_reason():
    assert auprc([1, 1], [0, 1]) == (1.0, "")
    assert accuracy([1, 1], [0, 1]) == (0.5, "")
    assert r2([1.0, 2.0], [3.0, 3.0]).value == pytest.approx(1 - 5 / 0.5)


@pytest.mark.parametrize("scale", [1, 1e-160, 1e150])
def test_regression_equals_scipy_and_scikit_learn(scale):
    rng = np.random.default_rng(1)
    truth = np.round(rng.normal(size=200), 1)
    predicted = np.round(0.5 * truth + rng.normal(size=200), 1)
    assert pearson(truth * scale, predicted).value == pytest.approx(stats.pearsonr(truth, predicted)[0], abs=1e-12)
    expected = stats.spearmanr(truth, predicted)[0]
    assert spearman(truth * scale, predicted).value == pytest.approx(expected, abs=1e-12)
    assert r2(truth, predicted).value == pytest.approx(reference.r2_score(truth, predicted), abs=1e-12)
    expected = reference.mean_squared_error(truth, predicted)
    assert mean_squared_error(truth, predicted).value == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(average_ranks(truth), stats.rankdata(truth))


@pytest.mark.parametrize("metric", [auroc, auprc, accuracy, matthews, pearson, spearman, r2, mean_squared_error])
def test_masked_and_missing_entries_are_left_out(metric):
    truth, score = binary(7, 60)
    expected = metric(truth[20:], score[20:])
    assert not math.isnan(expected.value)
    mask = np.arange(60) >= 20
    assert metric(truth, score, mask) == expected
    with_nan, score_nan = truth.copy(), score.copy()
    with_nan[:10], score_nan[10:20] = NAN, NAN
    assert metric(with_nan, score_nan) == expected
    square = metric(truth.reshape(6, 10), score.reshape(6, 10), mask.reshape(6, 10))
    assert square == expected


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"shapes differ: truth \(2,\), predicted \(3,\)"):
        pearson(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="3 rows have blocks, 2 rows are given"):
        bootstrap_interval(pearson, np.arange(3), np.zeros(2))


def test_jsd_equals_scipy_and_is_between_0_and_1():
    rng = np.random.default_rng(0)
    counts, other = rng.poisson(2, (20, 30)), rng.random((20, 30))
    expected = [jensenshannon(p, q, base=2) for p, q in zip(counts, other)]
    np.testing.assert_allclose(jsd(counts, other), expected, atol=1e-12)
    assert jsd([1, 0], [0, 7]) == 1.0
    assert jsd([1, 2], [10, 20]) == 0.0
    undefined = jsd([[0, 0], [NAN, 1], [1, 1], [-1, 3]], [[1, 1], [1, 1], [0, 0], [1, 1]])
    assert np.isnan(undefined).all()


def test_multinomial_equals_scipy():
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, (10, 6))
    shares = rng.dirichlet(np.ones(6), 10)
    expected = [stats.multinomial.logpmf(row, row.sum(), share) for row, share in zip(counts, shares)]
    np.testing.assert_allclose(multinomial_log_likelihood(counts, 5 * shares), expected, atol=1e-9)
    assert multinomial_log_likelihood([1, 1], [1, 0]) == -math.inf
    assert multinomial_log_likelihood([0, 0], [1, 3]) == 0
    # two throws of a fair coin, one each: probability 1/2
    assert multinomial_log_likelihood([1, 1], [1, 1]) == pytest.approx(math.log(0.5))
    assert np.isnan(multinomial_log_likelihood([[1, NAN], [1, 1]], [[1, 1], [0, 0]])).all()


def test_ten_contigs_are_ten_blocks():
    contigs = np.repeat([f"chr{i}" for i in range(10)], 3)
    blocks = genome_blocks(contigs, np.tile([0, 500_000, 900_000], 10))
    assert len(np.unique(blocks)) == 10
    assert all(len(np.unique(blocks[contigs == name])) == 1 for name in np.unique(contigs))


def test_few_contigs_are_cut_into_stretches_of_100_kb():
    contigs = np.array(["a", "a", "a", "a", "b", "b"])
    starts = np.array([0, 99_999, 100_000, 249_999, 0, 50_000])
    # a ends in its third stretch, which is shorter than 100 kb and joins the second; b is one block
    assert genome_blocks(contigs, starts).tolist() == [0, 0, 1, 1, 2, 2]
    assert genome_blocks(np.array([]), np.array([])).tolist() == []


def test_blocks_of_tables_are_rows_or_groups():
    assert table_blocks(3).tolist() == [0, 1, 2]
    assert table_blocks(4, np.array(["x", "y", "x", "z"])).tolist() == [0, 1, 0, 2]


def test_below_ten_blocks_there_is_no_interval():
    truth, score = binary(0, 90)
    blocks = np.repeat(np.arange(9), 10)
    assert bootstrap_interval(auroc, blocks, truth, score) == (None, None, 9, TOO_FEW)
    assert TOO_FEW == "too few blocks for an interval"
    assert bootstrap_difference(auroc, blocks, truth, score, score) == (None, None, 9, TOO_FEW)


def test_interval_equals_a_slow_bootstrap():
    rng = np.random.default_rng(5)
    blocks = rng.integers(0, 12, 50)
    values = rng.normal(size=50)
    found = bootstrap_interval(np.mean, blocks, values, n=200, seed=4)
    names, draws, means = sorted(set(blocks.tolist())), np.random.default_rng(4), []
    for _ in range(200):
        picked = draws.integers(0, len(names), len(names))
        sample = [values[row] for index in picked for row in range(50) if blocks[row] == names[index]]
        means.append(sum(sample) / len(sample))
    assert found.low == pytest.approx(np.percentile(means, 2.5), abs=1e-12)
    assert found.high == pytest.approx(np.percentile(means, 97.5), abs=1e-12)
    assert found.blocks == 12
    assert bootstrap_interval(np.mean, blocks, values, n=200, seed=4) == found
    assert bootstrap_interval(np.mean, blocks, values, n=200, seed=5) != found


def test_interval_covers_the_known_error_of_a_mean():
    values = np.random.default_rng(0).normal(size=2000)
    low, high, _, reason = bootstrap_interval(np.mean, table_blocks(2000), values)
    assert reason == ""
    assert (high - low) == pytest.approx(2 * 1.96 / math.sqrt(2000), rel=0.12)
    repeated = np.repeat(values[:100], 20)  # 20 copies are no more evidence than one
    wide = bootstrap_interval(np.mean, np.repeat(np.arange(100), 20), repeated)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 / math.sqrt(100), rel=0.3)


def test_paired_difference_is_narrower_than_both_errors():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=400)
    first = truth + rng.normal(size=400)
    second = first + 0.3 * rng.normal(size=400)
    paired = bootstrap_difference(pearson, table_blocks(400), truth, first, second, n=300)
    alone = bootstrap_interval(pearson, table_blocks(400), truth, first, n=300)
    assert paired.low > 0
    assert paired.high - paired.low < alone.high - alone.low
    same = bootstrap_difference(pearson, table_blocks(400), truth, first, first, n=50)
    assert (same.low, same.high) == (0, 0)


def test_resamples_without_a_value_are_left_out():
    truth = np.zeros(40)
    truth[0] = 1  # a resample misses the only positive with probability (39/40)^40 = 0.36
    score = np.arange(40.0)
    found = bootstrap_interval(auroc, table_blocks(40), truth, score, n=400)
    assert found.reason == ""
    assert found.high < 0.2
    empty = bootstrap_interval(auroc, table_blocks(40), np.zeros(40), score, n=50)
    assert empty == (None, None, 40, "the metric is undefined in most resamples")


@pytest.mark.parametrize("classes", [2, 5])
def test_classes_equal_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    which = rng.integers(0, classes, 200)
    shares = rng.dirichlet(np.ones(classes), 200)
    truth = np.eye(classes)[which]
    called = shares.argmax(axis=1)
    assert class_accuracy(truth, shares).value == pytest.approx(reference.accuracy_score(which, called))
    assert class_matthews(truth, shares).value == pytest.approx(reference.matthews_corrcoef(which, called))
    expected = reference.log_loss(which, shares, labels=range(classes))
    assert cross_entropy(truth, 3 * shares).value == pytest.approx(expected)
    keep = rng.random(200) < 0.5
    shares[~keep] = NAN
    assert cross_entropy(truth, shares).value == cross_entropy(truth, np.nan_to_num(shares), keep).value


def test_classes_by_hand():
    truth = np.array([[1, 0], [0, 1], [0, 1]])
    assert class_accuracy(truth, [[0.5, 0.5], [0, 1], [1, 0]]).value == pytest.approx(2 / 3)  # the first of equal ones
    assert cross_entropy(truth[:1], [[0, 1]]).value == pytest.approx(-math.log(1e-7))
    assert cross_entropy(truth[:1], [[0, 0]]).value == pytest.approx(math.log(2))  # no prediction is a flat one
    assert class_matthews(truth, [[1, 0], [1, 0], [1, 0]]).reason == "truth or calls are of one class"
    for metric in (class_accuracy, class_matthews, cross_entropy):
        assert metric(np.zeros((0, 2)), np.zeros((0, 2))).reason == "no values"
        with pytest.raises(ValueError, match="expected \\(rows, classes\\) twice"):
            metric(truth, truth[:2])


def test_beta_binomial_equals_scipy():
    rng = np.random.default_rng(3)
    n = rng.integers(0, 40, 100)
    k = rng.binomial(n, 0.4)
    mean, concentration = rng.uniform(0.01, 0.99, 100), 10 ** rng.uniform(-2, 4, 100)
    expected = stats.betabinom.logpmf(k, n, mean * concentration, (1 - mean) * concentration)
    assert beta_binomial_log_likelihood(k, n, mean, concentration) == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert np.isnan(beta_binomial_log_likelihood([3, 1, 1, -1], [2, 2, 2, 2], [0.5, 0.0, 0.5, 0.5], [1, 1, 0, 1])).all()


def test_shape_log_likelihood_is_the_multinomial_one_of_a_count():
    """Differences between two predictions are those of the multinomial log-likelihood divided by the total."""
    rng = np.random.default_rng(4)
    counts, p, q = rng.poisson(3, (20, 8)), rng.dirichlet(np.ones(8), 20), rng.dirichlet(np.ones(8), 20)
    mixed = [(1 - FLAT_SHARE) * share + FLAT_SHARE / 8 for share in (p, q)]
    first, second = (multinomial_log_likelihood(counts, share) for share in mixed)
    found = shape_log_likelihood(counts, 7 * p) - shape_log_likelihood(counts, q)
    assert found == pytest.approx((first - second) / counts.sum(axis=1))
    assert shape_log_likelihood([1, 1, 2], np.ones(3)) == pytest.approx(-math.log(3))
    assert shape_log_likelihood([4, 0], [0, 1]) == pytest.approx(math.log(FLAT_SHARE / 2))
    assert np.isnan(shape_log_likelihood([[0, 0], [1, -1], [1, 1], [1, 1]], [[1, 1], [1, 1], [0, 0], [-1, 2]])).all()


def test_every_metric_of_the_tables_is_described():
    named = {name for kind in KINDS.values() for name in metrics_of(kind)}
    named |= {name for kind in KINDS.values() for statistic in kind.whole() for name in statistic.names}
    assert named == set(METRICS)
    assert {name for name in named if describe(name).lower_is_better} == {"jsd", "cross_entropy"}
    assert describe("other").label == "other"
