"""Linear fits against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from seqmill.baselines.linear import Linear, RidgeSums, choose
from seqmill.baselines.logistic import cross_entropy, fit_logistic, fit_sparse_logistic, sigmoid, softmax

ALPHAS = [0.1, 10.0, 1000.0]


def numbers(n=300, features=12, tracks=3, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.poisson(3, (n, features)) * rng.uniform(0.1, 5, features) + 7).astype(np.float32)
    x[:, 5] = 2.0  # does not vary
    y = (x @ rng.normal(size=(features, tracks)) + rng.normal(size=(n, tracks)) + 40).astype(np.float32)
    return x, y


def test_ridge_is_that_of_scikit_learn():
    x, y = numbers()
    sums = RidgeSums(12, 3)
    for first in range(0, 300, 77):
        sums.add(x[first : first + 77], y[first : first + 77])
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    for alpha, fit in zip(ALPHAS, sums.solve(ALPHAS)):
        expected = Ridge(alpha=alpha).fit(scaled, y).predict(scaled)
        np.testing.assert_allclose(fit(x), expected, rtol=1e-4, atol=1e-3)
        assert (fit.weights[5] == 0).all()


def test_logistic_is_that_of_scikit_learn_where_labels_are_present():
    x, y = numbers(seed=1)
    labels = (y > np.median(y, axis=0)).astype(np.float32)
    present = np.random.default_rng(0).random(y.shape) < 0.8
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    fits = fit_logistic(x.copy(), labels, present, ALPHAS, iterations=2000)
    for alpha, fit in zip(ALPHAS, fits):
        for track in range(3):
            keep = present[:, track]
            expected = LogisticRegression(C=1 / alpha, max_iter=5000, tol=1e-8).fit(scaled[keep], labels[keep, track])
            np.testing.assert_allclose(
                sigmoid(fit(x)[:, track]), expected.predict_proba(scaled)[:, 1], atol=0.01 if alpha < 1 else 0.003
            )


def test_a_track_with_one_label_gets_its_prior():
    x, _ = numbers()
    labels = np.zeros((300, 2), np.float32)
    labels[:150, 1] = 1
    present = np.ones((300, 2), bool)
    present[100:, 0] = False
    fit = fit_logistic(x.copy(), labels, present, [1.0])[0]
    np.testing.assert_allclose(sigmoid(fit(x)[:, 0]), 0.5 / 101, rtol=1e-4)
    assert (fit.weights[:, 0] == 0).all()


def test_sigmoid_does_not_overflow():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = sigmoid(np.array([-1e4, 0.0, 1e4]))
    assert found.tolist() == [0.0, 0.5, 1.0]


def test_each_track_has_the_penalty_that_is_best_for_it():
    fits = [Linear(np.full((2, 3), float(i)), np.full(3, 10.0 * i)) for i in range(3)]
    losses = np.array([[3, 1, 5.0], [2, 1, 5.0], [1, 2, 5.0]])
    which = choose(losses)
    assert which.tolist() == [2, 0, 0]
    assert choose(losses, joint=True).tolist() == [1, 1, 1]
    joint = Linear.joined(fits, which)
    assert joint.weights[0].tolist() == [2, 0, 0]
    assert joint.intercept.tolist() == [20, 0, 0]


def sums_of(x, y):
    sums = RidgeSums(x.shape[1], y.shape[1])
    sums.add(x, y)
    return sums


@pytest.mark.parametrize("ratio", [1.0, 0.4])
def test_sparse_fits_are_those_of_scikit_learn(ratio):
    x, y = numbers()
    y[:, 2] = 7.0  # nothing to learn
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    parts = [0.02, 0.5, 0.1]
    strongest = np.abs(scaled.T @ (y - y.mean(axis=0))).max(axis=0) / len(y) / ratio
    for part, fit in zip(parts, sums_of(x, y).solve_sparse(parts, ratio)):
        for track in range(2):
            alpha = part * strongest[track]
            model = Lasso(alpha=alpha) if ratio == 1 else ElasticNet(alpha=alpha, l1_ratio=ratio)
            expected = model.set_params(tol=1e-8, max_iter=100_000).fit(scaled, y[:, track])
            tolerance = 0.01 * y[:, track].std()
            np.testing.assert_allclose(fit(x)[:, track], expected.predict(scaled), atol=tolerance)
            assert np.array_equal(fit.weights[:, track] != 0, expected.coef_ != 0)
        np.testing.assert_allclose(fit(x)[:, 2], 7.0, rtol=1e-5)


def test_the_strongest_penalty_leaves_no_feature():
    x, y = numbers()
    assert (sums_of(x, y).solve_sparse([1.0], 1.0)[0].weights == 0).all()
    labels = (y > np.median(y, axis=0)).astype(np.float32)
    present = np.ones(y.shape, bool)
    assert (fit_sparse_logistic(x.copy(), labels, present, [1.0001], 1.0)[0].weights == 0).all()
    assert (fit_sparse_logistic(x.copy(), labels, present, [0.9], 1.0)[0].weights != 0).any(axis=0).all()


@pytest.mark.parametrize("ratio", [1.0, 0.4])
def test_sparse_logistic_is_that_of_scikit_learn_where_labels_are_present(ratio):
    x, y = numbers(seed=1)
    labels = (y > np.median(y, axis=0)).astype(np.float32)
    present = np.random.default_rng(0).random(y.shape) < 0.8
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    parts = [0.3, 0.03]
    fits = fit_sparse_logistic(x.copy(), labels, present, parts, ratio, iterations=5000, tolerance=1e-6)
    for part, fit in zip(parts, fits):
        for track in range(3):
            keep = present[:, track]
            seen, known = scaled[keep], labels[keep, track]
            # the mean label with half a count more: where the strongest penalty is measured
            prior = (known.sum() + 0.5) / (len(known) + 1)
            strength = part * np.abs(seen.T @ (known - prior)).max() / ratio
            model = LogisticRegression(solver="saga", l1_ratio=ratio, C=1 / strength, max_iter=20_000, tol=1e-7)
            if "penalty" in model.get_params() and model.get_params()["penalty"] == "l2":
                model.set_params(penalty="elasticnet")
            expected = model.fit(seen, known)
            np.testing.assert_allclose(sigmoid(fit(x)[keep, track]), expected.predict_proba(seen)[:, 1], atol=0.003)


def test_classes_are_those_of_scikit_learn():
    x, y = numbers(seed=2)
    number = y.argmax(axis=1) if len(set(y.argmax(axis=1))) == 3 else (y - y.mean(axis=0)).argmax(axis=1)
    labels = np.eye(3, dtype=np.float32)[number]
    present = np.ones(labels.shape, bool)
    present[:50, 1] = False  # a row without one of its classes does not count
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    fits = fit_logistic(x.copy(), labels, present, [1.0, 100.0], classes=True, iterations=2000)
    for alpha, fit in zip([1.0, 100.0], fits):
        expected = LogisticRegression(C=1 / alpha, max_iter=5000, tol=1e-8).fit(scaled[50:], number[50:])
        np.testing.assert_allclose(softmax(fit(x)), expected.predict_proba(scaled), atol=0.005)
    sparse = fit_sparse_logistic(x.copy(), labels, present, [0.3, 0.01], 1.0, classes=True)
    right = [(fit(x)[50:].argmax(axis=1) == number[50:]).mean() for fit in sparse]
    assert right[1] > max(right[0], 0.8)
    assert (sparse[0].weights == 0).sum() > (sparse[1].weights == 0).sum()


def test_cross_entropy_of_one_softmax():
    raw = np.array([[0.0, np.log(3.0)], [1000.0, 0.0]])
    each = cross_entropy(raw, np.array([[0.0, 1.0], [0.25, 0.75]]), True)
    np.testing.assert_allclose(each.sum(axis=1), [np.log(4 / 3), 750.0])
