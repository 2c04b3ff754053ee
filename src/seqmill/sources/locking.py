"""Making the lock: wishes of the sheet and the configuration become rows, one by one."""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow, write_lock
from seqmill.config.locked import Locked, lock_path
from seqmill.config.portals import Sources
from seqmill.config.root import parse
from seqmill.config.wishes import sheet_tracks, wishes
from seqmill.runtime.errors import InputError, RemoteError, SeqmillError
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.progress import Progress
from seqmill.sources.cache import Cache
from seqmill.sources.resolve import resolve
from seqmill.sources.row_checks import remarks
from seqmill.sources.web import Web


def make_lock(
    wishes: Iterable[Asked],
    old: Iterable[LockRow],
    web: Web,
    sources: Sources,
    cache: Cache,
    *,
    update: Collection[str] | None = (),
) -> list[LockRow]:
    """Rows for all wishes: rows that are there already stay as they are, others are asked for.

    Parameters
    ----------
    update : names whose rows are asked for again; None for all.

    Raises
    ------
    SeqmillError, after all were asked, if some could not be resolved: it names each of them.
    """
    kept: dict[str, list[LockRow]] = {}
    for row in old:
        kept.setdefault(row.name, []).append(row)
    rows, failed = [], []
    wishes = list(wishes)
    with Progress("lock", len(wishes), "files asked for") as progress:
        for wish in wishes:
            known = kept.get(wish.name, [])
            stays = known and known[0].asked == wish.text and update is not None and wish.name not in update
            try:
                rows += known if stays else resolve(wish, web, sources, cache)
            except SeqmillError as error:
                failed.append(error)
                logging.getLogger("seqmill").error("%s: %s", wish.name, error)
            progress.add(1)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise RemoteError(f"{len(failed)} of {len(wishes)}", "could not be resolved, see above; the lock is as it was")
    return rows


class Locking(NamedTuple):
    """What became of a lock: its path, all its rows, names that were asked for, names that are gone."""

    path: Path
    rows: list[LockRow]
    asked_for: list[str]
    removed: list[str]


def lock_project(values: dict[str, Any], where: str, *, update: Collection[str] | None = ()) -> Locking:
    """Write the lock of a configuration, whole or not at all.

    Parameters
    ----------
    values, where : the configuration as it was written, see `seqmill.config.root.written`.
    update : as in `make_lock`. Raises InputError for a name that is no remote file.
    """
    asked, path = wishes(values, where), lock_path(values)
    names = {wish.name for wish in asked}
    for name in update or ():
        if name not in names:
            raise InputError(where, f"{name!r} is no remote file of the sheet or the configuration; {known(names)}")
    config = parse(values, where, lambda _: path)
    sources = config.sources
    with artefact_lock(path):
        before = Locked(path).rows
        old = [row for rows in before.values() for row in rows]
        with Web(sources) as web:
            rows = make_lock(asked, old, web, sources, Cache(sources.cache_folder()), update=update)
        if rows or path.exists():
            write_lock(path, rows)
    groups = {track.track: track.group for track in sheet_tracks(config)}
    for text in remarks(rows, groups):
        logging.getLogger("seqmill").warning("%s: %s", path, text)
    changed = {row.name for row in rows if row not in old}
    return Locking(path, rows, sorted(changed), sorted(set(before) - names))


def known(names: Iterable[str]) -> str:
    """The first of some names, in words."""
    listed = sorted(names)
    return "known: " + (", ".join(listed[:8]) + (" …" if len(listed) > 8 else "") or "none")
