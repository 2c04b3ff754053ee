"""From predictions to one number a track, and from two alleles to what sets them apart.

The *score* of a track is its prediction in a space where effects add up:

============================  =======================================================================
binary, fraction,             logit of the probability
beta_binomial
count, profile                natural log of (total expected signal over all bins + 1)
class, distribution           natural log of the probability of each class
quantity                      the value itself (z-scores are turned back to the target's units before)
============================  =======================================================================
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import positional_axes

TINY = 1e-6
"""Probabilities are kept this far from 0 and 1 before the logit."""
LOGIT, LOG_TOTAL, LOG, PLAIN = "logit", "log of the total + 1", "log", "value"
SPACES = {
    "binary": LOGIT, "fraction": LOGIT, "beta_binomial": LOGIT, "count": LOG_TOTAL, "profile": LOG_TOTAL,
    "class": LOG, "distribution": LOG, "quantity": PLAIN,
}  # fmt: skip


def check_targets(specs: Mapping[str, Any], chosen: Sequence[str] | None, where: str) -> list[str]:
    """Targets to score. Raises InputError for unknown ones and for kinds that have no score."""
    for name in chosen or []:
        if name not in specs:
            raise InputError(where, f"target {name!r} is not predicted; known: {', '.join(specs)}")
    names = list(chosen or specs)
    for name in names:
        if specs[name].kind not in SPACES:
            raise InputError(
                where, f"target {name!r} of kind '{specs[name].kind}' has no score; leave it out of 'targets'"
            )
    return names


def value(x: Array, spec: Any) -> Array:
    """Predictions (example, ...) as one number a track, float32 (example, tracks): their total over bins for counts
    and profiles, else their mean."""
    if spec.kind == "beta_binomial":
        x = x[:, 0]  # the mean; the concentration behind it is no probability
    axes = positional_axes(spec)
    if axes:
        x = x.sum(axis=axes) if SPACES[spec.kind] == LOG_TOTAL else x.mean(axis=axes)
    return x.reshape(x.shape[0], -1)


def score(x: Array, spec: Any) -> Array:
    """Score of predictions (example, ...), float32 (example, tracks), see the module."""
    x, space = value(x, spec), SPACES[spec.kind]
    if space == LOG_TOTAL:
        return jnp.log1p(jnp.maximum(x, 0))
    if space == LOGIT:
        clipped = jnp.clip(x, TINY, 1 - TINY)
        return jnp.log(clipped) - jnp.log1p(-clipped)
    return jnp.log(jnp.maximum(x, TINY)) if space == LOG else x


def scores(specs: Mapping[str, Any], names: Sequence[str]) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """Compiled function from the predictions of a batch to the scores of the named targets."""

    @jax.jit
    def reduce(predicted: Mapping[str, Array]) -> dict[str, Array]:
        return {name: score(predicted[name], specs[name]) for name in names}

    return reduce
