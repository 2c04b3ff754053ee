"""From marked alignments to the table of fragments; alignments that are given and cannot be used."""

import os
import random
from collections import Counter

import numpy as np
import pysam
import pytest
from tests.unit.reads_examples import needs_programs, slow_complexity
from tests.unit.signal_examples import write_bam

from seqmill.reads.bam_input import look
from seqmill.reads.filter import TABLE, complexity, split_marked
from seqmill.reads.fragments import FragmentTable
from seqmill.runtime.errors import InputError

SIZES = {"chr1": 5_000, "chr2": 900, "chr3": 100}


def marked_pairs(number, length, seed=0):
    """Pairs of a contig, some of them copies with the mark; as `write_bam` takes them."""
    rng = random.Random(100 * seed + number)
    reads = []
    for name in range(60 if length > 200 else 0):
        start = rng.randrange(0, length - 200, 1 if name % 2 else 40)
        span = rng.choice([20, 35, 120, 180])
        mark = 1024 if rng.random() < 0.3 else 0
        left, right = (99, 147) if rng.random() < 0.5 else (163, 83)
        reads.append((f"p{number}.{name}", start, "20M", left + mark, 40, span, start + span - 20))
        reads.append((f"p{number}.{name}", start + span - 20, "20M", right + mark, 40, -span, start))
    return sorted(reads, key=lambda read: read[1])


def marked_singles(number, length):
    rng = random.Random(number)
    rows = []
    for name in range(80 if length > 200 else 0):
        cigar = rng.choice(["20M", "10M5D10M", "5S20M"])
        flag = rng.choice([0, 16, 0, 16, 1024, 1040])
        rows.append((f"s{name}", rng.randrange(0, length - 100, 20), cigar, flag, 40, 0, -1))
    return sorted(rows, key=lambda read: read[1])


def slow_fragments(bam, keep):
    """Rows (contig, start, end, strand), one read after the other."""
    rows = []
    with pysam.AlignmentFile(str(bam)) as file:
        for read in file.fetch(until_eof=True):
            if read.is_duplicate and not keep:
                continue
            if not read.is_paired:
                end = max(read.get_reference_positions()) + 1
                rows.append((read.reference_name, read.reference_start, end, -1 if read.is_reverse else 1))
            elif read.is_read1:
                start = min(read.reference_start, read.next_reference_start)
                end = start + abs(read.template_length)
                rows.append((read.reference_name, start, end, -1 if read.is_reverse else 1))
    return sorted(rows)


def rows_of(table):
    return sorted((contig, *row) for contig, found in table for row in zip(*(column.tolist() for column in found)))


def split(folder, bam, paired, keep=False, threads=1, sizes=SIZES):
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return out, split_marked(bam, out, sizes=sizes, paired=paired, keep_duplicates=keep, threads=threads, what="toy")


@needs_programs
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("paired", [True, False])
def test_table_and_counts_agree_with_slow_readers(tmp_path, paired, keep):
    reads = marked_pairs if paired else marked_singles
    bam = write_bam(tmp_path / "marked.bam", index=False, sizes=SIZES, reads=reads)
    out, counts = split(tmp_path, bam, paired, keep)
    table = FragmentTable(out / TABLE)
    expected = slow_fragments(bam, keep)
    assert rows_of(table) == expected
    assert table.paired == paired
    assert list(table.sizes) == list(SIZES)
    slow = slow_complexity(bam)
    with pysam.AlignmentFile(str(bam)) as file:
        duplicates = sum(read.is_duplicate for read in file.fetch(until_eof=True))
    assert counts == {**slow, "duplicates": duplicates, "fragments": len(expected)}
    assert 0 < slow["once"] < slow["distinct"] < slow["fragments_before_duplicates"]
    assert slow["twice"] > 0
    assert slow_fragments(out / "filtered.bam", True) == expected
    assert sorted(path.name for path in out.iterdir()) == ["filtered.bam", "filtered.bam.bai", TABLE]


@needs_programs
def test_the_same_bytes_with_two_threads(tmp_path):
    bam = write_bam(tmp_path / "marked.bam", index=False, sizes=SIZES, reads=marked_pairs)
    found = []
    for threads in (1, 2):
        out, _ = split(tmp_path, bam, True, threads=threads)
        found.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert found[0] == found[1]


@needs_programs
def test_long_contigs_get_an_index_that_reaches_them(tmp_path):
    """Case: a contig beyond what BAI can hold."""
    sizes = {"1": 700_000_000}
    reads = [("r", 600_000_000, "20M", 0, 40, 0, -1)]
    bam = write_bam(tmp_path / "marked.bam", index=False, sizes=sizes, reads=lambda number, length: reads)
    out, counts = split(tmp_path, bam, False, sizes=sizes)
    assert counts["fragments"] == 1
    assert (out / "filtered.bam.csi").exists() and not (out / "filtered.bam.bai").exists()
    with pysam.AlignmentFile(str(out / "filtered.bam")) as file:
        assert [read.reference_start for read in file.fetch("1", 600_000_000, 600_000_001)] == [600_000_000]


def test_complexity_of_random_places():
    rng = np.random.default_rng(1)
    for size in (0, 1, 2, 50, 400):
        start, length = rng.integers(0, 30, size), rng.integers(1, 4, size)
        strand = rng.choice([-1, 1], size).astype(np.int8)
        for used in (None, strand):
            keys = zip(start.tolist(), (start + length).tolist(), [0] * size if used is None else strand.tolist())
            times = Counter(Counter(keys).values())
            assert complexity(start, start + length, used) == {
                "fragments_before_duplicates": size,
                "distinct": times.total(),
                "once": times[1],
                "twice": times[2],
            }


# What given alignments are, and why some cannot be used.


def message(path, sizes=SIZES, **options):
    with pytest.raises(InputError) as error:
        look(path, sizes, partial=False, **options)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def bam_of(path, reads=marked_pairs, sizes=SIZES, **options):
    return write_bam(path, sizes=sizes, reads=reads, **options)


def test_what_a_file_is(tmp_path):
    sizes = {"1": 5_000, "2": 900, "other": 70}
    found = look(bam_of(tmp_path / "x.bam", sizes=sizes), SIZES, partial=False)
    assert found.names == {"1": "chr1", "2": "chr2"}
    assert (found.paired, found.grouped, found.shifted, found.cram) == (True, False, "", False)
    found = look(bam_of(tmp_path / "y.bam", marked_singles, index=False, order="queryname"), SIZES, partial=False)
    assert (found.paired, found.grouped) == (False, True)


def test_cut_files(tmp_path):
    path = bam_of(tmp_path / "x.bam")
    path.write_bytes(path.read_bytes()[:-28])
    assert message(path) == "truncated: the last block of a BAM file (end-of-file mark) is missing"


def test_a_cut_file_shows_by_its_index(tmp_path):
    path = bam_of(tmp_path / "x.bam")
    short = bam_of(tmp_path / "y.bam", lambda number, length: marked_pairs(number, length)[:4], index=False)
    path.write_bytes(short.read_bytes())
    os.utime(tmp_path / "x.bam.bai", (path.stat().st_mtime + 10,) * 2)
    assert message(path).startswith("truncated: its index x.bam.bai points at byte ")
    os.utime(tmp_path / "x.bam.bai", (path.stat().st_mtime - 10,) * 2)  # outdated: it says nothing
    assert look(path, SIZES, partial=False).paired


def test_another_assembly(tmp_path):
    path = bam_of(tmp_path / "x.bam", sizes={"chr1": 249_250_621}, reads=lambda number, length: marked_pairs(0, 5_000))
    assert message(path, {"chr1": 248_956_422}) == (
        "1 contig length(s) differ from the genome: chr1 249,250,621 in the file, 248,956,422 in the genome "
        "(the file is hg19, the genome is hg38)"
    )
    assert look(path, {"chr1": 5_000}, partial=True).names == {"chr1": "chr1"}


def test_single_and_paired_reads_in_one_file(tmp_path):
    def mixed(number, length):
        reads = marked_pairs(number, length) + [(f"s{n}", 10 * n, "20M", 0, 40, 0, -1) for n in range(7)]
        return sorted(reads, key=lambda read: read[1]) if length > 200 else []

    assert message(bam_of(tmp_path / "x.bam", mixed)) == (
        "mixes single and paired reads (240 of the first 254 are of pairs); give each kind as a library of its own"
    )


def test_no_mapped_reads(tmp_path):
    def unmapped(number, length):
        return [(f"s{n}", 10 * n, "20M", 4, 0, 0, -1) for n in range(7)]

    assert message(bam_of(tmp_path / "x.bam", unmapped)) == "0 mapped reads; was it aligned?"


def test_cram_needs_a_reference(tmp_path):
    path = tmp_path / "x.cram"
    path.write_bytes(b"CRAM\x03\x00")
    assert message(path) == "is a CRAM: it needs the reference FASTA it was made with (option reference)"


def test_something_else(tmp_path):
    path = tmp_path / "x.bam"
    path.write_bytes(b"@HD\tVN:1.6\n")
    assert message(path) == "not a BAM file: SAM text; convert it to BAM"
    with pysam.BGZFile(str(path), "w") as handle:
        handle.write(b"chr1\t5\t6\n" * 100)
    assert message(path).startswith("damaged or truncated alignment file (")
