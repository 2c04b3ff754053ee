"""Rows of the lock become files of the cache: accepted only if size and checksum are those that were pinned."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from seqmill.config.lock import LockRow
from seqmill.runtime.errors import InputError, RemoteError, SeqmillError
from seqmill.runtime.progress import Progress, human_bytes
from seqmill.sources.cache import Cache, Fetched, wrong
from seqmill.sources.part import Part
from seqmill.sources.policy import FailedAttempt, Retry
from seqmill.sources.transfer import Transfer, Wanted
from seqmill.sources.web import Web

# Left free on the disk of the cache.
RESERVE_BYTES = 64_000_000
# Files up to this size are taken in many at a time: a sync for each would take longer than its download.
_SMALL_BYTES, _BATCH = 4_000_000, 64
_WORKERS = 8
_WITHDRAWN = (403, 404, 410)
Count = Callable[[int], None]
_Got = TypeVar("_Got")


def download(row: LockRow, web: Web, cache: Cache) -> Path:
    """The file of a lock row, from the cache or else from its address or a mirror.

    What was half there is continued. One process or thread downloads a file, others that want it wait.

    Raises
    ------
    RemoteError : no address gave the pinned bytes, or `locked` forbids to ask.
    InputError : the cache cannot be written, or its disk is too full.
    """
    found = cache.find(row)
    if found:
        return found
    _check_asked(row, web)
    with cache.hold(row):
        found = cache.find(row)  # came while another download of it was waited for
        if found:
            return found
        _check_room([row], cache)
        with _counting(f"fetch {row.file}", [row], cache) as count:
            fetched = _fetch(row, web, cache, count)
        return cache.admit(fetched.part, row, fetched.sha256, fetched.md5)


def download_many(rows: Iterable[LockRow], web: Web, cache: Cache, workers: int = _WORKERS) -> list[Path]:
    """The files of many rows, in their order; up to ``workers`` at a time, and `bodies_per_host` of each host.

    Raises, after all were tried, the error of the row that failed, or one that names all of them.
    """
    rows = list(rows)
    first: dict[str, LockRow] = {}
    for row in rows:
        first.setdefault(row.digest, row)
    found = {digest: path for digest, row in first.items() if (path := cache.find(row))}
    missing = [row for digest, row in first.items() if digest not in found]
    if len(missing) == 1:
        found[missing[0].digest] = download(missing[0], web, cache)
    elif missing:
        _check_asked(missing[0], web)
        _check_room(missing, cache)
        found |= _Many(web, cache, workers).run(missing)
    return [found[row.digest] for row in rows]


class _Stopped(Exception):
    """The main thread was interrupted."""


class _Many:
    """Downloads in threads: small files in batches, then large ones, then those that somebody else was downloading."""

    def __init__(self, web: Web, cache: Cache, workers: int):
        self.web, self.cache, self.workers = web, cache, workers
        self.found: dict[str, Path] = {}
        self.failed: list[SeqmillError] = []
        self._stop = threading.Event()
        self._dead: set[str] = set()  # hosts that used up all attempts for one file get one for each other file
        # who injects a sleep of its own (tests) keeps it
        self._retry = replace(web.retry, sleep=self._sleep) if web.retry.sleep is time.sleep else web.retry

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped

    def run(self, rows: list[LockRow]) -> dict[str, Path]:
        """Digest of each row -> path."""
        hosts = {urlsplit(row.url).netloc for row in rows}
        workers = max(1, min(self.workers, len(hosts) * self.web.sources.network.bodies_per_host))
        small = [row for row in rows if row.bytes <= _SMALL_BYTES]
        alone = [row for row in rows if row.bytes > _SMALL_BYTES]
        with (
            _counting(f"fetch {len(rows)} files", rows, self.cache) as count,
            ThreadPoolExecutor(workers, thread_name_prefix="seqmill-fetch") as self._pool,
        ):
            self._count = count
            for start in range(0, len(small), _BATCH):
                alone += self._batch(small[start : start + _BATCH])
            for row, got in zip(alone, self._map(self._single, alone)):
                self._sort(row, got)
        if self.failed:
            raise _all_failed(self.failed, len(rows))
        return self.found

    def _map(self, function: Callable[[LockRow], _Got], rows: list[LockRow]) -> list[_Got]:
        """Do it in the threads, which have all ended their work when an interrupt goes on from here."""
        try:
            return list(self._pool.map(function, rows))
        except BaseException:
            self._stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)
            raise

    def _sort(self, row: LockRow, got: Path | SeqmillError) -> None:
        if isinstance(got, Path):
            self.found[row.digest] = got
        else:
            self.failed.append(got)

    def _came(self, amount: int) -> None:
        """Count bytes; ends this thread's work once the main thread was interrupted."""
        self._count(amount)
        if self._stop.is_set():
            raise _Stopped

    def _single(self, row: LockRow) -> Path | SeqmillError:
        try:
            with self.cache.hold(row, self._sleep):
                got = self._get(row)
                if isinstance(got, Path):
                    return got
                return self.cache.admit(got.part, row, got.sha256, got.md5)
        except SeqmillError as error:
            return error

    def _get(self, row: LockRow) -> Path | Fetched:
        """The file of a row that is held, if somebody has fetched it by now, else its complete part."""
        path = self.cache.find(row)
        if path:
            self._came(row.bytes)
        if path:
            return path
        host = urlsplit(row.url).netloc
        retry = replace(self._retry, attempts=1) if host in self._dead else self._retry
        try:
            return _fetch(row, self.web, self.cache, self._came, retry)
        except FailedAttempt as failed:
            if failed.again:
                self._dead.add(host)
            raise

    def _batch(self, rows: list[LockRow]) -> list[LockRow]:
        """Download small files and take them in together; returns those that somebody else downloads just now.

        Nobody waits for a lock while holding others, so that two processes cannot wait for each other.
        """
        with ExitStack() as held:

            def one(row: LockRow) -> Fetched | Path | SeqmillError | None:
                try:
                    lock = self.cache.try_hold(row)
                    if lock is None:
                        return None
                    held.callback(lock.release)
                    return self._get(row)
                except SeqmillError as error:
                    return error

            got = list(zip(rows, self._map(one, rows)))
            fetched = [answer for _, answer in got if isinstance(answer, Fetched)]
            for taken, path in zip(fetched, self.cache.admit_all(fetched) if fetched else []):
                self._sort(taken.row, path)
        for row, answer in got:
            if isinstance(answer, Path | SeqmillError):
                self._sort(row, answer)
        return [row for row, answer in got if answer is None]


def _all_failed(failed: list[SeqmillError], count: int) -> SeqmillError:
    if len(failed) == 1:
        return failed[0]
    said = "; ".join(str(error) for error in failed[:5]) + ("; ..." if len(failed) > 5 else "")
    return RemoteError(f"{len(failed)} of {count} files", f"could not be fetched: {said}")


def _fetch(row: LockRow, web: Web, cache: Cache, count: Count, retry: Retry | None = None) -> Fetched:
    """Download into the part of a row that the caller holds.

    Raises FailedAttempt that names track and file; ``again`` if it is the host that is in trouble.
    """
    part_path = cache.part(row)
    wanted = Wanted(
        file=row.file,
        format=row.format,
        urls=(row.url, *(url for url in row.mirrors.split(",") if url)),
        pinned=True,
        judge=lambda size, sha256, md5: wrong(row, size, sha256, md5),
        bad=cache.bad(row),
    )
    try:
        with Part(part_path, cache, md5=not row.sha256, size=row.bytes, count=count) as part:
            sha256, md5 = Transfer(wanted, part, web, retry).run()
    except RemoteError as error:
        status = getattr(error, "status", None)
        hint = "; it may have been withdrawn: 'seqmill refresh' asks its portal" if status in _WITHDRAWN else ""
        where, again = f"{row.name}: {row.file}", isinstance(error, FailedAttempt) and status not in _WITHDRAWN
        raise FailedAttempt(where, f"{error.message}{hint} ({error.where})", again=again, status=status) from None
    return Fetched(part_path, row, sha256, md5)


def _check_asked(row: LockRow, web: Web) -> None:
    if web.sources.asks_nobody():
        message = "is not in the cache, and 'locked' allows no network; run once without it"
        raise RemoteError(f"{row.name}: {row.file}", message)


def _check_room(rows: list[LockRow], cache: Cache) -> None:
    """Raise InputError before the first byte if the disk cannot take the rest of all files."""
    cache.prepare()
    need = sum(row.bytes for row in rows) - _there(rows, cache)
    free = shutil.disk_usage(cache.folder).free
    if need + RESERVE_BYTES > free:
        what = rows[0].file if len(rows) == 1 else f"{len(rows)} files"
        raise InputError(
            cache.folder,
            f"{what} still {'needs' if len(rows) == 1 else 'need'} {human_bytes(need)}, only {human_bytes(free)} are "
            "free; free some space ('seqmill cache prune') or choose another folder with sources.cache",
        )


def _there(rows: list[LockRow], cache: Cache) -> int:
    """Bytes of parts."""
    total = 0
    for row in rows:
        with contextlib.suppress(OSError):
            total += min(cache.part(row).stat().st_size, row.bytes)
    return total


@contextmanager
def _counting(what: str, rows: list[LockRow], cache: Cache) -> Iterator[Count]:
    """Progress in bytes over all rows, from several threads."""
    lock = threading.Lock()
    with Progress(what, sum(row.bytes for row in rows), "bytes", done=_there(rows, cache)) as progress:

        def count(amount: int) -> None:
            with lock:
                progress.add(amount)

        yield count


def pin(row: LockRow, web: Web, cache: Cache) -> LockRow:
    """The row with size, checksums and ETag of what is at its address: read once, into the cache.

    For files that nobody describes. The answer must say where it ends (length or chunks), and its first bytes must be
    those of the row's format: a page that was pinned would be right forever. A published md5 in ``row`` must be met.

    Raises
    ------
    RemoteError : the address did not give it. InputError : the cache cannot be written.
    """
    wanted = Wanted(
        file=row.file,
        format=row.format,
        urls=(row.url,),
        pinned=False,
        judge=lambda _size, _sha256, md5: f"md5 {md5}, published {row.md5}" if row.md5 not in ("", md5) else "",
        bad=cache.bad(row),
    )
    with cache.hold(row):
        with (
            Progress(f"read {row.file}", 0, "bytes") as progress,
            Part(cache.part(row), cache, md5=True, size=None, count=progress.add) as part,
        ):
            transfer = Transfer(wanted, part, web)
            sha256, md5 = transfer.run()
        found = replace(row, bytes=part.offset, md5=md5, sha256=sha256, etag=transfer.etag)
        cache.admit(cache.part(row), found, sha256, md5)
    return found
