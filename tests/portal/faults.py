"""What may go wrong with one answer: which bytes, how many of them, how fast, and how the connection ends."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

_PIECE = 1 << 14


@dataclass(frozen=True)
class Fault:
    """One fault; what is not set is as a good server has it.

    Attributes
    ----------
    status, headers : instead of the answer's; a header of value None is taken away.
    body : other bytes; or a function of the right ones. The length told is that of these bytes unless ``tell``.
    cut : share (0-1) of the body that is sent before ``end`` happens; at least one byte is missing. None: all of it.
    end : "close", "half" (only the sending side is shut), "reset", "stall" (silence until the client goes away).
    framing : "length" (Content-Length of the whole), "none" (the end of the connection ends it), "chunked" (without
        a last chunk where it is cut).
    bytes_per_s, piece : send ``piece`` bytes at a time at that speed.
    before_s : silence before the first byte.
    forget_range : answer with the whole file, status 200.
    shift_range : serve the range this many bytes later (negative: earlier); ``honest``: Content-Range says so.
    """

    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    body: bytes | Callable[[bytes], bytes] | None = None
    cut: float | None = None
    end: Literal["close", "half", "reset", "stall"] = "close"
    framing: Literal["length", "none", "chunked"] = "length"
    bytes_per_s: float | None = None
    piece: int = _PIECE
    before_s: float = 0
    forget_range: bool = False
    shift_range: int = 0
    honest: bool = True

    def change(self, request: Any, reply: Any) -> Any:
        """The faulty answer, its body as bytes."""
        start, stop = reply.span or (0, None)
        whole = reply.body.read_bytes() if isinstance(reply.body, Path) else None
        if whole is not None:
            body = whole[start:stop]
        else:
            body = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        headers = dict(reply.headers)
        if self.shift_range and reply.status == 206:
            body = (body[self.shift_range :] if self.shift_range > 0 else bytes(-self.shift_range) + body)[: len(body)]
            if self.honest:
                size = headers["Content-Range"].rpartition("/")[2]
                first = start + self.shift_range
                headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{size}"
        if self.body is not None:
            body = self.body(body) if callable(self.body) else self.body
        status = reply.status
        if self.status is not None:
            status = self.status
            if self.body is None:
                body = f"status {status}\n".encode()
                headers = {"Content-Type": "text/plain"}
        headers.update({name: value for name, value in self.headers.items() if value is not None})
        for name in [name for name, value in self.headers.items() if value is None]:
            headers.pop(name, None)
        if request.method == "HEAD":
            headers.setdefault("Content-Length", str(len(body)))
            body = b""
        return replace(reply, status=status, headers=headers, body=body, span=None)

    def send(self, connection: socket.socket, reply: Any, seen: Any, closing: threading.Event) -> bool:
        """Send the answer with its fault; False if the connection is over."""
        from .server import head_of

        body = reply.body
        length = {"length": len(body), "chunked": None, "none": 0}[self.framing]
        head = head_of(reply, length)
        if self.framing == "none":
            head = head.replace(b"Content-Length: 0\r\n", b"Connection: close\r\n")
        hold(closing, self.before_s)
        connection.sendall(head)
        start = time.monotonic()
        sent = len(body) if self.cut is None else min(int(len(body) * self.cut), max(len(body) - 1, 0))
        for first in range(0, sent, self.piece):
            piece = body[first : min(first + self.piece, sent)]
            seen.last = time.monotonic()
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if self.framing == "chunked" else piece)
            seen.sent += len(piece)
            if self.bytes_per_s:
                hold(closing, start + seen.sent / self.bytes_per_s - time.monotonic())
        if self.cut is None:
            if self.framing == "chunked":
                connection.sendall(b"0\r\n\r\n")
            return self.framing != "none"
        self._break(connection, closing)
        return False

    def _break(self, connection: socket.socket, closing: threading.Event) -> None:
        if self.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        elif self.end == "half":
            connection.shutdown(socket.SHUT_WR)
        elif self.end == "stall":
            connection.settimeout(0.05)
            while not closing.is_set():
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    continue


def hold(closing: threading.Event, seconds: float) -> None:
    """Wait, but not longer than the server lives."""
    end = time.monotonic() + seconds
    while seconds > 0 and not closing.is_set() and time.monotonic() < end:
        time.sleep(min(0.05, max(end - time.monotonic(), 0)))
