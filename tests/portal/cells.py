"""The faults of a download, one cell each: what the server does in a trial, and what a client may make of it.

A trial has an address of its own, so that trials run at the same time. Every trial is drawn from its cell's name
and number.
"""

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Literal

from .faults import Fault
from .files import lock_row, stand_in
from .server import Portal, Reply, Request, file_reply

Outcome = Literal["identical", "error"]
SECRET = "X-Amz-Signature=planted-secret"
_PAGE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>We are back soon.</body></html>"


@dataclass(frozen=True)
class Trial:
    """What a client asks for, and what is right.

    Attributes
    ----------
    row : of the lock. content : the bytes that the row pins.
    right : "identical" where a careful client must succeed, "error" where only an error is right.
    words : one of them is in a clear message (lower case).
    most : most requests that one call may send, None for no limit of this kind.
    attempt : requests of one attempt, where such an attempt may be begun again for each time that the limit of silence
        fits between the first request and the last: a busy machine can be silent for so long.
    gap_s : least time between two of them.
    """

    row: Any
    content: bytes
    right: Outcome = "identical"
    words: tuple[str, ...] = ()
    most: int | None = None
    attempt: int = 0
    gap_s: float = 0


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


@dataclass
class World:
    """Where trials happen: the portal, a server that nobody configured, and a folder of addresses for one client."""

    portal: Portal
    stranger: Portal
    client: str

    def path(self, cell: str, number: int) -> str:
        return f"/encode_files/{_slug(self.client)}/{cell}/{number}/stand-in.bigWig"


@dataclass(frozen=True)
class Cell:
    """One kind of fault. ``peers``: whether other clients can be tried without asking a host outside."""

    fault: str
    name: str
    prepare: Callable[[World, random.Random, str], Trial]
    peers: bool = True

    def trial(self, world: World, number: int) -> Trial:
        rng = random.Random(f"{self.name} {number}")
        return self.prepare(world, rng, world.path(self.slug, number))

    @property
    def slug(self) -> str:
        """The name as a part of an address and of a folder."""
        return _slug(self.name)


def _serve(world: World, rng: random.Random, path: str, *faults: tuple[Fault, int | None], **told: Any) -> Trial:
    """A good file, and the faults of its next answers."""
    content = stand_in(path, rng.randrange(20_000, 120_000))
    url = world.portal.add(path, content)
    for fault, times in faults:
        world.portal.fault(f"^{path}$", fault, times)
    return Trial(lock_row(content, url, name=path.strip("/")), content, **told)


def _few(rng: random.Random) -> int:
    return rng.randrange(1, 4)


# ---- F6 truncated


def _truncated(framing: str) -> Callable[[World, random.Random, str], Trial]:
    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        return _serve(world, rng, path, (Fault(cut=rng.random(), framing=framing), _few(rng)))

    return prepare


def _short(world: World, rng: random.Random, path: str) -> Trial:
    """The server's file itself is too short, and its Content-Length says so."""
    share = rng.random()
    fault = Fault(body=lambda body: body[: int(len(body) * share)], headers={"ETag": '"short"'}, forget_range=True)
    return _serve(world, rng, path, (fault, None), right="error", words=("expected",), most=3)


def _long(world: World, rng: random.Random, path: str) -> Trial:
    """The right bytes and then more of them."""
    more = rng.randbytes(rng.randrange(1, 5000))
    fault = Fault(body=lambda body: body + more, headers={"ETag": '"long"'}, forget_range=True)
    return _serve(world, rng, path, (fault, None), right="error", words=("expected",), most=3)


# ---- F7 wrong bytes


def _flip(rng: random.Random) -> Callable[[bytes], bytes]:
    share, bit = rng.random(), 1 << rng.randrange(8)

    def flip(body: bytes) -> bytes:
        changed = bytearray(body)
        if changed:
            changed[int(len(body) * share)] ^= bit
        return bytes(changed)

    return flip


def _flipped(times: int | None) -> Callable[[World, random.Random, str], Trial]:
    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        fault = Fault(body=_flip(rng))
        if times is None:
            return _serve(world, rng, path, (fault, None), right="error", words=("checksum",), most=3)
        return _serve(world, rng, path, (fault, rng.randrange(1, times + 1)))

    return prepare


def _other_file(world: World, rng: random.Random, path: str) -> Trial:
    """Another good file of the same size."""
    fault = Fault(body=lambda body: stand_in("other", len(body)), headers={"ETag": '"other"'}, forget_range=True)
    return _serve(world, rng, path, (fault, None), right="error", words=("checksum",), most=3)


def _stale_mirror(world: World, rng: random.Random, path: str) -> Trial:
    """The first address has an older file; a mirror has the right one."""
    trial = _serve(world, rng, path)
    old = world.portal.add(path.replace("stand-in", "old"), stand_in("old", rng.randrange(20_000, 120_000)))
    return replace(trial, row=replace(trial.row, url=old, mirrors=trial.row.url))


# ---- F8, F9 refusals that pass


def _storm(statuses: tuple[int, ...], retry_after: str, low: int, high: int) -> Callable:
    """A burst of ``low`` to ``high`` refusals; eight attempts are the most."""

    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        burst = rng.randrange(low, high + 1)
        faults = []
        for _ in range(burst):
            headers: dict[str, str | None] = {}
            if retry_after == "seconds":
                headers["Retry-After"] = "1"
            elif retry_after == "date":
                headers["Retry-After"] = formatdate(time.time() + 30, usegmt=True)
            faults.append((Fault(status=rng.choice(statuses), headers=headers), 1))
        if burst <= 7:
            # the scaled-down configuration waits for at most 0.2 s
            return _serve(world, rng, path, *faults, most=8, gap_s=0.19 if retry_after else 0)
        return _serve(world, rng, path, *faults, right="error", words=("after 8 attempts",), most=8)

    return prepare


# ---- F10 slow, silent and broken connections


def _broken(end: str) -> Callable[[World, random.Random, str], Trial]:
    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        return _serve(world, rng, path, (Fault(cut=rng.random(), end=end), _few(rng)))

    return prepare


def _slow(world: World, rng: random.Random, path: str) -> Trial:
    """Far below the least speed, but never silent for long."""
    return _serve(world, rng, path, (Fault(bytes_per_s=300, piece=30), rng.randrange(1, 3)))


def _silent(world: World, rng: random.Random, path: str) -> Trial:
    """Stalls at the same place for ever: resumed, but each answer brings nothing."""
    fault = Fault(cut=0, end="stall")
    return _serve(world, rng, path, (fault, None), right="error", words=("silent",))


# ---- F11 a page instead of the file


def _page(kind: str, for_ever: bool) -> Callable[[World, random.Random, str], Trial]:
    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        padded = rng.random() < 0.5  # as long as the file, so that the size does not tell

        def page(body: bytes) -> bytes:
            text = _PAGE if kind == "html" else json.dumps({"status": "error", "code": 200}).encode()
            return text.ljust(len(body)) if padded else text

        told = {"html": "text/html", "json": "application/json", "lying": "application/octet-stream"}[kind]
        fault = Fault(body=page, headers={"Content-Type": told, "ETag": None}, forget_range=True)
        if for_ever:
            return _serve(world, rng, path, (fault, None), right="error", words=("html page", "json answer"))
        return _serve(world, rng, path, (fault, rng.randrange(1, 3)))

    return prepare


# ---- F12 resuming


def _after_cut(*then: tuple[Fault, int | None]) -> Callable[[World, random.Random, str], Trial]:
    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        return _serve(world, rng, path, (Fault(cut=0.1 + 0.8 * rng.random()), 1), *then)

    return prepare


def _shifted(honest: bool) -> Callable[[World, random.Random, str], Trial]:
    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        shift = rng.choice([-1, 1]) * rng.randrange(1, 1500)
        cut = Fault(cut=0.1 + 0.8 * rng.random())
        return _serve(world, rng, path, (cut, 1), (Fault(shift_range=shift, honest=honest), 1))

    return prepare


def _changed(back: bool, honours_if_range: bool) -> Callable[[World, random.Random, str], Trial]:
    """The file is exchanged after the first half; ``back``: only for one answer."""

    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        content = stand_in(path, rng.randrange(20_000, 120_000))
        newer = stand_in(f"{path} newer", len(content))
        answers = [content, newer] + ([content] * 20 if back else [])

        def handler(request: Request) -> Reply:
            now = answers.pop(0) if len(answers) > 1 else answers[0]
            if not honours_if_range:
                request.headers.pop("if-range", None)
            return file_reply(request, now)

        url = world.portal.add(path, handler)
        world.portal.fault(f"^{path}$", Fault(cut=0.1 + 0.8 * rng.random()), 1)
        row = lock_row(content, url, name=path.strip("/"))
        if back:
            return Trial(row, content)
        return Trial(row, content, "error", ("checksum",), most=5)

    return prepare


# ---- F13, F14 signed links and redirects


def _signed(mode: str) -> Callable[[World, random.Random, str], Trial]:
    """A portal's link leads to a signed one of the same server, which is refused once it is old."""

    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        content = stand_in(path, rng.randrange(20_000, 120_000))
        issued: list[str] = []
        cut = 0.1 + 0.8 * rng.random()

        def link(_: Request) -> Reply:
            issued.append(f"{len(issued)}")
            return Reply(307, {"Location": f"{world.portal.url}{path}?token={issued[-1]}&{SECRET}"})

        def file(request: Request) -> Reply:
            token = request.query["token"][0]
            fresh = {"first": token != "0", "middle": token != "1", "never": False}[mode]
            if not fresh:
                return Reply(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
            return file_reply(request, content)

        world.portal.add(path, file)
        if mode == "middle":  # cut, then the portal hands out a link that is too old
            world.portal.fault(f"^{path}$", Fault(cut=cut), 1)
        url = world.portal.add(path.replace("/encode_files/", "/encode/"), link)
        row = lock_row(content, url, name=path.strip("/"))
        if mode == "never":
            return Trial(row, content, "error", ("403",), most=4)
        return Trial(row, content)

    return prepare


def _redirected(*targets: str) -> Callable[[World, random.Random, str], Trial]:
    """A redirect to where nobody allowed it; ``{port}`` is that of another server of this machine."""

    def prepare(world: World, rng: random.Random, path: str) -> Trial:
        content = stand_in(path, rng.randrange(20_000, 120_000))
        world.stranger.add(path, stand_in("a stranger's", len(content)))
        target = rng.choice(targets).format(port=world.stranger.port) + path
        url = world.portal.add(path, Reply(rng.choice([301, 302, 307, 308]), {"Location": f"{target}?{SECRET}"}))
        words = ("not allowed",)
        return Trial(lock_row(content, url, name=path.strip("/")), content, "error", words, most=1)

    return prepare


def _loop(world: World, rng: random.Random, path: str) -> Trial:
    content = stand_in(path, 20_000)
    url = world.portal.add(path, Reply(302, {"Location": path}))
    return Trial(lock_row(content, url, name=path.strip("/")), content, "error", ("redirect",), most=8, attempt=6)


_SERVER_ERRORS = (500, 502, 503, 504)
CELLS = (
    Cell("none", "no fault", _serve),
    Cell("F6", "truncated, Content-Length", _truncated("length")),
    Cell("F6", "truncated, no length", _truncated("none")),
    Cell("F6", "truncated, chunked without end", _truncated("chunked")),
    Cell("F6", "too short for ever", _short),
    Cell("F6", "too long for ever", _long),
    Cell("F7", "flipped bit, at most twice", _flipped(2)),
    Cell("F7", "flipped bit for ever", _flipped(None)),
    Cell("F7", "other file for ever", _other_file),
    Cell("F7", "stale file, right mirror", _stale_mirror),
    Cell("F8", "429 with seconds, 1-7", _storm((429,), "seconds", 1, 7)),
    Cell("F8", "429 with date, 1-7", _storm((429,), "date", 1, 7)),
    Cell("F8", "429 alone, 1-20", _storm((429,), "", 1, 20)),
    Cell("F9", "5xx, 1-7", _storm(_SERVER_ERRORS, "", 1, 7)),
    Cell("F9", "5xx, 8-20", _storm(_SERVER_ERRORS, "", 8, 20)),
    Cell("F10", "slow-loris", _slow),
    Cell("F10", "stall", _broken("stall")),
    Cell("F10", "stall for ever", _silent),
    Cell("F10", "half-closed", _broken("half")),
    Cell("F10", "reset", _broken("reset")),
    Cell("F11", "HTML page, at most twice", _page("html", False)),
    Cell("F11", "HTML page for ever", _page("html", True)),
    Cell("F11", "JSON page for ever", _page("json", True)),
    Cell("F12", "Range ignored", _after_cut((Fault(forget_range=True), 1))),
    Cell("F12", "wrong Content-Range", _shifted(True)),
    Cell("F12", "Content-Range that lies", _shifted(False)),
    Cell("F12", "file changed for good", _changed(False, True)),
    Cell("F12", "file changed for good, If-Range ignored", _changed(False, False)),
    Cell("F12", "file changed for a moment", _changed(True, True)),
    Cell("F12", "file changed for a moment, If-Range ignored", _changed(True, False)),
    Cell("F13", "signed link expired at once", _signed("first")),
    Cell("F13", "signed link expired while resuming", _signed("middle")),
    Cell("F13", "signed link always refused", _signed("never")),
    Cell("F14", "redirect to another server", _redirected("http://127.0.0.1:{port}", "http://localhost:{port}")),
    Cell("F14", "redirect, loopback in disguise", _redirected("http://2130706433:{port}", "http://0177.0.0.1:{port}")),
    Cell(
        "F14",
        "redirect to hosts inside and outside",
        _redirected(
            "http://169.254.169.254",
            "http://10.0.0.1",
            "https://files.example.org",
            "http://www.encodeproject.org",
            "http://[::ffff:127.0.0.1]:{port}",
            "file://",
            "ftp://127.0.0.1:{port}",
        ),
        peers=False,
    ),
    Cell("F14", "redirects without end", _loop),
)
