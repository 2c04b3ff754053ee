"""Locations, the lock's text, and what a configuration asks of portals."""

import dataclasses
from pathlib import Path

import pytest

from seqmill.config.asked import Asked
from seqmill.config.lock import COLUMNS, LockRow, lock_beside, read_lock, write_lock
from seqmill.config.locked import Locked, lock_path
from seqmill.config.portals import Portals, Sources
from seqmill.config.project import Project
from seqmill.config.remote import source_of
from seqmill.config.sheet import read_sheet
from seqmill.config.wishes import wishes
from seqmill.runtime.errors import InputError

MD5 = "0123456789abcdef0123456789abcdef"
ROW = LockRow(
    name="atac", asked="TSTFF000AAA; assembly=hg38", file="TSTFF000AAA.bigWig", source="encode",
    accession="TSTFF000AAA", url="https://example.org/TSTFF000AAA.bigWig", bytes=20, md5=MD5,
    status="released", licence="CC0",
)  # fmt: skip


def sheet(folder: Path, *rows: str, header: str = "track\tlocation") -> Path:
    path = folder / "tracks.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def config(folder: Path, **more) -> dict:
    return {
        "genomes": {"hg38": {"fasta": "genome.fa"}},
        "tracks": {"sheet": str(folder / "tracks.tsv"), "bin_bp": 128},
        **more,
    }


@pytest.mark.parametrize(
    ("location", "source"),
    [
        ("data/ENCFF000AAA.bigWig", "local"), ("./a.bw", "local"), ("${DATA}/a.bw", "local"), ("C:a.bw", "local"),
        ("ENCSR000AAA", "encode"), ("ENCFF12ABC", "encode"), ("ENCFF000AAA.bed.gz", "encode"), ("encode:x", "encode"),
        ("SRR139146", "sra"), ("ERX1", "sra"), ("DRP12", "sra"), ("PRJEB12126", "sra"), ("SAMN123", "sra"),
        ("GSE93374", "geo"), ("GSM3717978", "geo"), ("https://a.org/b.bw", "url"), ("s3://b/k.bw", "url"),
        ("file:///etc/passwd", "url"), ("ucsc:hg38", "reference"), ("jaspar:2024/vertebrates", "reference"),
    ],
)  # fmt: skip
def test_locations_tell_their_source(location, source):
    assert source_of(location) == source


def test_lock_is_read_back_sorted(tmp_path):
    other = dataclasses.replace(ROW, name="aaa", role="R2", file="b.fastq.gz", reads=7, bases=70)
    first = dataclasses.replace(other, role="R1", file="z.fastq.gz")
    write_lock(tmp_path / "t.lock.tsv", [ROW, other, first])
    assert read_lock(tmp_path / "t.lock.tsv") == [first, other, ROW]
    assert ROW.digest == f"md5:{MD5}"
    assert dataclasses.replace(ROW, sha256="a" * 64).digest == "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("file", "../x", "'../x' is no safe file name"),
        ("file", ".hidden", "is no safe file name"),
        ("file", "a/b", "is no safe file name"),
        ("md5", "", "has neither md5 nor sha256"),
        ("md5", MD5[:-1] + "G", "has neither md5 nor sha256"),
        ("sha256", "12", "column 'sha256' holds '12'"),
        ("bytes", "-1", "column 'bytes': expected a whole number, found '-1'"),
        ("bytes", "1e6", "column 'bytes': expected a whole number, found '1e6'"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path, column, value, message):
    path = tmp_path / "t.lock.tsv"
    write_lock(path, [ROW])
    cells = path.read_text().splitlines()[1].split("\t")
    cells[COLUMNS.index(column)] = value
    path.write_text("\t".join(COLUMNS) + "\n" + "\t".join(cells) + "\n")
    with pytest.raises(InputError) as error:
        read_lock(path)
    assert f"{path}:2: " in str(error.value) and message in str(error.value)


def test_locks_of_another_form_are_refused(tmp_path):
    path = tmp_path / "t.lock.tsv"
    path.write_text("track\turl\n")
    with pytest.raises(InputError, match=r"is no lock of this version .found: track, url.; write it again"):
        read_lock(path)
    write_lock(path, [ROW])
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(InputError, match=r"3: atac: file TSTFF000AAA.bigWig is there twice"):
        read_lock(path)


def test_a_row_that_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="tab or line break"):
        write_lock(tmp_path / "x", [dataclasses.replace(ROW, licence="a\tb")])
    with pytest.raises(InputError, match="no safe file name"):
        write_lock(tmp_path / "x", [dataclasses.replace(ROW, file="..")])
    assert not list(tmp_path.iterdir())


def test_where_the_lock_lies(tmp_path):
    assert lock_path({"tracks": {"sheet": "a/my.tsv"}}) == Path("a/my.lock.tsv") == lock_beside("a/my.tsv")
    assert lock_path({"tracks": {"sheet": "a/my.tsv"}, "sources": {"lock": "b.tsv"}}) == Path("b.tsv")
    assert lock_path({}) == Path("config/sources.lock.tsv")


def test_wishes_are_files_of_sections_and_remote_rows(tmp_path):
    sheet(
        tmp_path,
        "local\tdata/a.bw\t\t",
        "atac\tatac.bw\t\t",
        "dnase\tENCSR000AAA\tsignal p-value\t1,2",
        "reads\tSRR139146\t\t",
        header="track\tlocation\toutput_type\treplicates",
    )
    values = config(tmp_path, genomes={"hg38": {"fasta": "ucsc:hg38", "assembly": "GRCh38", "blacklist": "boyle:hg38"}})
    found = wishes(values, "my.yaml")
    assert [(wish.name, wish.location) for wish in found] == [
        ("ucsc:hg38", "ucsc:hg38"), ("boyle:hg38", "boyle:hg38"), ("dnase", "ENCSR000AAA"), ("reads", "SRR139146"),
    ]  # fmt: skip
    assert [wish.assembly for wish in found[:2]] == ["GRCh38", "GRCh38"]
    assert found[2].text == "ENCSR000AAA; assembly=GRCh38; output_type=signal p-value; replicates=1,2"
    assert found[2].where == str(tmp_path / "tracks.tsv")


def locked_project(tmp_path: Path, row: str, *rows: LockRow) -> Project:
    sheet(tmp_path, row)
    write_lock(tmp_path / "tracks.lock.tsv", list(rows))
    return Project.of(config(tmp_path), "my.yaml")


def test_a_locked_track_is_its_fetched_file(tmp_path):
    row = dataclasses.replace(ROW, asked=Asked("atac", "ENCSR000AAA", assembly="hg38").text)
    project = locked_project(tmp_path, "atac\tENCSR000AAA", row)
    track = project.tracks["atac"]
    assert (track.location, track.format, track.source) == (
        "results/sources/atac/TSTFF000AAA.bigWig", "bigwig", "encode",
    )  # fmt: skip
    assert project.fetched() == {"atac": [row]}


def test_a_track_that_the_lock_does_not_answer_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"tracks.tsv: atac: ENCSR000AAA is not in the lock .*; run 'seqmill lock'"):
        _ = locked_project(tmp_path, "atac\tENCSR000AAA", dataclasses.replace(ROW, name="other")).tracks
    with pytest.raises(InputError, match=r"was written for 'TSTFF000AAA; assembly=hg38', not 'ENCSR000AAA; assembly"):
        _ = locked_project(tmp_path, "atac\tENCSR000AAA", ROW).tracks
    odd = dataclasses.replace(ROW, asked="ENCSR000AAA; assembly=hg38", file="TSTFF000AAA.tar")
    with pytest.raises(InputError, match=r"atac: TSTFF000AAA.tar .no format stated. is no format of a track"):
        _ = locked_project(tmp_path, "atac\tENCSR000AAA", odd).tracks


def test_files_of_sections_come_from_the_lock(tmp_path):
    sheet(tmp_path, "a\tdata/a.bw")
    values = config(tmp_path, genomes={"hg38": {"fasta": "ucsc:hg38"}})
    with pytest.raises(InputError, match=r"my.yaml: .*ucsc:hg38 is not in the lock .*; run 'seqmill lock'"):
        Project.of(values, "my.yaml")
    row = dataclasses.replace(ROW, name="ucsc:hg38", asked="ucsc:hg38", file="hg38.fa.gz")
    write_lock(tmp_path / "tracks.lock.tsv", [row])
    project = Project.of(values, "my.yaml")
    assert project.config.genomes["hg38"].fasta == Path("results/sources/ucsc=3Ahg38/hg38.fa.gz")
    assert project.fetched() == {"ucsc:hg38": [row]}
    write_lock(tmp_path / "tracks.lock.tsv", [row, dataclasses.replace(row, file="b.fa.gz")])
    with pytest.raises(InputError, match="ucsc:hg38 stands for 2 files in the lock"):
        Project.of(values, "my.yaml")


@pytest.mark.parametrize("ending", ["fastq.gz", "sra"])
def test_reads_of_no_known_assay_have_no_signal(tmp_path, ending):
    asked, file = "SRR139146; assembly=hg38", f"SRR139146.{ending}"
    row = dataclasses.replace(ROW, asked=asked, file=file, format="sra" if ending == "sra" else "fastq", role="single")
    sheet(tmp_path, "atac\tSRR139146")
    write_lock(tmp_path / "tracks.lock.tsv", [row])
    dataset = {
        "genomes": ["hg38"], "windows": {"kind": "tiles", "window_bp": 256}, "split": {"kind": "folds", "k": 2},
        "targets": {"signal": {"kind": "profile", "tracks": ["atac"], "bin_bp": 128}},
    }  # fmt: skip
    with pytest.raises(InputError, match="track atac is reads of assay '', of which no signal is made"):
        Project.of(config(tmp_path, datasets={"d": dataset}), "my.yaml")


def test_the_column_source_must_fit_the_location(tmp_path):
    path = sheet(tmp_path, "a\tSRR139146\tencode", header="track\tlocation\tsource")
    with pytest.raises(InputError, match=r":2: column 'source' says 'encode', but 'SRR139146' is sra; leave it empty"):
        read_sheet(path)
    assert read_sheet(sheet(tmp_path, "a\tENCSR000AAA\tencode", header="track\tlocation\tsource"))[0].format == ""


def test_locks_may_hold_nothing(tmp_path):
    assert Locked(tmp_path / "none.tsv").rows == {}
    write_lock(tmp_path / "none.tsv", [])
    assert Locked(tmp_path / "none.tsv").rows == {}


@pytest.mark.parametrize(
    "address", ["www.encodeproject.org", "ftp://a.org", "https://", "https://u@a.org", "https://a.org/?k=1"]
)
def test_base_addresses_are_checked(address):
    with pytest.raises(ValueError, match="is no address of a portal"):
        Portals(encode=address)


def test_the_cache_lies_where_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path / "shared"))
    assert Sources().cache_folder() == tmp_path / "shared"
    assert Sources(cache=tmp_path / "own").cache_folder() == tmp_path / "own"
    monkeypatch.delenv("SEQMILL_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Sources().cache_folder() == tmp_path / ".cache/seqmill"
