"""Work in a process of its own, that is stopped as this one is."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any

from seqmill.runtime.errors import WorkerError
from seqmill.runtime.job import announce_driver


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Like an interruption from the keyboard it passes everything that only handles errors."""


def in_child(body: Callable[..., Any], *arguments: Any, what: str) -> Any:
    """Run ``body`` in a fresh process (a device is chosen before jax is imported) and return what it returns.

    SIGTERM and SIGINT (Ctrl-C) of this process are handed to it as SIGTERM: a training saves its state and stops,
    others leave nothing half-written. A second one kills it.

    Parameters
    ----------
    what : the work in words, for messages.

    Raises
    ------
    WorkerError
        The process was killed.
    Terminated, KeyboardInterrupt
        It was stopped by a signal and had nothing to say.
    """
    announce_driver()  # the process stops when this one is killed
    with _handed_on() as came:
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_obey) as pool:
                return pool.submit(body, *arguments).result()
        except (BrokenProcessPool, KeyboardInterrupt):
            if came:
                raise (Terminated if came[0] == signal.SIGTERM else KeyboardInterrupt) from None
            raise WorkerError(f"{what} was killed; it may need more memory") from None


def _obey() -> None:
    """In the new process: only the signal that is handed on counts; Ctrl-C of a terminal reaches it too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: Any) -> None:
    raise Terminated


@contextmanager
def _handed_on() -> Iterator[list[int]]:
    """Hand signals to the processes that are started in this block; yields those that came."""
    came: list[int] = []

    def hand_on(number: int, _frame: Any) -> None:
        came.append(number)
        for child in active_children():
            (child.terminate if len(came) == 1 else child.kill)()

    with signal_handlers({signal.SIGTERM: hand_on, signal.SIGINT: hand_on}):
        yield came


@contextmanager
def signal_handlers(handlers: dict[int, Any]) -> Iterator[None]:
    """Signal number to what takes it while the block runs; nothing changes outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def termination_unwinds() -> Iterator[None]:
    """SIGTERM raises `Terminated` in this block, so that half-written things are taken away and locks are freed."""
    with signal_handlers({signal.SIGTERM: _terminate}):
        yield
