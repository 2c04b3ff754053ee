"""Asking portals for wishes that the lock answers already, without reading again what was pinned by reading it."""

from collections.abc import Sequence

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.sources.cache import Cache
from seqmill.sources.policy import FailedAttempt
from seqmill.sources.refresh import Resolve
from seqmill.sources.resolve import resolve
from seqmill.sources.web import Web


def asker(rows: Sequence[LockRow], web: Web, sources: Sources, cache: Cache) -> Resolve:
    """What `seqmill.sources.refresh.refresh` calls for each wish; ``rows`` are those of the lock."""
    before: dict[tuple[str, str], list[LockRow]] = {}
    for row in rows:
        before.setdefault((row.name, row.asked), []).append(row)
    lenient = sources.model_copy(update={"allow_archived": True})

    def ask(asked: Asked, archived: bool) -> list[LockRow]:
        old = before.get((asked.name, asked.text), [])
        if old and all(row.etag and still_there(row, web) for row in old):
            return old
        return resolve(asked, web, lenient if archived else sources, cache)

    return ask


def still_there(row: LockRow, web: Web) -> bool:
    """Whether a host says that a file, which was pinned by reading it, is what it was; False where it does not tell.

    A row has an entity tag where no portal publishes a checksum. Asked with If-None-Match, the host answers 304
    (RFC 9110, 13.1.2), or 200 with the same tag and size; the body of that answer is not read.
    """
    try:
        with web.stream(row.url, headers={"If-None-Match": row.etag}) as reply:
            if reply.status == 200:
                told = (reply.headers.get("etag"), reply.headers.get("content-length"))
                return told == (row.etag, str(row.bytes))
            return reply.status == 304
    except FailedAttempt:
        return False
