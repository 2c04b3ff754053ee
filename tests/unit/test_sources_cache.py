"""The cache of fetched files: what it takes in, finds, deletes and refuses."""

import hashlib
import multiprocessing
import os
import time
from dataclasses import replace

import pytest

from seqmill.config.lock import LockRow
from seqmill.runtime.errors import InputError
from seqmill.sources.cache import Cache, Fetched

DAY = 86400


def row_of(content: bytes, *, by: str = "md5", file: str = "a.bw") -> LockRow:
    sums = {by: hashlib.new(by, content).hexdigest()}
    return LockRow(name="t", asked="t", file=file, source="url", accession="", url="u", bytes=len(content), **sums)


def put(cache: Cache, content: bytes, **row):
    """Take ``content`` in, as a download does."""
    wanted = row_of(content, **row)
    with cache.hold(wanted):
        part = cache.part(wanted)
        part.write_bytes(content)
        sums = [hashlib.new(name, content).hexdigest() for name in ("sha256", "md5")]
        return cache.admit(part, wanted, *sums)


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_file_is_found_by_either_checksum_and_named_by_its_sha256(cache):
    path = put(cache, b"abc")
    assert path.name == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert path.read_bytes() == b"abc" and path.stat().st_mode & 0o777 == 0o444
    assert cache.find(row_of(b"abc")) == path
    assert cache.find(row_of(b"abc", by="sha256")) == path
    assert cache.find(row_of(b"abd")) is None
    assert os.listdir(cache.folder / "parts") == []
    assert (cache.folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_another_size_is_not_found_but_not_deleted(cache):
    path = put(cache, b"abc")
    assert cache.find(replace(row_of(b"abc"), bytes=4)) is None
    os.chmod(path, 0o644)
    path.write_bytes(b"ab")
    assert cache.find(row_of(b"abc")) is None
    assert put(cache, b"abc").read_bytes() == b"abc"  # what was damaged is replaced


def test_wrong_bytes_never_enter(cache):
    wanted = row_of(b"right")
    cache.prepare()
    for content, sums in (
        (b"wrong", None),
        (b"right!", None),
        (b"right", ("0" * 64, "")),  # nobody computed its md5
    ):
        part = cache.part(wanted)
        part.write_bytes(content)
        sums = sums or tuple(hashlib.new(name, content).hexdigest() for name in ("sha256", "md5"))
        good = cache.folder / "parts" / "good.part"
        good.write_bytes(b"g")
        both = [Fetched(good, row_of(b"g"), hashlib.sha256(b"g").hexdigest(), hashlib.md5(b"g").hexdigest())]
        with pytest.raises(ValueError, match="expected"):
            cache.admit_all([*both, Fetched(part, wanted, *sums)])
        assert cache.entries() == []
    unpinned = replace(wanted, md5="")
    with pytest.raises(ValueError, match="nothing to compare it with"):
        cache.admit(part, unpinned, hashlib.sha256(b"right").hexdigest(), "")


def test_many_enter_together(cache):
    cache.prepare()
    contents = [b"%d" % number for number in range(40)]
    fetched = []
    for content in contents:
        row = row_of(content)
        cache.part(row).write_bytes(content)
        sums = [hashlib.new(name, content).hexdigest() for name in ("sha256", "md5")]
        fetched.append(Fetched(cache.part(row), row, *sums))
    paths = cache.admit_all(fetched)
    assert [path.read_bytes() for path in paths] == contents
    assert all(cache.find(row_of(content)) for content in contents)


def test_finding_sets_the_time_of_use_and_leaves_the_time_of_change(cache):
    path = put(cache, b"abc")
    os.utime(path, (1e9, 1.1e9))
    before = time.time()
    cache.find(row_of(b"abc"))
    state = path.stat()
    assert state.st_atime >= before - 1 and state.st_mtime == 1.1e9


def test_entries_tell_what_is_there_and_who_links(cache, tmp_path):
    first, second = put(cache, b"one", file="one.bw"), put(cache, b"second", file="two.bw")
    os.utime(first, (2e9, 1e9))
    os.utime(second, (1e9, 1e9))
    os.link(first, tmp_path / "link")
    found = [(entry.file, entry.bytes, entry.links, entry.used) for entry in cache.entries()]
    assert found == [("two.bw", 6, 0, 1e9), ("one.bw", 3, 1, 2e9)]
    (cache.folder / "admitted.tsv").write_bytes(b"torn\xff\tline\n")
    assert [entry.file for entry in cache.entries()] == ["", ""]


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        ({}, ["old", "middle", "new"]),
        ({"older_than_days": 5}, ["old", "middle"]),
        ({"max_bytes": 300}, ["old"]),
        ({"max_bytes": 299}, ["old", "middle"]),
        ({"max_bytes": 0, "older_than_days": 25}, ["old"]),
        ({"unused": False, "max_bytes": 0}, ["linked", "old", "middle", "new"]),
    ],
)
def test_prune_deletes_the_longest_unused_first_and_spares_what_is_linked(cache, tmp_path, limits, gone):
    now = time.time()
    for name, days in (("linked", 40), ("old", 30), ("middle", 10), ("new", 1)):
        path = put(cache, name.encode().ljust(100), file=name)
        os.utime(path, (now - days * DAY, 1e9))
    os.link(cache.entries()[0].path, tmp_path / "link")
    assert [entry.file for entry in cache.prune(dry_run=True, **limits)] == gone
    assert len(cache.entries()) == 4
    assert [entry.file for entry in cache.prune(**limits)] == gone
    left = [entry.file for entry in cache.entries()]
    assert left == [name for name in ("linked", "old", "middle", "new") if name not in gone]
    assert len(list((cache.folder / "md5").iterdir())) == len(left)  # links that lead nowhere went too


def test_prune_deletes_old_parts_and_wrong_bytes_but_not_what_grows(cache):
    fresh, held, stale = (row_of(content) for content in (b"1", b"2", b"3"))
    cache.prepare()
    for row in (fresh, held, stale):
        cache.part(row).write_bytes(b"")
    for row in (held, stale):
        os.utime(cache.part(row), (1e9, 1e9))
    for name in ("parts/md5-0.lock", "parts/md5-0.json", "parts/md5-0.new"):  # of processes that were killed
        (cache.folder / name).write_text("")
        os.utime(cache.folder / name, (1e9, 1e9))
    cache.bad(stale).write_bytes(b"x")
    with cache.hold(held):
        cache.prune()
    assert cache.part(fresh).exists() and cache.part(held).exists()
    assert not cache.part(stale).exists() and not cache.bad(stale).exists()
    assert not list(cache.folder.glob("parts/md5-0.*"))


def test_check_reads_every_byte_and_is_no_use(cache):
    good, bad = put(cache, b"good"), put(cache, b"bad!")
    os.utime(good, (1e9, 1e9))
    os.chmod(bad, 0o644)
    bad.write_bytes(b"baD!")
    assert [entry.path for entry in cache.check()] == [bad]
    assert good.stat().st_atime == 1e9
    cache.drop(bad.name)
    assert cache.check() == []


def test_one_holder_at_a_time(cache):
    row = row_of(b"x")
    held = cache.try_hold(row)
    assert held and cache.try_hold(row) is None
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        held.release()

    with cache.hold(row, sleep):
        assert len(waited) == 1 and cache.try_hold(row) is None
    assert not cache.part(row).with_suffix(".lock").exists()


def _take_turns(folder, rounds):
    """Add to a number that is read and written apart: a second holder would lose a round."""
    cache, row = Cache(folder), row_of(b"x")
    for _ in range(rounds):
        with cache.hold(row, lambda seconds: time.sleep(0.0005)):
            path = cache.folder / "number"
            number = int(path.read_text())
            time.sleep(0.0002)
            path.write_text(str(number + 1))


def test_processes_take_turns(cache):
    cache.prepare()
    (cache.folder / "number").write_text("0")
    context = multiprocessing.get_context("spawn")  # threads run here: jax, Zarr
    workers = [context.Process(target=_take_turns, args=(cache.folder, 40)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert (cache.folder / "number").read_text() == "120"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as raised:
        Cache(tmp_path / "file").prepare()
    assert str(raised.value) == (
        f"{tmp_path / 'file'}: the cache cannot be written (Not a directory); choose another folder with the key "
        "sources.cache or the variable SEQMILL_CACHE"
    )


def test_a_read_only_cache_still_gives_what_it_has(cache, monkeypatch):
    path = put(cache, b"abc")

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert cache.find(row_of(b"abc")) == path
    with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\); choose another folder"):
        cache.try_hold(row_of(b"other"))


def test_a_full_disk_is_named(cache):
    message = r"No space left on device\); free some space \('seqmill cache prune'\)"
    with pytest.raises(InputError, match=message), cache.writing():
        raise OSError(28, "No space left on device")


def test_a_link_of_the_md5_index_that_leads_elsewhere_is_not_followed(cache, tmp_path):
    put(cache, b"abc")
    index = cache.folder / "md5" / row_of(b"abc").md5
    index.unlink()
    (tmp_path / "secret").write_bytes(b"abc")
    index.symlink_to(tmp_path / "secret")
    assert cache.find(row_of(b"abc")) is None
