"""Connections: only to addresses that were checked, and not slower than the configuration says.

httpx and httpcore do HTTP and TLS; what is ours is where a connection may go (the address that was checked is the one
that is connected to, so that a name which changes its answer in between gains nothing) and a floor for its speed.
"""

import contextlib
import functools
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from seqmill.config.portals import Network
from seqmill.runtime.errors import InputError
from seqmill.sources.hosts import Hosts, is_loopback, redacted

# Read at once from a socket; httpcore's own 64 KiB cost more time in its parser than on the wire.
_BLOCK = 1 << 18
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))


def _silent(record: logging.LogRecord) -> bool:
    return False


def silence() -> None:
    """Drop what httpx and httpcore log: whole addresses with their queries, and headers with credentials."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_silent)


class _Stream(httpcore.NetworkStream):
    """A connection whose answer must not come slower than ``min_bytes_per_s`` over ``min_speed_s`` of waiting.

    Only time spent waiting for the host counts, not what the reader does in between. That covers headers too.
    """

    def __init__(self, inner: httpcore.NetworkStream, network: Network):
        self._inner, self._network = inner, network
        self._waited, self._got = 0.0, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        start = time.monotonic()
        data = self._inner.read(max(max_bytes, _BLOCK), timeout)
        self._waited += time.monotonic() - start
        self._got += len(data)
        if self._waited > self._network.min_speed_s:
            if data and self._got < self._network.min_bytes_per_s * self._waited:
                raise httpcore.ReadTimeout(f"{self._got / self._waited:.0f} bytes/s")
            self._waited, self._got = 0.0, 0
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._waited, self._got = 0.0, 0
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context, server_hostname=None, timeout=None) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._network)

    def get_extra_info(self, info: str):
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects by TCP to addresses that ``hosts`` allows; to a proxy (``hosts`` None) as the environment says."""

    def __init__(self, hosts: Hosts | None, network: Network):
        self._hosts, self._network, self._inner = hosts, network, httpcore.SyncBackend()

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        if self._hosts is None:
            return _Stream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options), self._network)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self._hosts.check_address(host, port, address)
        failed: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                inner = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Stream(inner, self._network)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def connect_unix_socket(self, path, timeout=None, socket_options=None):
        raise httpcore.ConnectError("no UNIX sockets")


class _Body(httpx.SyncByteStream):
    def __init__(self, stream):
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raise httpcore's errors as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


@functools.cache
def _tls(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Checked TLS by the certificates of the environment; read once, as that takes 0.1 s."""
    return httpx.create_ssl_context(verify=True, trust_env=True)


class Transport(httpx.BaseTransport):
    """Direct connections that are checked, or the environment's proxy (whose side then resolves names).

    A proxy is taken as the environment says (``https_proxy``, ``no_proxy``, ...), never for this machine.
    """

    def __init__(self, hosts: Hosts, network: Network):
        self._network = network
        self._tls = _tls(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        self._direct = httpcore.ConnectionPool(
            ssl_context=self._tls,
            max_connections=None,
            max_keepalive_connections=32,
            keepalive_expiry=5.0,
            network_backend=_Backend(hosts, network),
        )
        self._proxies: dict[str, httpcore.HTTPProxy] = {}

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        """What carries a request to ``url``: direct connections or the environment's proxy."""
        if is_loopback(url.host) or proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):
            return self._direct
        named = getproxies()
        proxy = named.get(url.scheme) or named.get("all")
        if not proxy:
            return self._direct
        if proxy not in self._proxies:
            self._proxies[proxy] = self._through(proxy)
        return self._proxies[proxy]

    def _through(self, url: str) -> httpcore.HTTPProxy:
        address = url if "://" in url else f"http://{url}"
        if not address.lower().startswith(("http://", "https://")):
            raise InputError(redacted(address), "the environment names a proxy of another kind than http or https")
        proxy = httpx.Proxy(address)
        return httpcore.HTTPProxy(
            proxy_url=httpcore.URL(str(proxy.url.copy_with(username=None, password=None))),
            proxy_auth=proxy.raw_auth,
            ssl_context=self._tls,
            max_connections=None,
            max_keepalive_connections=32,
            keepalive_expiry=5.0,
            network_backend=_Backend(None, self._network),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            answer = self._pool(url).handle_request(asked)
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    def close(self) -> None:
        for pool in (self._direct, *self._proxies.values()):
            pool.close()
