"""The verb `cache`, from arguments to exit codes."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from seqmill.cli.command import main
from seqmill.config.lock import LockRow
from seqmill.sources.cache import Cache


def put(folder: Path, content: bytes, file: str) -> Path:
    cache, md5 = Cache(folder), hashlib.md5(content).hexdigest()
    row = LockRow(
        name="t", asked="t", file=file, source="url", accession="", url="u", bytes=len(content), md5=md5
    )  # fmt: skip
    with cache.hold(row):
        cache.part(row).write_bytes(content)
        return cache.admit(cache.part(row), row, hashlib.sha256(content).hexdigest(), md5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder; the cache that the environment names holds two files."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path / "cache"))
    for number, (content, file) in enumerate(((b"a" * 1500, "a.bw"), (b"b", "b.bed"))):
        os.utime(put(tmp_path / "cache", content, file), (1e9 + 86400 * number, 1e9))
    return tmp_path / "cache"


def test_list_is_a_table_and_a_sum(folder, capsys):
    os.link(Cache(folder).entries()[0].path, folder / "link")
    assert main(["cache", "list"]) == 0
    said = capsys.readouterr()
    sums = [hashlib.sha256(content).hexdigest()[:12] for content in (b"a" * 1500, b"b")]
    assert said.out == (
        "file\tsource\tbytes\tlast used\tlinks\tsha256\n"
        f"a.bw\turl\t1,500\t2001-09-09\t1\t{sums[0]}\n"
        f"b.bed\turl\t1\t2001-09-10\t0\t{sums[1]}\n"
    )
    assert said.err.endswith(f"{folder}: 2 files, 1.5 kB; not linked by a project of this disk: 1 file, 1 B\n")


def test_the_cache_of_the_configuration_comes_first(folder, tmp_path, capsys):
    assert main(["cache", "list", "--json", "--config", f"sources.cache={tmp_path / 'other'}"]) == 2
    assert "config/config.yaml" in capsys.readouterr().err
    Path("config").mkdir()
    Path("config/config.yaml").write_text(f"sources:\n  cache: {tmp_path / 'other'}\n")
    assert main(["cache", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cache": str(tmp_path / "other"), "files": [], "bytes": 0}


def test_prune_by_size_and_in_words_only(folder, capsys):
    assert main(["cache", "prune", "--max-gb", "0.000001", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["file"] for entry in found["deleted"]] == ["a.bw"] and found["dry_run"]
    assert len(Cache(folder).entries()) == 2
    assert main(["cache", "prune", "--max-gb", "0.000001"]) == 0
    assert capsys.readouterr().err.endswith(f"{folder}: 1 file, 1.5 kB deleted\n")
    assert [entry.file for entry in Cache(folder).entries()] == ["b.bed"]
    assert main(["cache", "prune", "--older-than-days", "-1"]) == 2
    assert "--older-than-days: expected a number from 0 on, found -1" in capsys.readouterr().err


def test_check_names_what_is_damaged_and_deletes_it_when_asked(folder, capsys):
    assert main(["cache", "check"]) == 0
    assert capsys.readouterr().err.endswith("whole, every byte is as it was fetched\n")
    bad = Cache(folder).entries()[1].path
    os.chmod(bad, 0o644)
    bad.write_bytes(b"c")
    assert main(["cache", "check"]) == 4
    said = capsys.readouterr()
    assert said.out == f"{bad}: content changed (b.bed)\n"
    assert f"ERROR 1 damaged file in {folder}: 'seqmill cache check --delete' deletes them" in said.err
    assert bad.exists()
    assert main(["cache", "check", "--delete", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["findings"] == [f"{bad}: content changed (b.bed)"]
    assert not bad.exists() and main(["cache", "check"]) == 0


def test_a_cache_that_cannot_be_is_one_line(folder, monkeypatch, capsys, tmp_path):
    Path("config").mkdir()
    Path("config/config.yaml").write_text("sources:\n  cahce: x\n")
    assert main(["cache", "list"]) == 2
    assert "unknown key 'cahce'; did you mean 'cache'?" in capsys.readouterr().err
