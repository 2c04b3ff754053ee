"""Where XLA keeps compiled programs, so that the second job of a kind starts in a second.

Loading what is kept is loading machine code, so the folder belongs to one user and nobody else may write it. It lies
on the machine's own disk: a node's cache is of no use to another, and shared file systems are slow at it. jax's key
of a program holds neither the number of CPU threads nor the processor, so each has a folder of its own.
"""

import contextlib
import hashlib
import logging
import os
import platform
import re
import stat
import sys
import time
from pathlib import Path

VARIABLE = "SEQMILL_COMPILE_CACHE"
OFF = "off"
_OWN = "seqmill-compiled"  # what lies in there may be deleted
UNUSED_DAYS = 30.0
MOST_BYTES = 4 * 2**30


def _processor() -> str:
    """Kind and abilities of the CPU, digested."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    lines = re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", text, flags=re.MULTILINE)
    return hashlib.sha256("\n".join([platform.machine(), *sorted(set(lines))]).encode()).hexdigest()[:12]


def _is_own(folder: Path) -> bool:
    """Make the folder; whether it is one, of this user, and nobody else can write it."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    state = folder.lstat()
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022


def _prune(folder: Path) -> None:
    """Delete what nobody has read for long, and the oldest of what is too much."""
    entries = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # another job prunes too
            state = path.lstat()
            if stat.S_ISREG(state.st_mode):
                entries.append((max(state.st_atime, state.st_mtime), state.st_size, path))
    left = sum(size for _, size, _ in entries)
    for used, size, path in sorted(entries):
        if time.time() - used > UNUSED_DAYS * 86400 or left > MOST_BYTES:
            path.unlink(missing_ok=True)
            left -= size


def compile_cache(device: str, threads: int) -> Path | None:
    """The folder for jax's compiled programs of this user, machine, device and thread count, ready to use.

    It is below the folder that `VARIABLE` names, by default below /var/tmp on Linux.

    Returns
    -------
    None if there is to be no cache: `VARIABLE` is "off", jax was given a folder of the user's own, this is no Linux,
    or (with a warning) the folder cannot be made or others could write it.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if asked == OFF or (not asked and ("JAX_COMPILATION_CACHE_DIR" in os.environ or sys.platform != "linux")):
        return None
    top = Path(asked).expanduser().absolute() / _OWN if asked else Path(f"/var/tmp/{_OWN}-{os.getuid()}")
    below = top / f"{device}-{threads}-{_processor()}"
    log = logging.getLogger("seqmill")
    try:
        top.parent.mkdir(parents=True, exist_ok=True)
        for folder in (top, below):
            if not _is_own(folder):
                log.warning(
                    "%s is not a folder that only you can write, so compiled programs are not kept; "
                    "name another in %s, or 'off'", folder, VARIABLE
                )  # fmt: skip
                return None
        _prune(top)
    except OSError as error:
        log.warning("compiled programs are not kept (%s); name a folder in %s, or 'off'", error, VARIABLE)
        return None
    return below
