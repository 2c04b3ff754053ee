"""Datasets of real files against pyBigWig and plain loops over the peak files."""

import csv
import gzip

import numpy as np
import pytest
from tests.unit import slow_examples as slow

from seqmill.config.datasets import Dataset
from seqmill.config.sheet import Track
from seqmill.config.sources import Genome
from seqmill.examples import build
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.track import build_track


def build_all(folder, dataset, assembly, fasta, rows, partial=False, blacklists=None, **more) -> DatasetReader:
    """One genome, its tracks and a dataset with a single target over all of them."""
    genome, out = folder / f"genome/{assembly}.zarr", folder / "datasets/real.zarr"
    build_genome(genome, name=assembly, genome=Genome(fasta=fasta, partial=partial))
    stores = {row.track: folder / f"tracks/{row.track}.zarr" for row in rows}
    for row in rows:
        build_track(stores[row.track], track=row, genome=GenomeReader(genome), partial=partial)
    genomes = {assembly: genome}
    common = {"name": "real", "dataset": dataset, "genomes": genomes}
    build.build_rows(out / "rows", blacklists=blacklists, **more, **common)
    build.build_input(out / "inputs/sequence", input_name="sequence", rows=out / "rows", **common)
    key = next(iter(dataset.targets))
    target = out / "targets" / key / "main"
    build.build_target(
        target, target_name=key, group="main", tracks=rows, rows=out / "rows", track_stores=stores, **common
    )
    build.finish(out, name="real", arrays=["inputs/sequence", f"targets/{key}/main"])
    return DatasetReader(out)


@pytest.mark.slow
def test_profiles_of_human_bigwigs(test_data, tmp_path):
    pybigwig = pytest.importorskip("pyBigWig")
    folder = test_data / "hg38_mini"
    with open(folder / "tracks.tsv") as handle:
        sheet = list(csv.DictReader(handle, delimiter="\t"))
    sheet = [row for row in sheet if row["identifier"].startswith("CNhs10752") or row["file"].startswith("24_")]
    partner = {"CNhs10752+": "CNhs10752-", "CNhs10752-": "CNhs10752+"}
    tracks = [
        Track(
            track=row["identifier"],
            location=str(folder / "bigwig" / row["file"]),
            format="bigwig",
            assembly="mini",
            bin_bp=32,
            strand_pair=partner.get(row["identifier"], ""),
            clip_soft=2,
        )
        for row in sheet
    ]
    section = Dataset(
        genomes=["mini"],
        windows={
            "kind": "tiles",
            "window_bp": 8192,
            "stride_bp": 8192,
            "label_bp": 4096,
            "within": folder / "regions.bed",
        },
        targets={"profile": {"kind": "profile", "tracks": "all", "length_bp": 4096, "bin_bp": 64}},
        split={"kind": "regions", "file": folder / "regions.bed", "rename": {"valid": "test"}},
        margin_bp=128,
    )
    reader = build_all(tmp_path, section, "mini", folder / "genome.fa.gz", tracks, grid_bp=32)
    with open(folder / "regions.bed") as handle:
        part = {line.split("\t")[0]: line.split()[3] for line in handle}
    rows, values = reader.rows(), reader.read("targets/profile", 0, reader.n)
    assert all((row.fold == "test") == (part[row.contig] == "valid") for row in rows.itertuples())
    assert rows.groupby("contig")["fold"].nunique().max() == 1
    assert reader.targets["profile"].rc == "reverse_swap"
    files = [pybigwig.open(track.location) for track in tracks]
    for i in np.random.default_rng(1).choice(reader.n, 25, replace=False):
        row = rows.iloc[i]
        low = int(row["start"]) + 2048 - 128
        for column, file in enumerate(files):
            bases = np.nan_to_num(file.values(row["contig"], low, low + 4096 + 256, numpy=True)).astype(np.float64)
            expected = [slow.constants(value, "none", 2, None, 1) for value in bases.reshape(-1, 64).mean(axis=1)]
            np.testing.assert_allclose(values[i, :, column], expected, rtol=2e-5, atol=1e-6)


def test_labels_of_transcription_factors(test_data, tmp_path):
    folder = test_data / "hg19_chr1"
    names = ["CTCF.GM12878", "MYC.K562", "SPI1.GM12878"]
    files = {name: folder / f"peaks_tf_chr1/{name}.bed.gz" for name in names}
    tracks = [Track(track=n, location=str(f), format="bed", assembly="hg19") for n, f in files.items()]
    section = Dataset(
        genomes=["hg19"],
        windows={"kind": "tiles", "window_bp": 1000, "stride_bp": 200, "label_bp": 200, "keep": "labelled"},
        targets={"tf": {"kind": "binary", "tracks": "all", "min_overlap": 0.5}},
        split={"kind": "blocks", "test": 0.2, "block_bp": 500_000},
    )
    reader = build_all(
        tmp_path,
        section,
        "hg19",
        folder / "genome/chr1_10MB.fasta.gz",
        tracks,
        partial=True,
        blacklists={"hg19": folder / "annotation/hg19-blacklist.v2.bed.gz"},
        tracks={n: tmp_path / f"tracks/{n}.zarr" for n in names},
    )
    peaks = {}
    for name, file in files.items():
        with gzip.open(file, "rt") as handle:
            cells = [line.split("\t") for line in handle if not line.startswith("#")]
        peaks[name] = [("1", int(c[1]), int(c[2]), 0) for c in cells if c[0].removeprefix("chr") == "1"]
    with gzip.open(folder / "genome/chr1_10MB.fasta.gz", "rt") as handle:
        text = handle.read().partition("\n")[2].replace("\n", "").upper()
    rows, labels, codes = (
        reader.rows(),
        reader.read("targets/tf", 0, reader.n),
        reader.read("inputs/sequence", 0, reader.n),
    )
    assert labels.any(axis=1).all()
    for i in np.random.default_rng(2).choice(reader.n, 40, replace=False):
        low = int(rows["start"][i]) + 400
        assert labels[i].tolist() == [slow.label(low, low + 200, peaks[n], "1", 0.5, "label") for n in names]
        found = text[rows["start"][i] : rows["end"][i]]
        assert codes[i].tolist() == ["ACGT".find(letter) if letter in "ACGT" else 4 for letter in found]
