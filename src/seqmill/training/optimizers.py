"""Optimisers of optax by name."""

import inspect

import optax

from seqmill.config.models import Optimizer
from seqmill.runtime.errors import InputError


def make_optimizer(section: Optimizer, steps: int) -> optax.GradientTransformation:
    """The optax transformation of a configuration section.

    Parameters
    ----------
    section : name, learning rate, schedule, further arguments.
    steps : length of the schedule.

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
    if section.global_clipnorm:
        optimizer = optax.chain(optax.clip_by_global_norm(section.global_clipnorm), optimizer)
    return optimizer


def _schedule(section: Optimizer, steps: int) -> float | optax.Schedule:
    rate, warmup = section.learning_rate, min(section.warmup_steps, steps - 1)
    rest = max(1, steps - warmup)
    if section.schedule == "constant":
        after = optax.constant_schedule(rate)
    elif section.schedule == "cosine":
        after = optax.cosine_decay_schedule(rate, rest)
    else:
        after = optax.linear_schedule(rate, 0.0, rest)
    if not warmup:
        return rate if section.schedule == "constant" else after
    return optax.join_schedules([optax.linear_schedule(rate / (warmup + 1), rate, warmup), after], [warmup])
