"""Downloads in processes that die: SIGKILL at a random moment, then the same call again.

The parent imports the library once; a child process for each call is then ready in milliseconds, so that the moment
of the kill falls into the download and not into the imports.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from .faults import Fault
from .files import lock_row, stand_in
from .server import Portal

_FORKER = """
import json, os, sys
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.sources.cache import Cache
from seqmill.sources.download import download
from seqmill.sources.web import Web

sources = Sources.model_validate_json(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    if pid := os.fork():
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)
        continue
    with Web(sources) as web:
        download(LockRow(**json.loads(line)), web, Cache(sources.cache_folder()))
    os._exit(0)
"""


class Forker:
    """A process that forks one child for each download. Use as a context manager."""

    def __init__(self, sources):
        self._argument = sources.model_dump_json()

    def __enter__(self) -> "Forker":
        command = [sys.executable, "-c", _FORKER, self._argument]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._line() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _line(self) -> str:
        return self._process.stdout.readline().strip()

    def download(self, row, kill_after_s: float | None = None) -> tuple[int, float]:
        """Status of the child as of waitpid (0: it ended well) and its seconds."""
        self._process.stdin.write(json.dumps(asdict(row)) + "\n")
        self._process.stdin.flush()
        pid, start = int(self._line()), time.monotonic()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._line()), time.monotonic() - start


def kill_trials(folder: Path, count: int) -> list[dict]:
    """Trials of a download of about 0.1 s, killed up to three times; a dict with ``fault`` ('' if all is right)."""
    from seqmill.sources.cache import Cache

    rows = []
    with Portal() as portal:
        sources = portal.sources(folder)
        cache = Cache(sources.cache_folder())
        with Forker(sources) as forker:
            for number in range(count):
                rng = random.Random(f"kill {number}")
                path = f"/encode_files/killed/{number}.bigWig"
                content = stand_in(number, rng.randrange(2_000_000, 3_000_000))
                portal.add(path, content)
                portal.fault(f"^{path}$", Fault(bytes_per_s=30_000_000))
                row = lock_row(content, portal.url + path, name=str(number))
                kills = 0
                for _ in range(rng.randrange(1, 4)):
                    status, _ = forker.download(row, kill_after_s=0.18 * rng.random())
                    kills += status != 0
                    found = cache.find(row)
                    if (found is not None) and found.read_bytes() != content:
                        rows.append({"number": number, "fault": "wrong bytes in the cache after a kill"})
                status, seconds = forker.download(row)
                found = cache.find(row)
                fault = ""
                if status != 0 or found is None:
                    fault = f"the same call failed after a kill (status {status})"
                elif found.read_bytes() != content:
                    fault = "other bytes after a kill"
                elif cache.part(row).exists():
                    fault = "a part was left"
                sent = sum(seen.sent for seen in portal.seen(f"^{path}$"))
                rows.append(
                    {"number": number, "kills": kills, "sent": sent / len(content), "seconds": seconds, "fault": fault}
                )
    return rows
