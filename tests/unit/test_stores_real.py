"""Stores of real yeast data against slow readers: a plain FASTA loop, pyBigWig base values, a loop over fragments."""

import gzip
import random

import numpy as np
import pyBigWig
import pytest

from seqmill.config.sheet import Track
from seqmill.config.sources import Genome
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.track import TrackReader, build_track
from seqmill.stores.verify import verify


@pytest.fixture(scope="module")
def yeast(test_data):
    return test_data / "yeast_sacCer3"


@pytest.fixture(scope="module")
def genome(yeast, tmp_path_factory):
    folder = tmp_path_factory.mktemp("yeast") / "sacCer3.zarr"
    build_genome(folder, name="sacCer3", genome=Genome(fasta=yeast / "genome/sacCer3.fa.gz"))
    return GenomeReader(folder)


def test_genome(yeast, genome):
    letters, order = {}, []
    with gzip.open(yeast / "genome/sacCer3.fa.gz", "rt") as handle:
        for line in handle:
            if line.startswith(">"):
                order.append(line[1:].split()[0])
                letters[order[-1]] = []
            else:
                letters[order[-1]].append(line.strip())
    text = {contig: "".join(lines) for contig, lines in letters.items()}
    assert genome.sizes == {contig: len(text[contig]) for contig in order}
    assert list(genome.sizes) == order
    rng = random.Random(0)
    code = {"A": 0, "C": 1, "G": 2, "T": 3}
    for _ in range(200):
        contig = rng.choice(order)
        start = rng.randrange(len(text[contig]))
        piece = text[contig][start : start + 500]
        assert genome.codes(contig, start, start + len(piece)).tolist() == [code.get(c.upper(), 4) for c in piece]
        assert genome.softmask(contig, start, start + len(piece)).tolist() == [c.islower() for c in piece]
    assert verify(genome.folder) == []


@pytest.mark.parametrize(("file", "bin_bp"), [("MNase.bw", 75), ("RNA.fwd.bw", 32)])
def test_bigwig(yeast, genome, tmp_path, file, bin_bp):
    path = yeast / "tracks" / file
    track = Track(track="x", location=str(path), format="bigwig", bin_bp=bin_bp)
    build_track(tmp_path / "x.zarr", track=track, genome=genome, partial=False)
    reader = TrackReader(tmp_path / "x.zarr")
    assert reader.attrs["contigs"] == ["chrII", "chrIV", "chrXVI"]
    assert np.isnan(reader.bins("chrI", 0, 10)).all()
    rng = random.Random(1)
    with pyBigWig.open(str(path)) as source:
        for _ in range(100):
            contig = rng.choice(reader.attrs["contigs"])
            size = genome.sizes[contig]
            number = rng.choice([rng.randrange(size // bin_bp), size // bin_bp - (size % bin_bp == 0)])
            bases = source.values(contig.removeprefix("chr"), number * bin_bp, min((number + 1) * bin_bp, size))
            expected = sum(value for value in bases if value == value) / len(bases)
            assert reader.bins(contig, number, 1)[0] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_fragments(yeast, genome, tmp_path):
    path = yeast / "atac/yeast_500k_SRR1822137.bedpe.gz"
    track = Track(track="x", location=str(path), format="fragments", bin_bp=100, aggregate="sum", reads="centres")
    build_track(tmp_path / "x.zarr", track=track, genome=genome, partial=False)
    reader = TrackReader(tmp_path / "x.zarr")
    counts = {contig: np.zeros(-(-size // 100)) for contig, size in genome.sizes.items()}
    with gzip.open(path, "rt") as handle:
        for line in handle:
            contig, start, end = line.split()[:3]
            counts[contig][(int(start) + int(end)) // 2 // 100] += 1
    for contig, expected in counts.items():
        np.testing.assert_array_equal(reader.bins(contig, 0, len(expected)), expected)
