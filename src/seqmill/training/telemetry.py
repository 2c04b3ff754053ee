"""How a training goes, while it goes: ``.{fold}.{seed}.progress.jsonl`` beside its saved state.

One JSON object a line, about one line a second (after a quarter of an hour one in a thousandth of the time so far, at
least one in 30 s); the first of each session tells which process writes::

    {"run": "basset/0.0", "steps": 5000, "steps_per_epoch": 500, "batch_size": 128, "owner": ..., "time": ...}
    {"step": 120, "epoch": 1, "loss": ..., "examples_per_s": ..., "seconds": ..., "waiting": ..., ...}
    {"step": 500, "epoch": 1, "train_loss": ..., "valid_loss": ..., "seconds": ..., "time": ...}   a pass was validated
    {"ended": "finished", "why": "", "time": ...}                                        or "stopped", or "failed"

``loss`` is the mean over the steps since the line before. ``waiting`` is the share of that time in which the device had
nothing to do because the next batch was not there (an upper bound). ``seconds`` counts the training, all its sessions
together; ``time`` is Unix time. The file holds clocks, so it is no part of the model, and nothing is computed from it.
"""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmill.runtime.files import atomic_write
from seqmill.runtime.owner import Owner

FIRST_S, LAST_S, PART = 1.0, 30.0, 1000
_WHY = 300


def progress_file(out: str | Path) -> Path:
    """Where the training that writes the folder ``out`` tells how it goes."""
    out = Path(out)
    return out.with_name(f".{out.name}.progress.jsonl")


@dataclass
class Followed:
    """What a progress file says; only the lines that belong to the state at hand.

    Attributes
    ----------
    header : of the last session. lines : of steps. passes : that were validated.
    ended : "finished", "stopped", "failed", or "" while it goes on (or was killed). why : of a failure.
    updated : Unix time of the last line.
    """

    header: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    passes: list[dict[str, Any]] = field(default_factory=list)
    ended: str = ""
    why: str = ""
    updated: float = 0.0

    def take(self, line: Mapping[str, Any]) -> None:
        """Add one line of the file. A session that goes on from an earlier step makes later lines void."""
        self.updated = float(line.get("time", self.updated))
        if "run" in line:
            step = line.get("from_step", 0)
            self.header, self.ended, self.why = dict(line), "", ""
            self.lines = [old for old in self.lines if old["step"] <= step]
            self.passes = [old for old in self.passes if old["step"] <= step]
        elif "ended" in line:
            self.ended, self.why = line["ended"], line.get("why", "")
        elif "valid_loss" in line:
            self.passes.append(dict(line))
        elif "loss" in line:
            self.lines.append(dict(line))


def read_progress(path: str | Path) -> Followed:
    """Read a progress file, also one that is being written (a half line at its end is left out)."""
    found = Followed()
    add_lines(found, Path(path).read_bytes())
    return found


def add_lines(found: Followed, text: bytes) -> None:
    """Add the lines of a piece of a progress file; what is no such line is left out."""
    for piece in text.split(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            line = json.loads(piece)
            if isinstance(line, dict):
                found.take(line)


class Telemetry:
    """Writes the progress file of one training, and says the same in a few words.

    Parameters
    ----------
    path : of the file; None: it is only said.
    label : of the run. steps, steps_per_epoch, batch_size : of the whole training.
    learning_rate : of a step (from 0). device : more numbers by name, asked once a line.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        label: str = "",
        steps: int = 0,
        steps_per_epoch: int = 1,
        batch_size: int = 1,
        learning_rate: Callable[[int], float] | None = None,
        device: Callable[[], Mapping[str, float]] = dict,
    ):
        self.path, self.steps_per_epoch, self.batch_size = path, steps_per_epoch, batch_size
        self.header = {"run": label, "steps": steps, "steps_per_epoch": steps_per_epoch, "batch_size": batch_size}
        self.learning_rate, self.device = learning_rate, device
        self.valid_loss: float | None = None
        self.line: dict[str, Any] = {}
        self.start = self.last = time.monotonic()
        self.done = self.seen = 0
        self.waited = 0.0
        self.losses: list[float] = []

    @contextlib.contextmanager
    def session(
        self, step: int, seconds: float = 0.0, history: Sequence[Mapping[str, Any]] = ()
    ) -> Iterator["Telemetry"]:
        """The training from ``step`` steps done, after ``seconds`` of earlier sessions, to the end of the block."""
        self.done = self.seen = step
        self.valid_loss = float(history[-1]["valid_loss"]) if history else None
        self.begin(seconds)
        if self.path is not None:
            try:
                earlier = _until(read_progress(self.path), step) if step and self.path.is_file() else []
                atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in earlier))
            except OSError as error:
                self._give_up(error)
        self._write(self.header | ({"from_step": step} if step else {}) | {"owner": Owner.of().as_dict()})
        try:
            yield self
        except BaseException as error:
            stopped = getattr(error, "exit_code", 0) == 75 or isinstance(error, KeyboardInterrupt)
            self._write({"ended": "stopped" if stopped else "failed", "why": str(error)[:_WHY]})
            raise
        self._write({"ended": "finished", "why": ""})

    def begin(self, seconds: float | None = None) -> None:
        """Take rates from now on: what came before was preparation, e.g. compilation."""
        self.last = time.monotonic()
        if seconds is not None:
            self.start = self.last - seconds
        self.waited = 0.0

    def next_batch(self, source: Iterator[Any], before: Any = None) -> Any:
        """The next batch of ``source``; ``before`` is the result of the step that the device is busy with, if any."""
        start = time.monotonic()
        batch = next(source)
        if before is None or before.is_ready():
            self.waited += time.monotonic() - start
        return batch

    def step(self, number: int, loss: float | None) -> None:
        """Count step ``number`` (from 0) with its loss; None for a step that was skipped."""
        self.losses += [] if loss is None else [loss]
        self.seen, now = number + 1, time.monotonic()
        if now - self.last >= min(LAST_S, max(FIRST_S, (now - self.start) / PART)) and self.losses:
            self._line(now)

    def pause(self) -> None:
        """A pass has ended: what was not yet written is, and the time of the validation does not count."""
        now = time.monotonic()
        if self.losses and now > self.last:
            self._line(now)

    def passed(self, entry: Mapping[str, Any]) -> None:
        """A pass was validated: its ``entry`` in the history."""
        self.valid_loss = float(entry["valid_loss"])
        self._write({**entry, "seconds": round(time.monotonic() - self.start, 3)})
        self.begin()

    def note(self) -> str:
        """A few words for the progress line."""
        if not self.line and not self.losses:
            return ""
        words = [f"loss {self.line['loss'] if self.line else self.losses[-1]:.4g}"]
        if self.valid_loss is not None:
            words.append(f"validation {self.valid_loss:.4g}")
        if self.line:
            words.append(f"{100 * self.line['waiting']:.0f} % waiting for data")
        if "device_busy" in self.line:
            words.append(f"device {100 * self.line['device_busy']:.0f} % busy")
        return ", ".join(words)

    def _line(self, now: float) -> None:
        elapsed, steps = now - self.last, self.seen - self.done
        self.done = self.seen
        self.line = {
            "step": self.done,
            "epoch": -(-self.done // self.steps_per_epoch),
            "loss": sum(self.losses) / len(self.losses),
            "examples_per_s": round(steps * self.batch_size / elapsed, 1),
            "seconds": round(now - self.start, 3),
            "waiting": round(min(1.0, self.waited / elapsed), 4),
        }
        if self.learning_rate is not None:
            self.line["learning_rate"] = self.learning_rate(self.done - 1)
        self.line |= self.device()
        self._write(self.line)
        self.losses, self.waited, self.last = [], 0.0, now

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        try:
            with open(self.path, "a") as handle:
                handle.write(json.dumps({**line, "time": round(time.time(), 3)}) + "\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """A disk that is full is no reason to end a training."""
        logging.getLogger("seqmill").warning("%s cannot be written (%s)", self.path, error.strerror)
        self.path = None


def _until(found: Followed, step: int) -> Iterator[dict[str, Any]]:
    """Lines of earlier sessions up to a step, in order."""
    if found.header:
        yield found.header
    kept = [line for line in [*found.lines, *found.passes] if line["step"] <= step]
    yield from sorted(kept, key=lambda line: (line["step"], "valid_loss" in line))
