"""What jobs of reads are told: local files of rows, fetched runs, and the program that rules start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqmill.config.written import packed
from seqmill.reads.library import Run
from seqmill.runtime.marker import write_marker
from seqmill.sources import FORMAT
from seqmill.stages.reads_jobs import _runs


def fetched(folder: Path, files: dict[str, tuple[str, str]]) -> Path:
    """A fetched folder: file -> (role, run)."""
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"x")
    about = {name: {"role": role, "run": run, "format": "fastq"} for name, (role, run) in files.items()}
    write_marker(
        folder, noun="source", name=folder.name, format=FORMAT, attrs={"name": "s", "files": about, "inputs": {}}
    )
    return folder


def test_local_files_of_a_row():
    assert _runs([{"files": ["a.fq", "b.fq"]}, {"files": ["c.bam"]}]) == [
        [Run(Path("a.fq"), Path("b.fq"))],
        [Run(Path("c.bam"), None)],
    ]


def test_an_accession_of_two_runs_is_two_runs(tmp_path):
    names = {"SRR2_1.fastq.gz": ("R1", "SRR2"), "SRR2_2.fastq.gz": ("R2", "SRR2")}
    names |= {"SRR1_1.fastq.gz": ("R1", "SRR1"), "SRR1_2.fastq.gz": ("R2", "SRR1")}
    place = fetched(tmp_path / "s", names)
    found = _runs([{"folder": str(place)}])
    assert found == [
        [
            Run(place / "SRR1_1.fastq.gz", place / "SRR1_2.fastq.gz"),
            Run(place / "SRR2_1.fastq.gz", place / "SRR2_2.fastq.gz"),
        ]
    ]


def test_single_reads_and_a_file_without_role(tmp_path):
    place = fetched(tmp_path / "s", {"SRR3.fastq.gz": ("single", "SRR3")})
    assert _runs([{"folder": str(place)}]) == [[Run(place / "SRR3.fastq.gz", None)]]
    place = fetched(tmp_path / "b", {"ENCFF000AAA.bam": ("", "")})
    assert _runs([{"folder": str(place)}]) == [[Run(place / "ENCFF000AAA.bam", None)]]


def started(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "seqmill.stages.reads_jobs", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=dict(os.environ), timeout=120)


def test_a_job_that_cannot_be_done_says_so_in_one_line(tmp_path):
    job = packed({"name": "g", "aligner": "bowtie2", "genome": "results/genome/g.zarr"})
    place = "results/aligners/g.bowtie2/marker.json"
    done = started("aligner", place, job, "--log", "logs/a.log", folder=tmp_path)
    assert done.returncode == 4  # a damaged or absent store
    assert "Traceback" not in done.stderr
    assert "results/genome/g.zarr" in (tmp_path / "logs/a.log").read_text()
    assert not (tmp_path / "results/aligners/g.bowtie2").exists()


@pytest.mark.parametrize("arguments", [("nothing", "marker.json", "e30="), ("aligner", "results/x", "e30=")])
def test_a_wrong_call_is_refused(arguments, tmp_path):
    done = started(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert "error: " in done.stderr
