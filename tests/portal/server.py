"""One threaded HTTP server on 127.0.0.1: files with ranges, JSON, handlers, and faults on demand.

Use::

    with Portal() as portal:
        portal.add("/files/a.bin", b"...")                          # Range, If-Range, ETag, HEAD
        portal.add("/encode/files/x/", {"status": "released"})      # JSON
        portal.add("/ena/*", lambda request: Reply(204))            # everything below /ena/
        portal.fault(r"a\\.bin$", Fault(cut=0.5), times=2)
        sources = portal.sources(tmp_path, attempts=3)
"""

import hashlib
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .faults import Fault, hold

_LAST_MODIFIED = "Mon, 02 Jan 2023 03:04:05 GMT"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CHUNK = 1 << 16


@dataclass
class Request:
    """What a client asked. ``path`` has no query; ``query`` has lists; names of ``headers`` are lower-case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    target: str = ""


@dataclass
class Reply:
    """An answer. A ``body`` of several pieces is sent chunked, a Path by the kernel."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Path | Iterable[bytes] = b""
    span: tuple[int, int] | None = None  # part of a Path that is sent


@dataclass
class Seen:
    """One request in the log; unpacks to (time, method, path, headers).

    ``sent``: bytes of body that went out until ``ended``. ``last``: when the last piece of them began to go out: only
    after that can the client have all.
    """

    time: float  # time.monotonic()
    method: str
    path: str
    headers: dict[str, str]
    target: str = ""
    status: int = 0
    sent: int = 0
    ended: float = 0
    last: float = 0

    def __iter__(self) -> Iterator[Any]:
        return iter((self.time, self.method, self.path, self.headers))


Answer = bytes | str | dict | list | Path | Reply
Handler = Callable[[Request], Answer]


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


class Portal:
    """The server; starts on entering, on a free port. ``log`` grows by one `Seen` a request."""

    def __init__(self) -> None:
        self.log: list[Seen] = []
        self.closing = threading.Event()
        self._routes: dict[str, tuple[Answer | Handler, dict[str, str]]] = {}
        self._faults: list[list[Any]] = []  # pattern, fault, times left
        self._lock = threading.Lock()

    def __enter__(self) -> "Portal":
        portal = self

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that left in the middle is what faults are about

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                portal._serve(self.request)

        self._server = Server(("127.0.0.1", 0), Connection)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    # ---- what it serves

    def add(self, path: str, answer: Answer | Handler, headers: dict[str, str] | None = None) -> str:
        """Serve ``answer`` at ``path`` (``/below/*`` for everything below); gives the address.

        bytes and Path are files, dict and list JSON, str text; a callable gets the `Request`. ``headers`` are added.
        """
        self._routes[path] = (answer, headers or {})
        return self.url + path

    def fault(self, path: str, fault: Fault, times: int | None = None) -> None:
        """Apply ``fault`` to the next ``times`` requests (None: all) whose path has the regular expression ``path``.

        Several faults of one path are used up in the order in which they were added.
        """
        with self._lock:
            self._faults.append([re.compile(path), fault, times])

    def clear(self) -> None:
        """Forget all faults and the log."""
        with self._lock:
            self._faults.clear()
            self.log.clear()

    def settle(self) -> None:
        """Wait until all requests have ended: a client has its answer a moment before the log says so."""
        end = time.monotonic() + 2
        while time.monotonic() < end and not all(seen.ended for seen in list(self.log)):
            time.sleep(0.005)

    def seen(self, path: str = "") -> list[Seen]:
        """Requests so far whose path has the regular expression ``path``."""
        return [seen for seen in list(self.log) if re.search(path, seen.path)]

    def sources(self, folder: str | Path, **network: Any):
        """Configuration with every portal on this server, the cache below ``folder`` and short time-outs.

        The portal ``ena_files`` is at ``/ena_files`` and so on: the paths are the names of the fields.
        """
        from seqmill.config.portals import Network, Portals, Sources

        short = {
            "connect_s": 1,
            "read_s": 0.5,
            "min_bytes_per_s": 2_000,
            "min_speed_s": 1,
            "attempts": 8,
            "backoff_s": 0.01,
            "max_backoff_s": 0.05,
            "max_retry_after_s": 0.2,
            "total_s": 20,
        }
        portals = Portals(**{name: f"{self.url}/{name}" for name in Portals.model_fields})
        return Sources(cache=Path(folder) / "cache", portals=portals, network=Network(**{**short, **network}))

    # ---- connections

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(60)
        rest = b""
        while not self.closing.is_set():
            while b"\r\n\r\n" not in rest:
                piece = connection.recv(_CHUNK)
                if not piece:
                    return
                rest += piece
            head, _, rest = rest.partition(b"\r\n\r\n")
            request = _parse(head)
            length = int(request.headers.get("content-length", 0))
            while len(rest) < length:
                rest += connection.recv(_CHUNK)
            rest = rest[length:]
            seen = Seen(time.monotonic(), request.method, request.path, request.headers, request.target)
            with self._lock:
                self.log.append(seen)
                fault = self._next_fault(request.path)
            if fault and fault.forget_range:
                request.headers.pop("range", None)
            reply = self._answer(request)
            if fault:
                reply = fault.change(request, reply)
                seen.status = reply.status
                going_on = fault.send(connection, reply, seen, self.closing)
                seen.ended = time.monotonic()
                if not going_on:
                    return
                continue
            seen.status = reply.status
            seen.last = time.monotonic()
            send(connection, request, reply, seen)
            seen.ended = time.monotonic()
            if request.headers.get("connection", "").lower() == "close":
                return

    def _next_fault(self, path: str) -> Fault | None:
        for entry in self._faults:
            pattern, fault, left = entry
            if left != 0 and pattern.search(path):
                if left is not None:
                    entry[2] -= 1
                return fault
        return None

    def _answer(self, request: Request) -> Reply:
        found = self._routes.get(request.path)
        if found is None:
            below = [p for p in self._routes if p.endswith("*") and request.path.startswith(p[:-1])]
            if not below:
                return Reply(404, {"Content-Type": "text/plain"}, b"not found\n")
            found = self._routes[max(below, key=len)]
        answer, headers = found
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, dict | list):
            reply = json_reply(answer)
        elif isinstance(answer, str):
            reply = Reply(200, {"Content-Type": "text/plain; charset=utf-8"}, answer.encode())
        elif isinstance(answer, bytes | Path):
            reply = file_reply(request, answer, headers)
        else:
            reply = answer
        return Reply(reply.status, {**reply.headers, **headers}, reply.body, reply.span)


def _parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    parts = urlsplit(target)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, parts.path, parse_qs(parts.query, keep_blank_values=True), headers, target)


def file_reply(request: Request, content: bytes | Path, headers: dict[str, str] | None = None) -> Reply:
    """A file as a good server gives it: ETag (its md5), one range, If-Range."""
    if isinstance(content, Path):
        size, etag = content.stat().st_size, f'"{content.stat().st_mtime_ns:x}-{content.stat().st_size:x}"'
    else:
        size, etag = len(content), f'"{hashlib.md5(content).hexdigest()}"'
    told = {"ETag": etag, "Accept-Ranges": "bytes", "Last-Modified": _LAST_MODIFIED, **(headers or {})}
    told.setdefault("Content-Type", "application/octet-stream")
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    condition = request.headers.get("if-range", told["ETag"])
    if not asked or condition not in (told["ETag"], told["Last-Modified"]):
        return Reply(200, told, content, (0, size))
    first, last = asked.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(size - int(last or 0), 0), size
    if start >= end:
        return Reply(416, {**told, "Content-Range": f"bytes */{size}"}, b"")
    told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206, told, content if isinstance(content, Path) else content[start:end], (start, end))


def head_of(reply: Reply, length: int | None) -> bytes:
    """Status line and headers; chunked where no length is known."""
    headers = dict(reply.headers)
    if length is None and not any(name.lower() == "content-length" for name in headers):
        headers["Transfer-Encoding"] = "chunked"
    elif length is not None:
        headers.setdefault("Content-Length", str(length))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}\r\n{lines}\r\n".encode("latin-1")


def send(connection: socket.socket, request: Request, reply: Reply, seen: Seen) -> None:
    """Send a whole, faultless answer."""
    if isinstance(reply.body, Path):
        start, end = reply.span or (0, reply.body.stat().st_size)
        connection.sendall(head_of(reply, end - start))
        if request.method != "HEAD":
            with open(reply.body, "rb") as file:
                seen.sent = connection.sendfile(file, start, end - start) if end > start else 0
    elif isinstance(reply.body, bytes):
        body = reply.body
        head = head_of(reply, None if reply.status == 204 and not body else len(body))
        if reply.status == 204:
            head = head.replace(b"Transfer-Encoding: chunked\r\n", b"")
        # One call for head and small body: a second small packet would wait for the first one's acknowledgement.
        connection.sendall(head if request.method == "HEAD" else head + body)
        seen.sent = 0 if request.method == "HEAD" else len(body)
    else:
        connection.sendall(head_of(reply, None))
        if request.method == "HEAD":
            return
        for piece in reply.body:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            seen.sent += len(piece)
        connection.sendall(b"0\r\n\r\n")


_REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    403: "Forbidden",
    404: "Not Found",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

__all__ = ["Portal", "Reply", "Request", "Seen", "file_reply", "hold", "json_reply"]
