"""Alignment files that cannot be used: the message of each."""

import os
import struct

import pysam
import pytest
from tests.unit.signal_examples import SIZES, write_bam

from seqmill.formats.signal import open_signal
from seqmill.runtime.errors import InputError


def read_all(path, genome, **options):
    with open_signal(path, "bam", genome, **options) as reader:
        for contig in reader.contigs:
            reader.bins(contig, 0, -(-genome[contig] // 32), 32)


def message(path, genome=SIZES, **options):
    with pytest.raises(InputError) as error:
        read_all(path, genome, **options)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


def big_reads(number, length):
    """Enough reads that do not compress well for several BGZF blocks."""
    return [(f"name{start * 7919 % 10007}", start, "20M", 0, start % 61, 0, -1) for start in range(length - 20)]


def test_no_end_of_file_block(tmp_path):
    path = write_bam(tmp_path / "x.bam")
    path.write_bytes(path.read_bytes()[:-28])
    assert message(path) == "truncated: the last block of a BAM file (end-of-file mark) is missing"


@pytest.mark.parametrize("indexed", [True, False])
def test_cut_inside_and_end_mark_put_back(tmp_path, indexed):
    path = write_bam(tmp_path / "x.bam", reads=big_reads)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[-28:])
    index = tmp_path / "x.bam.bai"
    if indexed:
        os.utime(index, (path.stat().st_mtime + 10,) * 2)
    else:
        index.unlink()
    found = message(path)
    assert "truncated" in found or "cannot be indexed" in found


@pytest.mark.parametrize("kind", ["bai", "csi"])
def test_cut_between_blocks_and_end_mark_put_back(tmp_path, kind):
    """Such a file reads without any error; only its index knows how long it was."""
    path = write_bam(tmp_path / "x.bam", index=False, reads=big_reads)
    pysam.index(*(["-c"] if kind == "csi" else []), str(path))
    data = path.read_bytes()
    blocks, place = [], 0
    while place < len(data):
        blocks.append(place)
        place += struct.unpack_from("<H", data, place + 16)[0] + 1
    assert len(blocks) > 4
    with open_signal(path, "bam", SIZES, mode="cuts") as reader:
        assert reader.bins("chr1", 0, 1, 6000, "sum")[0] == SIZES["chr1"] - 20
    path.write_bytes(data[: blocks[-3]] + data[-28:])
    os.utime(tmp_path / f"x.bam.{kind}", (path.stat().st_mtime + 10,) * 2)
    assert message(path).startswith(f"truncated: its index x.bam.{kind} points at byte ")


def test_damaged_index(tmp_path):
    path = write_bam(tmp_path / "x.bam")
    index = tmp_path / "x.bam.bai"
    index.write_bytes(index.read_bytes()[:40])
    assert message(path).startswith("its index x.bam.bai cannot be used (damaged index (")
    index.write_bytes(b"something else")
    assert message(path) == "its index x.bam.bai cannot be used (not a BAI or CSI index); delete it"


def test_changed_byte(tmp_path):
    path = write_bam(tmp_path / "x.bam", reads=big_reads)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))
    os.utime(tmp_path / "x.bam.bai", (path.stat().st_mtime + 10,) * 2)
    assert "damaged or truncated alignment file" in message(path)


@pytest.mark.parametrize("order", ["unsorted", "queryname"])
def test_header_says_unsorted(tmp_path, order):
    path = write_bam(tmp_path / "x.bam", index=False, order=order)
    assert message(path) == f"is not sorted by coordinate (header says {order}): run samtools sort"


def test_unsorted_without_a_word(tmp_path):
    def backwards(number, length):
        return [(f"r{start}", start, "20M", 0, 9, 0, -1) for start in range(length - 20, 0, -50)]

    path = write_bam(tmp_path / "x.bam", index=False, order="unknown", reads=backwards)
    assert message(path).startswith("cannot be indexed; is it sorted by coordinate (samtools sort)? (")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.bam"]


def test_outdated_index_is_not_used(tmp_path):
    """The index of another file, older than the BAM: it is built anew, and not beside the file."""
    path = write_bam(tmp_path / "x.bam")
    other = write_bam(tmp_path / "y.bam", reads=lambda n, size: big_reads(n, size)[-30:])
    index = tmp_path / "x.bam.bai"
    (tmp_path / "y.bam.bai").rename(index)
    stale = index.read_bytes()
    os.utime(index, (path.stat().st_mtime - 100,) * 2)
    with open_signal(path, "bam", SIZES, mode="cuts") as reader:
        found = reader.bins("chr1", 0, 1, 6000, "sum").tolist()
    index.unlink()
    with open_signal(path, "bam", SIZES, mode="cuts") as reader:
        assert reader.bins("chr1", 0, 1, 6000, "sum").tolist() == found
    assert found[0] > 50
    assert other.exists()
    assert stale


def test_other_assembly(tmp_path):
    path = write_bam(tmp_path / "x.bam", sizes={"1": 249_250_621}, reads=lambda n, size: big_reads(n, 100))
    assert message(path, {"chr1": 248_956_422}) == (
        "1 contig length(s) differ from the genome: 1 249,250,621 in the file, 248,956,422 in the genome "
        "(the file is hg19, the genome is hg38)"
    )


def test_no_reads_after_the_filters(tmp_path):
    def low(number, length):
        flags = [0, 0, 0, 256, 1024]
        return [(f"r{i}", 10 * i, "20M", flags[i], 5, 0, -1) for i in range(5)]

    path = write_bam(tmp_path / "x.bam", reads=low)
    assert message(path, mapq_min=30) == (
        "no reads left after the filters: 6 mapping quality, 2 secondary, 2 duplicate; low quality sample or wrong "
        "options?"
    )


def test_no_pairs(tmp_path):
    path = write_bam(tmp_path / "x.bam", reads=lambda n, size: big_reads(n, 30))
    assert message(path, mode="fragments") == (
        "0 properly paired reads after the filters: 20 not properly paired; low quality sample or wrong options?"
    )


@pytest.mark.parametrize(("shift", "told"), [(4, True), (0, False)])
def test_cut_sites_that_were_shifted_before(tmp_path, shift, told):
    bam = write_bam(tmp_path / "x.bam", index=False)
    with pysam.AlignmentFile(str(bam)) as file:
        header, reads = file.header.to_dict(), list(file)
    header["PG"] = [{"ID": "1", "PN": "alignmentSieve", "CL": "alignmentSieve --ATACshift -b y.bam"}]
    path = tmp_path / "shifted.bam"
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for read in reads:
            file.write(read)
    if not told:
        read_all(path, SIZES, mode="cuts", plus_shift=shift, minus_shift=-shift)
        return
    with pytest.raises(InputError) as error:
        read_all(path, SIZES, mode="cuts", plus_shift=shift, minus_shift=-shift)
    text = "prior shift detected (alignmentSieve --ATACshift -b y.bam); the sheet shifts by +4 and -4 bp again: "
    assert text in str(error.value)


def test_contigs_beyond_512_Mb_get_an_index_that_reaches_them(tmp_path):
    size = 700_000_000
    path = write_bam(
        tmp_path / "x.bam",
        index=False,
        sizes={"1": size},
        reads=lambda number, length: [("r", 600_000_000, "20M", 0, 9, 0, -1)],
    )
    with open_signal(path, "bam", {"chr1": size}, mode="cuts") as reader:
        assert reader.bins("chr1", 5_999_999, 3, 100, "sum").tolist() == [0, 1, 0]


def test_no_reads_on_the_genome(tmp_path):
    path = write_bam(tmp_path / "x.bam", reads=lambda n, size: big_reads(n, 100) if n == 0 else [])
    assert message(path, {"chr2": 301}) == "no reads on the 1 contig(s) shared with the genome"


def test_cram_needs_its_reference(tmp_path):
    fasta = tmp_path / "ref.fa"
    fasta.write_text(f">1\n{'A' * 5003}\n>2\n{'A' * 301}\n")
    bam = write_bam(tmp_path / "x.bam")
    cram = tmp_path / "x.cram"
    pysam.view("-C", "-T", str(fasta), "-o", str(cram), str(bam), catch_stdout=False)
    assert message(cram) == "is a CRAM: it needs the reference FASTA it was made with (option reference)"
    with (
        open_signal(cram, "bam", SIZES, reference=fasta) as one,
        open_signal(bam, "bam", SIZES) as two,
    ):
        assert one.bins("chr1", 0, 150, 32).tolist() == two.bins("chr1", 0, 150, 32).tolist()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"@HD\tVN:1.6\n", "not a BAM file: SAM text; convert it to BAM"),
        (b"<html>", "not a BAM file: starts with b'<htm'"),
        (b"", "not a BAM file: starts with b''"),
    ],
)
def test_other_content(tmp_path, content, expected):
    path = tmp_path / "x.bam"
    path.write_bytes(content)
    assert message(path) == expected


def test_gzip_of_something_else(tmp_path):
    path = tmp_path / "x.bam"
    with pysam.BGZFile(str(path), "w") as handle:
        handle.write(b"chr1\t5\t6\n" * 100)
    assert message(path).startswith("damaged or truncated alignment file (")


def test_missing_file(tmp_path):
    assert message(tmp_path / "none.bam") == "cannot be read (No such file or directory)"
