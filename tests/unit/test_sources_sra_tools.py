"""SRA files to FASTQ: the real programs on a real file, and programs that misbehave."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.portal import Portal
from tests.portal.ena import Archives

from seqmill.config.lock import LockRow
from seqmill.runtime.errors import DamageError, InputError, WorkerError
from seqmill.sources import sra_tools
from seqmill.sources.fetch import fetch, local_files
from seqmill.sources.sra_tools import fastq

RUN = "SRR139146"
SPOTS = 3896  # sra-stat --quick --xml SRR139146.sra: spot_count


def row(**cells) -> LockRow:
    return LockRow(
        **{"name": "t", "asked": RUN, "file": f"{RUN}.sra", "source": "sra", "accession": RUN, "url": "", "bytes": 1,
           "run": RUN, **cells}
    )  # fmt: skip


@pytest.fixture
def real(test_data) -> Path:
    if not shutil.which("fasterq-dump") or not shutil.which("vdb-validate"):
        pytest.skip("sra-tools are not installed (apt-get install sra-toolkit)")
    return test_data / f"reads/{RUN}.sra"


# ---- the real programs


def test_a_real_run(real, tmp_path):
    made = fastq(real, row(reads=SPOTS), tmp_path / "out", offline=True)
    assert list(made) == ["single"]
    assert made["single"] == tmp_path / "out" / f"{RUN}.fastq.gz"
    assert os.listdir(tmp_path / "out") == [f"{RUN}.fastq.gz"]  # nothing half-made is left
    lines = gzip.decompress(made["single"].read_bytes()).decode().splitlines()
    assert len(lines) == 4 * SPOTS
    assert [line.split()[0] for line in lines[::4]] == [f"@{RUN}.{spot}" for spot in range(1, SPOTS + 1)]
    assert all(re.fullmatch("[ACGTN]+", bases) for bases in lines[1::4])
    assert [len(bases) for bases in lines[1::4]] == [len(qualities) for qualities in lines[3::4]]
    # sra-stat: base_count_bio, the bases without technical reads
    assert sum(map(len, lines[1::4])) == 634_055


def test_reads_are_those_of_another_tool(real, tmp_path):
    """vdb-dump reads the columns themselves; the biological read of each spot is what the FASTQ holds."""
    if not shutil.which("vdb-dump"):
        pytest.skip("vdb-dump is not installed")
    shutil.copy(real, tmp_path / f"{RUN}.sra")
    command = ["vdb-dump", "-f", "tab", "-C", "READ,READ_START,READ_LEN,READ_TYPE", f"./{RUN}.sra"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    expected = []
    for line in told.splitlines():
        bases, starts, lengths, kinds = line.split("\t")
        for start, length, kind in zip(starts.split(","), lengths.split(","), kinds.split(",")):
            if "BIOLOGICAL" in kind:
                expected.append(bases[int(start) : int(start) + int(length)])
    made = fastq(real, row(), tmp_path / "out", offline=True)
    assert gzip.decompress(made["single"].read_bytes()).decode().splitlines()[1::4] == expected


def test_the_same_bytes_every_time(real, tmp_path, monkeypatch):
    digests = set()
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        monkeypatch.setenv("TZ", zone)
        copy = tmp_path / f"object-{number}"  # as the cache names it, by digest
        shutil.copy(real, copy)
        os.utime(copy, (number * 1e9, number * 1e9))
        made = fastq(copy, row(), tmp_path / f"out {number}", offline=True, threads=number + 1)
        digests.add(hashlib.sha256(made["single"].read_bytes()).hexdigest())
    assert len(digests) == 1


def test_other_number_of_spots_than_the_archive_says(real, tmp_path):
    with pytest.raises(DamageError, match="SRR139146: 3,896 spots in the file, the archive says 3,897"):
        fastq(real, row(reads=SPOTS + 1), tmp_path / "out", offline=True)
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage", "empty", "page"])
def test_damaged_files(real, tmp_path, damage):
    content = bytearray(real.read_bytes())
    bad = tmp_path / "bad.sra"
    if damage == "cut":
        content = content[:200_000]
    elif damage == "flip":
        content[150_000] ^= 16
    else:
        content = {"garbage": b"NCBI.sra" + bytes(5000), "empty": b"", "page": b"<html></html>"}[damage]
    bad.write_bytes(content)
    with pytest.raises(DamageError, match=r"^SRR139146: (vdb-validate|fasterq-dump) (failed|does not say|ended well)"):
        fastq(bad, row(), tmp_path / "out", offline=True)
    assert os.listdir(tmp_path / "out") == []


# ---- programs that misbehave

VALID = "echo \"info: Table 'x' is consistent\" >&2"
READS = "@r\nACGT\n+\nIIII\n"


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Write programs of our own; gives the file they would convert, and the folder for the result."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    (tmp_path / "x.sra").write_bytes(b"NCBI.sra")

    def write(dump="", validate=VALID, version="fasterq-dump : 3.1.1"):
        programs = {
            "vdb-validate": validate,
            "fasterq-dump": f'[ "$1" = --version ] && echo "{version}" && exit\n{dump}\ntrue',
        }
        for name, body in programs.items():
            (place / name).write_text(f"#!/bin/sh\n{body}\n")
            (place / name).chmod(0o755)
        return tmp_path / "x.sra", row(), tmp_path / "out"

    return write


def counts(spots, written):
    return f"mkdir -p out; echo 'spots read      : {spots}' >&2; echo 'reads written   : {written}' >&2"


def put(**files):
    return "\n".join(f"printf '{content}' > out/{RUN}{mate}.fastq" for mate, content in files.items())


ESCAPED = READS.replace("\n", "\\n")


def test_programs_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"^vdb-validate: not found; install sra-tools \(apt-get install sra-toolkit,"):
        fastq(tmp_path / "x", row(), tmp_path / "out")


@pytest.mark.parametrize("version", ["fasterq-dump : 2.11.3", "fasterq-dump : 3.0.2 ( 3.0.2 )", "dump"])
def test_versions_that_are_too_old(stubs, version):
    with pytest.raises(InputError, match=r"^fasterq-dump: version (2.11.3|3.0.2|none told), need 3.0.3 or newer"):
        fastq(*stubs(version=version))


@pytest.mark.parametrize("version", ["fasterq-dump : 3.0.3 ( 3.0.2 )", "fasterq-dump : 3.10.0"])
def test_versions_that_will_do(stubs, version):
    made = fastq(*stubs(f"{counts(1, 1)}\n{put(**{'': ESCAPED})}", version=version))
    assert gzip.decompress(made["single"].read_bytes()).decode() == READS


def test_pairs_and_orphans(stubs):
    dump = f"{counts(3, 5)}\n" + put(_1=ESCAPED * 2, _2=ESCAPED * 2, **{"": ESCAPED})
    sra, wish, folder = stubs(dump)
    made = fastq(sra, wish, folder)
    assert {role: path.name for role, path in made.items()} == {
        "R1": f"{RUN}_1.fastq.gz",
        "R2": f"{RUN}_2.fastq.gz",
    }
    assert sorted(os.listdir(folder)) == sorted(path.name for path in made.values())


@pytest.mark.parametrize(
    ("dump", "validate", "error", "said"),
    [
        ("", VALID, DamageError, "fasterq-dump ended well but wrote no reads: it said nothing"),
        (counts(0, 0), VALID, DamageError, "fasterq-dump ended well but wrote no reads"),
        ("echo 'err: invalid' >&2; exit 3", VALID, DamageError, r"fasterq-dump failed \(exit 3\): err: invalid"),
        ("kill -9 $$", VALID, WorkerError, "fasterq-dump was killed by signal 9"),
        (counts(1, 1), VALID, DamageError, "fasterq-dump wrote nothing; expected one FASTQ, or a pair"),
        (f"{counts(1, 1)}\n{put(_1=ESCAPED)}", VALID, DamageError, "wrote SRR139146_1.fastq; expected one FASTQ"),
        (f"{counts(1, 1)}\n{put(_3=ESCAPED)}", VALID, DamageError, "wrote SRR139146_3.fastq; expected one FASTQ"),
        (
            f"{counts(2, 2)}\n{put(**{'': ESCAPED})}",
            VALID,
            DamageError,
            "SRR139146.fastq 1; fasterq-dump says 2 in all",
        ),
        (f"{counts(2, 3)}\n{put(_1=ESCAPED * 2, _2=ESCAPED)}", VALID, DamageError, "_1.fastq 2, SRR139146_2.fastq 1"),
        (f"{counts(1, 1)}\n{put(**{'': ESCAPED[:-8]})}", VALID, DamageError, "no multiple of four: it is cut"),
        (counts(1, 1), "", DamageError, "vdb-validate does not say that the file is consistent: it said nothing"),
        (counts(1, 1), "echo bad >&2; exit 1", DamageError, r"vdb-validate failed \(exit 1\): bad"),
    ],
)
def test_what_the_programs_say_and_write_is_checked(stubs, dump, validate, error, said):
    sra, wish, folder = stubs(dump, validate)
    with pytest.raises(error, match=said) as caught:
        fastq(sra, wish, folder)
    assert str(caught.value).startswith(f"{RUN}: ")
    assert os.listdir(folder) == []


def test_a_disk_that_is_too_small_is_said_before_anything_runs(stubs, monkeypatch):
    sra, _, folder = stubs("touch ran")
    monkeypatch.setattr(sra_tools.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(InputError, match=r"out: SRR139146 needs about 8.0 MB while it is converted, 1.0 kB are free"):
        fastq(sra, row(reads=10_000, bases=1_000_000), folder)
    assert os.listdir(folder) == []


def test_settings_of_the_user_are_not_used(stubs, monkeypatch):
    monkeypatch.setenv("NCBI_SETTINGS", "/nowhere/user-settings.mkfg")
    seen = "cp $NCBI_SETTINGS seen.mkfg && cat seen.mkfg >&2 && exit 9"
    sra, wish, folder = stubs(seen)
    with pytest.raises(DamageError, match="remote/disabled"):
        fastq(sra, wish, folder, offline=True)


# ---- through the lock


def test_from_the_open_bucket_to_a_folder_of_fastq(real, tmp_path, test_data):
    """The row is made of the file's own size and md5: no answer that was recorded describes this run."""
    with Portal() as portal:
        served = Archives(portal, test_data / "metadata").serve_sra(RUN, real)
        pinned = row(**served, format="sra", reads=SPOTS)
        sources = portal.sources(tmp_path)
        fetch(tmp_path / "results/t", [pinned], sources)
        (file,) = local_files(tmp_path / "results/t")
        assert (file.path.name, file.role, file.run, file.format) == (f"{RUN}.fastq.gz", "single", RUN, "fastq")
        first = file.path.read_bytes()
        assert gzip.decompress(first).count(b"\n") == 4 * SPOTS
        # again, from the cache alone, in another folder: the same bytes
        portal.clear()
        fetch(tmp_path / "results/again", [pinned], sources.model_copy(update={"locked": True}))
        assert (tmp_path / f"results/again/{RUN}.fastq.gz").read_bytes() == first
        assert portal.log == []
