"""One training by several processes, on one machine or many: how they meet, agree and save.

All run the same program on one array of the whole batch (`seqmill.training.parallel`); each reads its own rows of it.
What is random, measured or written is decided by process 0 and told to the others, so that all do the same at the
same step: when to save and to stop, and from which saved state to go on. On CPUs they talk by gloo, on GPUs by NCCL.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from seqmill.config.models import Training
from seqmill.runtime.cluster import Place, find_place
from seqmill.runtime.errors import InputError, SeqmillError, WorkerError
from seqmill.training.parallel import Layout, PlacedCheckpoints

AGREE_S = 1.0  # between two questions whether to save or to stop
PIECE = 2**28  # bytes that are told at once
MEET_S = 300  # for all to come
WRITE_S = 3600  # the others wait so long at their end for the first to write the model
HEARTBEAT_S = 60  # silence after which a process counts as dead where the network does not tell


def join(training: Training) -> None:
    """Meet the other processes of this training; nothing to do for one. Before the first use of a device.

    Raises
    ------
    InputError
        The environment says nothing of several processes, or another number than the configuration; or the batch
        size would be measured by each of them.
    SeqmillError
        The others did not come.
    """
    if training.processes == 1 or jax.distributed.is_initialized():
        return
    if training.batch_size == "auto":
        raise InputError("training.batch_size", "'auto' is for one process; name a size for several")
    place = find_place(os.environ)
    if place is None or place.processes != training.processes:
        found = "nothing" if place is None else f"{place.processes} processes"
        raise InputError("training.processes", f"is {training.processes}, but the environment says {found}")
    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is ours
    if place.process:
        _reach(place)
    jax.distributed.initialize(
        place.coordinator,
        place.processes,
        place.process,
        initialization_timeout=MEET_S,
        heartbeat_timeout_seconds=HEARTBEAT_S,
        shutdown_timeout_seconds=WRITE_S,
    )


def _reach(place: Place) -> None:
    """Wait until process 0 listens. jax would wait too, but ends this process without a word if nobody comes."""
    host, _, port = place.coordinator.rpartition(":")
    until = time.monotonic() + MEET_S
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise SeqmillError(
                    f"process {place.process} of {place.processes} could not reach process 0 at {place.coordinator} "
                    f"within {MEET_S} s: {error.strerror or error}"
                ) from None
        time.sleep(0.2)


def is_first() -> bool:
    """Whether this process reads saved states and writes the result; the only one always does."""
    return jax.process_index() == 0


def only_first(context: AbstractContextManager) -> AbstractContextManager:
    """The context in process 0, none in the others."""
    return context if is_first() else nullcontext()


@contextmanager
def others_may_die() -> Iterator[None]:
    """Errors of the network become one message: another process has ended, and says itself why."""
    try:
        yield
    except SeqmillError:
        raise
    except Exception as error:
        text = str(error)
        if jax.process_count() == 1 or not (isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in text):
            raise
        raise WorkerError(
            f"process {jax.process_index()} of {jax.process_count()} lost the others and stops "
            f"({(text.splitlines() or [''])[0][:200]}). The last saved state stays: the same command continues"
        ) from None


def tell(data: bytes | None) -> bytes:
    """Bytes of process 0 (``data`` there, None elsewhere) in every process."""
    if jax.process_count() == 1:
        return data or b""
    length = len(data or b"")
    high, low = multihost_utils.broadcast_one_to_all(np.array([length >> 24, length & 0xFFFFFF], np.int32))
    pieces: list[bytes] = []
    left = (int(high) << 24) + int(low)
    while left:
        size = min(left, PIECE)
        done = PIECE * len(pieces)
        mine = np.zeros(size, np.uint8) if data is None else np.frombuffer(data, np.uint8, size, done)
        pieces.append(np.asarray(multihost_utils.broadcast_one_to_all(mine)).tobytes())
        left -= size
    return b"".join(pieces)


def of_all_processes(rows: np.ndarray, marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (int64) of the whole batch, and which are marked (bool), from those of each process; all call it."""
    if jax.process_count() == 1:
        return rows, marked
    words = np.stack([*np.ascontiguousarray(rows).view(np.uint32).reshape(-1, 2).T, marked.astype(np.uint32)], axis=1)
    found = np.asarray(multihost_utils.process_allgather(words, tiled=True))
    return np.ascontiguousarray(found[:, :2]).view(np.int64).reshape(-1), found[:, 2].astype(bool)


def tell_arrays(tree: Any, like: Any) -> Any:
    """Arrays of process 0 (``tree`` there) in every process, bit for bit; ``like`` has their structure."""

    def one(mine: Any, leaf: Any) -> np.ndarray:
        dtype, shape = np.dtype(leaf.dtype), np.shape(leaf)
        data = np.ascontiguousarray(mine).tobytes() if is_first() else None
        return np.frombuffer(tell(data), dtype).reshape(shape)

    return jax.tree.map(one, like if tree is None else tree, like)


class SharedCheckpoints(PlacedCheckpoints):
    """Saved states of a training of several processes: process 0 has them and decides, the others follow.

    Parameters
    ----------
    checkpoints : of process 0; in the others it is never asked.
    """

    def __init__(self, checkpoints: Any, layout: Layout):
        super().__init__(checkpoints, layout)
        self._ticks, self._next, self._asked_at = 0, 1, time.monotonic()
        self._due = {False: False, True: False}

    def stop_asked(self, stop: threading.Event) -> bool:
        """Whether any process was asked to stop. All call it equally often and are told the same.

        They talk about once in `AGREE_S`, counted in calls: how many these are, process 0 tells.
        """
        self._ticks += 1
        if self._ticks < self._next:
            return False
        now, every_s = time.monotonic(), min(AGREE_S, self.checkpoints.every_s)
        each_s = max(1e-6, (now - self._asked_at) / self._ticks)
        calls = int(np.clip(every_s / each_s, 1, 2 * self._ticks))
        due = [self.checkpoints.due(pass_ended=ended) for ended in (False, True)]
        self._ticks, self._asked_at = 0, now
        said = multihost_utils.process_allgather(np.array([stop.is_set(), *due, calls], np.int32))
        self._due = {False: bool(said[0][1]), True: bool(said[0][2])}
        self._next = int(said[0][3])
        return bool(said[:, 0].any())

    def due(self, *, pass_ended: bool) -> bool:
        """What process 0 said when they talked last; once."""
        due, self._due = self._due[pass_ended], {False: False, True: False}
        return due

    def save(self, step: int, tree: Any, counters: Mapping[str, Any], *, wait: bool = False) -> None:
        """Process 0 saves the whole state."""
        whole = self.layout.gather(tree)
        if is_first():
            self.checkpoints.save(step, whole, counters, wait=wait)

    def load(self, like: Any) -> Any:
        """The newest whole state that process 0 finds, on the devices of all."""
        found = self.checkpoints.load(like) if is_first() else None
        counters = json.loads(tell(json.dumps(None if found is None else found[1]).encode() if is_first() else None))
        if counters is None:
            return None
        tree = tell_arrays(None if found is None else jax.tree.map(np.asarray, found[0]), like)
        return self.layout.place(tree), counters

    def given_up(self) -> str | None:
        """As `Checkpoints.given_up`."""
        reason = self.checkpoints.given_up() if is_first() else None
        return tell((reason or "").encode() if is_first() else None).decode() or None

    def give_up(self, reason: str) -> None:
        if is_first():
            self.checkpoints.give_up(reason)

    def delete(self) -> None:
        if is_first():
            self.checkpoints.delete()


def placed(checkpoints: Any, layout: Layout | None) -> Any:
    """Saved states as the layout of a training needs them."""
    if layout is None:
        return checkpoints
    return SharedCheckpoints(checkpoints, layout) if jax.process_count() > 1 else PlacedCheckpoints(checkpoints, layout)


def quiet_others() -> None:
    """Only process 0 tells how it goes; warnings and errors come from all."""
    if not is_first():
        logging.getLogger("seqmill").setLevel(logging.WARNING)
