"""A file that is half there: its bytes so far, their digests, and how a host may continue it.

Beside ``x.part`` lies ``x.json``: a digest of the address it came from (no address: that may hold secrets), the
validator for ``If-Range``, the size. Without it a part is not continued. Bytes that an earlier process left are
digested again, so what a power loss did to them is found by the checksum of the whole.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from seqmill.sources.cache import Cache, start_writing
from seqmill.sources.digests import Digests

# From this size on the note is written before the first byte, for the case of a sudden death.
_NOTED_BYTES = 1 << 20
_FLUSH_BYTES = 1 << 25


class Part:
    """The growing file at ``path``; its caller holds its lock. Use as a context manager.

    Parameters
    ----------
    md5 : whether an MD5 is wanted beside the SHA-256. size : expected bytes, None if unknown.
    count : is told how many bytes came (negative: were thrown away).

    Attributes
    ----------
    offset : bytes that are there. size : as given, or as the host told. validator : strong ETag, or Last-Modified.
    """

    def __init__(self, path: Path, cache: Cache, *, md5: bool, size: int | None, count: Callable[[int], None]):
        self.path, self.size, self.offset, self.validator = path, size, 0, ""
        self._cache, self._md5, self._count = cache, md5, count
        self._note, self._noted, self._origin = path.with_suffix(".json"), False, ""
        self._digests: Digests | None = None
        self._flushed = 0

    def __enter__(self) -> "Part":
        with self._cache.writing():
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        there = os.fstat(self._file).st_size
        note = self._read_note()
        if note and there and (self.size is None or (there <= self.size == note["size"])):
            self.offset = self._flushed = there
            self.size, self._noted = note["size"], True
            self._origin, self.validator = note["origin"], note["validator"]
        else:
            self._cut(0)
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):  # a full disk: the part is not continued, which is all that is lost
            if error[0] is not None and self.offset:
                self.note()
            elif error[0] is not None:
                self.path.unlink(missing_ok=True)
        self._forget()
        os.close(self._file)

    def _read_note(self) -> dict | None:
        try:
            note = json.loads(self._note.read_bytes())
            whole = isinstance(note["size"], int) and all(isinstance(note[key], str) for key in ("origin", "validator"))
            return note if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self) -> None:
        """Write down how to continue, once for each answer; a size that nobody told makes that impossible."""
        if self._noted or self.size is None:
            return
        new = self._note.with_suffix(".new")
        new.write_text(json.dumps({"origin": self._origin, "validator": self.validator, "size": self.size}))
        os.replace(new, self._note)
        self._noted = True

    def begin(self, url: str, validator: str) -> None:
        """A whole answer begins: throw away what is there, and take note of where it comes from."""
        self.restart()
        self._origin, self.validator, self._noted = _identity(url), validator, False
        if self.size is not None and self.size >= _NOTED_BYTES:
            with self._cache.writing():
                self.note()

    def came_from(self, url: str) -> bool:
        """Whether this address gave what is there."""
        return self._origin == _identity(url)

    def restart(self) -> None:
        """Throw away what is there."""
        self._count(-self.offset)
        self._forget()
        self.offset = self._flushed = 0
        self._origin, self.validator, self._noted = "", "", False
        self._note.unlink(missing_ok=True)
        self._cut(0)

    def _cut(self, size: int) -> None:
        with self._cache.writing():
            os.ftruncate(self._file, size)

    def _forget(self) -> None:
        if self._digests:
            self._digests.close()
        self._digests = None

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        digests = self._current()
        with self._cache.writing():
            view, done = memoryview(data), 0
            while done < len(data):
                done += os.pwrite(self._file, view[done:], self.offset + done)
        digests.add(data)
        self.offset += len(data)
        if self.offset - self._flushed >= _FLUSH_BYTES:
            start_writing(self._file, self._flushed, self.offset - self._flushed)
            self._flushed = self.offset
        self._count(len(data))

    def _current(self) -> Digests:
        """Digests of exactly what is there; read anew where this process has not written it."""
        if self._digests is None or self._digests.count != self.offset:
            self._forget()
            self._cut(self.offset)  # the rest of a write that failed in the middle
            self._digests = Digests(md5=self._md5, size=self.size or 0)
            if self.offset:
                self._digests.add_file(self.path)
        return self._digests

    def digests(self) -> tuple[str, str]:
        """SHA-256 and MD5 ('' if not wanted) of all that is there."""
        found = self._current().finish()
        self._digests = None
        return found

    def head(self, size: int) -> bytes:
        """The first ``size`` bytes that are there."""
        return os.pread(self._file, min(size, self.offset), 0)

    def set_aside(self, bad: Path) -> None:
        """Move wrong bytes to ``bad``, in place of those that were there before, and begin with an empty file."""
        with self._cache.writing():
            os.replace(self.path, bad)
            os.close(self._file)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.restart()


def _identity(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
