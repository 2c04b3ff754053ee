"""The state of a training that goes on: saved beside its result, read back bit for bit, or not at all.

::

    models/{model}/.{fold}.{seed}.resume/
        000001200/    state.safetensors   every array of the state as bytes
                      state.json          sealed: key of the run, counters, name, type and shape of each array, SHA-256
        000000900/    the one before, in case the newest is damaged
        diverged.json instead of them: this run ends without a result, and how

It lies beside the result, not in it, because Snakemake deletes the outputs of a failed job. The place of every
example is a pure function of the step (`seqmill.training.order`), so the step is also the position in the data.
"""

import copy
import hashlib
import json
import logging
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.runtime.errors import DamageError, InputError, SeqmillError
from seqmill.runtime.files import PART, TRASH, atomic_write, staged_folder
from seqmill.runtime.marker import seal, unseal
from seqmill.training.saving import InBackground, host_copies, write_arrays

FORMAT = 1
KEPT = 2
_ARRAYS, _STATE, _DIVERGED = "state.safetensors", "state.json", "diverged.json"
# Not chosen for the training, but found by it: a change is more likely an accident than a wish to start over.
_MUST_STAY = {"dataset": "its dataset", "model.training.xla_threads": "training.xla_threads"}


class StoppedError(SeqmillError):
    """The training was asked to stop and has saved its state."""

    exit_code = 75  # "temporary failure": the same command continues


@contextmanager
def stop_signal(wanted: bool = True) -> Iterator[threading.Event]:
    """An event that SIGTERM or Ctrl-C sets while the block runs (where signals can be taken: in the main thread).

    A second Ctrl-C acts as it did before the block.
    """
    stop = threading.Event()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, _frame: Any) -> None:
        stop.set()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def resume_folder(out: str | Path) -> Path:
    """Where the training that writes the folder ``out`` keeps its state."""
    out = Path(out)
    return out.with_name(f".{out.name}.resume")


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """What differs between two keys: its path, and how it differs in words."""
    found: dict[str, str] = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found[prefix + name] = f"was {_short(old)}, is {_short(new)}"
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two keys, in words.

    >>> changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    ['a.c was 2, is 3']
    """
    return [f"{path} {words}" for path, words in _differences(before, after).items()]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else text[:37] + "..."


def _leaves(tree: Any) -> tuple[list[str], list[Any], Any]:
    flat, structure = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path) for path, _ in flat], [leaf for _, leaf in flat], structure


class Checkpoints:
    """Saved states of one training, written by a thread while it goes on.

    As a context it waits at its end for that thread, so that the lock of the folder can be given back.

    Parameters
    ----------
    folder : see `resume_folder`; the caller holds its lock.
    key : everything that decides the bits of the run, JSON values. A state saved under another key is of no use.
    label : of the run, for messages.
    every_s : longest time between two saves. A kill loses no more than that and what is being written.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], *, label: str, every_s: float):
        self.folder, self.label, self.every_s = folder, label, every_s
        self.key = json.loads(json.dumps({**key, "checkpoint_format": FORMAT}))
        self.last = time.monotonic()
        self.log = logging.getLogger("seqmill")
        self._writer = InBackground()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._settled()

    def due(self, *, pass_ended: bool) -> bool:
        """Whether to save now: at least every ``every_s``, and when a pass ends unless the last is very young."""
        return time.monotonic() - self.last >= (self.every_s / 10 if pass_ended else self.every_s)

    def stop_asked(self, stop: threading.Event) -> bool:
        """Whether the event of `stop_signal` is set; of several processes, in any (`seqmill.training.distributed`)."""
        return stop.is_set()

    def save(self, step: int, tree: Any, counters: Mapping[str, Any], *, wait: bool = False) -> None:
        """Save a state: ``tree`` of arrays (any pytree) and ``counters`` (JSON values), after ``step`` steps.

        Both are copied before this returns; they are written while the training goes on, but only one state at a
        time. A state that cannot be written is a warning, and tried again when the next is due.

        Parameters
        ----------
        wait : return when the state lies on disk. Raises SeqmillError if it cannot be written.
        """
        self._settled()
        names, leaves, _ = _leaves(tree)
        arrays, kept = host_copies(leaves), copy.deepcopy(dict(counters))
        self.last = time.monotonic()
        self._writer.start(lambda: self._write(step, names, arrays, kept))
        if wait and (problem := self._settled(warn=False)):
            raise SeqmillError(f"{self.label}: stopped by a signal after step {step}, and {problem}")

    def _settled(self, *, warn: bool = True) -> str:
        """Wait for the state that is being written; what went wrong in words, "" if nothing."""
        try:
            self._writer.wait()
        except OSError as error:
            found = self._found()
            newest = f"the newest is of step {_step_of(found[0])[0]}" if found else "there is none"
            problem = f"the state could not be saved ({error.strerror}: {error.filename or self.folder}); {newest}"
            if warn:
                self.log.warning("%s: %s", self.label, problem)
            return problem
        return ""

    def _write(self, step: int, names: list[str], arrays: list[np.ndarray], counters: dict[str, Any]) -> None:
        # A step is saved twice where a validation lies between; the older stays until the newer is whole.
        same = [number for at, number in map(_step_of, self._found()) if at == step]
        with staged_folder(self.folder / (f"{step:09d}" + (f".{max(same) + 1}" if same else ""))) as part:
            digest = write_arrays(part / _ARRAYS, arrays)
            body = {
                "key": self.key,
                "step": step,
                "counters": counters,
                "arrays": [[name, array.dtype.name, list(array.shape)] for name, array in zip(names, arrays)],
                "sha256": digest,
            }
            atomic_write(part / _STATE, seal(body))
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def load(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest whole state of this run, as (tree, counters); None if there is none.

        Parameters
        ----------
        like : tree of the structure, shapes and dtypes that are expected.

        A damaged state is told and the one before is tried; states of another configuration are deleted.

        Raises
        ------
        InputError
            The dataset or the thread count is another one: with it the training would end with other bits.
        """
        self._settled()
        self._sweep()
        for place in self._found():
            try:
                body = unseal(place / _STATE)
                if body["key"] != self.key:
                    self._refuse_or_discard(body)
                    return None
                return self._restore(place, body, like), body["counters"]
            except DamageError as error:
                self.log.warning("%s: a saved state is damaged and left out: %s", self.label, error)
                shutil.rmtree(place, ignore_errors=True)
        return None

    def _refuse_or_discard(self, body: Mapping[str, Any]) -> None:
        different = _differences(body["key"], self.key)
        if moved := [f"{what} changed ({different[path]})" for path, what in _MUST_STAY.items() if path in different]:
            raise InputError(
                self.folder,
                f"{self.label} stopped after step {body['step']} and cannot go on to the same result, because "
                f"{' and '.join(moved)}; set it back as it was, or delete this folder to start the training over",
            )
        words = changes(body["key"], self.key)
        more = f" and {len(words) - 3} more" if len(words) > 3 else ""
        self.log.warning(
            "%s: the unfinished training (step %d) is of another run and is discarded: %s%s",
            self.label, body["step"], "; ".join(words[:3]), more,
        )  # fmt: skip
        self.delete()

    def _restore(self, place: Path, body: Mapping[str, Any], like: Any) -> Any:
        from safetensors.numpy import load

        try:
            data = (place / _ARRAYS).read_bytes()
        except OSError as error:
            raise DamageError(f"{place / _ARRAYS}: cannot be read ({error.strerror})") from None
        if hashlib.sha256(data).hexdigest() != body["sha256"]:
            raise DamageError(f"{place / _ARRAYS}: content changed (SHA-256 differs from {_STATE})")
        names, leaves, structure = _leaves(like)
        expected = [[name, jnp.result_type(leaf).name, list(np.shape(leaf))] for name, leaf in zip(names, leaves)]
        if body["arrays"] != expected:
            raise DamageError(f"{place / _STATE}: {_first_difference(body['arrays'], expected)}")
        stored = load(data)
        restored = [
            # a copy: the step takes the buffers it is given
            jnp.array(stored[str(number)].view(jnp.result_type(leaf)).reshape(np.shape(leaf)), copy=True)
            for number, leaf in enumerate(leaves)
        ]
        return jax.tree_util.tree_unflatten(structure, restored)

    def _found(self) -> list[Path]:
        """Folders of the saved states, newest first."""
        found = [path for path in self.folder.glob("*") if re.fullmatch(r"\d{9,}(\.\d+)?", path.name)]
        return sorted(found, key=_step_of, reverse=True)

    def _sweep(self) -> None:
        """Delete what killed writers left."""
        for path in self.folder.glob(".*"):
            if PART in path.name or TRASH in path.name:
                shutil.rmtree(path, ignore_errors=True)

    def delete(self) -> None:
        """Delete all saved states."""
        self._settled()
        shutil.rmtree(self.folder, ignore_errors=True)

    def give_up(self, reason: str) -> None:
        """Delete all saved states and keep the reason why this run has no result: it would end so each time."""
        self.delete()
        with suppress(OSError):  # then it is found out again
            atomic_write(self.folder / _DIVERGED, seal({"key": self.key, "reason": reason}))

    def given_up(self) -> str | None:
        """Why this very run ended without a result before; None if it did not."""
        path = self.folder / _DIVERGED
        if not path.exists():
            return None
        try:
            body = unseal(path)
            if body["key"] == self.key:
                return f"{body['reason']} (so it ended before, and would again; to try all the same delete {path})"
        except DamageError:
            pass  # then it is tried again
        path.unlink(missing_ok=True)
        return None


def _step_of(place: Path) -> tuple[int, int]:
    """Step of a saved state, and its number among those of that step."""
    step, _, number = place.name.partition(".")
    return int(step), int(number or 0)


def _first_difference(saved: list, expected: list) -> str:
    """Name the first array in which a saved state differs from the network at hand."""
    for old, new in zip(saved, expected):
        if old != new:
            return f"holds {' '.join(map(str, old))} where the training has {' '.join(map(str, new))}"
    return f"holds {len(saved)} arrays, the training has {len(expected)}"
