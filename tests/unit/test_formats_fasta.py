"""FASTA: what is accepted, and the message of each kind of bad file."""

import gzip
import logging

import numpy as np
import pysam
import pytest

from seqmill.formats.fasta import read_fasta, read_sizes
from seqmill.genome.sequence import decode
from seqmill.runtime.errors import InputError


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def sequences(path, **options):
    return {record.name: decode(record.codes) for record in read_fasta(path, **options)}


@pytest.mark.parametrize(
    "text",
    [
        ">a one\nACGT\nAC\n>b\nTTT\n",
        ">a one\r\nACGT\r\nAC\r\n>b\r\nTTT\r\n",
        "\n>a one\nA\n\nCGTAC\n>b\nTTT",
        ">a\tone\nACG\nTAC\n\n\n>b \nT\nTT\n\n",
        ">  a one\nACGTAC\n>b\nTTT\n",
    ],
)
def test_line_ends_blank_lines_and_ragged_lines(tmp_path, text):
    assert sequences(write(tmp_path / "x.fa", text)) == {"a": "ACGTAC", "b": "TTT"}


def test_soft_mask_and_ambiguity_letters(tmp_path):
    (record,) = read_fasta(write(tmp_path / "x.fa", ">a\nACgtNnRyW" + "A" * 100 + "\n"))
    assert decode(record.codes[:9]) == "ACGTNNNNN"
    assert record.softmask[:9].tolist() == [False, False, True, True, False, True, False, True, False]
    assert record.softmask.dtype == bool
    assert record.iupac == {"N": 2, "R": 1, "Y": 1, "W": 1}
    assert record.description == "a"


def test_compression_is_told_by_content(tmp_path):
    text = b">a\n" + b"ACGT\n" * 50_000 + b">b\nTT\n"
    plain = write(tmp_path / "plain", text)
    zipped = write(tmp_path / "zipped.fa", gzip.compress(text))
    blocked = tmp_path / "blocked.fa"
    with pysam.BGZFile(str(blocked), "w") as handle:
        handle.write(text)
    assert sequences(plain) == sequences(zipped) == sequences(blocked) == {"a": "ACGT" * 50_000, "b": "TT"}


def test_blocks_of_any_size_give_the_same(tmp_path, monkeypatch):
    from seqmill.formats import fasta
    from seqmill.formats.text import line_blocks

    path = write(tmp_path / "x.fa", ">a long name here\nACGTacgt\nNN\n>bb\nTTTTTTTTTT\n\nRA\n>c\nA\n")
    whole = [(r.name, r.codes.tolist(), r.softmask.tolist(), r.iupac) for r in read_fasta(path)]
    for size in range(1, 40):
        monkeypatch.setattr(fasta, "line_blocks", lambda path, size=size: line_blocks(path, size))
        assert [(r.name, r.codes.tolist(), r.softmask.tolist(), r.iupac) for r in read_fasta(path)] == whole
        with pytest.raises(InputError) as error:
            list(read_fasta(write(tmp_path / "y.fa", ">a\nAC\n>b\nAC\n\nACQ\n")))
        assert error.value.record == 6


def test_rna_where_allowed(tmp_path):
    assert sequences(write(tmp_path / "x.fa", ">a\nACUu\n"), allow_rna=True) == {"a": "ACTT"}


def test_repeated_names_where_allowed(tmp_path):
    path = write(tmp_path / "x.fa", ">a\nAC\n>a\nGT\n")
    assert [decode(record.codes) for record in read_fasta(path, unique=False)] == ["AC", "GT"]


def test_an_index_beside_the_file_is_not_believed(tmp_path):
    path = write(tmp_path / "x.fa", ">a\nACGT\n")
    write(tmp_path / "x.fa.fai", "a\t99\t3\t4\t5\nghost\t7\t3\t4\t5\n")
    assert sequences(path) == {"a": "ACGT"}


def test_many_ambiguity_letters_warn(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="seqmill"):
        list(read_fasta(write(tmp_path / "x.fa", ">a\nACGTRRACGT\n>b\nACGTNNNNNN\n")))
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'x.fa'}: 20.0 % of a are ambiguity letters other than N; they are read as N"
    ]


BAD = {
    "empty": ("", ": no sequences: not one line starts with '>'"),
    "blank": ("\n\n", ": no sequences: not one line starts with '>'"),
    "no header": ("ACGT\nACGT\n", ":1: sequence before the first header; expected '>'"),
    "text first": ("\n\nACGT\n>a\nAC\n", ":3: sequence before the first header; expected '>'"),
    "twice": (">a x\nAC\n>b\nAC\n>a\nAC\n", ":5: contig 'a' comes twice"),
    "no name": (">a\nAC\n>  \nAC\n", ":3: header without a name"),
    "not UTF-8": (b">a\xff\nAC\n", ":1: header is not UTF-8 text"),
    "control": (b">a\x00b\nAC\n", ":1: header holds a control character"),
    "nothing in it": (">a\n>b\nAC\n", ":1: 'a' has no sequence"),
    "nothing at the end": (">a\nAC\n>b\n", ":3: 'b' has no sequence"),
    "protein": (">a\nACGT\nMKELAC\n", ":3: 'E' is not DNA; protein FASTA?"),
    "protein X": (">a\nACGTX\n", ":2: 'X' is not DNA; protein FASTA?"),
    "stop": (">a\nACGT*\n", ":2: '*' is not DNA; protein FASTA?"),
    "RNA": (">a\nACGT\n\nACGU\n", ":4: 'U' is not DNA; RNA FASTA? Allow it where RNA is meant"),
    "gap": (">a\nAC-GT\n", ":2: gap '-': an alignment, not a sequence"),
    "dot": (">a\nAC\n>b\nA.GT\n", ":4: gap '.': an alignment, not a sequence"),
    "digit": (">a\n1 ACGT\n", ":2: '1' is not a letter of DNA (IUPAC)"),
    "mark": (">a\nACGT\nAC!T\n", ":3: '!' is not a letter of DNA (IUPAC)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_fasta(tmp_path, case):
    text, message = BAD[case]
    path = write(tmp_path / "x.fa", text)
    with pytest.raises(InputError) as error:
        list(read_fasta(path))
    assert str(error.value) == f"{path}{message}"


def random_text(length=300_000):
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, length)]
    return b">a\n" + letters.tobytes() + b"\n"


def test_cut_gzip(tmp_path):
    path = write(tmp_path / "x.fa.gz", gzip.compress(random_text())[:-2000])
    with pytest.raises(InputError) as error:
        list(read_fasta(path))
    assert str(error.value) == f"{path}: truncated: the gzip stream ends before its end mark"


def test_changed_gzip(tmp_path):
    data = bytearray(gzip.compress(random_text()))
    data[-6] ^= 1
    path = write(tmp_path / "x.fa.gz", bytes(data))
    with pytest.raises(InputError, match=r"damaged gzip file \(CRC check failed"):
        list(read_fasta(path))


def test_bgzf_cut_at_a_block(tmp_path):
    path = tmp_path / "x.fa.gz"
    with pysam.BGZFile(str(path), "w") as handle:
        handle.write(random_text())
    write(path, path.read_bytes()[:-28])
    with pytest.raises(InputError) as error:
        list(read_fasta(path))
    assert str(error.value) == f"{path}: truncated: the last block of a BGZF file is missing"


def test_gzip_cut_between_members_shows_against_sizes(tmp_path):
    parts = [gzip.compress(text) for text in (b">a\nACGT\n", b"AC\n", b">b\nTTT\n")]
    whole = write(tmp_path / "whole.fa.gz", b"".join(parts))
    sizes = {"a": 6, "b": 3}
    assert sequences(whole, sizes=sizes) == {"a": "ACGTAC", "b": "TTT"}
    path = write(tmp_path / "two.fa.gz", b"".join(parts[:2]))
    with pytest.raises(InputError) as error:
        list(read_fasta(path, sizes=sizes))
    assert str(error.value) == (
        f"{path}: 1 contig(s) of the sizes table are missing, first b: truncated file or another genome"
    )
    with pytest.raises(InputError, match="a 4 in the file, 6 in the genome"):
        list(read_fasta(write(tmp_path / "one.fa.gz", parts[0]), sizes=sizes))


def test_path_that_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.fa: cannot be read \(No such file or directory\)"):
        list(read_fasta(tmp_path / "none.fa"))
    with pytest.raises(InputError, match="is not a regular file"):
        list(read_fasta(tmp_path))


def test_sizes_tables(tmp_path):
    path = write(tmp_path / "x.sizes", "# from somewhere\nchr1\t100\r\nchr2 50\n\n")
    assert read_sizes(path) == {"chr1": 100, "chr2": 50}
    assert read_sizes(write(tmp_path / "x.fai", "chr1\t100\t6\t60\t61\n")) == {"chr1": 100}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": no contigs: expected lines of name and length"),
        ("chr1\n", ":1: expected a contig name and its length, found 'chr1'"),
        ("chr1\t5\nchr2\t1e6\n", ":2: expected a contig name and its length, found 'chr2\\t1e6'"),
        ("chr1\t0\n", ":1: expected a contig name and its length, found 'chr1\\t0'"),
        ("chr1\t5\nchr1\t5\n", ":2: contig 'chr1' comes twice"),
    ],
)
def test_bad_sizes(tmp_path, text, message):
    path = write(tmp_path / "x.sizes", text)
    with pytest.raises(InputError) as error:
        read_sizes(path)
    assert str(error.value) == f"{path}{message}"


def test_real_genomes_against_a_plain_loop(test_data):
    path = test_data / "hg38_mini/genome.fa.gz"
    slow: dict[str, list[str]] = {}
    with gzip.open(path, "rt") as handle:
        for line in handle:
            if line.startswith(">"):
                name = line[1:].split()[0]
                slow[name] = []
            else:
                slow[name].append(line.strip())
    expected = {name: "".join(lines) for name, lines in slow.items()}
    found = list(read_fasta(path, sizes=read_sizes(test_data / "hg38_mini/chrom.sizes")))
    assert [record.name for record in found] == list(expected)
    for record in found[::7]:
        text = expected[record.name]
        assert decode(record.codes) == text.upper()
        assert record.softmask.tolist() == [letter.islower() for letter in text]
