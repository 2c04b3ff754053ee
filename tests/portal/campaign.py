"""Trials of the cells, by our own download or by another client, and what came of them."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .cells import CELLS, SECRET, Cell, Trial, World
from .server import Portal, Seen

# All clients get the same scaled times (seconds), as they would get the long ones in life.
SILENCE_S = 0.5
# A client that is not done by then hangs.
HANG_S = 12


@dataclass(frozen=True)
class Verdict:
    """``outcome``: identical, error, hang, crash or WRONG (other bytes were taken for the file). ``fault``: what is
    not as it should be, '' if the outcome is right."""

    cell: str
    number: int
    outcome: str
    message: str
    fault: str
    requests: int
    seconds: float


Client = Callable[[Trial, Path], tuple[str, str]]


def ours(sources) -> tuple[Client, Callable[[], None]]:
    """Our download with one `Web` and one cache for all trials, and what ends it."""
    from seqmill.runtime.errors import SeqmillError
    from seqmill.sources.cache import Cache
    from seqmill.sources.download import download
    from seqmill.sources.web import Web

    web = Web(sources)
    web.__enter__()
    cache = Cache(sources.cache_folder())

    def run(trial: Trial, folder: Path) -> tuple[str, str]:
        try:
            path = download(trial.row, web, cache)
        except SeqmillError as error:
            return "error", str(error)
        except Exception as error:  # what would be a traceback for a user
            return "crash", repr(error)
        return ("identical" if path.read_bytes() == trial.content else "WRONG"), ""

    return run, lambda: web.__exit__(None, None, None)


def wget(trial: Trial, folder: Path) -> tuple[str, str]:
    """``wget -c`` with the same times and attempts; run again, as users do, if it fails."""
    target = folder / "file"
    times = ["--tries=8", f"--timeout={SILENCE_S}", "--waitretry=0", "--retry-connrefused"]
    command = ["wget", "-c", "-nv", "--no-proxy", *times, "-O", str(target), trial.row.url]
    for _ in range(2):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
        except subprocess.TimeoutExpired:
            return "hang", f"stopped after {HANG_S} s"
        if done.returncode == 0:
            return ("identical" if target.read_bytes() == trial.content else "WRONG"), ""
    return "error", f"exit {done.returncode}"


def plain_requests(trial: Trial, folder: Path) -> tuple[str, str]:
    """The download that scripts contain: `requests.get(stream=True)`, `raise_for_status`, write; tried again once."""
    import requests

    target, message, end = folder / "file", "", time.monotonic() + HANG_S
    for _ in range(2):
        try:
            with requests.get(trial.row.url, stream=True, timeout=SILENCE_S) as answer:
                answer.raise_for_status()
                with open(target, "wb") as handle:
                    for chunk in answer.iter_content(1024):
                        handle.write(chunk)
                        if time.monotonic() > end:
                            return "hang", f"stopped after {HANG_S} s"
            return ("identical" if target.read_bytes() == trial.content else "WRONG"), ""
        except (requests.RequestException, OSError) as error:
            message = str(error)
    return "error", message


@contextmanager
def world(client: str) -> Iterator[World]:
    """A portal, a server that nobody configured, and addresses for one client."""
    with Portal() as portal, Portal() as stranger:
        yield World(portal, stranger, client)


def run_cell(
    cell: Cell, place: World, client: Client, folder: Path, numbers: Sequence[int], workers: int = 8
) -> list[Verdict]:
    """All trials of a cell, several at a time: most of their time is waiting."""

    def one(number: int) -> Verdict:
        trial = cell.trial(place, number)
        own = folder / cell.slug / str(number)
        own.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        outcome, message = client(trial, own)
        seconds = time.monotonic() - start
        path = place.path(cell.slug, number)
        tail = path.removeprefix("/encode_files/")
        times = [entry.time for entry in list(place.portal.log) if entry.path.endswith(tail)]
        fault = ""
        if place.client == "ours":
            # what the address says about the fault is no part of a clear message
            fault = judge(trial, outcome, message.replace(tail, "(file)"), times)
            if any(entry.path == path for entry in list(place.stranger.log)):
                fault = "a server was asked that nobody allowed"
        return Verdict(cell.name, number, outcome, message, fault, len(times), seconds)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, numbers))


def judge(trial: Trial, outcome: str, message: str, times: Sequence[float]) -> str:
    """What is wrong with an outcome of ours, '' if nothing. ``times``: of the requests, in their order."""
    if outcome not in ("identical", "error"):
        return f"{outcome} {message}"
    if outcome != trial.right:
        return f"{outcome}, expected {trial.right}: {message}"
    if outcome == "error" and not any(word in message.lower() for word in trial.words):
        return f"unclear message: {message}"
    if "\n" in message or SECRET in message or "token=" in message:
        return f"message with a line break or a secret: {message}"
    if trial.most is not None:
        most = trial.most + trial.attempt * int((times[-1] - times[0]) / SILENCE_S if times else 0)
        if len(times) > most:
            return f"{len(times)} requests, at most {most} are right"
    shortest = min((later - sooner for sooner, later in pairwise(times)), default=trial.gap_s)
    if shortest < trial.gap_s:
        return f"asked again after {shortest:.3f} s, the server asked for {trial.gap_s} s"
    return ""


def peak_rate(log: Sequence[Seen]) -> int:
    """Most requests that began within any one second."""
    times = sorted(seen.time for seen in log)
    return max((sum(start <= time < start + 1 for time in times) for start in times), default=0)


def peak_at_once(log: Sequence[Seen]) -> int:
    """Most answers that were being sent at the same time."""
    spans = [(seen.time, seen.last) for seen in log]
    return max((sum(start <= moment < end for start, end in spans) for moment, _ in spans), default=0)


__all__ = ["CELLS", "Verdict", "ours", "peak_at_once", "peak_rate", "plain_requests", "run_cell", "wget", "world"]
