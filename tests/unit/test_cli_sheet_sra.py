"""The verb `sheet sra`: from a study of the recorded search to a sheet that can be locked and fetched."""

import json
from pathlib import Path

import pytest
from tests.portal import Portal
from tests.portal.ena import Archives

from seqmill.cli import main
from seqmill.config.lock import read_lock
from seqmill.config.sheet import read_sheet

STUDY = "PRJEB12126"


@pytest.fixture
def lab(tmp_path, monkeypatch, test_data):
    """A project without a sheet; the study's runs have stand-in FASTQ files."""
    with Portal() as portal:
        archives = Archives(portal, test_data / "metadata")
        runs = [name for name, run in archives.runs.items() if run.get("study_accession") == STUDY]
        archives.files = {name: archives.serve_fastq(name, mates=("",)) for name in runs}
        archives.experiments = {archives.runs[name]["experiment_accession"] for name in runs}
        monkeypatch.chdir(tmp_path)
        Path("genome.fa").write_text(">chr1\n" + "ACGT" * 100 + "\n")
        sources = portal.sources(tmp_path).model_dump(mode="json", exclude={"lock"})
        config = {"genomes": {"mm10": {"fasta": "genome.fa"}}, "tracks": {"sheet": "tracks.tsv"}, "sources": sources}
        Path("config").mkdir()
        Path("config/config.yaml").write_text(json.dumps(config))
        yield archives


def test_from_a_study_to_fetched_reads(lab, capsys):
    assert main(["sheet", "sra", STUDY, "--genome", "mm10", "--out", "tracks.tsv"]) == 0
    assert f"{len(lab.experiments)} experiments, {len(lab.files)} runs" in capsys.readouterr().err
    tracks = read_sheet("tracks.tsv")
    assert {track.location for track in tracks} == lab.experiments
    assert {(track.source, track.format, track.assembly) for track in tracks} == {("sra", "fastq", "mm10")}
    assert main(["lock"]) == 0
    rows = read_lock("tracks.lock.tsv")
    assert {row.run for row in rows} == set(lab.files)
    one = rows[0]
    assert main(["fetch", one.name]) == 0
    assert next(Path("results/sources").glob(f"*/{one.file}")).read_bytes() == lab.files[one.run][one.file]


def test_refusals(lab, capsys):
    assert main(["sheet", "sra", "ENCSR000AAA", "--out", "other.tsv"]) == 2
    assert "ENCSR000AAA: no accession of SRA, ENA, DDBJ or GEO; expected e.g. SRP096361" in capsys.readouterr().err
    assert main(["sheet", "sra", "SRP1", "--out", "other.tsv"]) == 2
    assert "SRP1: ENA returned no content and NCBI has no public run" in capsys.readouterr().err
    Path("other.tsv").write_text("mine")
    assert main(["sheet", "sra", STUDY, "--out", "other.tsv"]) == 2
    assert "other.tsv: exists; name another file" in capsys.readouterr().err
    assert Path("other.tsv").read_text() == "mine"
