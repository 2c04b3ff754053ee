"""Files that were fetched and checked, kept once for all projects, each under the SHA-256 of its bytes.

    sha256/{hex}   the files, read-only     parts/   what is half there, with its lock     admitted.tsv  what came when
    md5/{hex}      symbolic links to them   bad/     what had a wrong checksum (the last one of each file)

Only `Cache.admit_all` writes into ``sha256/``: after size and digest agree, by sync and rename. Projects hold hard
links, so a file whose link count is one is used by no project of the same disk. The time of last use is the access
time, which is set when a file is found; the modification time stays, because hard links share it.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seqmill.config.lock import LockRow
from seqmill.runtime.errors import InputError
from seqmill.runtime.files import fsync_folder
from seqmill.runtime.marker import file_digest

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLDERS = ("sha256", "md5", "parts", "bad")
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Files that seqmill can fetch again.\n"
# What is half there is kept that long, for the command that continues it.
PART_DAYS = 7.0
_POLL_S = 0.1
_SYNCS = 16


@dataclass(frozen=True)
class Entry:
    """A file of the cache. ``used`` and ``came`` are seconds since 1970, ``links`` counts projects' hard links."""

    path: Path
    bytes: int
    used: float
    links: int
    file: str = ""
    source: str = ""
    accession: str = ""

    @property
    def sha256(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class Fetched:
    """A complete part: its file, what it should be, and the digests of its bytes."""

    part: Path
    row: LockRow
    sha256: str
    md5: str


class Cache:
    """The cache in ``folder``, which is made when the first file comes. Safe for several processes and threads."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser().absolute()

    def object(self, sha256: str) -> Path:
        """Where the file with this digest is, or would be."""
        return self.folder / "sha256" / sha256

    def find(self, row: LockRow) -> Path | None:
        """The file of a lock row, if it is there with the size of the row; its name is its SHA-256."""
        sha256 = row.sha256 or self._of_md5(row.md5)
        if not sha256:
            return None
        path = self.object(sha256)
        try:
            state = path.stat()
        except OSError:
            return None
        if state.st_size != row.bytes:
            return None
        with contextlib.suppress(OSError):  # of another user, or on a disk that cannot be written
            os.utime(path, ns=(time.time_ns(), state.st_mtime_ns))
        return path

    def _of_md5(self, md5: str) -> str:
        try:
            name = os.path.basename(os.readlink(self.folder / "md5" / md5)) if md5 else ""
        except OSError:
            return ""
        return name if _SHA256.fullmatch(name) else ""

    def prepare(self) -> None:
        """Make the folders. Raises InputError where that cannot be, or nothing can be written."""
        if all((self.folder / name).is_dir() for name in _FOLDERS):
            return
        with self.writing():
            for name in _FOLDERS:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            tag = self.folder / "CACHEDIR.TAG"  # bford.info/cachedir: backups leave such folders out
            if not tag.exists():
                tag.write_text(_TAG)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the disk refuses within the block into an InputError that says what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                advice = "free some space ('seqmill cache prune'); the same command continues what is half there"
            else:
                advice = "choose another folder with the key sources.cache or the variable SEQMILL_CACHE"
            raise InputError(self.folder, f"the cache cannot be written ({error.strerror}); {advice}") from None

    def _key(self, row: LockRow) -> str:
        """Name of a row's work files; that of its address where nothing identifies its bytes yet."""
        if row.sha256 or row.md5:
            return row.digest.replace(":", "-")
        return f"url-{hashlib.sha256(row.url.encode()).hexdigest()}"

    def part(self, row: LockRow) -> Path:
        """Where the bytes of a row grow; a later process continues it. Write it only while holding the row."""
        return self.folder / "parts" / f"{self._key(row)}.part"

    def try_hold(self, row: LockRow) -> "Held | None":
        """The lock of a row, None if somebody else holds it."""
        self.prepare()
        with self.writing():
            return _try_lock(self.part(row).with_suffix(".lock"))

    @contextmanager
    def hold(self, row: LockRow, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
        """Hold the lock of a row, after waiting for whoever downloads the same file."""
        lock = self.try_hold(row)
        if lock is None:
            logging.getLogger("seqmill").info("%s: waiting for another download of the same file", row.file)
        while lock is None:
            sleep(_POLL_S)
            lock = self.try_hold(row)
        try:
            yield
        finally:
            lock.release()

    def admit(self, part: Path, row: LockRow, sha256: str, md5: str) -> Path:
        """Take a complete part in and return the file, see `admit_all`."""
        return self.admit_all([Fetched(part, row, sha256, md5)])[0]

    def admit_all(self, fetched: list[Fetched]) -> list[Path]:
        """Take complete parts in and return the files, read-only: synced all together, then renamed.

        Raises ValueError, and takes nothing in, if size or digest of one of them is not that of its row: the caller
        has compared them, and answers for the error that a user sees.
        """
        for one in fetched:
            if mismatch := wrong(one.row, one.part.stat().st_size, one.sha256, one.md5):
                raise ValueError(f"{one.row.file}: {mismatch}")
        with self.writing():
            handles = [os.open(one.part, os.O_RDWR | os.O_CLOEXEC) for one in fetched]
            try:
                for handle in handles:
                    os.fchmod(handle, 0o444)
                    start_writing(handle, 0, 0)
                if len(handles) == 1:
                    os.fsync(handles[0])
                else:  # syncs at the same time share commits of the journal and flushes of the disk
                    with ThreadPoolExecutor(min(len(handles), _SYNCS)) as pool:
                        list(pool.map(os.fsync, handles))
            finally:
                for handle in handles:
                    os.close(handle)
            paths = [self.object(one.sha256) for one in fetched]
            for one, path in zip(fetched, paths):
                os.replace(one.part, path)
                one.part.with_suffix(".json").unlink(missing_ok=True)
                self._link(one.md5, one.sha256)
            fsync_folder(self.folder / "sha256")
            self._note(fetched)
        return paths

    def _link(self, md5: str, sha256: str) -> None:
        """Let ``md5/…`` lead to a file. A link that a power loss takes away only costs another download."""
        if not md5 or self._of_md5(md5) == sha256:
            return
        new = self.folder / "md5" / f".{md5}.{os.getpid()}.{time.monotonic_ns()}"
        os.symlink(f"../sha256/{sha256}", new)
        os.replace(new, self.folder / "md5" / md5)

    def _note(self, fetched: list[Fetched]) -> None:
        """Say in ``admitted.tsv`` what came: for people, and for `entries`; nothing else depends on it."""
        day = time.strftime("%Y-%m-%d", time.gmtime())
        lines = [
            "\t".join([day, one.sha256, str(one.row.bytes), one.row.source, one.row.accession, one.row.file])
            for one in fetched
        ]
        with open(self.folder / "admitted.tsv", "ab", buffering=0) as handle:
            handle.write(("\n".join(lines) + "\n").encode())

    def bad(self, row: LockRow) -> Path:
        """Where wrong bytes of a row are kept, the last ones only, for people to look at; nothing reads them again."""
        return self.folder / "bad" / f"{self._key(row)}.bad"

    def drop(self, sha256: str) -> None:
        """Take a damaged file out."""
        with self.writing():
            self.object(sha256).unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """All files, the one used last at the end."""
        known = self._noted()
        found = []
        for path in self._files("sha256"):
            with contextlib.suppress(FileNotFoundError):  # pruned by another process in this moment
                state = path.stat()
                file, source, accession = known.get(path.name, ("", "", ""))
                found.append(Entry(path, state.st_size, state.st_atime, state.st_nlink - 1, file, source, accession))
        return sorted(found, key=lambda entry: (entry.used, entry.sha256))

    def _files(self, name: str) -> list[Path]:
        folder = self.folder / name
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _noted(self) -> dict[str, tuple[str, str, str]]:
        """SHA-256 -> file, source, accession of ``admitted.tsv``; lines that are torn or changed are left out."""
        known = {}
        with contextlib.suppress(OSError):
            for line in (self.folder / "admitted.tsv").read_text(errors="replace").splitlines():
                cells = line.split("\t")
                if len(cells) == 6:
                    known[cells[1]] = (cells[5], cells[3], cells[4])
        return known

    def prune(
        self,
        older_than_days: float | None = None,
        max_bytes: int | None = None,
        unused: bool = True,
        dry_run: bool = False,
    ) -> list[Entry]:
        """Delete files and return them; without limits, every one that no project on this disk links to.

        Parameters
        ----------
        older_than_days : only files that were not used for so long.
        max_bytes : only until all that is left has at most this size, the longest unused first.
        unused : only files that no project on this disk links to; deleting others frees nothing while links are there.
        dry_run : delete nothing.

        What is half there since `PART_DAYS`, or has wrong bytes, goes too.
        """
        now, gone = time.time(), []
        entries = self.entries()
        total = sum(entry.bytes for entry in entries)
        for entry in entries:
            if (unused and entry.links) or (older_than_days is not None and entry.used > now - 86400 * older_than_days):
                continue
            if max_bytes is not None and total <= max_bytes:
                break
            total -= entry.bytes
            gone.append(entry)
        if not dry_run:
            with self.writing():
                for entry in gone:
                    entry.path.unlink(missing_ok=True)
                self._sweep(now)
        return gone

    def _sweep(self, now: float) -> None:
        """Delete links that lead nowhere, wrong files, and parts that nobody has continued for long."""
        old = now - 86400 * PART_DAYS
        for path in self._files("md5"):
            left = path.name.startswith(".") and _changed(path) < old  # by a writer that was killed
            if left or not path.exists():
                path.unlink(missing_ok=True)
        for path in self._files("bad"):
            path.unlink(missing_ok=True)
        grown: dict[Path, float] = {}
        for path in self._files("parts"):
            part = path.with_suffix(".part")
            grown[part] = max(_changed(path), grown.get(part, 0))
        for part in (part for part, changed in grown.items() if changed < old):
            held = _try_lock(part.with_suffix(".lock"))
            if held:
                for suffix in (".part", ".json", ".new"):
                    part.with_suffix(suffix).unlink(missing_ok=True)
                held.release()

    def check(self) -> list[Entry]:
        """Read every file again and return those whose bytes are no longer what their name says."""
        damaged = []
        for entry in self.entries():
            with contextlib.suppress(FileNotFoundError):
                state = entry.path.stat()
                if file_digest(entry.path) != entry.sha256:
                    damaged.append(entry)
                with contextlib.suppress(OSError):  # reading it was no use of it
                    os.utime(entry.path, ns=(state.st_atime_ns, state.st_mtime_ns))
        return damaged


class Held:
    """A held lock file; the kernel frees it when its holder dies."""

    def __init__(self, handle: int, path: Path):
        self._handle, self._path = handle, path

    def release(self) -> None:
        """Delete the lock file, while it is held, and free it."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def _try_lock(path: Path) -> Held | None:
    """Lock ``path``; None if somebody holds it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(handle)):
                    return Held(handle, path)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder has deleted it since it was opened


def _changed(path: Path) -> float:
    """Time of last change of a file or link, in seconds since 1970; the future if it has just gone."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")


def start_writing(handle: int, offset: int, length: int) -> None:
    """Let the system write these bytes of an open file to disk now, so that a later sync has little left to do."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, offset, length, os.POSIX_FADV_DONTNEED)


def wrong(row: LockRow, size: int, sha256: str, md5: str) -> str:
    """What is not as the lock says, '' if size and digest agree. The SHA-256 decides where the lock has both."""
    if size != row.bytes:
        return f"{size:,} bytes, expected {row.bytes:,}"
    name, got, expected = ("sha256", sha256, row.sha256) if row.sha256 else ("md5", md5, row.md5)
    if not expected:
        return "nothing to compare it with"
    return "" if got == expected else f"{name} {got or 'unknown'}, expected {expected}"
