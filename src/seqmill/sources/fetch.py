"""The noun *source*: a folder with the fetched files of one track or location, exactly as the lock pins them.

Files are hard links into the cache, copies where that cannot be (another disk); runs that are pinned as SRA files are
converted to FASTQ here, and the FASTA files of a tar file become one. The marker holds what the bytes are and mean;
where they came from is in ``run.json``, so that another mirror, date or status of the same bytes makes no other marker,
and nothing downstream is built again.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.files import staged_folder
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.marker import Marker, check_sizes, file_digest, read_marker, write_marker
from seqmill.runtime.record import recorded
from seqmill.sources import FORMAT
from seqmill.sources.archives import FASTA_TAR, join_fasta
from seqmill.sources.cache import Cache
from seqmill.sources.download import download, download_many
from seqmill.sources.hosts import redacted
from seqmill.sources.sra_tools import fastq
from seqmill.sources.web import Web

_LOG = logging.getLogger("seqmill")
# What may change at a portal while the bytes and their meaning do not; kept in run.json only.
_PASSING = ("name", "asked", "url", "mirrors", "etag", "status", "date", "retrieved")


@dataclass(frozen=True)
class LocalFile:
    """A fetched file: its path, and its role ('' for the only file; 'R1', 'R2' or 'single' for reads) and run."""

    path: Path
    role: str
    run: str
    format: str


def fetch(folder: str | Path, rows: Sequence[LockRow], sources: Sources) -> Marker:
    """Make ``results/sources/{slug}`` from the lock rows of one name.

    Raises
    ------
    RemoteError : no address gives the pinned bytes, or they are not in the cache and `locked` forbids to ask.
    InputError : the cache or the folder cannot be written, or sra-tools are missing. LockedError : it is being made.
    """
    folder, rows = Path(folder), sorted(rows, key=lambda row: (row.role, row.file))
    if not rows:
        raise InputError(folder, "the lock has no row for it; run 'seqmill lock'")
    cache = Cache(sources.cache_folder())
    with Web(sources) as web:
        download_many(rows, web, cache)
        with artefact_lock(folder), staged_folder(folder) as part:
            pinned = {row.file: row.digest for row in rows}
            with recorded(part, inputs=pinned, parameters={"rows": [asdict(row) for row in rows]}) as record:
                files: dict[str, dict[str, Any]] = {}
                links = [_place(part, row, web, cache, sources, files) for row in rows]
                record["copied"] = sorted(name for name, linked in links if not linked)
            attrs = {"name": rows[0].name, "files": files, "inputs": {}, "recorded": True}
            marker = _mark(part, folder.name, attrs)
            as_pinned = [row for row in rows if row.file in files and "from" not in files[row.file]]
            damaged = [row for row in as_pinned if not _is_pinned(part, row, marker, cache)]
            for row in damaged:  # on the disk of the cache, since it was admitted
                _LOG.warning("%s: the file in the cache was damaged (%s); it is fetched again", row.file, row.digest)
                (part / row.file).unlink()
                _discard(row, cache)
                _place(part, row, web, cache, sources, files)
            if damaged:
                marker = _mark(part, folder.name, attrs)
                for row in damaged:
                    if not _is_pinned(part, row, marker, cache):
                        raise DamageError(f"{folder / row.file}: its bytes change on the disk; is the disk failing?")
    return marker


def _mark(part: Path, name: str, attrs: dict[str, Any]) -> Marker:
    return write_marker(part, noun="source", name=name, format=FORMAT, attrs=attrs)


def _is_pinned(part: Path, row: LockRow, marker: Marker, cache: Cache) -> bool:
    """Whether the file has the SHA-256 under which the cache admitted it (write_marker has just read it)."""
    expected = row.sha256 or getattr(cache.find(row), "name", "")
    size, sha256 = marker.files[row.file]
    return size == row.bytes and sha256 == expected


def _discard(row: LockRow, cache: Cache) -> None:
    found = cache.find(row)
    if found:
        cache.drop(found.name)


def _place(
    part: Path, row: LockRow, web: Web, cache: Cache, sources: Sources, files: dict[str, dict[str, Any]]
) -> tuple[str, bool]:
    """Put the file of a row, or what is made from it, into the folder; its name, and whether it is a link."""
    about = {key: value for key, value in asdict(row).items() if value and key not in _PASSING}
    if row.format == FASTA_TAR:
        try:
            join_fasta(_whole(row, web, cache), part / row.file)
        except InputError as error:  # it names the file of the cache
            raise InputError(f"{row.name}: {redacted(row.url)}", error.message, record=error.record) from None
        files[row.file] = {**about, "format": "fasta", "from": FASTA_TAR}
        return row.file, False
    if row.format == "sra":
        path = _whole(row, web, cache)
        for role, made in sorted(fastq(path, row, part, offline=sources.asks_nobody()).items()):
            files[made.name] = {**about, "role": role, "format": "fastq", "from": row.file}
        return row.file, False
    target = part / row.file
    linked = True
    for attempt in range(2):
        path = download(row, web, cache)
        try:
            linked = _link(path, target)
            break
        except FileNotFoundError:  # pruned by somebody in this very moment
            if attempt:
                raise InputError(path, "disappears from the cache while it is used") from None
    files[row.file] = about
    return row.file, linked


def _whole(row: LockRow, web: Web, cache: Cache) -> Path:
    """The file of a row in the cache, hashed again: what is made from it would hide a damage."""
    path = download(row, web, cache)
    if file_digest(path) != path.name:
        _LOG.warning("%s: the file in the cache was damaged; it is fetched again", row.file)
        cache.drop(path.name)
        path = download(row, web, cache)
    return path


def _link(path: Path, target: Path) -> bool:
    """Hard link, or a copy where the system refuses one (another disk, another user, too many links)."""
    try:
        os.link(path, target)
        return True
    except FileNotFoundError:
        raise
    except OSError:
        pass
    try:
        shutil.copyfile(path, target)
        os.chmod(target, 0o444)
    except FileNotFoundError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            target.unlink()
        raise InputError(target.parent, f"{target.name} cannot be copied here ({error.strerror})") from None
    return False


def local_files(folder: str | Path) -> list[LocalFile]:
    """Files of a fetched folder, sorted by role and name, after the check of names and sizes. Raises DamageError."""
    folder = Path(folder)
    marker = read_marker(folder, noun="source", format=FORMAT)
    check_sizes(folder, marker)
    found = [
        LocalFile(folder / name, about.get("role", ""), about.get("run", ""), about.get("format", ""))
        for name, about in marker.attrs["files"].items()
    ]
    return sorted(found, key=lambda file: (file.role, file.path.name))
