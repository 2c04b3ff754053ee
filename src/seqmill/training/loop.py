"""The one training loop. What is learned is the objective's business; here are steps, early stopping and history."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.progress import Progress
from seqmill.training.checkpoint import Checkpoints, StoppedError, stop_signal

_NAMED_ROWS = 8


class DivergedError(SeqmillError):
    """The loss is not a finite number any more."""


@dataclass
class Fit:
    """A training: where it stands, and the best state by validation loss with its epoch (from 1).

    ``seconds`` is wall time, so it belongs into the run record, not into the model.
    """

    state: Any
    params: Any
    rest: Any
    best_epoch: int = 0
    valid_loss: float | None = None
    steps: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)

    def arrays(self) -> dict[str, Any]:
        """What has to be saved to continue with the same bits, beside `counters`."""
        return {"state": self.state, "params": self.params, "rest": self.rest}

    def counters(self) -> dict[str, Any]:
        names = ("best_epoch", "valid_loss", "steps", "seconds", "losses", "history")
        return {name: getattr(self, name) for name in names}


def fit(
    objective: Any,
    state: Any,
    batches: Callable[[int], Generator[Mapping[str, Any], None, None]],
    valid_batches: Callable[[], Iterator[tuple[Mapping[str, Any], np.ndarray]]],
    *,
    seed: int,
    steps_per_epoch: int,
    max_epochs: int,
    max_steps: int | None,
    patience: int,
    patience_from: int = 0,
    batch_size: int,
    label: str,
    checkpoints: Checkpoints | None = None,
    after_pass: Callable[[int, float], None] | None = None,
) -> Fit:
    """Train until the validation loss has not improved for ``patience`` passes, or the steps are used up.

    Parameters
    ----------
    objective : has ``step(state, batch, key) -> (loss, new_state, aux)``, ``evaluate`` and ``combine``.
    state : with ``params`` and ``rest``; its buffers are given away.
    batches : starts the endless training batches at a step; each holds "row" (row numbers, on the host).
    valid_batches : starts one pass over the validation rows: (batch, rows that are not padding).
    patience_from : the pass after which ``patience`` begins to count.
    checkpoints : where the state is saved, and from where a training that was stopped goes on. When it is saved
        changes no bit of the result.
    after_pass : told each pass (from 1) and its validation loss; what it raises ends the training.

    Raises
    ------
    DivergedError
        The loss is not finite; the message names the step and its rows.
    StoppedError
        SIGTERM came; the state is saved.
    """
    key = jax.random.key(seed)
    step_function = jax.jit(
        lambda state, batch, step: objective.step(state, batch, jax.random.fold_in(key, step)), donate_argnums=0
    )
    evaluate = jax.jit(objective.evaluate)
    steps = min(max_epochs * steps_per_epoch, max_steps or max_epochs * steps_per_epoch)
    run = _start(state, checkpoints, label, steps)
    pending: tuple[int, Any, Mapping[str, Any]] | None = None
    first, start = run.steps, time.monotonic() - run.seconds

    def settle() -> None:
        """Take the loss of the step before, while the device is busy with this one."""
        nonlocal pending
        if pending is not None:
            number, loss, batch = pending
            run.losses.append(float(loss))
            if not np.isfinite(run.losses[-1]):
                raise DivergedError(_diverged(label, number, run.losses, batch))
        pending = None

    def save() -> None:
        settle()
        run.seconds = time.monotonic() - start
        if checkpoints is not None:
            checkpoints.save(run.steps, run.arrays(), run.counters())

    def stop_if_asked() -> None:
        if checkpoints is not None and stop.is_set():
            save()
            raise StoppedError(
                f"{label}: stopped by a signal after step {run.steps} of {steps}; the state is saved, "
                "the same command continues"
            )

    with (
        stop_signal(checkpoints is not None) as stop,
        closing(batches(run.steps)) as source,
        Progress(f"train {label}", steps * batch_size, "examples", done=run.steps * batch_size) as progress,
    ):
        while True:
            pass_ended = bool(run.steps) and (run.steps % steps_per_epoch == 0 or run.steps == steps)
            if pass_ended:
                settle()
                if run.losses:  # else the pass was validated before the state was saved
                    sums = []
                    for batch, rows in valid_batches():
                        stop_if_asked()
                        sums.append(evaluate(run.state, batch, rows))
                        jax.block_until_ready(sums[-2:-1])  # one batch ahead, not all of them in memory
                    progress.clear()
                    _end_pass(run, objective.combine(jax.device_get(sums)), -(-run.steps // steps_per_epoch), label)
                    if after_pass is not None:
                        after_pass(int(run.history[-1]["epoch"]), run.history[-1]["valid_loss"])
                if run.steps == steps or int(run.history[-1]["epoch"]) - max(run.best_epoch, patience_from) >= patience:
                    break
            stop_if_asked()
            if checkpoints is not None and checkpoints.due(pass_ended=pass_ended):
                save()
            batch = next(source)
            arrays = {name: array for name, array in batch.items() if name != "row"}
            loss, run.state, _ = step_function(run.state, arrays, np.uint32(run.steps))
            if run.steps == first:
                progress.begin()  # the step is compiled
            settle()
            pending = (run.steps, loss, batch)
            run.steps += 1
            progress.add(batch_size, f"loss {run.losses[-1]:.4g}" if run.losses else "")
    run.seconds = time.monotonic() - start
    return run


def _start(state: Any, checkpoints: Checkpoints | None, label: str, steps: int) -> Fit:
    """A new training, or one that goes on where its saved state ends."""
    run = Fit(state, state.params, state.rest)
    saved = checkpoints.load(run.arrays()) if checkpoints is not None else None
    if saved is None:
        run.params, run.rest = _copy(state)
        return run
    arrays, counters = saved
    logging.getLogger("seqmill").info("%s: goes on after step %d of %d", label, counters["steps"], steps)
    return Fit(**arrays, **counters)


def _copy(state: Any) -> Any:
    """Parameters and other state in buffers of their own: the next step takes those of ``state``."""
    return jax.tree.map(jnp.copy, (state.params, state.rest))


def _end_pass(run: Fit, valid_loss: float, epoch: int, label: str) -> None:
    """Note the losses of a pass, and keep its state if it is the best so far."""
    if not np.isfinite(valid_loss):
        raise DivergedError(
            f"{label}: the validation loss is {valid_loss} after step {run.steps - 1} (pass {epoch}); "
            "a smaller learning_rate or optimizer.global_clipnorm is the usual cure"
        )
    entry = {"epoch": epoch, "step": run.steps, "train_loss": float(np.mean(run.losses)), "valid_loss": valid_loss}
    run.history.append(entry)
    logging.getLogger("seqmill").info(
        "%s: pass %d, step %d, training loss %.5g, validation loss %.5g",
        label, epoch, run.steps, entry["train_loss"], valid_loss,
    )  # fmt: skip
    run.losses = []
    if run.valid_loss is None or valid_loss < run.valid_loss:
        run.params, run.rest = _copy(run.state)
        run.best_epoch, run.valid_loss = epoch, valid_loss


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
