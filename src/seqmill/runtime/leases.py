"""Which GPUs a job may use: Snakemake counts them but hands out no ids, so jobs lease cards from each other.

A card is a file of which a job locks so many of the first 100 bytes as hundredths of the card it takes: all of them
unless `SHARE_VARIABLE` says less. The locks are the kernel's (POSIX record locks), so they end with the process,
however that ends, and there is nothing to clean up. The files hold nothing. They lie where all users of the machine
find them; programs that take no lease are not seen.
"""

import contextlib
import fcntl
import logging
import os
import re
import struct
import subprocess
import time
from pathlib import Path
from typing import IO

from seqmill.runtime.errors import LockedError, SeqmillError

FOLDER_VARIABLE = "SEQMILL_LEASES"
FOLDER = "/tmp/seqmill-leases"
SHARE_VARIABLE = "SEQMILL_GPU_SHARE"
WAIT_VARIABLE = "SEQMILL_GPU_WAIT_S"
_WHOLE = 100  # hundredths of a card
_POLL_S = 0.5
_NOTICE_S = 60.0
_FLOCK = "hhqqi"  # struct flock of Linux: type, whence, start, length, process
_HELD: list[IO] = []  # closing such a file would free its locks


def gpu_share() -> float:
    """Share of a card that each job takes, from `SHARE_VARIABLE`; 1 if unset. Raises SeqmillError for nonsense."""
    text = os.environ.get(SHARE_VARIABLE, "").strip() or "1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 1 / _WHOLE <= share <= 1:
        raise SeqmillError(f"{SHARE_VARIABLE} is {text!r}, expected a share of a card from 0.01 to 1")
    return share


def _present() -> list[str]:
    """Cards of this machine in nvidia-smi's order, by UUID; of a card that is divided (MIG), its parts."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode:  # no program, as in small containers: the device files have numbers
        numbers = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
        return sorted(numbers, key=int)
    found: list[str] = []
    for kind, uuid in re.findall(r"\(UUID: *((?:GPU|MIG)-)([^)]+)\)", done.stdout):
        if kind == "MIG-" and found and found[-1].startswith("GPU-"):
            found.pop()  # only its parts can be used
        found.append(kind + uuid)
    return found


def allotted_cards() -> list[str]:
    """Names, as CUDA_VISIBLE_DEVICES takes them, of the cards that this job may choose from.

    Where that variable is set, as schedulers do, these are its cards; a number in it is nvidia-smi's (the order of
    the PCI bus). As for CUDA, the list ends before a number that no card has.
    """
    present, asked = _present(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        return present
    names: list[str] = []
    for entry in (part.strip() for part in asked.split(",")):
        if entry.isdigit() and present:
            if int(entry) >= len(present):
                break
            entry = present[int(entry)]
        same = [card for card in present if card.startswith(entry)] if entry.startswith(("GPU-", "MIG-")) else []
        names.append(same[0] if len(same) == 1 else entry)
    return list(dict.fromkeys(names))


def _open(folder: Path, name: str) -> IO:
    """A lock file that every user of the machine can lock."""
    path = folder / name.replace("/", "_")
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Not with O_CREAT: in folders for all, Linux then refuses files of others (fs.protected_regular).
        return os.fdopen(os.open(path, flags), "r+b", buffering=0)
    except FileNotFoundError:
        pass
    try:
        handle = os.fdopen(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), "r+b", buffering=0)
    except FileExistsError:  # made by another job in this moment
        return _open(folder, name)
    os.fchmod(handle.fileno(), 0o666)  # whatever the umask
    return handle


def _folder() -> Path:
    folder = Path(os.environ.get(FOLDER_VARIABLE) or FOLDER)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    if folder.is_symlink() or not folder.is_dir():
        raise SeqmillError(f"{folder} is not a folder; name another for the leases of GPUs in {FOLDER_VARIABLE}")
    return folder


def _lock(handle: IO, byte: int) -> bool:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):  # POSIX allows both for a lock that is taken
        return False
    return True


def _unlock(handle: IO, count: int = _WHOLE, first: int = 0) -> None:
    fcntl.lockf(handle, fcntl.LOCK_UN, count, first)


def _claim(files: dict[str, IO], count: int, hundredths: int) -> list[str] | None:
    """Lock that much of ``count`` cards, the emptiest first; None, and nothing locked, if there is not so much."""
    free = {card: [byte for byte in range(_WHOLE) if _lock(handle, byte)] for card, handle in files.items()}
    wide = sorted((card for card in files if len(free[card]) >= hundredths), key=lambda card: -len(free[card]))
    chosen = wide[:count] if len(wide) >= count else []
    for card, handle in files.items():
        for byte in free[card][hundredths if card in chosen else 0 :]:
            _unlock(handle, 1, byte)
    return chosen or None


def _holders(handle: IO) -> list[int]:
    """Processes that hold a part of a card, as far as the kernel tells (0 for one in another container)."""
    found, byte = [], 0
    while byte < _WHOLE:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, _WHOLE - byte, 0)
        kind, _, start, length, process = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        if kind == fcntl.F_UNLCK:
            break
        found.append(process)
        byte = start + length
    return list(dict.fromkeys(found))


def _in_use(files: dict[str, IO]) -> str:
    words = []
    for card, handle in files.items():
        holders = ", ".join(str(process) for process in _holders(handle) if process > 0)
        words.append(f"{card} by process {holders}" if holders else card)
    return "; ".join(words)


def lease_cards(count: int | str, *, wait_s: float | None = None) -> list[str]:
    """Take `gpu_share` of so many GPUs until this process ends; wait for other jobs of seqmill that hold them.

    Parameters
    ----------
    count : number of cards, or "all" that this job may use.
    wait_s : how long to wait; by default `WAIT_VARIABLE`, else as long as it takes.

    Returns
    -------
    Names of the cards, for CUDA_VISIBLE_DEVICES. None where the cards cannot be listed: then nothing is leased.

    Raises
    ------
    SeqmillError
        There are fewer cards, or the folder of the leases cannot be used.
    LockedError
        The time is over.
    """
    log, hundredths = logging.getLogger("seqmill"), round(gpu_share() * _WHOLE)
    cards = allotted_cards()
    if not cards:
        log.warning("the GPUs of this machine cannot be listed (nvidia-smi), so other jobs may use the same")
        return []
    number = len(cards) if count == "all" else int(count)
    if number > len(cards):
        raise SeqmillError(f"{number} GPUs were asked for, but this job may use {len(cards)}: {', '.join(cards)}")
    wait = os.environ.get(WAIT_VARIABLE) if wait_s is None else wait_s
    deadline = None if wait in (None, "") else time.monotonic() + float(wait)
    with contextlib.ExitStack() as opened:
        try:
            folder = _folder()
            door = opened.enter_context(_open(folder, "door"))
            files = {card: opened.enter_context(_open(folder, card)) for card in cards}
        except OSError as error:
            advice = f"name another folder in {FOLDER_VARIABLE}"
            raise SeqmillError(f"the leases of GPUs cannot be kept ({error}); {advice}") from None
        notice = 0.0
        while True:
            if _lock(door, 0):  # one job looks at a time
                chosen = _claim(files, number, hundredths)
                _unlock(door, 1)
                if chosen:
                    break
            if deadline is not None and time.monotonic() >= deadline:
                raise LockedError(f"no GPU became free in {wait} s ({WAIT_VARIABLE}); in use: {_in_use(files)}")
            if time.monotonic() >= notice:
                notice = time.monotonic() + _NOTICE_S
                log.info("waiting for a GPU; in use: %s", _in_use(files))
            time.sleep(_POLL_S)
        opened.pop_all()
    _HELD.extend([door, *files.values()])
    return chosen
