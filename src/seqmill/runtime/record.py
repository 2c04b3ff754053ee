"""The run record ``run.json`` of a noun: from what, with what and at what cost it was made."""

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import RECORD, seal


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, seqmill and the named distributions that are installed."""
    found = {"python": platform.python_version()}
    for package in ("seqmill", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_bytes() -> int:
    """Largest resident size so far of this process or of one of its finished children."""
    scale = 1 if sys.platform == "darwin" else 1024
    usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(usage) * scale


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system of this machine."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": model, "cores": cores, "memory_bytes": memory, "system": platform.platform()}


@contextmanager
def recorded(
    folder: str | Path,
    *,
    inputs: dict[str, str],
    parameters: dict[str, Any],
    packages: tuple[str, ...] = (),
    since: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Write ``run.json`` into ``folder`` when the block ends well.

    ``inputs`` maps a name or path to its digest. The yielded dictionary can be filled with more (device, losses).
    ``since`` is the ``time.monotonic()`` when the work began, if that was before this block.
    """
    start = time.monotonic() if since is None else since
    more: dict[str, Any] = {}
    yield more
    body = {
        "inputs": inputs,
        "parameters": parameters,
        "versions": versions(*packages),
        "machine": machine(),
        "seconds": round(time.monotonic() - start, 3),
        "peak_memory_bytes": peak_memory_bytes(),
        **more,
    }
    atomic_write(Path(folder) / RECORD, seal(body))
