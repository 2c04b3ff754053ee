"""From a wish to the files that answer it, whichever portal has them."""

from dataclasses import replace

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.config.remote import source_of
from seqmill.sources.cache import Cache
from seqmill.sources.encode import resolve_encode
from seqmill.sources.geo import resolve_geo
from seqmill.sources.references import resolve_reference
from seqmill.sources.sra import resolve_sra
from seqmill.sources.urls import resolve_url
from seqmill.sources.web import Web


def resolve(asked: Asked, web: Web, sources: Sources, cache: Cache) -> list[LockRow]:
    """Lock rows of a wish, at least one.

    ``cache`` takes the bytes of files without a published checksum: they are read once to be pinned.

    Raises
    ------
    InputError : the wish cannot be met (no such accession, several files left, another assembly, not released).
    RemoteError : a portal did not answer, or not in its form.
    """
    kind = source_of(asked.location)
    if kind == "encode":
        rows = resolve_encode(asked, web, sources)
    elif kind == "sra":
        rows = resolve_sra(asked, web, sources)
    elif kind == "geo":
        rows = resolve_geo(asked, web, sources)
    elif kind == "reference":
        rows = resolve_reference(asked, web, sources, cache)
    else:
        rows = resolve_url(asked, web, sources, cache)
    return [replace(row, name=asked.name, asked=asked.text) for row in rows]
