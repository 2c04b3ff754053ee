"""The state of a training that goes on: saved beside its result, read back bit for bit, or not at all.

::

    models/{model}/.{fold}.{seed}.resume/
        000001200/    state.safetensors   every array of the state as bytes
                      state.json          sealed: key of the run, counters, name, type and shape of each array, SHA-256
        000000900/    the one before, in case the newest is damaged

It lies beside the result, not in it, because Snakemake deletes the outputs of a failed job.
"""

import hashlib
import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.runtime.errors import DamageError, SeqmillError
from seqmill.runtime.files import PART, TRASH, atomic_write, staged_folder
from seqmill.runtime.marker import seal, unseal

FORMAT = 1
KEPT = 2
_ARRAYS, _STATE = "state.safetensors", "state.json"


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


def changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two keys, in words.

    >>> changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    ['a.c was 2, is 3']
    """
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changes(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} was {_short(old)}, is {_short(new)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else text[:37] + "..."


def _leaves(tree: Any) -> tuple[list[str], list[Any], Any]:
    flat, structure = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path) for path, _ in flat], [leaf for _, leaf in flat], structure


class Checkpoints:
    """Saved states of one training.

    Parameters
    ----------
    folder : see `resume_folder`; the caller holds its lock.
    key : everything that decides the bits of the run, JSON values. A state saved under another key is of no use.
    label : of the run, for messages.
    every_s : longest time between two saves.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], *, label: str, every_s: float):
        self.folder, self.label, self.every_s = folder, label, every_s
        self.key = json.loads(json.dumps({**key, "checkpoint_format": FORMAT}))
        self.last = time.monotonic()
        self.log = logging.getLogger("seqmill")

    def due(self, *, pass_ended: bool) -> bool:
        """Whether to save now: at least every ``every_s``, and when a pass ends unless the last is very young."""
        return time.monotonic() - self.last >= (self.every_s / 10 if pass_ended else self.every_s)

    def save(self, step: int, tree: Any, counters: Mapping[str, Any]) -> None:
        """Save a state: ``tree`` of arrays (any pytree) and ``counters`` (JSON values), after ``step`` steps."""
        from safetensors.numpy import save

        names, leaves, _ = _leaves(tree)
        arrays = [np.ascontiguousarray(leaf) for leaf in jax.device_get(leaves)]
        data = save({str(number): array.reshape(-1).view(np.uint8) for number, array in enumerate(arrays)})
        body = {
            "key": self.key,
            "step": step,
            "counters": dict(counters),
            "arrays": [
                [name, array.dtype.name, list(np.shape(leaf))] for name, array, leaf in zip(names, arrays, leaves)
            ],
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        with staged_folder(self.folder / f"{step:09d}") as part:
            atomic_write(part / _ARRAYS, data)
            atomic_write(part / _STATE, seal(body))
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        self.last = time.monotonic()

    def load(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest whole state of this run, as (tree, counters); None if there is none.

        Parameters
        ----------
        like : tree of the structure, shapes and dtypes that are expected.

        A damaged state is told and the one before is tried; states of another configuration or dataset are deleted.
        """
        self._sweep()
        for place in self._found():
            try:
                body = unseal(place / _STATE)
                if body["key"] != self.key:
                    different = changes(body["key"], self.key)
                    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
                    self.log.warning(
                        "%s: the unfinished training (step %d) is of another run and is discarded: %s%s",
                        self.label, body["step"], "; ".join(different[:3]), more,
                    )  # fmt: skip
                    self.delete()
                    return None
                return self._restore(place, body, like), body["counters"]
            except DamageError as error:
                self.log.warning("%s: a saved state is damaged and left out: %s", self.label, error)
                shutil.rmtree(place, ignore_errors=True)
        return None

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
        return sorted((path for path in self.folder.glob("*") if path.name.isdigit()), reverse=True)

    def _sweep(self) -> None:
        """Delete what killed writers left."""
        for path in self.folder.glob(".*"):
            if PART in path.name or TRASH in path.name:
                shutil.rmtree(path, ignore_errors=True)

    def delete(self) -> None:
        """Delete all saved states."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _first_difference(saved: list, expected: list) -> str:
    """Name the first array in which a saved state differs from the network at hand."""
    for old, new in zip(saved, expected):
        if old != new:
            return f"holds {' '.join(map(str, old))} where the training has {' '.join(map(str, new))}"
    return f"holds {len(saved)} arrays, the training has {len(expected)}"
