"""The one training loop. What is learned is the objective's business; here are steps, early stopping and history."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.progress import Progress
from seqmill.training.checkpoint import Checkpoints, StoppedError, stop_signal
from seqmill.training.distributed import of_all_processes
from seqmill.training.finite import bad_arrays, bad_rows, locate, named
from seqmill.training.stepper import IN_A_ROW
from seqmill.training.telemetry import Telemetry


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
    skipped: int | None = None  # steps of this pass; None where no step can be skipped
    history: list[dict[str, float]] = field(default_factory=list)

    def arrays(self) -> dict[str, Any]:
        """What has to be saved to continue with the same bits, beside `counters`."""
        return {"state": self.state, "params": self.params, "rest": self.rest}

    def counters(self) -> dict[str, Any]:
        names = ("best_epoch", "valid_loss", "steps", "seconds", "losses", "skipped", "history")
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
    telemetry: Telemetry | None = None,
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
    telemetry : is told how it goes.
    after_pass : told each pass (from 1) and its validation loss; what it raises ends the training.

    Raises
    ------
    DivergedError
        The loss is not finite, or too many steps in a row were skipped; the message names the step, its rows, and the
        layer where it can.
    StoppedError
        SIGTERM came; the state is saved.
    """
    key, log = jax.random.key(seed), logging.getLogger("seqmill")
    step_function = jax.jit(
        lambda state, batch, step: objective.step(state, batch, jax.random.fold_in(key, step)), donate_argnums=0
    )
    evaluate = jax.jit(objective.evaluate)
    steps = min(max_epochs * steps_per_epoch, max_steps or max_epochs * steps_per_epoch)
    run = _start(state, checkpoints, label, steps)
    telemetry = telemetry or Telemetry(steps_per_epoch=steps_per_epoch, batch_size=batch_size)
    pending: tuple[int, Any, Any, Mapping[str, Any]] | None = None
    fresh: Any = None if run.steps else (run.params, run.rest)  # until a state is saved
    first, start = run.steps, time.monotonic() - run.seconds

    def settle() -> None:
        """Take the loss of the step before, while the device is busy with this one."""
        nonlocal pending
        if pending is not None:
            number, loss, skipped, batch = pending
            value, in_a_row = float(loss), None if skipped is None else int(skipped)
            if in_a_row is not None:
                run.skipped = (run.skipped or 0) + bool(in_a_row)
            if not np.isfinite(value) if in_a_row is None else in_a_row > IN_A_ROW:
                raise DivergedError(diverged(number, value, in_a_row, batch))
            if in_a_row:
                rows = named(np.asarray(batch["row"]))
                log.warning("%s: step %d was skipped: loss %.5g (dataset rows %s, ...)", label, number, value, rows)
            else:
                run.losses.append(value)
            telemetry.step(number, None if in_a_row else value)
        pending = None

    def diverged(number: int, value: float, in_a_row: int | None, batch: Mapping[str, Any]) -> str:
        rows, bad = of_all_processes(np.asarray(batch["row"]), bad_rows(batch))
        text = _diverged(label, number, value, in_a_row, run.losses, rows, bad)
        if bad.any():
            return text
        layer = locate(objective, step_function, earlier, batches, number, key, label)
        return f"{text}; {layer}" if layer else text

    def earlier() -> tuple[Any, int] | None:
        """A state that a failed step can be repeated from."""
        saved = checkpoints.load(run.arrays()) if checkpoints is not None else None
        if saved is not None:
            return saved[0]["state"], saved[1]["steps"]
        return None if fresh is None else (objective.init(*fresh), 0)

    def save(*, wait: bool = False) -> None:
        nonlocal fresh
        settle()
        run.seconds = time.monotonic() - start
        if checkpoints is not None:
            fresh = None
            checkpoints.save(run.steps, run.arrays(), run.counters(), wait=wait)

    def stop_if_asked() -> None:
        if checkpoints is not None and checkpoints.stop_asked(stop):
            save(wait=True)
            raise StoppedError(
                f"{label}: stopped by a signal after step {run.steps} of {steps}; the state is saved, "
                "the same command continues"
            )

    with (
        stop_signal(checkpoints is not None) as stop,
        checkpoints or nullcontext(),  # nothing is being written any more when this function returns
        closing(batches(run.steps)) as source,
        Progress(f"train {label}", steps * batch_size, "examples", done=run.steps * batch_size) as progress,
        telemetry.session(run.steps, run.seconds, run.history),
    ):
        while True:
            pass_ended = bool(run.steps) and (run.steps % steps_per_epoch == 0 or run.steps == steps)
            if pass_ended:
                settle()
                if run.losses or run.skipped:  # else the pass was validated before the state was saved
                    telemetry.pause()
                    sums = []
                    for batch, rows in valid_batches():
                        stop_if_asked()
                        sums.append(evaluate(run.state, batch, rows))
                        jax.block_until_ready(sums[-2:-1])  # one batch ahead, not all of them in memory
                    progress.clear()
                    _end_pass(run, objective.combine(jax.device_get(sums)), -(-run.steps // steps_per_epoch), label)
                    telemetry.passed(run.history[-1])
                    if after_pass is not None:
                        after_pass(int(run.history[-1]["epoch"]), run.history[-1]["valid_loss"])
                if run.steps == steps or int(run.history[-1]["epoch"]) - max(run.best_epoch, patience_from) >= patience:
                    break
            stop_if_asked()
            if checkpoints is not None and checkpoints.due(pass_ended=pass_ended):
                save()
            batch = telemetry.next_batch(source, pending[1] if pending else None)
            arrays = {name: array for name, array in batch.items() if name != "row"}
            loss, run.state, aux = step_function(run.state, arrays, np.uint32(run.steps))
            if run.steps == first:
                progress.begin()  # the step is compiled
                telemetry.begin()
            settle()
            pending = (run.steps, loss, aux.get("skipped") if isinstance(aux, Mapping) else None, batch)
            run.steps += 1
            progress.add(batch_size, telemetry.note())
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
        lost = bad_arrays({"params": run.state.params, "state": run.state.rest})
        raise DivergedError(
            f"{label}: the validation loss is {valid_loss} after step {run.steps - 1} (pass {epoch}); "
            "a smaller learning_rate or optimizer.global_clipnorm is the usual cure"
            + (f"; not finite: {', '.join(lost[:2])}" if lost else "")
        )
    if not run.losses:
        raise DivergedError(f"{label}: all {run.skipped} steps of pass {epoch} were skipped (training.skip_spikes)")
    entry = {"epoch": epoch, "step": run.steps, "train_loss": float(np.mean(run.losses)), "valid_loss": valid_loss}
    if run.skipped is not None:
        entry["skipped"], run.skipped = run.skipped, 0
    run.history.append(entry)
    logging.getLogger("seqmill").info(
        "%s: pass %d, step %d, training loss %.5g, validation loss %.5g",
        label, epoch, run.steps, entry["train_loss"], valid_loss,
    )  # fmt: skip
    run.losses = []
    if run.valid_loss is None or valid_loss < run.valid_loss:
        run.params, run.rest = _copy(run.state)
        run.best_epoch, run.valid_loss = epoch, valid_loss


def _diverged(
    label: str,
    step: int,
    value: float,
    in_a_row: int | None,
    losses: list[float],
    rows: np.ndarray,
    bad: np.ndarray,
) -> str:
    """Name the step, and either the rows that hold infinite numbers or the likely cause."""
    text = f"{label}: the loss is {value} at step {step}"
    if in_a_row is not None:
        text += f", the {in_a_row}th in a row to be skipped (training.skip_spikes)"
    if bad.any():
        return (
            f"{text}; {bad.sum()} row(s) of its batch hold numbers that are not finite: dataset rows {named(rows[bad])}"
        )
    before = f" (the step before: {losses[-1]:.4g})" if losses else ""
    return (
        f"{text}{before}; all numbers of its batch are finite (dataset rows {named(rows)}, ...), so the training "
        "diverged: lower learning_rate or set optimizer.global_clipnorm"
    )
