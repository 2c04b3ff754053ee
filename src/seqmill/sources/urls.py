"""Plain addresses: what no portal describes is read once, and pinned by the bytes that came."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.config.sheet import guess_format
from seqmill.runtime.errors import InputError
from seqmill.sources.cache import Cache
from seqmill.sources.download import pin
from seqmill.sources.hosts import https_form, redacted
from seqmill.sources.policy import FailedAttempt, failed_status
from seqmill.sources.web import Web

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


def resolve_url(asked: Asked, web: Web, sources: Sources, cache: Cache) -> list[LockRow]:
    """The lock row of an https address (ftp, s3 and gs addresses of public archives are asked by https).

    Raises
    ------
    InputError : the address has a query, which may hold a secret and does not belong into a lock, or no file name.
    RemoteError : host not allowed, or no file there.
    """
    url = https_form(asked.location.strip())
    web.hosts.check(url)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise InputError(
            asked.where or redacted(url),
            f"{redacted(url)}: an address with a query is not pinned (it may hold a secret, and expire); "
            "give the plain one, or download the file and name its path",
        )
    about = LockRow(
        name=asked.name,
        asked=asked.text,
        file=url_file_name(url),
        source="url",
        accession="",
        url=url,
        bytes=0,
        assembly=asked.assembly,
        format=asked.format or guess_format(url),
        assay=asked.assay,
        retrieved=datetime.now(UTC).date().isoformat(),
    )
    return [pinned(about, [url], web, cache)]


def url_file_name(url: str) -> str:
    """Name on disk of the file of an address: its last part, if that is a plain name. Asks nobody.

    >>> url_file_name("https://host.org/a/b.bigWig?x=1")
    'b.bigWig'
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not _NAME.fullmatch(name):
        raise InputError(redacted(url), f"{name[:60]!r} is no safe file name; expected letters, digits and . _ + -")
    return name


def pinned(about: LockRow, urls: Sequence[str], web: Web, cache: Cache) -> LockRow:
    """The row with size and checksum of the first of ``urls`` that is there.

    With an md5 in ``about`` that the portal published, only the size is asked for; else the file is read into the
    cache.

    Raises
    ------
    RemoteError : none is there, or what came has another md5 than published.
    """
    for number, url in enumerate(urls):
        try:
            size = size_of(url, web) if about.md5 else 0
            if size:
                return replace(about, url=url, bytes=size)
            return pin(replace(about, url=url), web, cache)
        except FailedAttempt as failed:
            if failed.status != 404 or number + 1 == len(urls):
                raise
    raise ValueError("no address")


def size_of(url: str, web: Web) -> int:
    """Size of a file by its headers, 0 if they do not tell. Raises RemoteError if it is not there."""
    tries = web.retry.tries()
    while True:
        try:
            with web.stream(url) as reply:
                if reply.status != 200:
                    raise failed_status(redacted(reply.url), reply.status, reply.headers)
                length = reply.headers.get("content-length", "")
                plain = not reply.headers.get("content-encoding")
                return int(length) if plain and re.fullmatch(r"\d{1,15}", length) else 0
        except FailedAttempt as failed:
            tries.again(failed)
