"""One file over the network: attempts, resume, and which answers are not the file.

A part is continued with ``Range`` and ``If-Range`` (RFC 9110, sections 13.1.5 and 14.2): a 206 counts only if it begins
where the part ends and tells the same total and ETag; a 200 begins anew.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from seqmill.runtime.errors import RemoteError
from seqmill.sources.hosts import redacted
from seqmill.sources.looks import HEAD, other, page
from seqmill.sources.part import Part
from seqmill.sources.policy import FailedAttempt, Retry, Tries, failed_status
from seqmill.sources.web import Reply, Web

# Downloads of wrong bytes before giving up: a mirror may be stale, a proxy may hold an old page.
WRONG = 3
# What an attempt must bring beyond all before it to be no failure that counts: a share of the file, or bytes.
_PROGRESS_SHARE, _PROGRESS_BYTES = 0.05, 64_000_000
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class WrongBytes(FailedAttempt):
    """An answer that is not the file: worth few further attempts."""

    def __init__(self, where: str, message: str):
        super().__init__(where, message, again=True)


class ExpiredLink(FailedAttempt):
    """A signed link that a portal led to is refused: the portal gives a new one."""


@dataclass(frozen=True)
class Wanted:
    """What is fetched.

    Attributes
    ----------
    file, format : name on disk and format, which tell how it must begin.
    urls : addresses of the same bytes, the preferred one first.
    pinned : whether a checksum will judge the bytes. If not, they must be the whole answer of one host.
    judge : what is wrong with bytes of this (size, SHA-256, MD5), '' for nothing.
    bad : where wrong bytes are kept.
    """

    file: str
    format: str
    urls: tuple[str, ...]
    pinned: bool
    judge: Callable[[int, str, str], str]
    bad: Path


class Transfer:
    """Fetches ``wanted`` into ``part``, an open one. ``etag`` is the host's afterwards."""

    def __init__(self, wanted: Wanted, part: Part, web: Web, retry: Retry | None = None):
        self.wanted, self.part, self.web, self.etag = wanted, part, web, ""
        self._retry = retry or web.retry
        self._furthest = part.offset

    def run(self) -> tuple[str, str]:
        """Fetch, check, and return SHA-256 and MD5 ('' if the part has none).

        Raises
        ------
        RemoteError : of the last address, if none gave the file. InputError : the disk refuses.
        """
        tries, urls = self._retry.tries(), list(self.wanted.urls)
        wrong, renewed = 0, False
        failed: RemoteError | None = None
        while urls:
            url = urls[0]
            try:
                self._attempt(url)
                return self._checked(url)
            except WrongBytes as error:
                wrong += 1
                failed = RemoteError(
                    error.where, f"{error.message} (in {wrong} downloads)" if wrong > 1 else error.message
                )
                if wrong == WRONG:
                    break
                self._wait(tries, error)
                urls.append(urls.pop(0))
            except ExpiredLink as error:
                failed = error
                if renewed:
                    urls.pop(0)
                renewed = True
            except FailedAttempt as error:
                failed = error
                if error.again:
                    self._wait(tries, error)
                    urls.append(urls.pop(0))
                else:
                    urls.pop(0)
            except RemoteError as error:  # not allowed, or locked
                failed = error
                urls.pop(0)
        assert failed is not None, "a file without an address"
        raise failed

    def _wait(self, tries: Tries, failed: FailedAttempt) -> None:
        """Wait for the next attempt, or raise what failed; far beyond all before is progress."""
        part = self.part
        if part.size and part.offset - self._furthest >= min(_PROGRESS_BYTES, _PROGRESS_SHARE * part.size):
            tries.progress()
        self._furthest = max(self._furthest, part.offset)
        tries.again(failed)

    def _attempt(self, url: str) -> None:
        """Bring the part to its end. Raises FailedAttempt; what has come by then stays."""
        part = self.part
        if part.offset and part.offset == part.size:
            return
        headers = self._range(url)
        host = urlsplit(url).netloc.rpartition("@")[2]
        with self.web.rates.body(host), self.web.stream(url, headers) as reply:
            where = redacted(reply.url)
            if reply.status == 206 and headers:
                self._continue(where, url, reply)
                look = False
            elif reply.status == 200:
                look = self._begin(where, url, reply)
            elif reply.status == 416 and headers:
                part.restart()
                raise FailedAttempt(where, "the file there is shorter than what came before", again=True)
            else:
                failed = failed_status(where, reply.status, reply.headers)
                if reply.status == 403 and reply.url != url:
                    raise ExpiredLink(where, failed.message, again=False, status=403)
                raise failed
            try:
                self._take(where, reply, look)
            except WrongBytes:
                part.restart()
                raise
            except FailedAttempt as failed:
                raise FailedAttempt(where, f"{self._got()} ({failed.message})", again=failed.again) from None
        if part.size is None:
            part.size = part.offset  # chunked, and its last chunk came
        if part.offset < part.size:
            raise FailedAttempt(where, self._got(), again=True)

    def _got(self) -> str:
        of = "" if self.part.size is None else f" of {self.part.size:,}"
        return f"truncated: got {self.part.offset:,}{of} bytes"

    def _range(self, url: str) -> dict[str, str]:
        """Headers that ask for the rest only; none if the part cannot be continued from this address."""
        part = self.part
        if not part.offset:
            return {}
        asked = {"range": f"bytes={part.offset}-"}
        sure = self.wanted.pinned or part.validator.startswith('"')
        if part.size is not None and part.validator and sure and part.came_from(url):
            return {**asked, "if-range": part.validator}
        if part.size is not None and self.wanted.pinned:  # another address of the same bytes: the checksum judges
            return asked
        part.restart()
        return {}

    def _begin(self, where: str, url: str, reply: Reply) -> bool:
        """A whole answer: compare its length. Raises FailedAttempt; True if only its looks can tell a page early."""
        part, wanted = self.part, self.wanted
        self.etag = reply.headers.get("etag", "")
        told = reply.headers.get("content-length", "")
        if told.isdecimal() and wanted.pinned and int(told) != part.size:
            part.restart()
            found = page(_head(reply), wanted.file, wanted.format) or "a file"
            raise WrongBytes(where, f"got {found} of {int(told):,} bytes, expected {part.size:,} bytes")
        if not wanted.pinned:
            if not told.isdecimal() and "transfer-encoding" not in reply.headers:
                message = "the host tells neither length nor checksum, so half a file would look like a whole one"
                raise FailedAttempt(where, message, again=False)
            part.size = int(told) if told.isdecimal() else None
        strong = self.etag if self.etag.startswith('"') else ""
        part.begin(url, strong or reply.headers.get("last-modified", ""))
        return not (wanted.pinned and told.isdecimal())

    def _continue(self, where: str, url: str, reply: Reply) -> None:
        """A partial answer: compare it with what was asked. Raises FailedAttempt, and the part begins anew."""
        part = self.part
        told = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", ""))
        self.etag = etag = reply.headers.get("etag", "")
        if not told or int(told[1]) != part.offset or int(told[2]) + 1 != part.size:
            problem = f"got another range than bytes {part.offset:,} to {part.size:,}"
        elif told[3] not in ("*", str(part.size)):
            problem = f"the file there has {int(told[3]):,} bytes, expected {part.size:,}"
        elif part.came_from(url) and part.validator.startswith('"') and etag not in ("", part.validator):
            problem = "the file there changed while it was fetched"
        else:
            return
        part.restart()
        raise FailedAttempt(where, problem, again=True)

    def _take(self, where: str, reply: Reply, look: bool) -> None:
        """Write the body as it comes; with ``look``, refuse a page that stands for the file."""
        part, head = self.part, b""
        for chunk in reply.chunks():
            if look and len(head) < HEAD:
                head += chunk[: HEAD - len(head)]
                if len(head) == HEAD:
                    self._look(where, head)
            if part.size is not None and part.offset + len(chunk) > part.size:
                raise WrongBytes(where, f"got more than the expected {part.size:,} bytes")
            part.write(chunk)
        if look and len(head) < HEAD:
            self._look(where, head)

    def _look(self, where: str, head: bytes) -> None:
        found = page(head, self.wanted.file, self.wanted.format)
        if found:
            raise WrongBytes(where, f"got {found} instead of the file")
        if not self.wanted.pinned and (found := other(head, self.wanted.file, self.wanted.format)):
            raise WrongBytes(where, f"what is there {found}")

    def _checked(self, url: str) -> tuple[str, str]:
        """Digests of the whole. Raises WrongBytes, and sets the part aside, if they are not those that are expected."""
        sha256, md5 = self.part.digests()
        problem = self.wanted.judge(self.part.offset, sha256, md5)
        if not problem:
            return sha256, md5
        found = page(self.part.head(HEAD), self.wanted.file, self.wanted.format)  # padded to the size of the file
        self.part.set_aside(self.wanted.bad)
        said = f"got {found} instead of the file; checksum mismatch" if found else "checksum mismatch"
        raise WrongBytes(redacted(url), f"{said}: {problem}; the bytes are kept as {self.wanted.bad}")


def _head(reply: Reply) -> bytes:
    """First bytes of an answer that is refused."""
    head = b""
    for chunk in reply.chunks():
        head += chunk[:HEAD]
        if len(head) >= HEAD:
            break
    return head
