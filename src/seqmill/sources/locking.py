"""Making the lock: wishes of the sheet and the configuration become rows, one by one."""

import logging
from collections.abc import Collection, Iterable

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.runtime.errors import RemoteError, SeqmillError
from seqmill.runtime.progress import Progress
from seqmill.sources.cache import Cache
from seqmill.sources.resolve import resolve
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
