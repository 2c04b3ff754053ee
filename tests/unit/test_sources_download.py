"""Downloads from a server on this machine: what is asked, what is accepted, what is said."""

import hashlib
import json
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.cache import Cache
from seqmill.sources.download import download
from seqmill.sources.looks import other, page
from seqmill.sources.web import Web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from portal import Fault, Reply, stand_in
from portal.files import lock_row

CONTENT = stand_in("download", 100_000)


@pytest.fixture
def row(portal):
    return lock_row(CONTENT, portal.add("/encode/t.bigWig", CONTENT))


def asked(portal, path=""):
    """(status, Range, bytes sent) of each request."""
    portal.settle()
    return [(seen.status, seen.headers.get("range", ""), seen.sent) for seen in portal.seen(path)]


def failure(row, web, cache) -> str:
    with pytest.raises(RemoteError) as raised:
        download(row, web, cache)
    assert cache.entries() == []
    return str(raised.value)


# ---- whole, resumed, from the cache


def test_a_file_is_downloaded_once(portal, web, cache, row):
    path = download(row, web, cache)
    assert path.read_bytes() == CONTENT and download(row, web, cache) == path
    assert asked(portal) == [(200, "", 100_000)]
    assert portal.log[0].headers["accept-encoding"] == "identity"


def test_a_cut_answer_is_continued_where_it_broke_off(portal, web, cache, row):
    portal.fault("t.bigWig", Fault(cut=0.4), 1)
    assert download(row, web, cache).read_bytes() == CONTENT
    assert asked(portal) == [(200, "", 40_000), (206, "bytes=40000-", 60_000)]
    assert portal.log[1].headers["if-range"] == f'"{hashlib.md5(CONTENT).hexdigest()}"'


@pytest.mark.parametrize("framing", ["length", "none", "chunked"])
def test_half_a_file_is_an_error_and_the_next_call_continues_it(portal, sources, cache, row, framing):
    portal.fault("t.bigWig", Fault(cut=0.5, framing=framing), 1)
    once = sources.model_copy(update={"network": sources.network.model_copy(update={"attempts": 1})})
    with Web(once) as web:
        message = failure(row, web, cache)
    # the end of a connection without length looks like the end of the file: only its size tells
    cause = "" if framing == "none" else "(the answer broke off) "
    assert message == (
        f"t: t.bigWig: truncated: got 50,000 of 100,000 bytes {cause}(given up after 1 attempt) ({row.url})"
    )
    with Web(sources) as web:
        assert download(row, web, Cache(cache.folder)).read_bytes() == CONTENT
    assert asked(portal)[1] == (206, "bytes=50000-", 50_000)


def test_bytes_that_changed_on_the_disk_between_two_calls_are_found(portal, sources, cache, row):
    portal.fault("t.bigWig", Fault(cut=0.5), 1)
    once = sources.model_copy(update={"network": sources.network.model_copy(update={"attempts": 1})})
    with Web(once) as web:
        failure(row, web, cache)
    kept = bytearray(cache.part(row).read_bytes())
    kept[7] ^= 1
    cache.part(row).write_bytes(kept)
    with Web(sources) as web:
        assert download(row, web, cache).read_bytes() == CONTENT
    assert [status for status, *_ in asked(portal)] == [200, 206, 200]
    assert cache.bad(row).read_bytes()[:50_000] == kept


def test_a_part_without_its_note_begins_anew(portal, web, cache, row):
    cache.prepare()
    cache.part(row).write_bytes(CONTENT[:10])
    assert download(row, web, cache).read_bytes() == CONTENT
    assert asked(portal) == [(200, "", 100_000)]


@pytest.mark.parametrize(
    ("note", "size"),
    [("{", 10), ("[]", 10), ('{"origin": 1, "validator": "", "size": 100000}', 10), (None, 100_001)],
)
def test_a_note_that_is_no_note_or_another_files_begins_anew(portal, web, cache, row, note, size):
    cache.prepare()
    cache.part(row).write_bytes(bytes(size))
    told = {"origin": hashlib.sha256(row.url.encode()).hexdigest(), "validator": "", "size": 100_000}
    cache.part(row).with_suffix(".json").write_text(json.dumps(told) if note is None else note)
    assert download(row, web, cache).read_bytes() == CONTENT
    assert asked(portal) == [(200, "", 100_000)]


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        (Fault(forget_range=True), [200, 200]),  # the whole file again
        (Fault(shift_range=5), [200, 206, 200]),  # another range, and Content-Range says so
        (Fault(shift_range=5, honest=False), [200, 206, 206, 200]),  # ends early; only the checksum tells the rest
        (Fault(headers={"Content-Range": "bytes 50000-99999/100001"}), [200, 206, 200]),
        (Fault(headers={"Content-Range": None}), [200, 206, 200]),
        (Fault(headers={"ETag": '"other"'}), [200, 206, 200]),
        (Fault(status=416), [200, 416, 200]),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)
def test_what_is_no_continuation_begins_anew(portal, web, cache, row, fault, statuses):
    portal.fault("t.bigWig", Fault(cut=0.5), 1)
    portal.fault("t.bigWig", fault, 1)
    assert download(row, web, cache).read_bytes() == CONTENT
    assert [status for status, *_ in asked(portal)] == statuses


def test_a_file_that_changed_while_it_was_fetched_begins_anew(portal, web, cache, row):
    portal.fault("t.bigWig", Fault(cut=0.5, headers={"ETag": '"older"'}), 1)
    assert download(row, web, cache).read_bytes() == CONTENT
    assert asked(portal) == [(200, "", 50_000), (200, "bytes=50000-", 100_000)]


# ---- other bytes


def test_a_wrong_checksum_is_tried_twice_more_and_the_bytes_are_kept_aside(portal, web, cache, row):
    other_bytes = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    portal.fault("t.bigWig", Fault(body=other_bytes))
    got = hashlib.md5(other_bytes).hexdigest()
    assert failure(row, web, cache) == (
        f"t: t.bigWig: checksum mismatch: md5 {got}, expected {row.md5}; the bytes are kept as {cache.bad(row)} "
        f"(in 3 downloads) ({row.url})"
    )
    assert len(asked(portal)) == 3 and cache.bad(row).read_bytes() == other_bytes
    assert list((cache.folder / "parts").iterdir()) == []


def test_a_pin_by_sha256_is_judged_by_it(portal, web, cache):
    row = lock_row(CONTENT, portal.add("/encode/t.bigWig", CONTENT), sha256=True)
    assert download(row, web, cache).read_bytes() == CONTENT
    wrong = replace(row, md5="", sha256="0" * 64)
    with pytest.raises(RemoteError, match=f"checksum mismatch: sha256 {row.sha256}, expected {'0' * 64}"):
        download(wrong, web, cache)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(body=b"<!DOCTYPE html><title>Maintenance"), "got an HTML page of 33 bytes, expected 100,000 bytes"),
        (Fault(body=b'{"status": "error"}'), "got a JSON answer of 19 bytes, expected 100,000 bytes"),
        (Fault(body=b"<?xml version='1.0'?><Error>"), "got an XML answer of 28 bytes, expected 100,000 bytes"),
        (Fault(body=b"<html>" * 99, framing="chunked"), "got an HTML page instead of the file"),
        (Fault(body=b"<html>", framing="none"), "got an HTML page instead of the file"),
        (Fault(body=CONTENT + b"1"), "got a file of 100,001 bytes, expected 100,000 bytes"),
        (Fault(body=CONTENT + b"1", framing="chunked"), "got more than the expected 100,000 bytes"),
    ],
)
def test_what_is_not_the_file_is_said(portal, web, cache, row, fault, message):
    portal.fault("t.bigWig", fault)
    assert failure(row, web, cache) == f"t: t.bigWig: {message} (in 3 downloads) ({row.url})"
    assert len(asked(portal)) == 3


def test_a_text_that_looks_like_a_page_is_judged_by_its_checksum(portal, web, cache):
    content = b"<html> is how this table of labels begins\n"
    row = lock_row(content, portal.add("/encode/labels.txt", content), file="labels.txt")
    assert download(row, web, cache).read_bytes() == content


@pytest.mark.parametrize(
    ("head", "file", "said"),
    [
        (b"<!doctype HTML>", "a.bw", "an HTML page"),
        (b"\xef\xbb\xbf\n <html>", "a.fa", "an HTML page"),
        (b"<html>", "a.html", ""),
        (b"[1, 2]", "a.bed.gz", "a JSON answer"),
        (b"[1, 2]", "a.txt", ""),
        (b"<Error><Code>AccessDenied", "a.bam", "an XML answer"),
        (b"\x1f\x8b\x08", "a.bam", ""),
        (b"", "a.bam", ""),
    ],
)
def test_pages_are_told_from_files(head, file, said):
    assert page(head, file) == said


@pytest.mark.parametrize("format", ["bigwig", "bigbed", "hic"])
def test_first_bytes_of_formats(format):
    good = stand_in(1, 50, format)
    assert other(good, f"x.{format}") == "" and other(good, "x", format) == ""
    assert other(b"chr1\t1\t2", "x", format).startswith("is no ")


# ---- statuses, mirrors, links


def test_a_burst_of_server_errors_passes(portal, web, cache, row):
    portal.fault("t.bigWig", Fault(status=503), 7)
    assert download(row, web, cache).read_bytes() == CONTENT
    assert len(asked(portal)) == 8


def test_a_longer_burst_is_an_error_that_names_the_last_status(portal, web, cache, row):
    portal.fault("t.bigWig", Fault(status=502), 8)
    assert failure(row, web, cache) == f"t: t.bigWig: HTTP 502 (given up after 8 attempts) ({row.url})"
    assert len(asked(portal)) == 8


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_what_no_waiting_mends_fails_at_once(portal, web, cache, row, status):
    portal.fault("t.bigWig", Fault(status=status))
    message = failure(row, web, cache)
    assert f"HTTP {status}" in message and ("seqmill refresh" in message) == (status in (404, 410))
    assert len(asked(portal)) == 1


def test_a_mirror_is_asked_where_the_first_address_fails(portal, web, cache, row):
    mirror = portal.add("/encode_files/t.bigWig", CONTENT)
    portal.fault("^/encode/t.bigWig", Fault(status=404))
    assert download(replace(row, mirrors=mirror), web, cache).read_bytes() == CONTENT
    assert [seen.path for seen in portal.log] == ["/encode/t.bigWig", "/encode_files/t.bigWig"]


def test_a_mirror_continues_what_another_address_began(portal, web, cache, row):
    mirror = portal.add("/encode_files/t.bigWig", CONTENT, {"ETag": '"of the mirror"'})
    portal.fault("^/encode/t.bigWig", Fault(cut=0.5))
    assert download(replace(row, mirrors=mirror), web, cache).read_bytes() == CONTENT
    assert asked(portal) == [(200, "", 50_000), (206, "bytes=50000-", 50_000)]
    assert "if-range" not in portal.log[1].headers


def test_a_stale_mirror_costs_one_try(portal, web, cache, row):
    mirror = portal.add("/encode_files/t.bigWig", CONTENT)
    portal.fault("^/encode/t.bigWig", Fault(body=bytes(100_000)))
    assert download(replace(row, mirrors=mirror), web, cache).read_bytes() == CONTENT
    assert [seen.path for seen in portal.log] == ["/encode/t.bigWig", "/encode_files/t.bigWig"]


@pytest.mark.parametrize("refusals", [1, 2])
def test_an_expired_link_is_resolved_again_once(portal, web, cache, refusals):
    signed = iter(range(9))

    def link(request):
        return Reply(307, {"Location": f"/encode_files/t.bigWig?X-Amz-Signature=secret{next(signed)}"})

    portal.add("/encode_files/t.bigWig", CONTENT)
    row = lock_row(CONTENT, portal.add("/encode/@@download/t.bigWig", link))
    portal.fault("encode_files", Fault(status=403), refusals)
    if refusals == 1:
        assert download(row, web, cache).read_bytes() == CONTENT
    else:
        message = failure(row, web, cache)
        assert "HTTP 403, access refused; it may have been withdrawn" in message and "secret" not in message
    assert len(asked(portal, "encode_files")) == 2


def test_a_refused_address_without_a_link_is_not_asked_again(portal, web, cache, row):
    portal.fault("t.bigWig", Fault(status=403))
    assert "HTTP 403" in failure(row, web, cache)
    assert len(asked(portal)) == 1


def test_no_host_is_asked_where_the_lock_must_do(portal, sources, cache, row):
    with Web(sources.model_copy(update={"locked": True})) as web:
        message = "t: t.bigWig: is not in the cache, and 'locked' allows no network; run once without it"
        assert failure(row, web, cache) == message
        assert portal.log == []
    with Web(sources) as web:
        download(row, web, cache)
    with Web(sources.model_copy(update={"locked": True})) as web:
        assert download(row, web, cache).read_bytes() == CONTENT


def test_a_disk_that_is_too_full_is_said_before_the_first_byte(portal, web, cache, row, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 64_099_999))
    with pytest.raises(InputError) as raised:
        download(row, web, cache)
    assert str(raised.value).startswith(f"{cache.folder}: t.bigWig still needs 100.0 kB, only 64.1 MB are free; free")
    assert portal.log == []
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1, 1, 64_100_000))
    assert download(row, web, cache).read_bytes() == CONTENT
