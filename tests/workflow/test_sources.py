"""From a sheet of accessions to a dataset, against a portal on 127.0.0.1 that answers as ENCODE and UCSC do."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import yaml
from tests.portal import Portal
from tests.portal.encode import Encode
from tests.workflow.runs import leftovers, planned, snakemake, succeed

from seqmill.config.lock import read_lock

pytestmark = pytest.mark.workflow
SIZES = {"chr1": 40_000, "chr2": 30_000, "chr3": 20_000}


def genome_text(rng) -> str:
    return "".join(f">{name}\n{''.join(rng.choice(list('ACGT'), size))}\n" for name, size in SIZES.items())


def bigwig(path: Path, rng) -> bytes:
    with pyBigWig.open(str(path), "w") as out:
        out.addHeader(list(SIZES.items()))
        for name, size in SIZES.items():
            starts = list(range(0, size, 100))
            values = rng.random(len(starts)).tolist()
            out.addEntries([name] * len(starts), starts, ends=[start + 100 for start in starts], values=values)
    return path.read_bytes()


class Lab:
    """A folder with a sheet of accessions, a configuration, and the portal that they ask."""

    def __init__(self, folder: Path, portal: Portal):
        rng = np.random.default_rng(3)
        self.folder, self.portal, self.encode = folder, portal, Encode(portal)
        fasta = gzip.compress(genome_text(rng).encode(), mtime=0)
        portal.add("/ucsc/goldenPath/hg38/bigZips/hg38.fa.gz", fasta)
        md5 = hashlib.md5(fasta).hexdigest()
        portal.add("/ucsc/goldenPath/hg38/bigZips/md5sum.txt", f"{md5}  hg38.fa.gz\n")
        self.experiment = self.encode.add_experiment()
        self.accessions = []
        for number in range(3):
            experiment = self.experiment if number == 2 else ""
            accession = self.encode.add_file(
                experiment=experiment, preferred_default=True if experiment else None, assembly="GRCh38"
            )
            self.encode.serve(accession, bigwig(folder / "made.bw", rng))
            self.accessions.append(accession)
        (folder / "made.bw").unlink()
        self.write(self.rows())

    def rows(self) -> list[str]:
        one, two, _ = self.accessions
        return [f"one\t{one}\tmain", f"two\t{two}\tmain", f"three\t{self.experiment}\tmain"]

    def write(self, rows: list[str]) -> None:
        (self.folder / "tracks.tsv").write_text("\n".join(["track\tlocation\tgroup", *rows]) + "\n")
        sources = self.portal.sources(self.folder, total_s=5).model_dump(mode="json", exclude_defaults=True)
        config = {
            "sources": sources,
            "genomes": {"toy": {"fasta": "ucsc:hg38", "assembly": "GRCh38"}},
            "tracks": {"sheet": "tracks.tsv", "bin_bp": 100},
            "datasets": {
                "signal": {
                    "genomes": ["toy"], "windows": {"kind": "tiles", "window_bp": 1000},
                    "targets": {"signal": {"kind": "profile", "tracks": "all", "bin_bp": 100}},
                    "split": {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]},
                }
            },
        }  # fmt: skip
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "seqmill.cli", *arguments, "--configfile", "config.yaml"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120)

    def lock(self, *arguments: str) -> dict:
        done = self.command("lock", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def digests(self) -> dict[str, str]:
        """SHA-256 of everything that a dataset, a store or a fetched file holds."""
        results = self.folder / "results"
        found = {}
        for path in sorted(results.rglob("*")):
            if path.is_file() and path.name not in ("run.json", "marker.json") and "benchmarks" not in path.parts:
                found[str(path.relative_to(results))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return {path: digest for path, digest in found.items() if not path.startswith(".")}


@pytest.fixture
def lab(tmp_path):
    with Portal() as portal:
        yield Lab(tmp_path, portal)


def test_from_accessions_to_a_dataset_and_again_without_network(lab, monkeypatch):
    refused = snakemake(lab.folder, "datasets")
    assert refused.returncode and "run 'seqmill lock'" in refused.stderr
    assert lab.command("lock", "--check").returncode == 2

    made = lab.lock()
    assert made["files"] == 4 and made["changed"] == ["one", "three", "two", "ucsc:hg38"]
    rows = {row.name: row for row in read_lock(lab.folder / "tracks.lock.tsv")}
    assert rows["three"].accession == lab.accessions[2] and rows["three"].experiment == lab.experiment
    assert rows["one"].md5 == hashlib.md5(lab.encode.content[lab.accessions[0]]).hexdigest()
    text = (lab.folder / "tracks.lock.tsv").read_text()
    asked = len(lab.portal.log)
    assert lab.lock()["changed"] == [] and (lab.folder / "tracks.lock.tsv").read_text() == text
    assert lab.command("lock", "--check").returncode == 0
    assert len(lab.portal.log) == asked, "a lock that answers the sheet asked the portal again"

    assert [job for job in planned(lab.folder, "datasets") if job.startswith("fetch")] == [
        "fetch source=one", "fetch source=three", "fetch source=two", "fetch source=ucsc=3Ahg38",
    ]  # fmt: skip
    assert len(lab.portal.log) == asked, "a dry run asked the portal"
    succeed(lab.folder, "datasets")
    fetched = lab.folder / "results/sources/one" / f"{lab.accessions[0]}.bigWig"
    assert fetched.read_bytes() == lab.encode.content[lab.accessions[0]]
    assert not leftovers(lab.folder)
    assert planned(lab.folder, "datasets") == []
    first = lab.digests()
    verified = subprocess.run(
        [sys.executable, "-m", "seqmill.cli", "verify", "results"], cwd=lab.folder, capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr

    asked = len(lab.portal.log)
    os.rename(lab.folder / "results", lab.folder / "before")
    monkeypatch.setenv("SEQMILL_LOCKED", "1")
    succeed(lab.folder, "datasets")
    assert len(lab.portal.log) == asked, "a locked run asked the portal"
    assert lab.digests() == first


def test_a_locked_run_without_the_file_says_so(lab):
    lab.lock()
    done = lab.command("fetch", "one", "--locked")
    assert done.returncode == 6, done.stderr
    assert "locked" in done.stderr and lab.accessions[0] in done.stderr
    assert not (lab.folder / "results/sources/one").exists()


def test_another_file_of_a_track_repeats_that_track_alone(lab):
    lab.lock()
    succeed(lab.folder, "datasets")
    one = lab.accessions[0]
    new = lab.encode.add_file(assembly="GRCh38")
    lab.encode.serve(new, bigwig(lab.folder / "made.bw", np.random.default_rng(5)))
    lab.write([lab.rows()[0].replace(one, new), *lab.rows()[1:]])
    refused = snakemake(lab.folder, "datasets", "--dry-run")
    assert refused.returncode and "run 'seqmill lock'" in refused.stdout + refused.stderr
    assert lab.lock()["changed"] == ["one"]
    assert planned(lab.folder, "datasets") == [
        "dataset dataset=signal", "dataset_target dataset=signal, target=signal, group=main", "datasets",
        "fetch source=one", "track track=one",
    ]  # fmt: skip
    succeed(lab.folder, "datasets")
    assert [path.name for path in (lab.folder / "results/sources/one").glob("*.bigWig")] == [f"{new}.bigWig"]


def test_bytes_that_differ_from_the_lock_are_refused(lab):
    lab.lock()
    content = bytearray(lab.encode.content[lab.accessions[0]])
    content[-1] ^= 1
    lab.encode.content[lab.accessions[0]] = bytes(content)
    done = lab.command("tracks", "one")
    assert done.returncode == 6, done.stderr
    assert lab.accessions[0] in done.stderr and "md5" in done.stderr.lower()
    assert not (lab.folder / "results/sources/one").exists() and not leftovers(lab.folder)
