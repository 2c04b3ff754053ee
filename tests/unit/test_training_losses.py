"""Losses of each target kind against hand computations, SciPy and our own metrics; heads; one way to predictions."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln, softmax
from scipy.stats import betabinom

from seqmill.config.heads import LOSSES, Head, check_heads
from seqmill.metrics.profile import multinomial_log_likelihood
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import TARGET_KINDS, TargetSpec
from seqmill.training.heads import FittedHead, fit_weights, predictions_of
from seqmill.training.kinds import Scaling, Statistics, check_labels
from seqmill.training.losses import Fit, loss_of

PLAIN = Fit(0.0, 1.0)


def each(kind, name, raw, truth, fit=PLAIN, present=None):
    """Losses of one batch as NumPy, and which of them count."""
    raw, truth = jnp.asarray(raw, jnp.float32), jnp.asarray(truth, jnp.float32)
    present = jnp.ones(truth.shape, bool) if present is None else jnp.asarray(present)
    losses, counted = loss_of(kind, name).loss(raw, truth, present, fit)
    return np.asarray(losses), np.asarray(counted)


def softplus(x):
    return math.log1p(math.exp(x))


def test_every_kind_has_the_losses_that_the_configuration_knows():
    for kind, names in LOSSES.items():
        assert loss_of(kind, names[0]) is loss_of(kind)
        assert len({id(loss_of(kind, name)) for name in names}) == len(names)
    assert set(TARGET_KINDS) == {*LOSSES, "none"}
    with pytest.raises(KeyError):
        loss_of("binary", "mse")


@pytest.mark.parametrize("kind", ["binary", "fraction"])
def test_cross_entropy(kind):
    raw, truth = 0.7, 1.0 if kind == "binary" else 0.25
    p = 1 / (1 + math.exp(-raw))
    losses, _ = each(kind, None, [raw], [truth])
    assert losses[0] == pytest.approx(-(truth * math.log(p) + (1 - truth) * math.log(1 - p)), rel=1e-5)
    assert float(loss_of(kind).predict(jnp.asarray(raw), PLAIN)) == pytest.approx(p, rel=1e-5)


def test_fraction_by_squared_error_is_of_the_probability():
    losses, _ = each("fraction", "mse", [0.7], [0.25])
    assert losses[0] == pytest.approx((1 / (1 + math.exp(-0.7)) - 0.25) ** 2, rel=1e-5)


def test_quantity_is_standardised():
    fit = Fit(3.0, 2.0)
    assert each("quantity", "mse", [0.5], [7.0], fit)[0] == pytest.approx((0.5 - 2.0) ** 2)
    assert each("quantity", "huber", [0.5, 1.5], [7.0, 7.0], fit)[0].tolist() == [1.5 - 0.5, 0.5 * 0.25]
    assert float(loss_of("quantity").predict(jnp.asarray(0.5), fit)) == 4.0
    contacts, _ = each("contact", "mse", np.ones((1, 2, 2, 1)), np.full((1, 2, 2, 1), 7.0), fit)
    assert contacts.tolist() == [[[[1], [1]]] * 2]


def test_poisson_of_an_untrained_network_is_the_mean():
    loss, fit = loss_of("profile"), Fit(0.0, 12.5)
    assert float(loss.predict(jnp.asarray(0.0), fit)) == pytest.approx(12.5)
    rate = softplus(0.3 + math.log(math.e - 1))
    assert each("profile", None, [0.3], [25.0], fit)[0][0] == pytest.approx(rate - 2 * math.log(rate), rel=1e-4)
    # The loss is smallest where the prediction is the truth.
    raws = jnp.linspace(-3, 5, 4001)
    best = raws[np.argmin(each("profile", None, raws, np.full(4001, 25.0), fit)[0])]
    assert float(loss.predict(best, fit)) == pytest.approx(25.0, rel=0.01)


def test_log_counts():
    fit = Fit(0.0, 19.0)
    assert each("count", "log_mse", [0.0], [19.0], fit)[0][0] == 0
    expected = (0.5 + math.log(20 / 100)) ** 2
    assert each("count", "log_mse", [0.5], [99.0], fit)[0][0] == pytest.approx(expected, rel=1e-5)
    predict = loss_of("count", "log_mse").predict
    assert float(predict(jnp.asarray(0.0), fit)) == pytest.approx(19.0)
    assert float(predict(jnp.asarray(-99.0), fit)) == 0
    assert math.isfinite(float(predict(jnp.asarray(1e9), fit)))


def test_multinomial_is_the_likelihood_of_the_metric():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (4, 7, 2)).astype(float)
    raw = rng.normal(size=(4, 7, 2))
    scale = np.array([2.0, 3.0], np.float32)
    losses, counted = each("profile", "multinomial", raw, counts, Fit(0.0, jnp.asarray(scale)))
    assert losses.shape == counted.shape == (4, 2)
    assert counted.all()
    turned, shares = counts.transpose(0, 2, 1), softmax(raw, axis=1).transpose(0, 2, 1)
    coefficient = gammaln(turned.sum(-1) + 1) - gammaln(turned + 1).sum(-1)
    expected = -(multinomial_log_likelihood(turned, shares) - coefficient) / (scale * 7)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    found = total(head("profile", scale=9.0, loss="multinomial", scale_free=False), raw, counts)
    assert found == (pytest.approx((expected * scale * 7).sum(), rel=1e-5), 8)


def test_multinomial_leaves_missing_bins_out():
    raw, counts = np.array([[[0.3], [9.0], [-1.0]]]), np.array([[[4.0], [0.0], [2.0]]])
    present = np.array([[[True], [False], [True]]])
    losses, counted = each("profile", "multinomial", raw, counts, Fit(0.0, 1.0), present)
    log_p = np.log(softmax([0.3, -1.0]))
    assert losses[0, 0] == pytest.approx(-(4 * log_p[0] + 2 * log_p[1]) / 3, rel=1e-5)
    assert counted.all()
    assert not each("profile", "multinomial", raw, counts, PLAIN, np.zeros((1, 3, 1), bool))[1].any()


def test_poisson_multinomial_by_hand():
    raw, counts = np.array([0.5, -0.2, 1.0]), np.array([2.0, 0.0, 5.0])
    rate = np.array([softplus(x + math.log(math.e - 1)) for x in raw])
    truth, total = counts / 2, rate.sum()
    shape = -(truth * np.log(rate / total)).sum() / 3
    poisson = (total - truth.sum() * math.log(total)) / 3
    losses, _ = each("profile", "poisson_multinomial", raw[None, :, None], counts[None, :, None], Fit(0.0, 2.0, 4.0))
    assert losses[0, 0] == pytest.approx(4 * shape + poisson, rel=1e-5)
    # A missing bin counts neither in the shape nor in the total.
    longer = [np.append(x, y)[None, :, None] for x, y in ((raw, 7.0), (counts, 0.0), (np.ones(3, bool), False))]
    assert each("profile", "poisson_multinomial", longer[0], longer[1], Fit(0.0, 2.0, 4.0), longer[2])[0] == (
        pytest.approx(losses)
    )


@pytest.mark.parametrize("kind", ["class", "distribution"])
def test_softmax_cross_entropy(kind):
    raw, truth = [[1.0, 0.0, -1.0]], [[0.0, 1.0, 0.0]] if kind == "class" else [[0.2, 0.5, 0.3]]
    losses, counted = each(kind, None, raw, truth)
    assert losses[0] == pytest.approx(-(np.array(truth) * np.log(softmax(raw))).sum(), rel=1e-5)
    assert counted.tolist() == [True]
    np.testing.assert_allclose(loss_of(kind).predict(jnp.asarray(raw), PLAIN), softmax(raw), rtol=1e-5)
    assert each(kind, None, raw, truth, present=[[True, False, True]])[1].tolist() == [False]


def test_beta_binomial_is_scipys():
    raw = np.array([[[0.4, -2.0], [1.5, 3.0]], [[0.0, 6.0], [-2.0, 0.0]]])
    truth = np.array([[[3.0, 0.0], [10.0, 250.0]], [[1.0, 0.0], [1.0, 0.0]]])
    losses, counted = each("beta_binomial", None, raw, truth)
    predicted = np.asarray(loss_of("beta_binomial").predict(jnp.asarray(raw, jnp.float32), PLAIN), np.float64)
    mean, concentration = predicted[:, 0], predicted[:, 1]
    np.testing.assert_allclose(mean, 1 / (1 + np.exp(-raw[:, 0])), rtol=1e-5)
    np.testing.assert_allclose(concentration, np.exp(8 * np.tanh(raw[:, 1] / 8)), rtol=1e-5)
    expected = -betabinom.logpmf(truth[:, 0], truth[:, 1], mean * concentration, (1 - mean) * concentration)
    np.testing.assert_allclose(losses, expected, rtol=1e-3, atol=1e-4)
    assert counted.tolist() == [[True, True], [True, False]]  # no trials, nothing to learn


def head(kind, tracks=2, scale=1.0, class_weights=None, track_weights=None, **settings):
    scaling = Scaling(np.zeros(tracks, np.float32), np.full(tracks, scale, np.float32))
    return FittedHead(kind, Head(**settings), scaling, class_weights, track_weights)


def total(fitted, raw, truth, present=None):
    raw, truth = jnp.asarray(raw, jnp.float32), jnp.asarray(truth, jnp.float32)
    loss = fitted.losses(raw, truth, jnp.ones(truth.shape, bool) if present is None else jnp.asarray(present))
    return float(loss.total), int(loss.labels)


def test_class_weights_and_label_smoothing_of_binary_targets():
    raw, truth = np.array([[0.7, -1.0], [0.2, 0.3]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    p = 1 / (1 + np.exp(-raw))
    weights = np.array([[1.0, 3.0], [5.0, 7.0]], np.float32)  # (negative, positive) × track
    smooth = truth * 0.9 + 0.05
    entropy = -(smooth * np.log(p) + (1 - smooth) * np.log(1 - p))
    by_class = np.array([[5.0, 3.0], [1.0, 7.0]])
    found = total(head("binary", class_weights=weights, label_smoothing=0.1), raw, truth)
    assert found == (pytest.approx((entropy * by_class).sum(), rel=1e-5), 4)


def test_class_weights_and_label_smoothing_of_classes():
    raw, truth = np.array([[1.0, 0.0, -1.0], [0.5, 0.5, 2.0]]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    smooth = truth * 0.7 + 0.1
    entropy = -(smooth * np.log(softmax(raw, axis=1))).sum(axis=1)
    fitted = head("class", 3, class_weights=np.array([1.0, 2.0, 4.0], np.float32), label_smoothing=0.3)
    assert total(fitted, raw, truth) == (pytest.approx(2 * entropy[0] + 4 * entropy[1], rel=1e-5), 2)


def test_track_weights_of_profiles_and_numbers():
    rng = np.random.default_rng(1)
    weights = np.array([0.5, 2.0], np.float32)
    raw, truth = rng.normal(size=(3, 5, 2)), rng.poisson(2, (3, 5, 2))
    for loss in ("poisson", "multinomial", "poisson_multinomial", "mse"):
        losses, _ = each("profile", loss, raw, truth, Fit(jnp.zeros(2), jnp.ones(2)))
        found = total(head("profile", track_weights=weights, loss=loss), raw, truth)
        assert found == (pytest.approx(float((losses * weights).sum()), rel=1e-5), losses.size)


def statistics_of(values):
    statistics = Statistics(np.shape(values)[-1])
    statistics.add(np.asarray(values, np.float32), None)
    return statistics


def spec_of(kind, tracks):
    return TargetSpec("y", kind, "float32", ("example", "tracks"), (len(tracks),), tracks)


def test_weights_from_numbers_and_from_training_rows():
    labels = statistics_of([[0, 1], [1, 1], [0, np.nan], [0, 1]])
    binary = spec_of("binary", ("a", "b"))
    balanced, _ = fit_weights("y", binary, Head(class_weights="balanced"), labels, "m")
    np.testing.assert_allclose(balanced, [[4 / 6, 1], [2, 3 / 6]])  # track b has positives only
    given, by_track = fit_weights("y", binary, Head(class_weights=[1, 9], track_weights={"b": 3}), labels, "m")
    assert (given.tolist(), by_track.tolist()) == ([[1, 1], [9, 9]], [1, 3])
    named, _ = fit_weights("y", binary, Head(class_weights={"b": [2, 4]}), labels, "m")
    assert named.tolist() == [[1, 2], [1, 4]]
    classes, one_hot = spec_of("class", ("x", "y", "z")), statistics_of([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert fit_weights("y", classes, Head(class_weights="balanced"), one_hot, "m")[0].tolist() == pytest.approx(
        [4 / 9, 4 / 3, 1]
    )
    assert fit_weights("y", classes, Head(class_weights={"z": 5}), one_hot, "m")[0].tolist() == [1, 1, 5]
    assert fit_weights("y", classes, Head(), one_hot, "m") == (None, None)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("binary", {"track_weights": {"c": 1}}, "m: target 'y': track_weights name 'c', which is none of its tracks"),
        ("class", {"class_weights": {"c": 1}}, "m: target 'y': class_weights name 'c', which is none of its classes"),
        ("binary", {"class_weights": [1, 2, 3]}, "expected two numbers, [negative, positive], none below 0"),
        ("class", {"class_weights": [1, 2, 3]}, "are [1.0, 2.0, 3.0]; expected 2 numbers (a, b), none below 0"),
        ("class", {"class_weights": [1, -2]}, "expected 2 numbers (a, b), none below 0"),
    ],
)
def test_refused_weights(kind, settings, message):
    with pytest.raises(InputError) as caught:
        fit_weights("y", spec_of(kind, ("a", "b")), Head(**settings), statistics_of([[0, 1], [1, 0]]), "m")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"b": {"loss": "mse"}}, "m.targets.b: loss 'mse' does not fit kind 'binary'; it takes cross_entropy"),
        ({"n": {}}, "m.targets.n: a target of kind 'none' has no loss and cannot be learned"),
        ({"c": {"label_smoothing": 0.1}}, "label_smoothing is for kinds binary and class; this is kind 'count'"),
        ({"p": {"class_weights": "balanced"}}, "class_weights is for kinds binary and class"),
        ({"k": {"track_weights": {"x": 1}}}, "track_weights is for targets whose tracks are not classes"),
        ({"p": {"total": "c"}, "c": {}}, "total is for the multinomial loss; this is kind 'profile' with loss 'pois"),
        ({"c": {"scale_free": False}}, "scale_free: false is for the multinomial loss; this is kind 'count'"),
        ({"p": {"loss": "multinomial", "total": "c"}}, "total 'c' is no count target of this model; it has: none"),
        ({"p": {"loss": "multinomial", "total": "b"}, "b": {}, "c": {}}, "no count target of this model; it has: c"),
    ],
)
def test_settings_that_do_not_fit_their_kind(settings, message):
    kinds = {"b": "binary", "c": "count", "p": "profile", "k": "class", "n": "none"}
    with pytest.raises(InputError) as caught:
        check_heads({key: Head(**value) for key, value in settings.items()}, kinds, "m")
    assert message in str(caught.value)


def test_a_multinomial_profile_is_shape_times_predicted_total():
    raw = np.random.default_rng(2).normal(size=(3, 4, 2)).astype(np.float32)
    counts = np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, 2.0]], np.float32)
    profile = head("profile", 2, 1.5, loss="multinomial")
    alone = np.asarray(predictions_of({"p": profile}, {"p": jnp.asarray(raw)})["p"])
    np.testing.assert_allclose(alone.sum(axis=1), 4 * 1.5, rtol=1e-5)  # bins × mean of a bin
    np.testing.assert_allclose(alone / alone.sum(axis=1, keepdims=True), softmax(raw, axis=1), rtol=1e-5)
    heads = {"p": head("profile", 2, 1.5, loss="multinomial", total="c"), "c": head("count", 2, 60.0, loss="log_mse")}
    both = predictions_of(heads, {"p": jnp.asarray(raw), "c": jnp.asarray(counts)})
    ratio = np.maximum(np.exp(counts) * 61 - 1, 0) / 60
    np.testing.assert_allclose(both["c"], ratio * 60, rtol=1e-4)
    np.testing.assert_allclose(both["p"], alone * ratio[:, None], rtol=1e-4)
    one = {"p": heads["p"], "c": head("count", 1, 60.0, loss="log_mse")}
    single = predictions_of(one, {"p": jnp.asarray(raw), "c": jnp.asarray(counts[:, :1])})
    np.testing.assert_allclose(single["p"], alone * ratio[:, :1, None], rtol=1e-4)


def test_heads_survive_their_description():
    fitted = head("binary", class_weights=np.ones((2, 2), np.float32), label_smoothing=0.2, weight=3)
    again = FittedHead.from_json(fitted.to_json())
    assert again.to_json() == fitted.to_json()
    assert (again.kind, again.section.loss, again.weight) == ("binary", "cross_entropy", 3)
    assert again.track_weights is None


def test_one_class_is_nothing_to_learn():
    classes = spec_of("class", ("a", "b", "c"))
    with pytest.raises(InputError, match="d:y: target 'y': all training rows are of class 'b'"):
        check_labels("y", classes, loss_of("class"), statistics_of([[0, 1, 0], [0, 1, 0]]), "d")
    assert check_labels("y", classes, loss_of("class"), statistics_of([[0, 1, 0], [1, 0, 0]]), "d") == ["c"]


def test_normalised_tracks_are_told_from_counts():
    statistics = Statistics(3, bin_bp=4)
    statistics.add(np.array([[0.25, 0.3, 7.0], [1.5, 1.0, np.nan]], np.float32), None)
    assert statistics.whole.tolist() == [True, False, True]  # a mean of counts over a bin of 4 bp is a quarter of one
    assert loss_of("profile", "multinomial").counts
    assert not loss_of("profile").counts
