"""FASTQ: what is read, and how each kind of bad file is named."""

import bz2
import gzip
import logging
import zipfile

import pytest

from seqmill.formats import fastq
from seqmill.formats.fastq import FastqFacts, check_fastq, sequences
from seqmill.runtime.errors import InputError

GOOD = b"@r1\nACGT\n+\nIIII\n@r2\nACGNN\n+\nIIII#\n@r3\nAC\n+\nFF\n"


@pytest.fixture
def write(tmp_path):
    def one(content: bytes, name: str = "a.fq"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return one


def refused(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        check_fastq(*args, **kwargs)
    return str(caught.value)


def reads(count: int, name: str = "r{}", start: int = 1, bases: str = "ACGTACGT", quality: str = "IIIIIIII") -> bytes:
    return "".join(f"@{name.format(n)}\n{bases}\n+\n{quality}\n" for n in range(start, start + count)).encode()


# What is read


@pytest.mark.parametrize("name", ["a.fastq", "a.fq.gz", "odd name, with=comma.txt"])
def test_facts(write, name):
    assert check_fastq(write(GOOD, name)) == FastqFacts(3, 11, 2, 5, 2, 0, "")


def test_compression_is_told_by_content_and_members_are_joined(write):
    parts = gzip.compress(GOOD) + gzip.compress(b"") + gzip.compress(reads(5))
    path = write(parts, "named_plain.fastq")
    assert check_fastq(path, expected=8).reads == 8


def test_last_line_without_newline(write):
    assert check_fastq(write(GOOD.removesuffix(b"\n"))).reads == 3


def test_blocks_of_any_size_give_the_same(write, monkeypatch):
    path = write(GOOD + reads(50))
    whole = check_fastq(path)
    for size in (1, 2, 3, 7, 64, 1000):
        monkeypatch.setattr(fastq, "BLOCK_BYTES", size)
        assert check_fastq(path) == whole


def test_letters_that_stand_for_several_are_counted(write):
    path = write(b"@a\nACgtnRYK.N\n+\nIIIIIIIIII\n")
    assert check_fastq(path) == FastqFacts(1, 10, 10, 10, 3, 3, "")


def test_many_unknown_bases_warn(write, caplog):
    with caplog.at_level(logging.WARNING, "seqmill"):
        check_fastq(write(b"@a\nACGTNNRACG\n+\nIIIIIIIIII\n"))
    assert "30.0 % of the bases are N or other letters" in caplog.text


def test_name_repeated_behind_the_plus(write):
    assert check_fastq(write(b"@a x\nAC\n+a x\nII\n@b\nAC\n+\nII\n")).reads == 2
    assert refused(write(b"@a x\nAC\n+a y\nII\n")).endswith(
        "a.fq:3: read 1: the line of the + names 'a y', the read is 'a x'"
    )


def test_first_sequences(write):
    assert list(sequences(write(GOOD, "a.fq.gz"), 2)) == [b"ACGT", b"ACGNN"]


def test_real_reads(test_data):
    files = [test_data / "reads" / "yeast" / f"a.scerevisiae.{mate}.fq.gz" for mate in (1, 2)]
    lines = [gzip.decompress(path.read_bytes()).decode().splitlines() for path in files]
    lengths = [len(line) for of_file in lines for line in of_file[1::4]]
    unknown = sum(line.count("N") for of_file in lines for line in of_file[1::4])
    facts = check_fastq(*files)
    assert facts == FastqFacts(len(lengths), sum(lengths), min(lengths), max(lengths), unknown, 0, facts.suffix)
    assert facts.reads > 1000


# Reads that break a rule


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"@a\nACGT\n+\nIII\n", ":4: read 1: 4 bases, 3 qualities; expected as many"),
        (b"@a\nAC\nGT\n+\nII\nII\n", ":3: read 1: found 'GT', expected a line that begins with + (4 lines a read, no "),
        (GOOD + b"@a\nACGT\nIIII\n@b\n", ":15: read 4: found 'IIII', expected a line that begins with +"),
        (
            GOOD + b"ACGT\n+\nIIII\n@b\n",
            ":13: read 4: found 'ACGT', expected a name that begins with @ (4 lines a read)",
        ),
        (GOOD + b"@a\nAC\n+\n", ":15: read 4: ends after 3 of its 4 lines: the file is cut; expected 4 lines a read"),
        (GOOD + b"@a", ":13: read 4: ends after 1 of its 4 lines: the file is cut"),
        (GOOD + b"\n", ":13: read 4: an empty line; expected 4 lines a read"),
        (b"@a\nAC\n+\nII\n\n@b\nAC\n+\n", ":5: read 2: found an empty line, expected a name that begins with @"),
        (GOOD + b"@a\n\n+\n\n", ":14: read 4: is empty; leave such reads out (cutadapt -m 1)"),
        (
            b"@a\r\nACGT\r\n+\r\nIIII\r\n",
            ":1: read 1: Windows newlines (\\r\\n); expected \\n alone (convert with dos2unix)",
        ),
        (b"@a\nACGT\n+\nII I\n", ":4: read 1: quality ' ' (code 32) is not Phred+33 (codes 33 to 126)"),
        (b"@a\nACGT\n+\nII\xffI\n", ":4: read 1: quality 'ÿ' (code 255) is not Phred+33"),
        (b"@a\nACET\n+\nIIII\n", ":2: read 1: 'E' is not a base (A, C, G, T, N or IUPAC)"),
        (b"@a\nACUT\n+\nIIII\n", ":2: read 1: 'U' is not a base (A, C, G, T, N or IUPAC); RNA? Write T"),
        (b"@a\nT012\n+\nIIII\n", ":2: read 1: '0' is not a base (A, C, G, T, N or IUPAC); colour-space (SOLiD) reads?"),
        (b"@a\nAC-T\n+\nIIII\n", ":2: read 1: '-' is not a base (A, C, G, T, N or IUPAC); a gap"),
        (b"@\nACGT\n+\nIIII\n", ":1: read 1: has no name behind the @"),
        (b"@ 1:N:0:A\nACGT\n+\nIIII\n", ":1: read 1: has no name behind the @"),
        (b"@@a\nACGT\n+\nIIII\n", ":1: read 1: name '@a' begins with a second @"),
        (b"@\xc3\xa9\nACGT\n+\nIIII\n", ":1: read 1: name '@é' holds characters that are not printable ASCII"),
        (b"@" + b"x" * 255 + b"\nACGT\n+\nIIII\n", ":1: read 1: name of 255 characters; alignments can hold 254"),
    ],
)
@pytest.mark.parametrize("name", ["a.fq", "a.fq.gz"])
def test_bad_reads(write, content, message, name):
    path = write(content, name)
    assert refused(path).startswith(f"{path}{message}")


def test_the_bad_read_is_found_anywhere_and_in_any_block(write, monkeypatch):
    path = write(reads(1000) + b"@bad\nACGT\n+\nIII\n" + reads(1000, start=2000))
    for size in (50, 4096, 4 << 20):
        monkeypatch.setattr(fastq, "BLOCK_BYTES", size)
        assert refused(path) == f"{path}:4004: read 1,001: 4 bases, 3 qualities; expected as many"


def test_names_of_the_longest_length_pass(write):
    assert check_fastq(write(b"@" + b"x" * 254 + b" more\nACGT\n+\nIIII\n")).reads == 1


def test_phred64(write):
    path = write(reads(3, quality="hhgfBBII"))
    assert refused(path) == (
        f"{path}: qualities from 'B' to 'h' look like Phred+64; expected Phred+33 (convert with seqtk seq -Q64 -V)"
    )


@pytest.mark.parametrize("quality", ["IIIIIIII", "FFFF:,#F", "KKKK????", "~~~~~~~~", "hhgfBBI#"])
def test_qualities_of_phred33(write, quality):
    assert check_fastq(write(reads(3, quality=quality))).reads == 3


def test_number_of_reads(write):
    path = write(GOOD)
    assert refused(path, expected=4) == f"{path}: 3 reads, expected 4: is it cut?"
    assert refused(path, expected=2) == f"{path}: 3 reads, expected 2: is it cut?"


# Files that are something else


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:5\n", "is SAM (make it BAM and set format = bam in the sheet)"),
        (b"r1\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n", "is SAM (make it BAM and set format = bam in the sheet)"),
        (b"<!DOCTYPE html>\n<html>", "is HTML or XML, a page instead of the file?"),
        (b"\n <?xml version='1.0'?>", "is HTML or XML, a page instead of the file?"),
        (b'{"error": 404}', "is JSON, an answer instead of the file?"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b"BAM\x01\x00\x00\x00\x00", "is a BAM file (set format = bam in the sheet)"),
        (b"CRAM\x03\x00", "is a CRAM file (set format = bam in the sheet)"),
        (b">chr1\nACGT\n", "is FASTA, which has no qualities"),
        (b"\xef\xbb\xbf" + GOOD, "begins with a byte-order mark"),
        (b"\x93NUMPY\x01\x00v\x00", "is a binary file"),
        (GOOD.decode().encode("utf-16-le"), "is a binary file"),
        (bz2.compress(GOOD), "is compressed with bzip2"),
        (b"NCBI.sra\x05", "is an SRA file (give its accession as the location)"),
        (b"x" * 257 + b"ustar  ", "is a tar archive"),
    ],
)
@pytest.mark.parametrize("name", ["a.fq", "a.fq.gz"])
def test_other_kinds_of_file(write, content, message, name):
    path = write(content, name)
    assert refused(path) == f"{path}: {message}; expected FASTQ, plain or gzip"


def test_gzip_inside_gzip_and_a_real_zip(write, tmp_path):
    assert "is gzip inside gzip" in refused(write(gzip.compress(GOOD), "a.fq.gz"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.fq", GOOD)
    assert "is a zip archive" in refused(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.fq", "a.fq.gz"])
def test_empty(write, name):
    path = write(b"", name)
    assert refused(path) == f"{path}: 0 reads: the file is empty"


def test_cut_gzip(write):
    path = write(reads(2000), "a.fq.gz")
    path.write_bytes(path.read_bytes()[:-20])
    assert refused(path) == f"{path}: truncated: the gzip stream ends before its end mark"


def test_changed_gzip(write):
    path = write(reads(2000), "a.fq.gz")
    changed = bytearray(path.read_bytes())
    changed[-6] ^= 1  # of the length in the end mark
    path.write_bytes(bytes(changed))
    assert "damaged gzip file" in refused(path)


def test_something_behind_the_gzip(write):
    path = write(reads(10), "a.fq.gz")
    path.write_bytes(path.read_bytes() + b"more")
    assert "damaged gzip file" in refused(path)


def test_a_line_without_end(write, monkeypatch):
    monkeypatch.setattr(fastq, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(fastq, "LINE_BYTES", 5000)
    path = write(b"@" + b"A" * 20_000)
    assert refused(path) == f"{path}: no read ends within 5,000 bytes; expected FASTQ, plain or gzip"


def test_not_there(tmp_path):
    assert refused(tmp_path / "a.fq").endswith("cannot be read (No such file or directory)")


# Mates


@pytest.mark.parametrize(
    ("name1", "name2", "suffix"),
    [
        ("r{}", "r{}", ""),
        ("r{}/1", "r{}/2", "/"),
        ("SRR1.{}.1", "SRR1.{}.2", "."),
        ("SRR1.{} {} length=8", "SRR1.{} {} length=8", ""),
        ("ERR1.{} HWI:1/1", "ERR1.{} HWI:1/2", ""),
        ("A0:1:{} 1:N:0:ACGT", "A0:1:{} 2:N:0:ACGT", ""),
        ("A0:1:{} 1:N:0:ACGT", "A0:1:{} 3:N:0:ACGT", ""),  # read 2 is the index read
        ("r{}\t1:N:0:A", "r{}\t2:N:0:A", ""),
    ],
)
def test_pairs(write, monkeypatch, name1, name2, suffix):
    for number in range(3):  # names that hold their number twice
        one = write(reads(30, name1.replace("{} {}", "{0} {0}")), "one.fq.gz")
        two = write(reads(30, name2.replace("{} {}", "{0} {0}"), bases="ACGTA", quality="IIIII"), "two.fq")
        monkeypatch.setattr(fastq, "BLOCK_BYTES", (4 << 20, 100, 333)[number])
        assert check_fastq(one, two, expected=30) == FastqFacts(60, 30 * 13, 5, 8, 0, 0, suffix)


@pytest.mark.parametrize("block", [4 << 20, 90])
def test_names_of_mates_differ(write, monkeypatch, block):
    monkeypatch.setattr(fastq, "BLOCK_BYTES", block)
    one, two = write(reads(9), "one.fq"), write(reads(6) + reads(3, start=8), "two.fq")
    assert refused(one, two) == (
        f"{two}:25: read 7: named 'r8', that of {one} is 'r7': a read is missing in one of them, they are sorted "
        "differently, or are of two runs"
    )


def test_names_with_suffixes_differ(write):
    one = write(reads(5, "r{}/1"), "one.fq")
    assert ":9: read 3: named 'r4/2', that of" in refused(
        one, write(reads(2, "r{}/2") + reads(3, "r{}/2", 4), "two.fq")
    )
    assert ":5: read 2: named 'r2', that of" in refused(one, write(reads(1, "r{}/2") + reads(4, "r{}", 2), "two.fq"))


def test_numbers_of_mates_differ(write):
    one, two = write(reads(9), "one.fq"), write(reads(7), "two.fq")
    assert refused(one, two) == f"{two}: 7 reads, {one} has 9: one of them is cut, or reads were left out"
    assert refused(two, one) == f"{one}: 9 reads, {two} has 7: one of them is cut, or reads were left out"
    assert "0 reads" in refused(one, write(b"", "none.fq"))


@pytest.mark.parametrize(
    ("name1", "name2"),
    [("r{}/1", "r{}/2"), ("r{} 1:N:0:A", "r{} 2:Y:18:A"), ("r{} x/1", "r{} x/2")],
)
def test_mixed_mates_swapped_mates_and_one_mate_twice(write, name1, name2):
    one, two = write(reads(4, name1), "one.fq"), write(reads(4, name2), "two.fq")
    mixed = write(reads(4, name1) + reads(4, name2), "mixed.fq")
    shown = name2.format(1)
    assert refused(mixed) == (
        f"{mixed}:17: read 5: '@{shown}' is read 2 of its pair, those before are read 1; expected one file a mate "
        "(interleaved or joined?)"
    )
    interleaved = write(b"".join(reads(1, name, n) for n in range(1, 5) for name in (name1, name2)), "interleaved.fq")
    assert ":5: read 2: '@" in refused(interleaved)
    again = write(reads(4, name1), "again.fq")
    assert refused(two, one) == (
        f"{one}: holds read 1 of the pairs, and {two} holds read 2: swapped, or one mate given twice"
    )
    assert refused(one, again) == (
        f"{again}: holds read 1 of the pairs, and {one} holds read 1: swapped, or one mate given twice"
    )
    assert check_fastq(two).reads == 4  # read 2 alone is single reads


def test_interleaved_without_marks(write):
    path = write(b"".join(reads(1, start=n) * 2 for n in range(1, 5)))
    assert refused(path) == (
        f"{path}:5: read 2: has the name of read 1, 'r1', and so on; expected one file a mate (interleaved?)"
    )


def test_one_file_for_both_mates(write):
    path = write(GOOD)
    assert refused(path, path) == f"{path}: is given for both mates"


def test_damage_of_the_second_file_is_named(write):
    one, two = write(reads(9), "one.fq"), write(reads(8) + b"@r9\nACGT\n+\nIII\n", "two.fq")
    assert refused(one, two) == f"{two}:36: read 9: 4 bases, 3 qualities; expected as many"
