"""The programs of others that reads go through: where they are, their versions, and pipelines of them.

They are found on PATH, however they came there (Debian's packages, conda by ``--sdm conda``, a container).
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from seqmill.runtime.child import Terminated, signal_handlers
from seqmill.runtime.errors import InputError, WorkerError

POLL_S = (0.001, 0.05)  # first and longest pause between two looks at the processes
WORDS_BYTES = 1 << 20  # of what a program says, the end is kept
LAST_WORDS = 300
LAST_WORDS_S = 1.0


class Program(NamedTuple):
    """A program and how to know its version.

    Attributes
    ----------
    name : as it is called. package : its Debian package. conda : its name in bioconda.
    version_arguments : what makes it tell its version. minimum : oldest version that does what is asked of it.
    """

    name: str
    package: str
    conda: str
    version_arguments: tuple[str, ...] = ("--version",)
    minimum: tuple[int, ...] = ()


PROGRAMS = {
    program.name: program
    for program in (
        Program("bowtie2", "bowtie2", "bowtie2", minimum=(2, 3)),
        Program("bowtie2-build", "bowtie2", "bowtie2", minimum=(2, 3)),
        Program("bwa", "bwa", "bwa", (), minimum=(0, 7, 12)),  # tells its version when it is given nothing to do
        Program("hisat2", "hisat2", "hisat2", minimum=(2, 1)),
        Program("hisat2-build", "hisat2", "hisat2", minimum=(2, 1)),
        Program("samtools", "samtools", "samtools", minimum=(1, 13)),
        Program("macs3", "macs", "macs3", minimum=(3, 0)),
        Program("macs2", "macs", "macs2", minimum=(2, 1)),
        Program("bedtools", "bedtools", "bedtools", minimum=(2, 27)),
    )
}
# A name that several programs answer to: the first that is there.
ALIASES = {"macs": ("macs3", "macs2")}


def find(name: str) -> Path:
    """Where a program is; ``macs`` is macs3 or else macs2.

    Raises
    ------
    InputError : it is not on PATH, or too old.
    """
    for one in ALIASES.get(name, (name,)):
        place = shutil.which(one)
        if place:
            _check_version(one, place)
            return Path(place)
    last = PROGRAMS[ALIASES.get(name, (name,))[-1]]
    raise InputError(name, f"not found; {_install(last)}, or run with --sdm conda")


def program_versions(*names: str) -> dict[str, str]:
    """Program to version, for the run record: ``{"macs2": "2.2.7.1"}`` for ``macs``, if that is the one found."""
    places = [find(name) for name in names]
    return {place.name: _version(place.name, str(place)) for place in places}


def _install(program: Program) -> str:
    return f"install it (apt-get install {program.package}, or conda install -c bioconda {program.conda})"


@cache
def _version(name: str, place: str) -> str:
    command = [place, *PROGRAMS[name].version_arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkerError(f"{name}: does not tell its version ({error})") from None
    said = done.stdout + done.stderr
    found = re.search(r"\d+(\.\d+)+", said[said.lower().find("version") :] if "ersion" in said else said)
    if not found:
        raise WorkerError(f"{name}: does not tell its version: {_last_words(said)}")
    return found.group()


def _check_version(name: str, place: str) -> None:
    program = PROGRAMS[name]
    version = _version(name, place)
    if tuple(int(part) for part in version.split(".")) < program.minimum:
        least = ".".join(map(str, program.minimum))
        raise InputError(name, f"version {version} at {place}, need {least} or newer; {_install(program)}")


def pipeline(
    commands: list[list[str]],
    *,
    cwd: str | Path,
    what: str,
    stdout: str | Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run processes, each reading what the one before writes, and wait for all of them. No shell is involved.

    Parameters
    ----------
    commands : program and arguments of each. Names of `PROGRAMS` and ``macs`` are found by `find`, others by PATH.
    cwd : folder they run in and where their temporary files go.
    what : the work in words, for messages: ``"aligning GL1, replicate 1"``.
    stdout : file that takes what the last one writes; None: it is part of what is returned.
    env : variables beside those of this process. LC_ALL is C.

    Returns
    -------
    What they wrote to standard error, in the order of the commands (of each at most the last MiB).

    Raises
    ------
    InputError : a program is not there.
    WorkerError : one failed; which, its exit status or signal and its last words. The others are killed, with the
        processes that they started, and ``stdout`` is taken away.
    Terminated, KeyboardInterrupt : a signal came (in the main thread); all are killed first.
    """
    commands = [[_place(command[0]), *command[1:]] for command in commands]
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(Path(cwd).resolve()), **(env or {})}
    came: list[int] = []
    # the handlers only note the signal: one that raised could do so between the start of a process and its place
    # in the list of those to be killed
    catch = {
        int(number): lambda number, _: came.append(number)
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    running: list[subprocess.Popen] = []
    words: list[IO[bytes]] = []
    try:
        with signal_handlers(catch):
            _start(commands, Path(cwd), stdout, environment, running, words)
            killed = _wait(running, came)
        if came:
            raise Terminated if came[0] == signal.SIGTERM else KeyboardInterrupt
        said = [_read(handle) for handle in words]
        failed = _failures(commands, running, killed, said)
        if failed:
            raise WorkerError(f"{what}: " + "; ".join(failed))
        return "".join(said)
    except BaseException:
        _kill(running)
        if stdout is not None:
            (Path(cwd) / stdout).unlink(missing_ok=True)
        raise
    finally:
        for handle in words:
            handle.close()


def _place(program: str) -> str:
    if program in PROGRAMS or program in ALIASES:
        return str(find(program))
    place = shutil.which(program)
    if not place:
        raise InputError(program, "not found on PATH")
    return place


def _start(
    commands: list[list[str]],
    cwd: Path,
    stdout: str | Path | None,
    environment: dict[str, str],
    running: list[subprocess.Popen],
    words: list[IO[bytes]],
) -> None:
    source: Any = subprocess.DEVNULL
    for command in commands:
        words.append(tempfile.TemporaryFile(dir=cwd))  # noqa: SIM115 - closed by the caller
        last = len(words) == len(commands)
        sink: Any = subprocess.PIPE
        if last:
            sink = words[-1] if stdout is None else open(cwd / stdout, "wb")  # noqa: SIM115 - closed below
        try:
            # a group of its own: aligners are scripts that start the real program, which must die with them
            process = subprocess.Popen(
                command, cwd=cwd, env=environment, stdin=source, stdout=sink, stderr=words[-1], process_group=0
            )
            running.append(process)
        finally:
            if source is not subprocess.DEVNULL:
                source.close()  # only the two processes hold the pipe, so that each sees the other's end
            if last and stdout is not None:
                sink.close()
        source = process.stdout


def _wait(running: list[subprocess.Popen], came: list[int]) -> set[int]:
    """Wait for the end of all; at the first failure or signal kill the rest. Process ids of those killed here."""
    pause, longest = POLL_S
    while not came:
        codes = [process.poll() for process in running]
        if None not in codes:
            return set()
        if any(code not in (None, 0, -signal.SIGPIPE) for code in codes):
            end = time.monotonic() + LAST_WORDS_S  # the one that failed first may be the one that ends last
            while time.monotonic() < end and any(process.poll() is None for process in running) and not came:
                time.sleep(longest)
            break
        time.sleep(pause)
        pause = min(2 * pause, longest)
    rest = {process.pid for process in running if process.poll() is None}
    _kill(running)
    return rest


def _kill(running: Iterable[subprocess.Popen]) -> None:
    for process in running:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for process in running:
        process.wait()


def _read(handle: IO[bytes]) -> str:
    size = handle.seek(0, os.SEEK_END)
    handle.seek(max(size - WORDS_BYTES, 0))
    return handle.read().decode("utf-8", errors="replace")


def _failures(
    commands: list[list[str]], running: list[subprocess.Popen], killed: set[int], said: list[str]
) -> list[str]:
    """A line for each process that failed of itself; one whose reader went away (SIGPIPE) only if there is no other."""
    found: list[str] = []
    broken: list[str] = []
    for command, process, text in zip(commands, running, said):
        code, name = process.returncode, Path(command[0]).name
        if command[1:2] == ["-m"]:  # a module of Python
            name = command[2]
        if not code or process.pid in killed:
            continue
        if code > 0:
            how = f"failed (exit status {code})"
        else:
            how = f"was killed by signal {signal.Signals(-code).name}"
            how += " (out of memory?)" if code == -signal.SIGKILL else ""
        (broken if code == -signal.SIGPIPE else found).append(f"{name} {how}: {_last_words(text)}")
    return found or broken


def _last_words(said: str) -> str:
    """The last lines of what a program said, in one line of at most `LAST_WORDS` characters."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = " | ".join(lines[-3:])
    return text[-LAST_WORDS:] if text else "it said nothing"
