"""Many downloads at once, files that are pinned by reading them, and the digests of both."""

import hashlib
import multiprocessing
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from seqmill.runtime.errors import RemoteError
from seqmill.sources.cache import Cache
from seqmill.sources.digests import Digests
from seqmill.sources.download import download, download_many, pin
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


# ---- many


def test_many_files_in_order_each_once(portal, web, cache):
    contents = [stand_in(number, 3_000 + number) for number in range(70)]
    contents.append(stand_in("large", 5_000_000))
    rows = [lock_row(content, portal.add(f"/encode/{i}.bigWig", content)) for i, content in enumerate(contents)]
    paths = download_many([*rows, rows[3]], web, cache)
    assert [path.read_bytes() for path in paths] == [*contents, contents[3]]
    assert len(portal.log) == 71
    assert download_many(rows, web, cache) == paths[:-1] and len(portal.log) == 71


def test_at_most_so_many_bodies_of_one_host(portal, tmp_path):
    lock, now, most = threading.Lock(), [], []

    def body(content):
        def pieces():
            with lock:
                now.append(1)
                most.append(len(now))
            for start in range(0, len(content), 500):
                threading.Event().wait(0.002)
                yield content[start : start + 500]
            with lock:
                now.pop()

        return lambda request: Reply(200, {}, pieces())

    contents = [stand_in(number, 3_000) for number in range(12)]
    rows = [lock_row(content, portal.add(f"/encode/{i}.bigWig", body(content))) for i, content in enumerate(contents)]
    sources = portal.sources(tmp_path, bodies_per_host=3)
    with Web(sources) as web:
        download_many(rows, web, Cache(sources.cache_folder()), workers=12)
    assert max(most) == 3


def test_all_are_tried_and_each_failure_is_named(portal, web, cache):
    contents = [stand_in(number, 3_000) for number in range(4)]
    rows = [
        lock_row(content, portal.add(f"/encode/{i}.bigWig", content), file=f"{i}.bigWig", name=f"t{i}")
        for i, content in enumerate(contents)
    ]
    portal.fault("[13].bigWig", Fault(status=404))
    with pytest.raises(RemoteError) as raised:
        download_many(rows, web, cache)
    assert str(raised.value).startswith("2 of 4 files: could not be fetched: t1: 1.bigWig: HTTP 404, not found")
    assert "; t3: 3.bigWig: HTTP 404" in str(raised.value)
    assert [cache.find(row) is not None for row in rows] == [True, False, True, False]


def test_a_dead_host_costs_its_attempts_once(portal, tmp_path):
    contents = [stand_in(number, 3_000) for number in range(10)]
    rows = [lock_row(content, portal.add(f"/encode/{i}.bigWig", content)) for i, content in enumerate(contents)]
    portal.fault("bigWig", Fault(status=503))
    sources = portal.sources(tmp_path, bodies_per_host=1)
    with Web(sources) as web, pytest.raises(RemoteError, match="10 of 10 files"):
        download_many(rows, web, Cache(sources.cache_folder()))
    assert len(portal.log) == 8 + 9


def test_an_interrupt_ends_all_threads(portal, web, cache, monkeypatch):
    contents = [stand_in(number, 3_000) for number in range(20)]
    rows = [lock_row(content, portal.add(f"/encode/{i}.bigWig", content)) for i, content in enumerate(contents)]
    monkeypatch.setattr(Cache, "admit_all", lambda self, fetched: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        download_many(rows, web, cache)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("seqmill-fetch")]
    assert not list(cache.folder.glob("parts/*.lock"))
    monkeypatch.undo()
    assert [path.read_bytes() for path in download_many(rows, web, cache)] == contents


def _fetch_all(sources, rows):
    with Web(sources) as web:
        download_many(rows, web, Cache(sources.cache_folder()))


def test_processes_that_want_the_same_files_download_each_once(portal, sources, cache):
    contents = [stand_in(number, 30_000) for number in range(12)]
    rows = [lock_row(content, portal.add(f"/encode/{i}.bigWig", content)) for i, content in enumerate(contents)]
    portal.fault("bigWig", Fault(bytes_per_s=200_000))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fetch_all, args=(sources, some)) for some in (rows, rows[::-1])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(portal.log) == 12
    assert [cache.find(row).read_bytes() for row in rows] == contents


# ---- pins


def test_a_file_without_checksum_is_pinned_by_what_came(portal, web, cache, row):
    portal.fault("t.bigWig", Fault(cut=0.5), 1)
    found = pin(replace(row, bytes=0, md5=""), web, cache)
    assert found == lock_row(CONTENT, row.url, sha256=True, etag=f'"{row.md5}"')
    assert asked(portal) == [(200, "", 50_000), (206, "bytes=50000-", 50_000)]
    assert download(found, web, cache).read_bytes() == CONTENT and len(portal.log) == 2


def test_a_pin_without_a_strong_etag_is_never_continued(portal, web, cache):
    row = lock_row(CONTENT, portal.add("/encode/t.bigWig", CONTENT, {"ETag": 'W/"weak"'}))
    portal.fault("t.bigWig", Fault(cut=0.5), 1)
    pin(replace(row, bytes=0, md5=""), web, cache)
    assert asked(portal) == [(200, "", 50_000), (200, "", 100_000)]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(framing="none", cut=0.5), "the host tells neither length nor checksum, so half a file would look like"),
        (Fault(body=b"<html>busy</html>"), "got an HTML page instead of the file"),
        (Fault(body=b"chr1\t1\t2\n" * 99), r"what is there is no bigwig file: it begins with b'chr1\\t1\\t2\\nchr'"),
        (Fault(framing="chunked", cut=0.5), "truncated: got 50,000 bytes"),
        (Fault(status=404), "HTTP 404, not found"),
    ],
)
def test_what_must_not_be_pinned(portal, web, cache, row, fault, message):
    portal.fault("t.bigWig", fault)
    with pytest.raises(RemoteError, match=message):
        pin(replace(row, bytes=0, md5=""), web, cache)
    assert cache.entries() == []


def test_a_published_md5_must_be_met(portal, web, cache, row):
    assert pin(replace(row, bytes=0), web, cache).bytes == 100_000
    wrong = replace(row, bytes=0, md5="0" * 32)
    with pytest.raises(RemoteError, match=f"checksum mismatch: md5 {row.md5}, published {'0' * 32}"):
        pin(wrong, web, cache)


# ---- digests


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
@pytest.mark.parametrize("md5", [True, False])
def test_digests_are_those_of_hashlib_in_threads_and_without(size, md5, tmp_path):
    content = stand_in("digests", size)
    digests = Digests(md5=md5, size=size)
    (tmp_path / "head").write_bytes(content[: size // 3])
    digests.add_file(tmp_path / "head")
    for start in range(size // 3, size, 70_001):
        digests.add(content[start : start + 70_001])
    assert digests.count == size
    assert digests.finish() == (hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest() if md5 else "")
