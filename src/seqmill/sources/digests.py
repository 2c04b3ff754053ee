"""SHA-256 and MD5 of bytes while they come, beside the network: hashlib computes outside Python's lock."""

import hashlib
import queue
import threading
from pathlib import Path

# Below this a thread costs more than it saves.
_BACKGROUND_BYTES = 1 << 22
_BLOCK = 1 << 20
_AHEAD = 64


class Digests:
    """Digests of a growing row of bytes.

    Parameters
    ----------
    md5 : whether the MD5 is wanted too; it takes twice the time of the SHA-256.
    size : expected bytes; many of them are computed in one thread a digest.

    Attributes
    ----------
    count : bytes so far.
    """

    def __init__(self, *, md5: bool, size: int):
        self.count = 0
        made = {"sha256": hashlib.sha256()}
        if md5:
            made["md5"] = hashlib.md5(usedforsecurity=False)
        self._made = made
        self._lanes = [_Lane(digest) for digest in made.values()] if size >= _BACKGROUND_BYTES else []

    def add(self, data: bytes) -> None:
        """Take the next bytes; they must not change afterwards."""
        self.count += len(data)
        if self._lanes:
            for lane in self._lanes:
                lane.put(data)
        else:
            for digest in self._made.values():
                digest.update(data)

    def add_file(self, path: Path) -> None:
        """Take all bytes of a file."""
        with open(path, "rb", buffering=0) as handle:
            while block := handle.read(_BLOCK):
                self.add(block)

    def finish(self) -> tuple[str, str]:
        """SHA-256 and MD5 ('' if not wanted), hex; nothing can be added afterwards."""
        self.close()
        return self._made["sha256"].hexdigest(), self._made["md5"].hexdigest() if "md5" in self._made else ""

    def close(self) -> None:
        """End the threads, after what was added is computed."""
        for lane in self._lanes:
            lane.close()
        self._lanes = []


class _Lane:
    """One digest in one thread; bytes wait in a short queue, so that memory stays small."""

    def __init__(self, digest):
        self._queue: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._run, args=(digest,), daemon=True, name="seqmill-digest")
        self._thread.start()

    def _run(self, digest) -> None:
        while (data := self._queue.get()) is not None:
            digest.update(data)

    def put(self, data: bytes) -> None:
        self._queue.put(data)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
