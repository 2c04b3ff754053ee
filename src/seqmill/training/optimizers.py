"""Optimisers and schedules of optax by name, and the limits that papers put on weights."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from seqmill.config.models import Optimizer
from seqmill.runtime.errors import InputError


def make_optimizer(
    section: Optimizer, steps: int, rates: optax.GradientTransformation | None = None
) -> optax.GradientTransformation:
    """The optax transformation of a configuration section.

    Parameters
    ----------
    section : name, learning rate, schedule, further arguments.
    steps : length of the schedule.
    rates : factors of the learning rate (`seqmill.training.transfer.layer_rates`).

    Raises InputError for a name that optax does not have and for arguments that it does not take.
    """
    where = "training.optimizer"
    factory = getattr(optax, section.name, None)
    if not inspect.isfunction(factory) or "learning_rate" not in inspect.signature(factory).parameters:
        raise InputError(
            where, f"{section.name!r} is no optimiser of optax; common ones: adam, adamw, rmsprop, sgd, lion"
        )
    rate = _schedule(section, steps)
    try:
        optimizer = factory(learning_rate=rate, **section.settings)
    except (TypeError, ValueError) as error:
        raise InputError(where, f"settings {section.settings} do not fit optax.{section.name}: {error}") from None
    before = [optax.clip_by_global_norm(section.global_clipnorm)] if section.global_clipnorm else []
    before += [optax.add_decayed_weights(section.weight_decay)] if section.weight_decay else []
    after = [rates] if rates else []
    after += [limit_weight_norm(section.max_weight_norm)] if section.max_weight_norm else []
    return optax.chain(*before, optimizer, *after) if before or after else optimizer


def limit_weight_norm(limit: float) -> optax.GradientTransformation:
    """Scale the weights that lead into a unit down to an L2 norm of ``limit``, after each step.

    Arrays of two and more axes are taken for weights, their last axis for the units.
    """

    def limited(update: jax.Array, weight: jax.Array) -> jax.Array:
        if weight.ndim < 2:
            return update
        new = weight + update
        norm = jnp.sqrt(jnp.sum(jnp.square(new), axis=tuple(range(weight.ndim - 1)), keepdims=True))
        return jnp.where(norm > limit, new * (limit / norm) - weight, update)

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        return jax.tree.map(limited, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


# Short names of optax's schedules, and the parameters of theirs that are the learning rate.
_SCHEDULES = {
    "constant": "constant_schedule",
    "cosine": "cosine_decay_schedule",
    "linear": "linear_schedule",
    "exponential": "exponential_decay",
    "polynomial": "polynomial_schedule",
}
_RATES = ("peak_value", "init_value", "value")


def _schedule(section: Optimizer, steps: int) -> float | optax.Schedule:
    if section.schedule == "constant" and not section.warmup_steps:
        return section.learning_rate
    where = "training.optimizer.schedule"
    rate, warmup = section.learning_rate, min(section.warmup_steps, steps - 1)
    name = _SCHEDULES.get(section.schedule, section.schedule)
    factory: Any = getattr(optax.schedules, name, None)
    parameters = inspect.signature(factory).parameters if inspect.isfunction(factory) else {}
    of_rate = next((key for key in _RATES if key in parameters), None)
    if of_rate is None or name.startswith("piecewise"):
        raise InputError(where, f"{section.schedule!r} is no schedule of optax; common ones: {', '.join(_SCHEDULES)}")
    rest = max(1, steps - warmup)
    follow = {"init_value": 0.0, "end_value": 0.0, "decay_steps": rest, "transition_steps": rest, of_rate: rate}
    needed = [key for key, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    arguments = {key: follow[key] for key in needed if key in follow}
    try:
        if of_rate in section.schedule_settings:
            raise ValueError(f"{of_rate} is the learning_rate")
        after = factory(**(arguments | section.schedule_settings))
    except (TypeError, ValueError) as error:
        raise InputError(
            where, f"schedule_settings {section.schedule_settings} do not fit optax.{name}: {error}"
        ) from None
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(rate / (warmup + 1), rate, warmup), after], [warmup])


def rate_of(section: Optimizer, steps: int) -> Callable[[int], float]:
    """The learning rate of each step (from 0) of a training of ``steps`` steps."""
    rate = _schedule(section, steps)
    return (lambda step: float(rate(step))) if callable(rate) else (lambda step: rate)
