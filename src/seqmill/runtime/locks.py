"""One writer for each artefact, and one run for each working folder.

A lock is a file held with ``flock`` that names its owner. The kernel frees it when the owner dies, so a lock left by
a killed run needs no manual step. Where the file system does not carry ``flock`` between machines, the owner's
heartbeat (the file's content changes every few seconds) is watched instead; it must stand still for a minute before
an owner on another machine counts as dead.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqmill.runtime.errors import LockedError
from seqmill.runtime.owner import Owner

HEARTBEAT_S = 5.0
SILENCE_S = 60.0
# A job of a run that was killed a moment ago may still be about to notice it.
ARTEFACT_WAIT_S = 60.0
WAIT_VARIABLE = "SEQMILL_LOCK_WAIT_S"


def _read_owner(handle) -> tuple[Owner | None, int]:
    """Owner and beat; no owner and 0 if the lock was released, no owner and -1 if the file was read half-written."""
    handle.seek(0)
    try:
        text = handle.read()
        if not text:
            return None, 0
        value = json.loads(text)
        return Owner(**value["owner"]), value["beat"]
    except FileNotFoundError:
        return None, 0
    except (ValueError, KeyError, TypeError, OSError):
        return None, -1


class Lock:
    """A held lock; `release` frees it."""

    def __init__(self, handle, path: Path):
        self._handle, self.path, self._beat = handle, path, 0
        self._write()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pulse, daemon=True, name="seqmill-lock")
        self._thread.start()

    def _write(self) -> None:
        text = json.dumps({"owner": Owner.of().as_dict(), "beat": self._beat})
        os.pwrite(self._handle.fileno(), text.encode(), 0)
        os.ftruncate(self._handle.fileno(), len(text))

    def _pulse(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            self._beat += 1
            with contextlib.suppress(OSError):
                self._write()

    def release(self) -> None:
        """Free the lock and delete its file (while it is held, so that nobody can be holding the same file)."""
        self._stop.set()
        self._thread.join()
        os.ftruncate(self._handle.fileno(), 0)
        if _is_in_place(self._handle, self.path):
            self.path.unlink(missing_ok=True)
        self._handle.close()


def _is_in_place(handle, path: Path) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        there, here = os.stat(path), os.fstat(handle.fileno())
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _watch_foreign(handle, owner: Owner, beat: int, deadline: float) -> bool:
    """True once the heartbeat of an owner on another machine has stood still for `SILENCE_S`."""
    until = time.monotonic() + SILENCE_S
    while time.monotonic() < max(until, deadline):
        time.sleep(min(HEARTBEAT_S, 1.0))
        now_owner, now_beat = _read_owner(handle)
        if now_owner is None and now_beat == 0:
            return True
        if now_owner and (now_owner, now_beat) != (owner, beat):
            owner, beat, until = now_owner, now_beat, time.monotonic() + SILENCE_S
            if time.monotonic() > deadline:
                return False
        elif time.monotonic() >= until:
            return True
    return False


def acquire(path: str | Path, what: str, *, wait_s: float | None = None) -> Lock:
    """Take the lock file ``path``.

    Parameters
    ----------
    what : what is being locked, for the message.
    wait_s : how long to wait for a live owner; by default the variable SEQMILL_LOCK_WAIT_S, else not at all.

    Raises LockedError that names the owner if it is alive (or cannot be proven dead) when the time is over.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    wait_s = float(os.environ.get(WAIT_VARIABLE, "0")) if wait_s is None else wait_s
    deadline = time.monotonic() + wait_s
    while True:
        handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
        try:
            if _take(handle, what, path, deadline) and _is_in_place(handle, path):
                return Lock(handle, path)
        except BaseException:
            handle.close()
            raise
        handle.close()


def _take(handle, what: str, path: Path, deadline: float) -> bool:
    """Try once to own the open lock file; False: try again. Raises LockedError when the time is over."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner, beat = _read_owner(handle)
        dead = owner.is_dead() if owner else True
    except BlockingIOError:
        owner, beat = _read_owner(handle)
        dead = False
    if dead:
        return True
    if dead is None and owner:
        if _watch_foreign(handle, owner, beat, deadline):
            return True
        who = f"process {owner.pid} on {owner.host}"
        raise LockedError(f"{what} is being written by {who}, whose heartbeat goes on (lock {path}).")
    if time.monotonic() >= deadline:
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        raise LockedError(
            f"{what} is being written by {who}, which is alive (lock {path}). "
            f"Wait for it, stop it, or set {WAIT_VARIABLE} to wait that many seconds."
        )
    time.sleep(0.2)
    return False


@contextmanager
def artefact_lock(path: str | Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Hold the write lock of the file or folder ``path`` (a lock file beside it) for the length of the block.

    A live owner is waited for, by default for `ARTEFACT_WAIT_S` or what SEQMILL_LOCK_WAIT_S says.
    """
    path = Path(path)
    if wait_s is None and WAIT_VARIABLE not in os.environ:
        wait_s = ARTEFACT_WAIT_S
    lock = acquire(path.with_name(f".{path.name}.lock"), str(path), wait_s=wait_s)
    try:
        yield
    finally:
        lock.release()
