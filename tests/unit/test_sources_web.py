"""Asking a server that behaves, and one that does not: what is given, how often it is asked, what is said."""

import gzip
import threading
import time
from email.utils import formatdate

import pytest
from tests.portal import Fault, Portal, Reply

from seqmill.runtime.errors import RemoteError
from seqmill.sources import transport
from seqmill.sources.policy import FailedAttempt
from seqmill.sources.web import Web

PACKED = gzip.compress(b"chr1\t0\t10\n" * 1000)
FILE = {"accession": "TSTFF000AAA", "status": "released", "text": "x" * 5000}


@pytest.fixture(scope="module")
def server():
    with Portal() as portal:
        portal.add("/encode/files/a/", FILE)
        portal.add("/ena/report", "run_accession\tfastq_ftp\n")
        portal.add("/ena/nothing", lambda request: Reply(204))
        portal.add("/ucsc/data.gz", PACKED)
        yield portal


@pytest.fixture
def portal(server):
    server.clear()
    return server


@pytest.fixture
def web(portal, tmp_path):
    with Web(portal.sources(tmp_path, requests_per_s={})) as web:
        yield web


def test_json_text_and_parameters(portal, web):
    assert web.json(f"{portal.url}/encode/files/a/?frame=page", params=[("format", "json"), ("status!", "a b")]) == FILE
    assert portal.log[-1].target == "/encode/files/a/?frame=page&format=json&status%21=a+b"
    assert portal.log[-1].headers["accept"] == "application/json"
    assert portal.log[-1].headers["user-agent"].startswith("seqmill/")
    assert web.text(f"{portal.url}/ena/report") == "run_accession\tfastq_ftp\n"
    assert web.text(f"{portal.url}/ena/nothing", allow=(200, 204)) == ""
    assert web.json(f"{portal.url}/encode/none", allow=(200, 404)) is None
    assert web.text(f"{portal.url}/encode/none", allow=(200, 404)) is None
    answer = web.get(f"{portal.url}/encode/files/a/")
    assert (answer.status, answer.headers["CONTENT-TYPE"]) == (200, "application/json")


def test_a_status_that_is_final_is_asked_once(portal, web):
    for status, said in ((404, "HTTP 404, not found"), (403, "HTTP 403, access refused"), (410, "HTTP 410, gone")):
        portal.clear()
        portal.fault("/encode/files/a/", Fault(status=status))
        with pytest.raises(RemoteError, match=said):
            web.json(f"{portal.url}/encode/files/a/", params={"token": "hunter2"})
        assert len(portal.log) == 1
    with pytest.raises(RemoteError, match="HTTP 204"):
        web.text(f"{portal.url}/ena/nothing")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_bursts_up_to_seven_pass_and_longer_ones_end(portal, web, status):
    portal.fault("/encode/files/a/", Fault(status=status), times=7)
    assert web.json(f"{portal.url}/encode/files/a/") == FILE
    assert len(portal.log) == 8
    portal.clear()
    portal.fault("/encode/files/a/", Fault(status=status))
    with pytest.raises(RemoteError, match=rf"HTTP {status}.*\(given up after 8 attempts\)"):
        web.json(f"{portal.url}/encode/files/a/")
    assert len(portal.log) == 8


def test_retry_after_in_seconds_and_as_a_date(portal, tmp_path):
    with Web(portal.sources(tmp_path, max_retry_after_s=5)) as web:
        portal.fault("report", Fault(status=429, headers={"Retry-After": "0.3"}), times=1)
        now = time.time()
        told = {"Retry-After": formatdate(now + 1, usegmt=True), "Date": formatdate(now, usegmt=True)}
        portal.fault("report", Fault(status=503, headers=told), times=1)
        assert web.text(f"{portal.url}/ena/report").startswith("run")
    first, second, third = (seen.time for seen in portal.log)
    assert 0.3 <= second - first < 0.9
    assert 1.0 <= third - second < 2.0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut=0.5),
        Fault(cut=0.0),
        Fault(cut=0.9, end="reset"),
        Fault(cut=0.5, end="half"),
        Fault(cut=0.5, end="stall"),
        Fault(cut=0.5, framing="chunked"),
        Fault(cut=0.5, framing="none"),  # only the JSON tells
        Fault(cut=0.5, bytes_per_s=500, piece=50),
        Fault(before_s=3),
        Fault(body=b"<!DOCTYPE html><h1>Back soon</h1>", headers={"Content-Type": "text/html"}),
        Fault(headers={"Content-Encoding": "gzip"}),
    ],
    ids=str,
)
def test_broken_answers_are_asked_again(portal, web, fault):
    portal.fault("/encode/files/a/", fault, times=1)
    start = time.monotonic()
    assert web.json(f"{portal.url}/encode/files/a/") == FILE
    assert len(portal.log) == 2
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(cut=0.5), "the answer broke off"),
        (Fault(cut=0.5, framing="chunked"), "the answer broke off"),
        (Fault(cut=0.9, end="reset"), "connection lost (Connection reset by peer)"),
        (Fault(cut=0.5, end="stall"), "silent for too long"),
        (Fault(bytes_per_s=400, piece=100), "too slow: "),
        (Fault(body=b" <html>Back soon"), "expected JSON, got an HTML page"),
        (Fault(body=b'{"a": '), "expected JSON, got something else"),
        (Fault(headers={"Content-Encoding": "gzip"}), "broken compression of the answer"),
    ],
    ids=str,
)
def test_what_is_said_when_it_does_not_pass(portal, tmp_path, fault, said):
    portal.fault("/encode/files/a/", fault)
    with Web(portal.sources(tmp_path, attempts=2)) as web, pytest.raises(RemoteError) as error:
        web.json(f"{portal.url}/encode/files/a/?token=hunter2")
    assert str(error.value).startswith(f"{portal.url}/encode/files/a/: {said}")
    assert str(error.value).endswith("(given up after 2 attempts)")
    assert len(portal.log) == 2


def test_json_that_is_no_object(portal, web):
    portal.add("/encode/list", [1, 2])
    portal.add("/encode/deep", b"[" * 100_000)
    with pytest.raises(RemoteError, match="expected a JSON object, got a list"):
        web.json(f"{portal.url}/encode/list")
    with pytest.raises(RemoteError, match="expected JSON, got something else"):
        web.json(f"{portal.url}/encode/deep")
    portal.add("/ena/latin", b"caf\xe9")
    with pytest.raises(RemoteError, match="expected a text in UTF-8"):
        web.text(f"{portal.url}/ena/latin")


def test_nobody_listens(tmp_path):
    with Portal() as portal:
        sources = portal.sources(tmp_path, attempts=3)
        url = portal.url
    with Web(sources) as web, pytest.raises(RemoteError) as error:
        web.json(f"{url}/encode/files/a/")
    assert str(error.value) == f"{url}/encode/files/a/: no connection (Connection refused) (given up after 3 attempts)"


@pytest.mark.parametrize("by", ["configuration", "environment"])
def test_locked_asks_nobody(portal, tmp_path, monkeypatch, by):
    sources = portal.sources(tmp_path).model_copy(update={"locked": by == "configuration"})
    if by == "environment":
        monkeypatch.setenv("SEQMILL_LOCKED", "1")
    with Web(sources) as web, pytest.raises(RemoteError, match="not asked: 'locked' allows no network"):
        web.json(f"{portal.url}/encode/files/a/")
    assert portal.log == []


def test_a_stream_is_one_attempt_of_the_bytes_as_they_are(portal, web):
    with web.stream(f"{portal.url}/ucsc/data.gz", {"Range": "bytes=10-"}) as reply:
        assert (reply.status, reply.headers["content-range"]) == (206, f"bytes 10-{len(PACKED) - 1}/{len(PACKED)}")
        assert b"".join(reply.chunks()) == PACKED[10:]
    assert portal.log[-1].headers["accept-encoding"] == "identity"
    # A server that says the file's own compression were the transport's (Apache's x-gzip) does not change it.
    portal.fault("data.gz", Fault(headers={"Content-Encoding": "gzip"}), times=1)
    with web.stream(f"{portal.url}/ucsc/data.gz") as reply:
        assert b"".join(reply.chunks()) == PACKED
    portal.clear()
    portal.fault("data.gz", Fault(cut=0.5))
    with pytest.raises(FailedAttempt, match="the answer broke off") as error:  # noqa: SIM117
        with web.stream(f"{portal.url}/ucsc/data.gz") as reply:
            list(reply.chunks())
    assert error.value.again and len(portal.log) == 1
    portal.clear()
    with web.stream(f"{portal.url}/ucsc/missing") as reply:
        assert reply.status == 404


def test_compressed_answers_are_read_and_huge_ones_refused(portal, web):
    portal.add("/encode/packed", Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 5_000_000)))
    assert web.get(f"{portal.url}/encode/packed").content == b"0" * 5_000_000
    with (
        pytest.raises(RemoteError, match="the answer is larger than 1,000,000 bytes"),
        web.stream(f"{portal.url}/encode/packed") as reply,
    ):
        reply.content(limit=1_000_000)


def test_connections_are_used_again(portal, web, monkeypatch):
    made, connect = [], transport._Backend.connect_tcp
    monkeypatch.setattr(
        transport._Backend, "connect_tcp", lambda self, *args, **more: made.append(1) or connect(self, *args, **more)
    )
    portal.add("/encode/moved", Reply(307, {"Location": "/encode/files/a/"}, b"moved"))
    for _ in range(3):
        web.json(f"{portal.url}/encode/moved")
        web.json(f"{portal.url}/encode/none", allow=(404,))
        with web.stream(f"{portal.url}/encode/files/a/"):
            pass
    assert len(portal.log) == 12 and made == [1]


def test_one_client_for_many_threads(portal, web):
    found = []

    def ask():
        found.extend(web.json(f"{portal.url}/encode/files/a/") for _ in range(25))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [FILE] * 200


def test_the_rate_limit_holds_for_every_request(portal, tmp_path):
    with Web(portal.sources(tmp_path, requests_per_s={f"127.0.0.1:{portal.port}": 10})) as web:
        portal.add("/encode/moved", Reply(307, {"Location": "/encode/files/a/"}))
        portal.fault("/encode/files/a/", Fault(status=500), times=3)
        for _ in range(10):
            web.json(f"{portal.url}/encode/moved")
    times = [seen.time for seen in portal.log]
    assert len(times) == 26  # 10 asked, 3 of them failed, each with its redirect
    assert max(sum(start <= other < start + 1 for other in times) for start in times) <= 10
