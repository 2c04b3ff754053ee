"""Real signal files against slow, independent readers."""

import gzip
import math
import random

import numpy as np
import pyBigWig
import pysam
import pytest
from tests.unit.signal_examples import slow_bins

from seqmill.formats.fasta import read_sizes
from seqmill.formats.signal import open_signal

YEAST = {"chrI": 230218, "chrII": 813184, "chrIII": 316620, "chrIV": 1531933, "chrM": 85779, "chrXVI": 948066}
HG19 = {"1": 9_876_492}


def check_windows(reader, contig, size, values_of, seed):
    """Random windows of several bin sizes, the last bin of the contig among them."""
    rng = random.Random(seed)
    for bin_bp in (1, 32, 75, 128):
        n_bins = -(-size // bin_bp)
        for first in [n_bins - 20] + [rng.randrange(n_bins - 20) for _ in range(6)]:
            values = values_of(first * bin_bp, min((first + 20) * bin_bp, size))
            for aggregate in ("mean", "sum", "max", "min"):
                for missing in ("zero", "nan"):
                    expected = slow_bins(values, bin_bp, aggregate, missing)
                    found = reader.bins(contig, first, 20, bin_bp, aggregate, missing)
                    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["24_DNASE_ENCFF890OGQ.bw", "00_CAGE_CNhs10752_plus.bw"])
def test_hg38_mini_bigwigs(test_data, name):
    sizes = read_sizes(test_data / "hg38_mini/chrom.sizes")
    path = test_data / "hg38_mini/bigwig" / name
    with open_signal(path, "bigwig", sizes) as reader, pyBigWig.open(str(path)) as slow:
        assert reader.missing_contigs == []
        for number, contig in enumerate(list(sizes)[::20]):
            check_windows(reader, contig, sizes[contig], lambda s, e, c=contig: slow.values(c, s, e), number)
        outside = reader.bins(contig, 0, 1024, 32, "mean", "nan")
        assert np.isnan(outside).all()  # data lie in the middle half only


def test_yeast_bigwig_names_without_chr(test_data):
    path = test_data / "yeast_sacCer3/tracks/PolII.bw"
    with open_signal(path, "bigwig", YEAST) as reader, pyBigWig.open(str(path)) as slow:
        assert reader.contigs == {"chrII": "II", "chrIV": "IV", "chrXVI": "XVI"}
        assert reader.missing_contigs == ["chrI", "chrIII", "chrM"]
        assert np.isnan(reader.bins("chrI", 0, 10, 32)).all()
        check_windows(reader, "chrIV", YEAST["chrIV"], lambda s, e: slow.values("IV", s, e), 1)


def test_yeast_fragments(test_data):
    path = test_data / "yeast_sacCer3/atac/yeast_500k_SRR1822137.bedpe.gz"
    coverage, ends = np.zeros(YEAST["chrIII"]), np.zeros(YEAST["chrIII"])
    with gzip.open(path, "rt") as handle:
        for line in handle:
            contig, start, end = line.split("\t")[:3]
            if contig == "chrIII":
                coverage[int(start) : int(end)] += 1
                ends[[int(start)]] += 1
                ends[[int(end) - 1]] += 1
    for mode, values in (("coverage", coverage), ("ends", ends)):
        known = np.where(values > 0, values, np.nan).tolist()
        with open_signal(path, "fragments", YEAST, mode=mode) as reader:
            check_windows(reader, "chrIII", YEAST["chrIII"], lambda s, e, known=known: known[s:e], 2)
            assert reader.bins("chrIII", 0, 1, YEAST["chrIII"], "sum")[0] == pytest.approx(values.sum(), rel=1e-6)


def test_atac_bam_on_a_piece_of_the_assembly(test_data):
    path = test_data / "hg19_chr1/reads/GL1.bam"
    cuts = np.zeros(HG19["1"])
    used = 0
    with pysam.AlignmentFile(str(path)) as file:
        for read in file.fetch("chr1", 0, HG19["1"] + 100):
            if read.flag & (4 | 256 | 512 | 1024 | 2048) or read.mapping_quality < 10:
                continue
            used += read.reference_start < HG19["1"]
            place = read.reference_end - 1 - 4 if read.is_reverse else read.reference_start + 4
            if place < HG19["1"]:
                cuts[place] += 1
    values = np.where(cuts > 0, cuts, math.nan).tolist()
    options = {"mode": "cuts", "plus_shift": 4, "minus_shift": -4, "mapq_min": 10}
    with open_signal(path, "bam", HG19, partial=True, **options) as reader:
        whole = reader.bins("1", 0, -(-HG19["1"] // 128), 128, "sum")
        assert whole.sum() == cuts.sum()
        assert reader.counts["reads used"] == used
        check_windows(reader, "1", HG19["1"], lambda s, e: values[s:e], 3)
        busy = int(np.argmax(whole))
        expected = slow_bins(values[busy * 128 : busy * 128 + 128], 1, "sum", "zero")
        assert reader.bins("1", busy * 128, 128, 1, "sum").tolist() == expected.tolist()
