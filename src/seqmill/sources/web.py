"""Asking hosts over HTTP(S): the one place of the library that opens a connection."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

import httpx

from seqmill import __version__
from seqmill.config.portals import Sources
from seqmill.runtime.errors import RemoteError
from seqmill.sources.credentials import Credentials
from seqmill.sources.hosts import Hosts, redacted
from seqmill.sources.policy import FailedAttempt, Retry, failed_status
from seqmill.sources.rates import Rates
from seqmill.sources.transport import Transport, silence

MAX_REDIRECTS = 5
# Longest answer that is read into memory; a search of all of ENCODE's files with few columns is below 300 MB.
MAX_ANSWER = 1 << 30
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHORT = 1 << 16
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Answer:
    """A whole answer. ``headers`` are found by any case; ``url`` is where it came from, redirects followed."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    url: str = field(repr=False)


class Reply:
    """An answer whose body is still to be read, once. ``url`` is where it comes from, redirects followed."""

    def __init__(self, response: httpx.Response, url: str):
        self._response, self.url = response, url
        self.status, self.headers = response.status_code, response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body as it was sent, in pieces of up to 256 KiB. Raises FailedAttempt if it breaks off."""
        with _attempt(self.url):
            yield from self._response.iter_raw()

    def content(self, limit: int = MAX_ANSWER) -> bytes:
        """The whole body, a content encoding (gzip) undone. Raises RemoteError above ``limit`` bytes."""
        parts, size = [], 0
        with _attempt(self.url):
            for part in self._response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise RemoteError(redacted(self.url), f"the answer is larger than {limit:,} bytes")
        return b"".join(parts)


class Web:
    """One client for everything that is asked; safe for threads. Use as a context manager.

    Parameters
    ----------
    sources : the section `sources`: what may be asked, how, and where the shared cache is.
    folder : of the files that carry the rate limits; the cache's by default.
    retry : the policy, from the configuration by default.
    """

    def __init__(self, sources: Sources, folder: str | Path | None = None, *, retry: Retry | None = None):
        self.sources, self.hosts = sources, Hosts(sources)
        self.retry = retry or Retry.of(sources.network)
        self.rates = Rates(folder or sources.cache_folder() / "rates", sources.network)
        self._credentials = Credentials(sources.portals)
        network = sources.network
        silence()
        self._timeout = httpx.Timeout(network.read_s, connect=network.connect_s, pool=None).as_dict()
        # The transport alone: no cookies, no redirects of its own, no second reading of addresses.
        self._transport = Transport(self.hosts, network)

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def get(self, url: str, *, params=None, headers: Mapping[str, str] | None = None, allow=(200,)) -> Answer:
        """Ask until there is a whole answer, by the policy.

        Parameters
        ----------
        params : dict or pairs, added to the address.
        allow : statuses that are answers; every other one is an error.

        Raises RemoteError: host not allowed, status, silence, broken answers, too many attempts, `locked`.
        """
        return self._ask(url, params, headers, allow, lambda answer: answer)

    def json(self, url: str, *, params=None, headers: Mapping[str, str] | None = None, allow=(200,)) -> dict | None:
        """A JSON object; None for an allowed 404 or 204. What is no JSON (an error page) is a failed attempt."""
        asked = {"accept": "application/json", **(headers or {})}
        return self._ask(url, params, asked, allow, _json)

    def text(self, url: str, *, params=None, headers: Mapping[str, str] | None = None, allow=(200,)) -> str | None:
        """A text in UTF-8; None for an allowed 404, '' for an allowed 204."""
        return self._ask(url, params, headers, allow, _text)

    def _ask(self, url: str, params, headers, allow, read: Callable[[Answer], _Value]) -> _Value:
        tries = self.retry.tries()
        while True:
            try:
                with self.stream(url, headers={"accept-encoding": "gzip", **(headers or {})}, params=params) as reply:
                    if reply.status not in allow:
                        raise failed_status(redacted(reply.url), reply.status, reply.headers)
                    return read(Answer(reply.status, reply.headers, reply.content(), reply.url))
            except FailedAttempt as failed:
                tries.again(failed)

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str] | None = None, *, params=None) -> Iterator[Reply]:
        """One attempt: ask, follow redirects (each checked), give the answer of any status, close it.

        The rate limit is waited for before each request. Raises FailedAttempt for what another attempt may mend
        (and where `again` is False, may not), RemoteError for what is not allowed.
        """
        response, place = self._follow(url, headers, params)
        try:
            yield Reply(response, place)
        finally:
            _finish(response)

    def _follow(self, url: str, headers: Mapping[str, str] | None, params) -> tuple[httpx.Response, str]:
        """The first answer that is no redirect, and where it came from."""
        self.hosts.check(url)
        target = self._target(url, params)
        self.hosts.check(str(target))
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(target, headers)
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or not location:
                return response, str(target)
            _finish(response)
            source, target = str(target), self._target(location, base=str(target))
            self.hosts.check_redirect(source, str(target))
        raise FailedAttempt(redacted(url), f"more than {MAX_REDIRECTS} redirects", again=False)

    def _target(self, url: str, params=None, *, base: str = "") -> httpx.URL:
        """The address that is asked. Raises RemoteError for what cannot be read as one."""
        try:
            url = urljoin(base, url)
            return httpx.URL(url).copy_merge_params(params) if params else httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError):
            raise RemoteError(redacted(url), "host not allowed: no readable address") from None

    def _send(self, url: httpx.URL, headers: Mapping[str, str] | None) -> httpx.Response:
        text = str(url)
        where = redacted(text)
        if self.sources.asks_nobody():
            raise RemoteError(where, "not asked: 'locked' allows no network, and the cache does not have it")
        secret = self._credentials.params(text)
        if secret:
            url = url.copy_merge_params(secret)
        sent = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"seqmill/{__version__}"}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        sent |= self._credentials.headers(text)
        request = httpx.Request("GET", url, headers=sent, extensions={"timeout": self._timeout})
        self.rates.wait(request.url.netloc.decode("ascii"))
        with _attempt(where):
            response = self._transport.handle_request(request)
        response.request = request
        return response


def _finish(response: httpx.Response) -> None:
    """Close an answer; read a short one to its end first, so that the connection can serve the next request."""
    length = response.headers.get("content-length", "")
    if not response.is_stream_consumed and length.isdecimal() and int(length) <= _SHORT:
        with suppress(httpx.HTTPError):
            response.read()
    response.close()


@contextmanager
def _attempt(where: str) -> Iterator[None]:
    """Turn errors of a connection into failed attempts, in our words: theirs may hold addresses and headers."""
    try:
        yield
    except httpx.TransportError as error:
        message, again = _said(error)
        raise FailedAttempt(redacted(where), message, again=again) from None
    except httpx.DecodingError:
        raise FailedAttempt(redacted(where), "broken compression of the answer", again=True) from None
    except (httpx.InvalidURL, httpx.StreamError):
        raise FailedAttempt(redacted(where), "the answer cannot be read", again=False) from None


def _said(error: httpx.TransportError) -> tuple[str, bool]:
    """What happened, and whether it may pass."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS certificate not accepted: {cause.verify_message}", False
        if isinstance(cause, socket.gaierror):
            return "host name not found", cause.errno != socket.EAI_NONAME
    system = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time", True
    if isinstance(error, httpx.TimeoutException):
        speed = str(error)
        return (f"too slow: {speed}" if speed.endswith("bytes/s") else "silent for too long"), True
    if isinstance(error, httpx.ConnectError):
        return f"no connection ({system})" if system else "no connection", True
    if isinstance(error, httpx.ProxyError):
        return "the proxy refused", True
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer broke off", True
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return "cannot be asked", False
    return f"connection lost ({system})" if system else "connection lost", True


def _json(answer: Answer) -> Any:
    if answer.status in (204, 404):
        return None
    where = redacted(answer.url)
    try:
        value = json.loads(answer.content)
    except (ValueError, RecursionError):
        start = answer.content[:200].lstrip().lower()
        found = "an HTML page" if start.startswith((b"<!doctype", b"<html")) else "something else"
        raise FailedAttempt(where, f"expected JSON, got {found}", again=True, status=answer.status) from None
    if not isinstance(value, dict):
        raise RemoteError(where, f"expected a JSON object, got a {type(value).__name__}")
    return value


def _text(answer: Answer) -> str | None:
    if answer.status == 404:
        return None
    try:
        return answer.content.decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteError(redacted(answer.url), "expected a text in UTF-8, got other bytes") from None
