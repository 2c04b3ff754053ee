"""From simulated FASTQ to a dataset by one command; what changes repeat, kills, and what becomes of poor reads."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.workflow.output_files import unnamed_files
from tests.workflow.runs import ROOT, leftovers, planned, snakemake, succeed

from seqmill.cli import main
from seqmill.runtime.marker import read_marker
from seqmill.simulate.molecules import LibraryPlan
from seqmill.simulate.reads import random_genome, simulate_library
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.track import TrackReader
from seqmill.stores.verify import verify

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in ("bowtie2", "samtools"))
        or all(shutil.which(name) is None for name in ("macs2", "macs3")),
        reason="bowtie2, samtools and macs are not all on PATH",
    ),
]
SIZES = {"chr1": 60_000, "chr2": 50_000, "chr3": 40_000, "chrM": 5_000}
SITES = {"chr1": [(10_000, 1.0), (30_000, 1.0), (50_000, 1.0)], "chr2": [(20_000, 1.0)], "chr3": [(15_000, 1.0)]}
BIN_BP = 50


def write_world(folder: Path) -> None:
    """Two replicates of ATAC on a random genome, their sheets and a configuration."""
    contigs = random_genome(SIZES, seed=1)
    (folder / "toy.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    rows = ["experiment\treplicate\tlocation\tmate\tassay"]
    for seed in (1, 2):
        plan = LibraryPlan("atac", 4000, seed=seed, sites=SITES, site_share=0.6, spill="chrM", spill_share=0.05)
        made = simulate_library(folder, f"rep{seed}", contigs, plan)
        rows.append(f"k\t{seed}\t{made.reads1.name}\t{made.reads2.name}\tATAC-seq")
    lines = gzip.decompress(made.truth.read_bytes()).decode().splitlines()[1:]
    fragments = ["\t".join([*line.split("\t")[:3], "cell", "5"]) for line in lines]  # five copies of each
    (folder / "copies.fragments.tsv.gz").write_bytes(gzip.compress("\n".join(fragments).encode() + b"\n", mtime=0))
    rows.append("copies\t1\tcopies.fragments.tsv.gz\t\tATAC-seq")
    (folder / "reads.tsv").write_text("\n".join(rows) + "\n")
    starts = [f"{contig}\t{place}\t{place + 1}\tg\t0\t+" for contig, places in SITES.items() for place, _ in places]
    (folder / "tss.bed").write_text("\n".join(starts) + "\n")
    tracks = ["track\tlocation\toutput_type\treplicates\taggregate"]
    tracks += ["cuts\treads:k\tcut sites\t\tsum", "cuts2\treads:k\tcut sites\t2\tsum", "peaks\treads:k\tpeaks\t\t"]
    tracks += ["copied\treads:copies\t\t\tsum"]
    (folder / "tracks.tsv").write_text("\n".join(tracks) + "\n")
    dataset = {
        "genomes": ["toy"],
        "windows": {"kind": "tiles", "window_bp": 500, "keep": "all"},
        "targets": {"open": {"kind": "count", "tracks": ["cuts", "cuts2"]}},
        "split": {"kind": "chromosomes", "valid": ["chr2"], "test": ["chr3"]},
    }
    config = {
        "genomes": {"toy": {"fasta": "toy.fa"}},
        "tracks": {"sheet": "tracks.tsv", "bin_bp": BIN_BP},
        "reads": {"sheet": "reads.tsv", "tss": "tss.bed"},
        "datasets": {"d": dataset},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reads")
    write_world(folder)
    succeed(folder)
    return folder


@pytest.fixture
def world(built, tmp_path) -> Path:
    """A copy with its results and Snakemake's notes, times kept."""
    shutil.copytree(built, tmp_path / "w", symlinks=True)
    return tmp_path / "w"


def cuts_of_truth(folder: Path, seed: int) -> dict[str, np.ndarray]:
    """Shifted cut sites of the molecules, once each, in bins."""
    seen, found = set(), {name: np.zeros(-(-size // BIN_BP)) for name, size in SIZES.items()}
    for line in gzip.decompress((folder / f"rep{seed}.truth.tsv.gz").read_bytes()).decode().splitlines()[1:]:
        contig, start, end, *_ = line.split("\t")
        place = contig, int(start), int(end)
        if place not in seen:
            seen.add(place)
            for cut in (place[1] + 4, place[2] - 1 - 5):
                if 0 <= cut < SIZES[contig]:
                    found[contig][cut // BIN_BP] += 1
    return found


def test_one_command_makes_a_dataset_of_reads(built):
    cuts, second = TrackReader(built / "results/tracks/cuts.zarr"), TrackReader(built / "results/tracks/cuts2.zarr")
    for contig in ("chr1", "chr2", "chr3"):
        truth = {seed: cuts_of_truth(built, seed)[contig] for seed in (1, 2)}
        bins = len(truth[1])
        pooled, alone = cuts.bins(contig, 0, bins), second.bins(contig, 0, bins)
        assert np.corrcoef(pooled, truth[1] + truth[2])[0, 1] > 0.995
        assert np.corrcoef(alone, truth[2])[0, 1] > 0.995
        assert abs(pooled.sum() / (truth[1] + truth[2]).sum() - 1) < 0.05
    assert np.isnan(cuts.bins("chrM", 0, 10)).all()  # its reads are counted, not used: no value is known
    assert cuts.attrs["experiment"]["assay"] == "atac"
    peaks = TrackReader(built / "results/tracks/peaks.zarr")
    for contig, places in SITES.items():
        found = peaks.intervals(contig)
        assert all(((found.start <= place) & (place < found.end)).any() for place, _ in places)
    assert DatasetReader(built / "results/datasets/d.zarr").n > 100
    assert verify(built / "results") == []
    assert unnamed_files(built / "results") == []
    assert leftovers(built) == []


def test_the_same_command_again_does_nothing(built):
    assert planned(built) == []


def test_the_command_agrees_that_all_is_there(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    assert main(["quality", "--configfile", "config.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["built"] == 0
    assert found["written"] == ["results/quality-table"]


def test_a_setting_of_peaks_leaves_the_alignments(world):
    config = yaml.safe_load((world / "config.yaml").read_text())
    config["reads"]["peak_p"] = 0.001
    (world / "config.yaml").write_text(yaml.safe_dump(config))
    jobs = planned(world)
    assert "experiment experiment=k" in jobs
    assert not [job for job in jobs if job.startswith(("library", "aligner", "genome"))]


def test_one_more_replicate_leaves_the_others(world):
    for mate in (1, 2):
        shutil.copyfile(world / f"rep2_R{mate}.fastq.gz", world / f"rep3_R{mate}.fastq.gz")
    with open(world / "reads.tsv", "a") as sheet:
        sheet.write("k\t3\trep3_R1.fastq.gz\trep3_R2.fastq.gz\tATAC-seq\n")
    jobs = planned(world)
    assert [job for job in jobs if job.startswith("library")] == ["library experiment=k, replicate=3"]


def test_poor_reads_mask_or_refuse_their_tracks(world):
    assert read_marker(world / "results/quality/copies").attrs["verdict"] == "poor"
    assert TrackReader(world / "results/tracks/copied.zarr").state == "ok"  # a warning is the default
    config = yaml.safe_load((world / "config.yaml").read_text())
    config["reads"]["on_poor_quality"] = "refuse"
    (world / "config.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(world, "results/tracks/copied.zarr/marker.json")
    assert done.returncode != 0
    assert "track copied: the quality of its reads is poor: " in done.stderr
    config["reads"]["on_poor_quality"] = "mask"
    (world / "config.yaml").write_text(yaml.safe_dump(config))
    succeed(world, "results/tracks/copied.zarr/marker.json")
    masked = TrackReader(world / "results/tracks/copied.zarr")
    assert masked.state == "masked"
    assert np.isnan(masked.bins("chr1", 0, 5)).all()
    assert leftovers(world) == []


def test_a_killed_alignment_is_done_again_and_ends_the_same(built, tmp_path):
    write_world(tmp_path)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["results/experiments/k/marker.json", "--configfile", "config.yaml"]
    run = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    begun, until = tmp_path / "results/libraries", time.monotonic() + 120
    while not list(begun.glob(".*")) and time.monotonic() < until:
        time.sleep(0.02)
    assert list(begun.glob(".*")), "no library was begun"
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (begun / "k.1/marker.json").exists()
    time.sleep(1.5)  # jobs stop within a second of their driver's death
    succeed(tmp_path, "results/experiments/k/marker.json")
    for noun in ("libraries/k.1", "libraries/k.2", "experiments/k"):
        assert read_marker(tmp_path / "results" / noun).digest == read_marker(built / "results" / noun).digest
    assert leftovers(tmp_path) == []


def test_a_damaged_fastq_stops_with_file_and_record(tmp_path):
    write_world(tmp_path)
    text = gzip.decompress((tmp_path / "rep1_R1.fastq.gz").read_bytes()).split(b"\n")
    text[4 * 10 + 3] = text[4 * 10 + 3][:-5]  # qualities of the 11th record
    (tmp_path / "rep1_R1.fastq.gz").write_bytes(gzip.compress(b"\n".join(text)))
    done = snakemake(tmp_path, "results/libraries/k.1/marker.json")
    assert done.returncode != 0
    message = [line for line in done.stderr.splitlines() if "rep1_R1.fastq.gz" in line and "ERROR" in line]
    assert message
    assert "11" in message[0]
    assert leftovers(tmp_path) == []
    assert "Traceback" not in done.stderr
