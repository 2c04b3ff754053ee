"""Several processes of one training: who they are, from variables of the environment, and how they are started here.

A process learns its place from

- SEQMILL_COORDINATOR (host:port of process 0), SEQMILL_PROCESSES, SEQMILL_PROCESS, set by hand or by `run_processes`;
  in an indexed job of Kubernetes JOB_COMPLETION_INDEX stands for the last one;
- Slurm, inside a step of ``srun`` with several tasks.
"""

import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seqmill.runtime.child import Terminated, signal_handlers
from seqmill.runtime.errors import InputError, SeqmillError, WorkerError
from seqmill.runtime.job import announce_driver

COORDINATOR, PROCESSES, PROCESS = "SEQMILL_COORDINATOR", "SEQMILL_PROCESSES", "SEQMILL_PROCESS"
LAUNCHER = "SEQMILL_LAUNCHER"
GRACE_S = 3.0  # for the others, when one has failed: they notice by themselves, or are killed
SAVE_S = 120.0  # when one has stopped after saving
_POLL_S = 0.05
_SAVED = 75
_LOST = 5  # exit code of one that lost the others
_LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}
_LINE = re.compile(rf"({'|'.join(_LEVELS)}) (.*)")


@dataclass(frozen=True)
class Place:
    """Of one process: address of the first (host:port), how many there are, and its own number from 0."""

    coordinator: str
    processes: int
    process: int


def find_place(environment: Mapping[str, str]) -> Place | None:
    """The place of this process among several; None if it stands alone.

    Raises InputError for variables that are incomplete or make no sense.
    """
    number = environment.get(PROCESS) or environment.get("JOB_COMPLETION_INDEX")
    if environment.get(COORDINATOR) or environment.get(PROCESSES):
        values = {
            COORDINATOR: environment.get(COORDINATOR, ""),
            PROCESSES: environment.get(PROCESSES, ""),
            PROCESS: number or "",
        }
        for name, value in values.items():
            pattern = r".+:\d+" if name == COORDINATOR else r"\d+"
            if not re.fullmatch(pattern, value):
                expected = "host:port of process 0" if name == COORDINATOR else "a number"
                raise InputError(
                    name, f"is {value!r}, expected {expected} (with {COORDINATOR}, {PROCESSES}, {PROCESS})"
                )
        place = Place(values[COORDINATOR], int(values[PROCESSES]), int(values[PROCESS]))
        if place.process >= place.processes:
            raise InputError(PROCESS, f"is {place.process}, expected less than {PROCESSES} ({place.processes})")
        return place
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        host = first_host(environment["SLURM_STEP_NODELIST"])
        # Steps of one job follow each other; different jobs of a node get different ports.
        port = 61000 + (int(environment["SLURM_JOB_ID"]) * 7 + int(environment["SLURM_STEP_ID"])) % 4000
        return Place(f"{host}:{port}", int(environment["SLURM_STEP_NUM_TASKS"]), int(environment["SLURM_PROCID"]))
    return None


def first_host(nodes: str) -> str:
    """First host of a list as Slurm writes it.

    >>> first_host("node[007-012,20],other"), first_host("a1,b2")
    ('node007', 'a1')
    """
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?", nodes)
    if not found:
        raise InputError("SLURM_STEP_NODELIST", f"is {nodes!r}, expected a list of hosts")
    name, number, rest = found.groups()
    return name + (number or "") + (rest or "")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@dataclass
class _Worker:
    """One started process (or the launcher of all of them), and what it said last."""

    number: int
    process: subprocess.Popen
    errors: list[str] = field(default_factory=list)
    others: deque[str] = field(default_factory=lambda: deque(maxlen=60))
    killed: bool = False

    def relay(self, log: logging.Logger) -> None:
        """Pass its lines on; errors, and what libraries write, are kept for the end."""
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in map(str.rstrip, lines):
                known = _LINE.fullmatch(line)
                if known and known[1] == "ERROR":
                    self.errors.append(known[2])
                elif known:
                    log.log(_LEVELS[known[1]], "%s", known[2])
                elif line:
                    self.others.append(line)


def _launcher(count: int) -> str:
    """Words of the program that starts ``count`` processes; "" if they are started here, or one by one by others."""
    nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    several = f"srun --overlap --kill-on-bad-exit=1 --ntasks={count}" if nodes > 1 else ""
    return os.environ.get(LAUNCHER) or several


def stand_together() -> bool:
    """Whether `run_processes` would start all processes on this machine."""
    return find_place(os.environ) is None and not _launcher(1)


def run_processes(command: Sequence[str], count: int, *, what: str) -> None:
    """Run ``command`` as ``count`` processes on this machine, or by the launcher in the variable `LAUNCHER`.

    Without that variable, ``srun`` is the launcher inside a Slurm allocation of several nodes. Where this process has
    a place among several itself (`find_place`), it starts its own one only. SIGTERM and SIGINT are handed on. When one
    process fails, the others are stopped. Lines of standard error, "LEVEL text", join the log.

    Parameters
    ----------
    what : the work in words, for messages.

    Raises
    ------
    SeqmillError
        With the message and the exit code of the process that failed first.
    WorkerError
        A process was killed.
    Terminated
        A signal came before there was anything to save.
    """
    log = logging.getLogger("seqmill")
    launcher, place = _launcher(count), find_place(os.environ)
    announce_driver()  # they stop when this process is killed
    workers: list[_Worker] = []
    asked: list[int] = []

    def hand_on(number: int, _frame: object) -> None:
        asked.append(number)
        for worker in workers:
            worker.process.send_signal(signal.SIGTERM if len(asked) == 1 else signal.SIGKILL)

    def start(number: int, words: Sequence[str], more: Mapping[str, str]) -> None:
        process = subprocess.Popen(
            words, env=os.environ | more, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", start_new_session=True,  # a Ctrl-C of the terminal comes once, from here
        )  # fmt: skip
        worker = _Worker(number, process)
        workers.append(worker)
        thread = threading.Thread(target=worker.relay, args=(log,), daemon=True, name=f"seqmill-process-{number}")
        thread.start()
        readers.append(thread)

    readers: list[threading.Thread] = []
    with signal_handlers({signal.SIGTERM: hand_on, signal.SIGINT: hand_on}):
        try:
            if place is not None:  # the others are started as this one was
                start(place.process, command, {})
            elif launcher:
                start(0, [*shlex.split(launcher), *command], {})
            else:
                address = f"127.0.0.1:{_free_port()}"
                for number in range(count):
                    start(number, command, {COORDINATOR: address, PROCESSES: str(count), PROCESS: str(number)})
            _wait(workers)
        finally:
            for worker in workers:
                if worker.process.poll() is None:
                    worker.process.kill()
                worker.process.wait()
            for thread in readers:
                thread.join(timeout=5)
    if asked and any(worker.process.returncode == -signal.SIGTERM for worker in workers):
        raise Terminated  # before there was a state to save
    _judge(workers, count, what)


def _wait(workers: Sequence[_Worker]) -> None:
    """Return when all have ended; when one has failed, give the others a moment and kill them."""
    until = None
    while any(worker.process.poll() is None for worker in workers):
        codes = [worker.process.poll() for worker in workers]
        failed = [code for code in codes if code]
        if failed and until is None:
            until = time.monotonic() + (SAVE_S if failed[0] == _SAVED else GRACE_S)
        if until is not None and time.monotonic() > until:
            for worker in workers:
                if worker.process.poll() is None:
                    worker.killed = True
                    worker.process.kill()
        time.sleep(_POLL_S)


def _rank(code: int) -> int:
    """What tells most of why all stopped: a kill, an error of its own, an abort, the loss of the others.

    jax aborts a process too when it finds another one gone.
    """
    if code == -signal.SIGABRT:
        return 2
    return 0 if code < 0 else 3 if code == _LOST else 1


def _judge(workers: Sequence[_Worker], count: int, what: str) -> None:
    """Raise what the processes ended with (`_rank`: of the one that tells most)."""
    failed = [worker for worker in workers if worker.process.returncode and not worker.killed]
    if not failed:
        return
    first = min(failed, key=lambda worker: _rank(worker.process.returncode))
    code = first.process.returncode
    if code in (1, 128 + signal.SIGKILL, -signal.SIGABRT) and first.others:
        logging.getLogger("seqmill").error("process %d wrote:\n%s", first.number, "\n".join(first.others))
    if code > 0 and first.errors:
        error = SeqmillError(first.errors[-1])
        error.exit_code = code
        raise error
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    raise WorkerError(
        f"process {first.number} of {count} of the {what} {how}; the others were stopped. The last saved state "
        "stays: the same command continues"
    )
