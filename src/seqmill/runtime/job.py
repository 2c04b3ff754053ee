"""The frame of every Snakemake script: log, errors in one line, no life after the driver's death."""

import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.owner import Owner

DRIVER_VARIABLE = "SEQMILL_DRIVER"
LEVEL_VARIABLE = "SEQMILL_LOG_LEVEL"  # also for the processes that are started
HUGE_PAGES = "glibc.malloc.hugetlb=1"
POLL_S = 0.5


def announce_driver() -> None:
    """Called by the workflow's main process: its jobs stop when it dies, even by SIGKILL.

    Its jobs also get large arrays in huge pages, where Linux leaves that to programs: steps of training that write
    much new memory are faster. The C library reads that setting only when a process starts; others ignore it.
    """
    os.environ[DRIVER_VARIABLE] = json.dumps(Owner.of().as_dict())
    os.environ.setdefault("GLIBC_TUNABLES", HUGE_PAGES)


def _watch(driver: Owner) -> None:
    while True:
        if driver.is_dead():
            with suppress(OSError):  # who read it may be gone too
                os.write(2, f"seqmill: the workflow (process {driver.pid}) is gone; this job stops\n".encode())
            for child in _children(os.getpid()):
                try:
                    os.kill(child, signal.SIGKILL)
                except OSError:
                    pass  # already gone
            os._exit(137)
        time.sleep(POLL_S)


def _children(pid: int) -> list[int]:
    """Process ids of all descendants of ``pid``."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *_children(child)]
    return found


def watch_driver() -> None:
    """Stop this process and its children within a second of the death of the workflow that started it."""
    text = os.environ.get(DRIVER_VARIABLE)
    if text:
        driver = Owner(**json.loads(text))
        if driver.same_machine():
            threading.Thread(target=_watch, args=(driver,), daemon=True, name="seqmill-driver-watch").start()


def start_logging(log: str | Path | None = None) -> None:
    """Send messages to standard error and, if given, to the file ``log``; which ones, says `LEVEL_VARIABLE`."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log, mode="w"))
    logging.basicConfig(
        level=logging.WARNING, handlers=handlers, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("seqmill").setLevel(os.environ.get(LEVEL_VARIABLE, "INFO"))


@contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Run the body of a Snakemake script, see `framed`."""
    wildcards = ", ".join(f"{key}={value}" for key, value in snakemake.wildcards.items())
    title = f"rule {snakemake.rule}{f' ({wildcards})' if wildcards else ''}"
    with framed(snakemake.log[0] if len(snakemake.log) else None, title):
        yield


@contextmanager
def framed(log_file: str | Path | None, title: str) -> Iterator[None]:
    """Run the body of a job.

    A SeqmillError becomes one line in the log and on standard error and the exit code of its class; anything else
    leaves its traceback in both.
    """
    start_logging(log_file)
    log = logging.getLogger("seqmill")
    faulthandler.enable()
    watch_driver()
    log.info("%s", title)
    try:
        yield
    except SeqmillError as error:
        log.error("%s", error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        log.info("stopped; the same command continues")
        sys.exit(130)
    except Exception:
        log.error("unexpected error\n%s", traceback.format_exc())
        sys.exit(1)


def noun(marker: str | Path) -> Path:
    """Folder of the noun whose ``marker.json`` Snakemake tracks."""
    return Path(marker).parent
