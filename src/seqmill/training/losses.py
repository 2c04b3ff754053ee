"""Losses by target kind and name: how raw outputs are compared with labels, and what they predict.

Raw outputs are scale-free: quantities are standardised, profiles and counts are divided by their mean over the
training rows, so that one learning rate fits methylation fractions and read counts alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.scipy.special import gammaln

from seqmill.config.heads import LOSSES

_ONE = float(np.log(np.e - 1))  # softplus of it is 1: an untrained network predicts the mean
_TINY = 1e-6
_FAR = -1e9  # logit of a bin that is not there
_LARGEST_LOG_CONCENTRATION = 8.0


class Fit(NamedTuple):
    """What training rows and configuration say of a target.

    ``centre`` and ``scale`` are (track,), or scalars for a target without tracks; the others as in `Head`.
    """

    centre: Array | float
    scale: Array | float
    shape_weight: float = 5.0
    scale_free: bool = True


@dataclass(frozen=True)
class Loss:
    """One way to compare outputs with labels.

    Attributes
    ----------
    loss : (raw, truth, present, fit) to (losses, counted). Truth is finite, present is bool; both have the target's
        shape. ``counted`` (bool) marks the losses to be averaged; where it is False the loss means nothing. Both
        have one element for each label, or one for each thing that is judged as a whole (a profile, a class).
    predict : (raw, fit) to probabilities, values or expected counts.
    scaling : "none", "standard" (centre = mean, scale = standard deviation) or "mean" (scale = mean).
    limits : smallest and largest value that a label may have, or None.
    counts : whether labels should be raw counts; others are warned of.
    """

    loss: Callable[[Array, Array, Array, Fit], tuple[Array, Array]]
    predict: Callable[[Array, Fit], Array]
    scaling: str
    limits: tuple[float | None, float | None]
    counts: bool = False


def _each(function: Callable[[Array, Array, Fit], Array]) -> Callable[[Array, Array, Array, Fit], tuple[Array, Array]]:
    return lambda raw, truth, present, fit: (function(raw, truth, fit), present)


def _cross_entropy(raw: Array, truth: Array, fit: Fit) -> Array:
    return optax.losses.sigmoid_binary_cross_entropy(raw, truth)


def _brier(raw: Array, truth: Array, fit: Fit) -> Array:
    return jnp.square(jax.nn.sigmoid(raw) - truth)


def _probability(raw: Array, fit: Fit) -> Array:
    return jax.nn.sigmoid(raw)


def _square(raw: Array, truth: Array, fit: Fit) -> Array:
    return jnp.square(raw - (truth - fit.centre) / fit.scale)


def _huber(raw: Array, truth: Array, fit: Fit) -> Array:
    """Huber's loss of the standardised error: half its square up to 1, linear beyond."""
    return optax.losses.huber_loss(raw, (truth - fit.centre) / fit.scale)


def _value(raw: Array, fit: Fit) -> Array:
    return fit.centre + fit.scale * raw


def _relative_rate(raw: Array) -> Array:
    return jax.nn.softplus(raw + _ONE)


def _poisson(raw: Array, truth: Array, fit: Fit) -> Array:
    """Poisson negative log-likelihood of truth / scale, up to a term without the prediction."""
    rate = _relative_rate(raw)
    return rate - truth / fit.scale * jnp.log(rate + _TINY)


def _rate(raw: Array, fit: Fit) -> Array:
    return fit.scale * _relative_rate(raw)


def _log_square(raw: Array, truth: Array, fit: Fit) -> Array:
    """Squared error of log(1 + count), as BPNet's count head (Avsec et al. 2021, Methods)."""
    return jnp.square(raw + jnp.log1p(fit.scale) - jnp.log1p(truth))


def _expm1(raw: Array, fit: Fit) -> Array:
    return jnp.maximum(jnp.expm1(jnp.minimum(raw + jnp.log1p(fit.scale), 80.0)), 0.0)


def _log_shares(raw: Array, present: Array) -> Array:
    """Log of the share of each bin (example, bin, track) among those that are present."""
    return jax.nn.log_softmax(jnp.where(present, raw, _FAR), axis=1)


def _multinomial(raw: Array, truth: Array, present: Array, fit: Fit) -> tuple[Array, Array]:
    """Multinomial negative log-likelihood of a profile given its total, (example, track).

    As BPNet's profile head (Avsec et al. 2021, Methods), without the coefficient, which does not hold the prediction;
    divided by the mean total of the training rows where ``scale_free`` says so.
    """
    surprise = -jnp.sum(jnp.where(present, truth * _log_shares(raw, present), 0.0), axis=1)
    mean_total = fit.scale * raw.shape[1] if fit.scale_free else 1.0
    return surprise / mean_total, present.any(axis=1)


def _shape(raw: Array, fit: Fit) -> Array:
    """Predicted shape times the mean total of the training rows."""
    return jax.nn.softmax(raw, axis=1) * raw.shape[1] * fit.scale


def _poisson_multinomial(raw: Array, truth: Array, present: Array, fit: Fit) -> tuple[Array, Array]:
    """Poisson loss of the total plus ``shape_weight`` × multinomial loss of the shape, both a bin; (example, track).

    Borzoi (Linder et al. 2025) weighs the total by 0.2 against the shape, here 5 for the shape against the total.
    """
    rate = jnp.where(present, _relative_rate(raw), 0.0)
    truth = truth / fit.scale
    total, bins = rate.sum(axis=1), jnp.maximum(present.sum(axis=1), 1)
    log_total = jnp.log(total + _TINY)
    log_shares = jnp.log(rate + _TINY) - log_total[:, None]
    shape = -jnp.sum(jnp.where(present, truth * log_shares, 0.0), axis=1)
    poisson = total - truth.sum(axis=1) * log_total
    return (fit.shape_weight * shape + poisson) / bins, present.any(axis=1)


def _softmax_cross_entropy(raw: Array, truth: Array, present: Array, fit: Fit) -> tuple[Array, Array]:
    """Cross-entropy of shares over the last axis; an example counts if all its shares are there."""
    return optax.losses.softmax_cross_entropy(raw, truth), present.all(axis=-1)


def _softmax(raw: Array, fit: Fit) -> Array:
    return jax.nn.softmax(raw, axis=-1)


def _mean_and_concentration(raw: Array) -> tuple[Array, Array]:
    """From (example, 2, track): mean, and concentration, which is bounded so that float32 stays exact enough."""
    log_concentration = _LARGEST_LOG_CONCENTRATION * jnp.tanh(raw[:, 1] / _LARGEST_LOG_CONCENTRATION)
    return jax.nn.sigmoid(raw[:, 0]), jnp.exp(log_concentration)


def _beta_binomial(raw: Array, truth: Array, present: Array, fit: Fit) -> tuple[Array, Array]:
    """Negative log-likelihood of successes among trials, (example, track); no trials count for nothing."""
    mean, concentration = _mean_and_concentration(raw)
    a, b = concentration * mean + _TINY, concentration * (1 - mean) + _TINY
    hits, trials = truth[:, 0], truth[:, 1]
    misses = jnp.maximum(trials - hits, 0.0)
    log_choices = gammaln(trials + 1) - gammaln(hits + 1) - gammaln(misses + 1)
    rises = gammaln(hits + a) - gammaln(a) + gammaln(misses + b) - gammaln(b) - gammaln(trials + a + b) + gammaln(a + b)
    return -log_choices - rises, present.all(axis=1) & (trials > 0)


def _beta_binomial_predict(raw: Array, fit: Fit) -> Array:
    return jnp.stack(_mean_and_concentration(raw), axis=1)


_SHARES = (0.0, 1.0)
_COUNTS = (0.0, None)
_ANY = (None, None)
_BINARY = Loss(_each(_cross_entropy), _probability, "none", _SHARES)
_MSE = Loss(_each(_square), _value, "standard", _ANY)
_HUBER = Loss(_each(_huber), _value, "standard", _ANY)
_POISSON = Loss(_each(_poisson), _rate, "mean", _COUNTS)
_SOFTMAX = Loss(_softmax_cross_entropy, _softmax, "none", _SHARES)

_FUNCTIONS: dict[str, dict[str, Loss]] = {
    "binary": {"cross_entropy": _BINARY},
    "quantity": {"mse": _MSE, "huber": _HUBER},
    "fraction": {"cross_entropy": _BINARY, "mse": Loss(_each(_brier), _probability, "none", _SHARES)},
    "count": {"poisson": _POISSON, "log_mse": Loss(_each(_log_square), _expm1, "mean", _COUNTS)},
    "profile": {
        "poisson": _POISSON,
        "mse": _MSE,
        "multinomial": Loss(_multinomial, _shape, "mean", _COUNTS, counts=True),
        "poisson_multinomial": Loss(_poisson_multinomial, _rate, "mean", _COUNTS),
    },
    "class": {"cross_entropy": _SOFTMAX},
    "distribution": {"cross_entropy": _SOFTMAX},
    "beta_binomial": {"likelihood": Loss(_beta_binomial, _beta_binomial_predict, "none", _COUNTS)},
    "contact": {"mse": _MSE, "huber": _HUBER},
}


def loss_of(kind: str, name: str | None = None) -> Loss:
    """The loss of a target kind by name; its default without one."""
    return _FUNCTIONS[kind][name or LOSSES[kind][0]]
