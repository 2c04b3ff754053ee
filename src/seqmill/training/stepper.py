"""Around the step of any objective: the moving average of what is learned, and steps that are left out.

Neither is there unless asked for: `with_rules` then gives the objective back as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from seqmill.config.models import Training
from seqmill.runtime.errors import InputError

WINDOW = 128  # accepted steps whose median a step is compared with
LEAST = 16  # of them, before a step is
IN_A_ROW = 3  # steps that may be skipped one after the other
_OFTEN = 0.005


class StepperState(NamedTuple):
    """State of the objective and of what is around it.

    Attributes
    ----------
    inner : of the objective. average : (params, rest), moving averages; None if not asked for.
    taken : steps that were not skipped, int32. in_a_row : steps skipped since the last that was not, int32.
    recent : loss and gradient norm of the last steps taken, float32 (2, WINDOW), NaN where none is yet; None if not
        asked for.
    """

    inner: Any
    average: Any
    taken: Array
    in_a_row: Array
    recent: Array | None

    @property
    def params(self) -> Any:
        """What is validated, predicted with and written."""
        return self.inner.params if self.average is None else self.average[0]

    @property
    def rest(self) -> Any:
        return self.inner.rest if self.average is None else self.average[1]


class Stepper:
    """An objective with a moving average, or whose steps can be skipped; all else is the objective's own.

    Parameters
    ----------
    objective : see `seqmill.training.objectives`.
    ema_decay : after t steps an average moves by 1 - min(ema_decay, (1 + t) / (10 + t)) of what it lacks, so that the
        first parameters are forgotten soon (the rule of TensorFlow's ExponentialMovingAverage with ``num_updates``).
        Batch statistics are averaged too. None: no average.
    skip_spikes : largest multiple of the running median that a loss or gradient norm may be. None: any.
    place : puts small arrays where the state lies.
    """

    def __init__(
        self,
        objective: Any,
        *,
        ema_decay: float | None,
        skip_spikes: float | None,
        place: Callable[[Any], Any] | None = None,
    ):
        self.objective, self.ema_decay, self.skip_spikes = objective, ema_decay, skip_spikes
        self.place = place or (lambda tree: tree)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def init(self, params: Any, rest: Any) -> StepperState:
        inner = self.objective.init(params, rest)
        average = recent = None
        if self.ema_decay is not None:
            if not hasattr(inner, "_replace"):
                raise InputError(
                    "training.ema_decay",
                    "the state of this objective is no NamedTuple, so no average can take its place",
                )
            average = jax.tree.map(jnp.copy, (inner.params, inner.rest))
        if self.skip_spikes is not None:
            recent = self.place(jnp.full((2, WINDOW), jnp.nan, jnp.float32))
        taken, in_a_row = self.place((jnp.int32(0), jnp.int32(0)))
        return StepperState(inner, average, taken, in_a_row, recent)

    def step(self, state: StepperState, batch: Mapping[str, Array], key: Array) -> tuple[Array, StepperState, dict]:
        """One update, or none.

        Returns
        -------
        loss, new state, and aux of the objective; with ``skip_spikes`` also "skipped" (int32): 0 if the step was taken,
        else how many were skipped in a row up to this one.
        """
        loss, inner, aux = self.objective.step(state.inner, batch, key)
        aux, recent, in_a_row, take = dict(aux), state.recent, state.in_a_row, jnp.bool_(True)
        if self.skip_spikes is not None and recent is not None:
            values = jnp.stack([loss, aux.get("gradient_norm", jnp.zeros_like(loss))]).astype(jnp.float32)
            medians = jnp.nanmedian(recent, axis=1)
            judged = (state.taken >= LEAST) & (medians > 0)  # a loss may be negative: then its gradient alone tells
            take = jnp.all(jnp.isfinite(values) & (~judged | (values <= self.skip_spikes * medians)))
            recent = jnp.where(take, recent.at[:, state.taken % WINDOW].set(values), recent)
            inner = jax.tree.map(lambda new, old: jnp.where(take, new, old), inner, state.inner)
            aux["skipped"] = in_a_row = jnp.where(take, 0, in_a_row + 1)
        average = state.average
        if self.ema_decay is not None:
            lacks = jnp.where(take, 1 - jnp.minimum(self.ema_decay, (1 + state.taken) / (10 + state.taken)), 0.0)
            average = moved(average, (inner.params, inner.rest), lacks)
        return loss, StepperState(inner, average, state.taken + take.astype(jnp.int32), in_a_row, recent), aux

    def evaluate(self, state: StepperState, batch: Mapping[str, Array], rows: Array) -> Any:
        """Losses of one batch with the averages, where there are any."""
        inner = state.inner
        if state.average is not None:
            inner = inner._replace(params=state.average[0], rest=state.average[1])
        return self.objective.evaluate(inner, batch, rows)


def moved(average: Any, now: Any, part: Array) -> Any:
    """The average, moved by ``part`` of the way to ``now``; what is no floating-point number is that of ``now``."""

    def one(old: Array, new: Array) -> Array:
        return old + part.astype(new.dtype) * (new - old) if jnp.issubdtype(new.dtype, jnp.floating) else new

    return jax.tree.map(one, average, now)


def with_rules(objective: Any, training: Training, place: Callable[[Any], Any] | None = None) -> Any:
    """The objective with what ``training`` asks for around its step; itself if that is nothing."""
    if training.ema_decay is None and training.skip_spikes is None:
        return objective
    return Stepper(objective, ema_decay=training.ema_decay, skip_spikes=training.skip_spikes, place=place)


def spike_note(history: Sequence[Mapping[str, float]]) -> list[str]:
    """A sentence if so many steps were skipped that something else is wrong."""
    skipped, steps = int(sum(entry.get("skipped", 0) for entry in history)), int(history[-1]["step"])
    if skipped <= _OFTEN * steps:
        return []
    return [
        f"{skipped} of {steps} steps were skipped as spikes ({skipped / steps:.1%}): a lower learning_rate, "
        "optimizer.global_clipnorm or a larger skip_spikes would lose less"
    ]
