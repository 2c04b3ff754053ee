"""Cut sites, centres and coverage of fragments, spliced coverage of RNA by transcript strand, and their bigWigs."""

import tracemalloc

import numpy as np
import pybigtools
import pysam
import pytest

from seqmill.reads import signal
from seqmill.reads.fragments import Fragments
from seqmill.reads.signal import centres, coverage, cut_sites, five_prime_ends, rna_coverage, runs, write_signal


def fragments(*rows) -> Fragments:
    return Fragments.of(*(np.array(column) for column in zip(*rows)))


ROWS = fragments((2, 12, 1), (2, 12, -1), (5, 8, 1), (90, 100, -1))


def places(values: np.ndarray) -> dict[int, int]:
    return {int(base): int(values[base]) for base in np.flatnonzero(values)}


def test_ends_of_fragments_and_of_reads():
    assert [side.tolist() for side in five_prime_ends(ROWS, True)] == [[2, 2, 5, 90], [11, 11, 7, 99]]
    assert [side.tolist() for side in five_prime_ends(ROWS, False)] == [[2, 5], [11, 99]]


def test_cut_sites():
    paired = cut_sites(ROWS, 100, True, 0, 0)
    assert paired.dtype == np.uint32 and places(paired) == {2: 2, 5: 1, 7: 1, 11: 2, 90: 1, 99: 1}
    assert places(cut_sites(ROWS, 100, True, 4, -5)) == {2: 1, 6: 4, 9: 1, 94: 2}
    assert places(cut_sites(ROWS, 100, True, 4, -4)) == {3: 1, 6: 2, 7: 2, 9: 1, 94: 1, 95: 1}
    assert places(cut_sites(ROWS, 100, False, 4, -5)) == {6: 2, 9: 1, 94: 1}


def test_cut_sites_moved_off_the_contig_are_dropped():
    rows = fragments((0, 3, 0), (97, 100, 0))
    assert places(cut_sites(rows, 100, True, 4, -5)) == {4: 1, 94: 1}
    assert places(cut_sites(rows, 100, True, -1, 1)) == {3: 1, 96: 1}


def test_centres():
    assert places(centres(ROWS, 100, True)) == {6: 1, 7: 2, 95: 1}
    assert places(centres(ROWS, 100, True, fragment_bp=(4, 10))) == {7: 2, 95: 1}
    assert places(centres(ROWS, 100, True, fragment_bp=(3, 3))) == {6: 1}
    assert places(centres(ROWS, 100, False)) == {75: 1, 78: 1, 26: 1}


def test_coverage():
    values = coverage(ROWS, 100)
    assert values.dtype == np.uint32 and len(values) == 100
    assert values[:14].tolist() == [0, 0, 2, 2, 2, 3, 3, 3, 2, 2, 2, 2, 0, 0]
    assert values[90:].tolist() == [1] * 10
    single = coverage(ROWS, 100, extend_bp=20)
    assert places(single) == {**dict.fromkeys(range(80, 100), 1), **slow_extension()}


def slow_extension() -> dict[int, int]:
    found: dict[int, int] = {}
    for start, end in ((2, 22), (0, 12), (5, 25)):  # the - read of 2-12 reaches off the contig at -8
        for base in range(start, end):
            found[base] = found.get(base, 0) + 1
    return found


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
def test_runs_do_not_depend_on_blocks(monkeypatch, block):
    monkeypatch.setattr(signal, "BLOCK_BP", block)
    values = np.array([0, 0, 1, 1, 1, 2, 1, 1, 0, 0, 0, 5])
    found = [pair for starts, ends in runs(values) for pair in zip(starts.tolist(), ends.tolist())]
    assert found == [(0, 2), (2, 5), (5, 6), (6, 8), (8, 11), (11, 12)]
    assert not list(runs(values[:0]))


def test_bigwig_of_a_signal(tmp_path):
    """Zeros are no records, unless a contig has nothing else; a contig without values is not in the file."""
    sizes = {"a": 12, "zero": 9, "unknown": 7, "b": 3, "empty": 0}
    held = {"a": np.array([0, 0, 1, 1, 1, 2, 1, 1, 0, 0, 0, 5], np.uint32), "zero": np.zeros(9, np.uint32)}
    held |= {"b": np.array([0.5, np.nan, -2.0])}
    write_signal(tmp_path / "x.bw", sizes, held.get)
    file = pybigtools.open(str(tmp_path / "x.bw"))
    assert file.chroms() == {"a": 12, "zero": 9, "b": 3}
    assert list(file.records("a")) == [(2, 5, 1.0), (5, 6, 2.0), (6, 8, 1.0), (11, 12, 5.0)]
    assert list(file.records("zero")) == [(0, 9, 0.0)]
    assert list(file.records("b")) == [(0, 1, 0.5), (2, 3, -2.0)]


def test_bytes_of_a_bigwig_do_not_depend_on_blocks(tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(0, 2, 1000).astype(np.uint32)
    written = []
    for block in (17, 1000):
        monkeypatch.setattr(signal, "BLOCK_BP", block)
        write_signal(tmp_path / f"{block}.bw", {"a": 1000}, lambda _: values)
        written.append((tmp_path / f"{block}.bw").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("kind", ["cuts", "coverage"])
def test_memory_is_four_bytes_a_base(tmp_path, kind):
    """A contig of 250 Mb then takes 1.0 GB and what a block and the fragments take."""
    size, rng = 20_000_000, np.random.default_rng(0)
    start = rng.integers(0, size - 500, 50_000)
    rows = Fragments.of(start, start + rng.integers(1, 500, len(start)), np.zeros(len(start)))
    make = {"cuts": lambda _: cut_sites(rows, size, True, 4, -5), "coverage": lambda _: coverage(rows, size)}[kind]
    tracemalloc.start()
    try:
        write_signal(tmp_path / "x.bw", {"a": size, "b": size}, make)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 4 * size < peak < 4 * size + 60_000_000


SIZES = {"chr1": 200, "chr2": 60, "chr3": 50}
# A pair of a dUTP library from a transcript of the + strand: read 1 on -, read 2 on +; then one of the - strand,
# and a single read. Flags: 99 read 1 forward, 147 read 2 reverse, 83 read 1 reverse, 163 read 2 forward.
READS = [
    ("plus", 163, 10, "5M10N5M"),
    ("minus", 99, 60, "10M"),
    ("minus", 147, 65, "3S10M2I2M"),
    ("single", 16, 100, "4M2D4M"),
    ("plus", 83, 22, "10M"),
]
FORWARD = {"+": [(60, 70), (65, 77)], "-": [(10, 15), (25, 30), (22, 32), (100, 104), (106, 110)]}
REVERSE = {"+": FORWARD["-"], "-": FORWARD["+"]}
OWN = {"+": [(10, 15), (25, 30), (60, 70)], "-": [(65, 77), (22, 32), (100, 104), (106, 110)]}


def spliced_bam(path, reads=READS):
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "1", "LN": 200}, {"SN": "2", "LN": 60}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for name, flag, start, cigar in sorted(reads, key=lambda read: read[2]):
            read = pysam.AlignedSegment(file.header)
            read.query_name, read.flag, read.reference_id, read.reference_start = name, flag, 0, start
            read.mapping_quality, read.cigarstring = 60, cigar
            read.query_sequence = "A" * read.infer_query_length()
            file.write(read)
    return path


def covered(spans) -> list[int]:
    return [sum(start <= base < end for start, end in spans) for base in range(200)]


@pytest.mark.parametrize(
    ("strandedness", "spans"), [("forward", FORWARD), ("reverse", REVERSE), ("none", OWN)], ids=lambda case: str(case)
)
def test_rna_coverage_counts_both_mates_for_the_strand_of_the_transcript(tmp_path, monkeypatch, strandedness, spans):
    monkeypatch.setattr(signal, "BLOCK_BP", 64)
    bam = spliced_bam(tmp_path / "x.bam")
    for strand in "+-.":
        with rna_coverage(bam, SIZES, strandedness=strandedness, strand=strand) as values:
            found = values("chr1")
            assert found.dtype == np.uint32
            assert found.tolist() == covered(spans.get(strand) or spans["+"] + spans["-"])
            assert values("chr2").tolist() == [0] * 60 and values("chr3") is None


def test_rna_without_reads_on_a_strand_is_zero_there(tmp_path):
    bam = spliced_bam(tmp_path / "x.bam", [READS[1]])
    with rna_coverage(bam, SIZES, strandedness="reverse", strand="+") as values:
        write_signal(tmp_path / "x.bw", SIZES, values)
    file = pybigtools.open(str(tmp_path / "x.bw"))
    assert file.chroms() == {"chr1": 200, "chr2": 60} and list(file.records("chr1")) == [(0, 200, 0.0)]


def test_rna_keeps_what_the_file_holds(tmp_path):
    """Marked duplicates, supplementary and QC-failed reads of a filtered file are there because they are wanted."""
    bam = spliced_bam(tmp_path / "x.bam", [("a", flag, 10, "5M") for flag in (0, 256, 512, 1024, 2048)])
    with rna_coverage(bam, SIZES) as values:
        assert places(values("chr1")) == dict.fromkeys(range(10, 15), 4)
