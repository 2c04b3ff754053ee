"""Files from strangers are parsed in a child process: its crash or hang becomes an error that names the file.

bigWig readers segfault or panic on forged files, and a panic escapes ``except Exception``; nothing of that may take
the job (or the whole workflow) with it.
"""

import contextlib
import faulthandler
import importlib
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import WorkerError

TIMEOUT_S = 60.0
GRACE_S = 10.0


def _limit_memory(limit_bytes: int | None) -> None:
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def address_space() -> int:
    """Bytes of address space this process has; a forked child starts with as much."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _load(reference: str):
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _serve(
    pipe: Connection,
    other_end: Connection | None,
    reference: str,
    args: tuple,
    kwargs: dict,
    limit_bytes: int | None,
    timeout_s: float,
) -> None:
    """Child: build the object, then answer calls until told to stop or the pipe closes."""
    if other_end is not None:
        other_end.close()  # a forked child holds it too, and would never see the pipe close when its parent dies
    faulthandler.disable()  # a crash is the parent's message, not a dump of this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_memory(limit_bytes)
    nowhere = open(os.devnull, "w")  # noqa: SIM115 - open until this process ends
    os.dup2(nowhere.fileno(), 2)  # panics print a backtrace; the message goes through the pipe
    target: Any = None
    while True:
        try:
            call = pipe.recv() if target is not None else ("__init__", args, kwargs)
        except EOFError:
            return
        if call is None:
            return
        # ends this process even inside a native call that hangs, when no parent is left to do it
        signal.setitimer(signal.ITIMER_REAL, timeout_s + GRACE_S)
        try:
            name, call_args, call_kwargs = call
            if target is None:
                target = _load(reference)(*call_args, **call_kwargs)
                answer: tuple[str, Any] = ("ok", None)
            else:
                answer = ("ok", getattr(target, name)(*call_args, **call_kwargs))
        except BaseException as error:  # pybigtools panics are not Exceptions
            try:
                pickle.dumps(error)
                known = isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime"
            except Exception:
                known = False
            answer = ("raise", error) if known else ("panic", f"{type(error).__name__}: {error}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            pipe.send(answer)
        except (BrokenPipeError, EOFError):
            return
        if target is None:
            return


def _start_method() -> str:
    """Fork is quick but deadlocks once threads run (jax, tensorstore, Zarr's event loop); then spawn."""
    threaded = threading.active_count() > 1 or "jax" in sys.modules or "tensorstore" in sys.modules
    return "spawn" if threaded or not sys.platform.startswith("linux") else "fork"


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Spawned children import the main script of their parent anew; that of a job cannot run outside Snakemake."""
    main = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.update(dict.fromkeys(kept))
    try:
        yield
    finally:
        main.update(kept)


class IsolatedWorker:
    """An object that lives in a child process; its methods are called with `call`.

    Parameters
    ----------
    reference : ``"package.module:Class"``, imported in the child and built with ``args`` and ``kwargs``.
    where : the file the worker reads, named in every error.
    timeout_s : longest time one call may take.
    memory_bytes : address-space limit of the child.

    Errors that the object raises reach the caller unchanged; a signal, a panic, an exhausted limit or a time-out
    is a WorkerError.
    """

    def __init__(
        self,
        reference: str,
        *args: Any,
        where: str,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int | None = None,
        **kwargs: Any,
    ):
        self.where, self.timeout_s = where, timeout_s
        method = _start_method()
        context: Any = multiprocessing.get_context(method)
        self._pipe, child = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(child, self._pipe if method == "fork" else None, reference, args, kwargs, memory_bytes, timeout_s),
            daemon=True,
            name="seqmill-reader",
        )
        with _no_main():
            self._process.start()
        child.close()
        try:
            self._answer("open")
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Run ``method`` in the child and return its result (arrays are copied through a pipe)."""
        try:
            self._pipe.send((method, args, kwargs))
        except (BrokenPipeError, OSError):
            pass  # the child is gone; _answer says how
        return self._answer(method)

    def _answer(self, method: str) -> Any:
        try:
            if not self._pipe.poll(self.timeout_s):
                self._process.kill()
                raise WorkerError(
                    f"{self.where}: the reader did not answer '{method}' within {self.timeout_s:g} s and was stopped; "
                    "the file is probably corrupt"
                )
            kind, value = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(5)
            code = self._process.exitcode
            how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
            raise WorkerError(
                f"{self.where}: the reader crashed ({how}) in '{method}'; the file is corrupt or needs more memory"
            ) from None
        if kind == "raise" and isinstance(value, MemoryError):
            raise WorkerError(
                f"{self.where}: the reader ran out of memory in '{method}'; the file is corrupt or too big"
            )
        if kind == "raise":
            raise value
        if kind == "panic":
            raise WorkerError(f"{self.where}: the reader panicked in '{method}' ({value}); the file is corrupt")
        return value

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> "IsolatedWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Function:
    def __init__(self, reference: str):
        self.function = _load(reference)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def run_isolated(reference: str, *args: Any, where: str, timeout_s: float = TIMEOUT_S, **kwargs: Any) -> Any:
    """Call the function ``"package.module:name"`` once in a child process."""
    with IsolatedWorker("seqmill.runtime.isolate:_Function", reference, where=where, timeout_s=timeout_s) as worker:
        return worker.call("run", *args, **kwargs)
