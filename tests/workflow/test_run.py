"""Real runs: everything is built once, a change re-runs what depends on it and no more, a bad track is dealt with."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.workflow.runs import ROOT, leftovers, planned, snakemake, succeed

from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.track import TrackReader
from seqmill.stores.verify import verify

pytestmark = pytest.mark.workflow
WORLD = ("fault_world.yaml", "more.yaml")
# One baseline on the other dataset too, so that both are judged; that one has a control.
MORE = {
    "datasets": {"signal": {"control": {"tracks": {"track": ["chip_myc"]}, "bin_bp": 64}}},
    "baselines": {"kmer_signal": {"kind": "kmer", "dataset": "signal", "k": 2}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A finished run of the small simulated world."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "config").mkdir()
    shutil.copy(ROOT / "config" / "tracks.tsv", folder / "config")
    shutil.copy(ROOT / "benchmarks" / "fault_world.yaml", folder)
    (folder / "more.yaml").write_text(json.dumps(MORE))
    succeed(folder, config=WORLD)
    return folder


def test_every_noun_is_there_and_whole(world):
    results = world / "results"
    nouns = {str(marker.parent.relative_to(results)) for marker in results.rglob("marker.json")}
    tracks = ("atac_peaks", "ctcf_peaks", "gata1_peaks", "myc_peaks", "atac_cuts", "chip_ctcf", "chip_myc")
    parts = ("", "/rows", "/inputs/sequence")
    assert nouns == {
        "simulation",
        "genome/sim1.zarr",
        *(f"tracks/{track}.zarr" for track in tracks),
        *(f"datasets/{dataset}.zarr{part}" for dataset in ("peaks", "signal") for part in parts),
        "datasets/peaks.zarr/targets/bound/main",
        "datasets/signal.zarr/inputs/control",
        "datasets/signal.zarr/targets/coverage/main",
        "models/net/0.0",
        "predictions/net/0.0.zarr",
        "predictions/kmer/0.0.zarr",
        "predictions/kmer_signal/0.0.zarr",
        "evaluation/peaks",
        "evaluation/signal",
    }
    assert verify(results) == []
    assert leftovers(world) == []
    done = subprocess.run(
        [sys.executable, "-m", "seqmill.cli", "verify", "results"], cwd=world, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_job_left_its_log_and_its_benchmark(world):
    logs = {str(path.relative_to(world / "logs").with_suffix("")) for path in (world / "logs").rglob("*.log")}
    folder = world / "results" / "benchmarks"
    benchmarks = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.tsv")}
    assert len(logs) == 25
    assert logs == benchmarks


def test_the_report_names_every_dataset(world):
    page = (world / "results" / "report" / "index.html").read_text()
    for name in ("peaks", "signal", "net", "kmer", "kmer_signal"):
        assert name in page
    text = succeed(world, "--dry-run", config=WORLD)
    assert "Nothing to be done" in text


def test_a_second_run_does_nothing(world):
    before = {path: path.stat().st_mtime_ns for path in (world / "results").rglob("*") if path.is_file()}
    assert "Nothing to be done" in succeed(world, config=WORLD)
    after = {path: path.stat().st_mtime_ns for path in (world / "results").rglob("*") if path.is_file()}
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} <= {
        world / "results" / ".run.lock"
    }


def test_a_track_of_a_new_group_leaves_rows_inputs_and_other_groups(world):
    sheet = world / "config" / "tracks.tsv"
    text = sheet.read_text()
    lines = text.splitlines()
    header = lines[0].split("\t")
    extra = dict(zip(header, next(line for line in lines if line.startswith("chip_myc\t")).split("\t")))
    extra["track"] = "chip_late"
    rows = [line + "\tmain" for line in lines[1:]] + ["\t".join([*extra.values(), "late"])]
    tracks = {"track": ["atac_cuts", "chip_ctcf", "chip_late"]}
    late = {"datasets": {"signal": {"targets": {"coverage": {"tracks": tracks}}}}}
    (world / "late.yaml").write_text(json.dumps(late))
    try:
        sheet.write_text("\n".join(["\t".join([*header, "group"]), *rows]) + "\n")
        assert planned(world, config=(*WORLD, "late.yaml")) == [
            "baseline model=kmer_signal, fold=0, seed=0",
            "dataset dataset=signal",
            "dataset_target dataset=signal, target=coverage, group=late",
            "evaluate dataset=signal",
            "report",
            "track track=chip_late",
        ]
    finally:
        sheet.write_text(text)


def test_a_changed_control_leaves_rows_sequence_and_targets(world):
    changed = {"datasets": {"signal": {"control": {"tracks": {"track": ["atac_cuts"]}}}}}
    (world / "control.yaml").write_text(json.dumps(changed))
    assert planned(world, config=(*WORLD, "control.yaml")) == [
        "baseline model=kmer_signal, fold=0, seed=0",
        "dataset dataset=signal",
        "dataset_input dataset=signal, input=control",
        "evaluate dataset=signal",
        "report",
    ]


def test_a_changed_network_re_runs_training_and_what_follows(world):
    (world / "net.yaml").write_text(json.dumps({"models": {"net": {"training": {"max_steps": 41}}}}))
    assert planned(world, config=(*WORLD, "net.yaml")) == [
        "evaluate dataset=peaks",
        "predict model=net, fold=0, seed=0",
        "report",
        "train model=net, fold=0, seed=0",
    ]


# A small world of text files, for what needs several runs.

SIZES = {"chr1": 6000, "chr2": 5000, "chr3": 4000}


def toy(folder: Path, **tracks: str) -> Path:
    """Genome, signals and configuration; ``tracks`` are further rows of the sheet, name to file."""
    rng = random.Random(5)
    (folder / "data").mkdir(parents=True)
    text = "".join(f">{name}\n{''.join(rng.choice('ACGT') for _ in range(size))}\n" for name, size in SIZES.items())
    (folder / "data" / "toy.fa").write_text(text)
    for name in ("one", "two"):
        runs = [(contig, at) for contig, size in SIZES.items() for at in range(0, size, 50)]
        body = "".join(f"{contig}\t{at}\t{at + 50}\t{rng.randrange(1, 9)}\n" for contig, at in runs)
        (folder / "data" / f"{name}.bedgraph").write_text(body)
    files = {"one": "data/one.bedgraph", "two": "data/two.bedgraph", **tracks}
    (folder / "tracks.tsv").write_text("".join(["track\tlocation\n", *(f"{k}\t{v}\n" for k, v in files.items())]))
    config = {
        "genomes": {"toy": {"fasta": "data/toy.fa"}},
        "tracks": {"sheet": "tracks.tsv", "bin_bp": 10},
        "datasets": {
            "signal": {
                "genomes": ["toy"],
                "windows": {"kind": "tiles", "window_bp": 100},
                "targets": {"coverage": {"kind": "profile", "tracks": "all", "bin_bp": 50}},
                "split": {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]},
                "chunk_examples": 16,
            }
        },
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    return folder


@pytest.fixture
def bad(tmp_path) -> Path:
    """The toy world with a bigWig that is cut off."""
    folder = toy(tmp_path, cut="data/cut.bw")
    import pyBigWig

    path = folder / "data" / "cut.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(SIZES.items()))
        for contig, size in SIZES.items():
            starts = list(range(0, size, 10))
            file.addEntries([contig] * len(starts), starts, ends=[s + 10 for s in starts], values=[1.5] * len(starts))
    path.write_bytes(path.read_bytes()[:900])
    return folder


def with_policy(folder: Path, policy: str) -> Path:
    (folder / "policy.yaml").write_text(json.dumps({"tracks": {"on_bad_track": policy}}))
    return folder


POLICY = ("config.yaml", "policy.yaml")


def test_a_bad_track_fails_the_run_with_file_and_cause_and_nothing_half_written(bad):
    done = snakemake(with_policy(bad, "fail"), "--keep-going", config=POLICY)
    output = done.stdout + done.stderr
    log = (bad / "logs" / "tracks" / "cut.log").read_text()
    assert done.returncode != 0
    for text in (output, log):
        assert "data/cut.bw: truncated: the header points at byte" in text
        assert "Traceback" not in text
    assert not (bad / "results" / "tracks" / "cut.zarr").exists()
    assert not (bad / "results" / "datasets" / "signal.zarr" / "marker.json").exists()
    assert leftovers(bad / "results" / "tracks") == []
    assert verify(bad / "results" / "tracks" / "one.zarr") == []


def test_a_bad_track_is_left_out_of_the_dataset(bad):
    succeed(with_policy(bad, "drop"), config=POLICY)
    track = TrackReader(bad / "results" / "tracks" / "cut.zarr")
    assert track.state == "dropped"
    assert "data/cut.bw: truncated" in track.attrs["reason"]
    assert "track cut is dropped: data/cut.bw: truncated" in (bad / "logs" / "tracks" / "cut.log").read_text()
    dataset = DatasetReader(bad / "results" / "datasets" / "signal.zarr")
    assert dataset.targets["coverage"].tracks == ("one", "two")
    assert np.isfinite(dataset.read("targets/coverage", 0, dataset.n)).all()
    assert verify(bad / "results") == []


def test_a_bad_track_stays_as_missing(bad):
    succeed(with_policy(bad, "mask"), config=POLICY)
    assert "track cut is masked: data/cut.bw: truncated" in (bad / "logs" / "tracks" / "cut.log").read_text()
    dataset = DatasetReader(bad / "results" / "datasets" / "signal.zarr")
    assert dataset.targets["coverage"].tracks == ("one", "two", "cut")
    values = dataset.read("targets/coverage", 0, dataset.n)
    assert np.isnan(values[..., 2]).all() and np.isfinite(values[..., :2]).all()
    present = dataset.read("mask/coverage", 0, dataset.n)
    assert present[..., :2].all() and not present[..., 2].any()
    assert verify(bad / "results") == []


def test_a_source_exchanged_for_an_older_file_re_runs_what_was_made_of_it(tmp_path):
    folder = toy(tmp_path)
    succeed(folder)
    first = read_marker(folder / "results" / "tracks" / "two.zarr").digest
    assert planned(folder) == []
    source = folder / "data" / "two.bedgraph"
    changed = source.read_text().replace("chr1\t0\t50\t", "chr1\t0\t50\t1")
    source.write_text(changed)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    again = ["dataset dataset=signal", "dataset_target dataset=signal, target=coverage, group=main", "track track=two"]
    assert planned(folder) == again
    succeed(folder)
    assert read_marker(folder / "results" / "tracks" / "two.zarr").digest != first
    assert verify(folder / "results") == []
    assert planned(folder) == []
