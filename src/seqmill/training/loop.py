"""The one training loop. What is learned is the objective's business; here are steps, early stopping and history."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.progress import Progress

_NAMED_ROWS = 8


class DivergedError(SeqmillError):
    """The loss is not a finite number any more."""


@dataclass
class Fit:
    """Result of `fit`: the best state by validation loss, its epoch (from 1), and one entry a pass.

    ``seconds`` is wall time, so it belongs into the run record, not into the model.
    """

    params: Any
    rest: Any
    best_epoch: int
    valid_loss: float
    steps: int
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    objective: Any,
    state: Any,
    batches: Iterator[Mapping[str, Any]],
    valid_batches: Callable[[], Iterator[tuple[Mapping[str, Any], np.ndarray]]],
    *,
    seed: int,
    steps_per_epoch: int,
    max_epochs: int,
    max_steps: int | None,
    patience: int,
    batch_size: int,
    label: str,
) -> Fit:
    """Train until the validation loss has not improved for ``patience`` passes, or the steps are used up.

    Parameters
    ----------
    objective : has ``step(state, batch, key) -> (loss, new_state, aux)``, ``evaluate`` and ``combine``.
    state : with ``params`` and ``rest``; its buffers are given away.
    batches : endless training batches with "row" (row numbers, on the host).
    valid_batches : starts one pass over the validation rows: (batch, rows that are not padding).

    Raises DivergedError that names the step and its rows when the loss is not finite.
    """
    step_function = jax.jit(objective.step, donate_argnums=0)
    evaluate = jax.jit(objective.evaluate)
    key = jax.random.key(seed)
    steps = min(max_epochs * steps_per_epoch, max_steps or max_epochs * steps_per_epoch)
    result: Fit | None = None
    history: list[dict[str, float]] = []
    losses: list[float] = []
    pending: tuple[int, Any, Mapping[str, Any]] | None = None
    start = time.monotonic()

    def settle() -> None:
        """Take the loss of the step before, while the device is busy with this one."""
        nonlocal pending
        if pending is not None:
            number, loss, batch = pending
            losses.append(float(loss))
            if not np.isfinite(losses[-1]):
                raise DivergedError(_diverged(label, number, losses, batch))
        pending = None

    with Progress(f"train {label}", steps * batch_size, "examples") as progress:
        for step in range(steps):
            batch = next(batches)
            arrays = {name: array for name, array in batch.items() if name != "row"}
            loss, state, _ = step_function(state, arrays, jax.random.fold_in(key, step))
            settle()
            pending = (step, loss, batch)
            progress.add(batch_size, f"loss {losses[-1]:.4g}" if losses else "")
            if (step + 1) % steps_per_epoch and step + 1 < steps:
                continue
            settle()
            epoch = step // steps_per_epoch + 1
            valid_loss = objective.combine([jax.device_get(evaluate(state, b, rows)) for b, rows in valid_batches()])
            if not np.isfinite(valid_loss):
                raise DivergedError(
                    f"{label}: the validation loss is {valid_loss} after step {step} (pass {epoch}); "
                    "a smaller learning_rate or optimizer.global_clipnorm is the usual cure"
                )
            history.append(
                {"epoch": epoch, "step": step + 1, "train_loss": float(np.mean(losses)), "valid_loss": valid_loss}
            )
            progress.log.info(
                "%s: pass %d, step %d, training loss %.5g, validation loss %.5g",
                label, epoch, step + 1, history[-1]["train_loss"], valid_loss,
            )  # fmt: skip
            losses = []
            if result is None or valid_loss < result.valid_loss:
                params, rest = jax.tree.map(jnp.copy, (state.params, state.rest))  # the next step takes the buffers
                result = Fit(params, rest, epoch, valid_loss, step + 1)
            elif epoch - result.best_epoch >= patience:
                break
    assert result is not None
    result.history, result.steps, result.seconds = history, int(history[-1]["step"]), time.monotonic() - start
    return result


def _diverged(label: str, step: int, losses: list[float], batch: Mapping[str, Any]) -> str:
    """Name the step, and either the rows that hold infinite numbers or the likely cause."""
    rows = np.asarray(batch["row"])
    bad = np.zeros(len(rows), bool)
    for name, array in batch.items():
        values = np.asarray(array)
        if name != "row" and values.dtype.kind == "f":
            wrong = ~np.isfinite(values) if name.startswith("inputs/") else np.isinf(values)
            bad |= wrong.reshape(len(rows), -1).any(axis=1)
    text = f"{label}: the loss is {losses[-1]} at step {step}"
    if bad.any():
        named = ", ".join(str(row) for row in rows[bad][:_NAMED_ROWS])
        return f"{text}; {bad.sum()} row(s) of its batch hold numbers that are not finite: dataset rows {named}"
    before = f" (the step before: {losses[-2]:.4g})" if len(losses) > 1 else ""
    named = ", ".join(str(row) for row in rows[:_NAMED_ROWS])
    return (
        f"{text}{before}; all numbers of its batch are finite (dataset rows {named}, ...), so the training diverged: "
        "lower learning_rate or set optimizer.global_clipnorm"
    )
