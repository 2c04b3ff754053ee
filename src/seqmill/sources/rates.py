"""How often, and how many at a time, a host is asked: shared by all processes that share the cache.

One small file a host, held with ``flock``, which the kernel frees when its holder dies.
"""

import fcntl
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqmill.config.portals import Network
from seqmill.runtime.errors import InputError
from seqmill.sources.hosts import is_loopback

# Requests a second. ENCODE and ENA allow more; NCBI refuses more (10 with a key).
DEFAULTS = {
    "www.encodeproject.org": 5.0,
    "www.ebi.ac.uk": 5.0,
    "ftp.sra.ebi.ac.uk": 5.0,
    "eutils.ncbi.nlm.nih.gov": 3.0,
    "locate.ncbi.nlm.nih.gov": 3.0,
    "ftp.ncbi.nlm.nih.gov": 3.0,
    "jaspar.elixir.no": 2.0,
}
OTHERS = 5.0
WITH_KEY = {"eutils.ncbi.nlm.nih.gov": 10.0}
# The window is longer than a second, so that requests which a busy machine holds back for a moment do not pile up
# beyond the limit in any second that the host counts.
_WINDOW_S = 1.25
_POLL_S = 0.05


class Rates:
    """Limits of all hosts.

    Parameters
    ----------
    folder : where the shared files lie, made if it is missing.
    network : `requests_per_s` and `bodies_per_host` of the configuration.
    """

    def __init__(self, folder: str | Path, network: Network):
        self._folder, self._network = Path(folder), network

    def limit(self, host: str) -> float | None:
        """Requests a second to ``host`` (``name`` or ``name:port``); None for no limit.

        What the configuration says (0: no limit), else none for this machine and `DEFAULTS` for the portals.
        """
        name = _name(host)
        for key in (host, name):
            if key in self._network.requests_per_s:
                return self._network.requests_per_s[key] or None
        if is_loopback(name):
            return None
        if name in WITH_KEY and os.environ.get("NCBI_API_KEY"):
            return WITH_KEY[name]
        return DEFAULTS.get(name, OTHERS)

    def wait(self, host: str) -> float | None:
        """Return when ``host`` may be asked once more.

        At most ``limit`` requests start within any second, over all threads and processes. The file holds the times
        of the last ones; who waits holds it, so that the others queue behind.

        Returns
        -------
        The moment that counts, seconds since the epoch; None without a limit.
        """
        limit = self.limit(host)
        if limit is None:
            return None
        count = max(1, int(limit))
        window_s = _WINDOW_S * max(1.0, count / limit)
        with self._held(f"{_slug(host)}.rate") as file:
            now = time.time()
            # Times far ahead of now are of a clock that was set back.
            past = [moment for moment in _moments(file) if moment <= now + window_s][-count:]
            if len(past) == count and past[0] + window_s > now:
                time.sleep(past[0] + window_s - now)
            start = time.time()
            text = " ".join(f"{moment:.6f}" for moment in [*past, start][-count:])
            os.ftruncate(file, 0)
            os.pwrite(file, text.encode(), 0)
        return start

    @contextmanager
    def body(self, host: str) -> Iterator[None]:
        """Hold one of the host's `bodies_per_host` places for a download, for the length of the block."""
        places = [f"{_slug(host)}.body{number}" for number in range(self._network.bodies_per_host)]
        while True:
            for place in random.sample(places, len(places)):
                file = self._open(place)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(file)
                    continue
                try:
                    yield
                finally:
                    os.close(file)
                return
            time.sleep(_POLL_S)

    @contextmanager
    def _held(self, name: str) -> Iterator[int]:
        file = self._open(name)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _open(self, name: str) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(self._folder, f"the cache cannot be written ({error.strerror})") from None


def _moments(file: int) -> list[float]:
    """Times in the file; none if a killed process left half a line."""
    try:
        return [float(word) for word in os.pread(file, 1 << 16, 0).split()]
    except ValueError:
        return []


def _name(host: str) -> str:
    """Host without its port."""
    return host.rpartition(":")[0] if re.search(r"[^:]:\d+$|\]:\d+$", host) else host


def _slug(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", host)
