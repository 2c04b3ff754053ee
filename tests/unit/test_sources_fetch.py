"""Folders of fetched files: from rows of the lock to a noun that can be checked."""

import errno
import gzip
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seqmill.runtime.errors import DamageError, InputError, RemoteError
from seqmill.runtime.marker import read_marker
from seqmill.sources import fetch as fetching
from seqmill.sources.fetch import fetch, local_files
from seqmill.stores.verify import verify

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from portal import Fault, stand_in
from portal.files import lock_row

READS = {role: stand_in(role, 20_000, "fastq") for role in ("R1", "R2")}


@pytest.fixture
def rows(portal):
    return [
        lock_row(
            content,
            portal.add(f"/ena_files/stand-in_{role[1]}.fastq.gz", content),
            name="cells",
            file=f"stand-in_{role[1]}.fastq.gz",
            role=role,
            run="stand-in",
            format="fastq",
            retrieved="2026-01-02",
        )
        for role, content in READS.items()
    ]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results/sources/cells"


def test_files_are_links_into_the_cache_and_the_noun_is_whole(rows, sources, cache, folder):
    marker = fetch(folder, rows[::-1], sources)
    assert [(file.path.name, file.role, file.run, file.format) for file in local_files(folder)] == [
        ("stand-in_1.fastq.gz", "R1", "stand-in", "fastq"),
        ("stand-in_2.fastq.gz", "R2", "stand-in", "fastq"),
    ]
    for row, content in zip(rows, READS.values()):
        assert (folder / row.file).read_bytes() == content
        assert os.path.samefile(folder / row.file, cache.find(row))
    assert (marker.noun, marker.name, marker.attrs["name"]) == ("source", "cells", "cells")
    assert marker.attrs["files"]["stand-in_1.fastq.gz"] == {
        **{"file": "stand-in_1.fastq.gz", "source": "url", "role": "R1", "run": "stand-in", "format": "fastq"},
        **{"bytes": len(READS["R1"]), "md5": rows[0].md5},
    }
    assert verify(folder.parents[1]) == []
    record = json.loads((folder / "run.json").read_text())
    assert record["parameters"]["rows"][0]["url"] == rows[0].url and record["copied"] == []
    assert [entry.links for entry in cache.entries()] == [1, 1]


def test_another_day_mirror_or_status_of_the_same_bytes_makes_the_same_marker(portal, rows, sources, folder):
    first = fetch(folder, rows, sources)
    passing = {"retrieved": "2027-03-04", "status": "archived", "date": "2020-01-01", "etag": '"x"', "asked": "y"}
    moved = [replace(row, url=row.url.replace("ena_files", "mirror"), **passing) for row in rows]
    assert fetch(folder, moved, sources).digest == first.digest
    assert fetch(folder, [replace(row, assembly="GRCh38") for row in rows], sources).digest != first.digest
    assert len(portal.log) == 2


def test_what_is_cached_needs_no_host(portal, rows, sources, folder):
    first = fetch(folder, rows, sources)
    shutil.rmtree(folder)
    locked = sources.model_copy(update={"locked": True})
    assert fetch(folder, rows, locked).digest == first.digest
    assert len(portal.log) == 2


def test_a_failure_leaves_nothing(portal, rows, sources, folder):
    portal.fault("_2.fastq", Fault(status=404))
    with pytest.raises(RemoteError, match=r"cells: stand-in_2.fastq.gz: HTTP 404"):
        fetch(folder, rows, sources)
    assert not folder.parent.exists() or list(folder.parent.iterdir()) == []
    with pytest.raises(InputError, match="the lock has no row for it; run 'seqmill lock'"):
        fetch(folder, [], sources)


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_links_cannot_be_files_are_copied(rows, sources, cache, folder, monkeypatch, error):
    linked = fetch(folder, rows, sources)

    def refuse(*args, **kwargs):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    assert fetch(folder, rows, sources).digest == linked.digest
    assert not os.path.samefile(folder / rows[0].file, cache.find(rows[0]))
    assert json.loads((folder / "run.json").read_text())["copied"] == [row.file for row in rows]
    assert (folder / rows[0].file).stat().st_mode & 0o222 == 0


def test_a_copy_that_does_not_fit_leaves_nothing_and_says_so(rows, sources, folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(InputError, match=r"stand-in_1.fastq.gz cannot be copied here \(No space left on device\)"):
        fetch(folder, rows, sources)
    assert list(folder.parent.iterdir()) == []


def flip(path: Path) -> None:
    """Change one byte, not the size."""
    os.chmod(path, 0o644)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def test_a_cached_file_that_was_damaged_at_rest_is_fetched_again(portal, rows, sources, cache, folder, caplog):
    first = fetch(folder, rows, sources)
    flip(cache.find(rows[1]))
    assert "content changed" in verify(folder)[0]
    assert fetch(folder, rows, sources).digest == first.digest
    assert "the file in the cache was damaged" in caplog.text
    assert verify(folder) == [] and cache.check() == []
    assert len(portal.log) == 3


def test_a_damaged_cached_file_is_an_error_where_no_host_may_be_asked(rows, sources, cache, folder):
    fetch(folder, rows, sources)
    flip(cache.find(rows[0]))
    with pytest.raises(RemoteError, match="is not in the cache, and 'locked' allows no network"):
        fetch(folder, rows, sources.model_copy(update={"locked": True}))


def test_a_disk_that_changes_bytes_again_and_again_is_an_error(rows, sources, folder, monkeypatch):
    monkeypatch.setattr(fetching, "_is_pinned", lambda *args: False)
    with pytest.raises(DamageError, match=r"stand-in_1.fastq.gz: its bytes change on the disk; is the disk failing\?"):
        fetch(folder, rows, sources)
    assert list(folder.parent.iterdir()) == []


def test_a_file_that_is_pruned_in_the_very_moment_is_fetched_again(rows, sources, cache, folder, monkeypatch):
    link, pruned = os.link, []

    def late(source, target):
        if not pruned:
            pruned.append(cache.prune())
        return link(source, target)

    monkeypatch.setattr(os, "link", late)
    fetch(folder, rows, sources)
    assert len(pruned[0]) == 2 and verify(folder) == []


def test_local_files_are_refused_when_one_is_cut(rows, sources, folder):
    fetch(folder, rows, sources)
    os.chmod(folder / rows[0].file, 0o644)
    os.truncate(folder / rows[0].file, 5)
    with pytest.raises(DamageError, match=r"stand-in_1.fastq.gz: 5 bytes, \d+ expected"):
        local_files(folder)


def test_an_sra_file_becomes_the_fastq_of_its_run(portal, sources, cache, folder, monkeypatch):
    content = b"NCBI.sra stand-in"
    row = lock_row(content, portal.add("/sra_files/stand-in.sra", content), file="stand-in.sra", run="r", format="sra")
    seen = []

    def convert(sra, row, folder, *, offline):
        seen.append((sra.read_bytes(), row.run, offline))
        made = {role: folder / f"r_{role[1]}.fastq.gz" for role in READS}
        for role, path in made.items():
            path.write_bytes(READS[role])
        return made

    monkeypatch.setattr(fetching, "fastq", convert)
    marker = fetch(folder, [row], sources)
    assert seen == [(content, "r", False)]
    assert [(file.path.name, file.role, file.format) for file in local_files(folder)] == [
        ("r_1.fastq.gz", "R1", "fastq"),
        ("r_2.fastq.gz", "R2", "fastq"),
    ]
    assert marker.attrs["files"]["r_1.fastq.gz"]["from"] == "stand-in.sra"
    flip_path = cache.find(row)
    os.chmod(flip_path, 0o644)
    flip_path.write_bytes(content[::-1])
    assert fetch(folder, [row], sources).digest == marker.digest
    assert seen[1][0] == content


def test_the_real_sra_file_becomes_fastq(portal, sources, folder, test_data):
    if not shutil.which("fasterq-dump"):
        pytest.skip("sra-tools are not installed (apt-get install sra-toolkit)")
    run = "SRR139146"
    content = (test_data / f"reads/{run}.sra").read_bytes()
    url = portal.add(f"/sra_files/sra/{run}/{run}", content)
    row = lock_row(content, url, file=f"{run}.sra", accession=run, run=run, format="sra", source="sra", reads=3896)
    fetch(folder, [row], sources)
    (made,) = local_files(folder)
    assert (made.path.name, made.role, made.run) == (f"{run}.fastq.gz", "single", run)
    with gzip.open(made.path, "rb") as lines:
        assert sum(1 for _ in lines) == 4 * 3896  # sra-stat: spot_count


def test_an_unfinished_or_foreign_folder_is_no_source(tmp_path, rows, sources, folder):
    fetch(folder, rows, sources)
    moved = folder.rename(folder.with_name("other"))
    assert any("swapped or renamed" in problem for problem in verify(moved))
    assert read_marker(moved).noun == "source"
