"""Contig names that are one contig, and those that are not."""

import pytest

from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError


@pytest.mark.parametrize(
    ("found", "genome", "expected"),
    [
        (["chr1", "chr2"], ["chr1", "chr2"], {"chr1": "chr1", "chr2": "chr2"}),
        (["1", "X"], ["chr1", "chrX"], {"1": "chr1", "X": "chrX"}),
        (["chr1"], ["1"], {"chr1": "1"}),
        (["II", "IV"], ["chrII", "chrIV"], {"II": "chrII", "IV": "chrIV"}),
        (["MT", "1"], ["chrM", "chr1"], {"MT": "chrM", "1": "chr1"}),
        (["Mito", "I"], ["chrM", "chrI"], {"Mito": "chrM", "I": "chrI"}),
        (["M"], ["MT"], {"M": "MT"}),
        (["chr1", "chrUn_7"], ["1", "2"], {"chr1": "1"}),
        (["chr1", "1"], ["chr1", "2"], {"chr1": "chr1"}),  # the equal name wins, the other is left out
        (["2", "chr1"], ["chr1", "II"], {"chr1": "chr1"}),  # 2 and II are not one
    ],
)
def test_matching(found, genome, expected):
    assert harmonise(found, dict.fromkeys(genome, 100), "x.bed") == expected


def test_nothing_matches_shows_both_lists():
    with pytest.raises(InputError) as error:
        harmonise([f"s{i}" for i in range(7)], {"chr1": 5, "chr2": 6}, "x.bed")
    assert str(error.value) == (
        "x.bed: no contig is in the genome (different naming styles or another genome?): the file has "
        "s0, s1, s2, s3, s4, ... (7 names); the genome has chr1, chr2"
    )


@pytest.mark.parametrize(
    ("found", "genome"), [(["MT", "Mito"], ["chrM"]), (["chr1"], ["1", "Chr1"]), (["M"], ["MT", "chrM", "chr1"])]
)
def test_ambiguous_names_are_refused(found, genome):
    with pytest.raises(InputError, match=r"contig names are ambiguous: .* rename them"):
        harmonise(found, dict.fromkeys(genome, 100), "x.bed")


def test_lengths_must_agree_with_a_hint():
    with pytest.raises(InputError) as error:
        harmonise(["chr1"], {"chr1": 248_956_422}, "x.bw", sizes={"chr1": 249_250_621})
    assert str(error.value) == (
        "x.bw: 1 contig length(s) differ from the genome: chr1 249,250,621 in the file, 248,956,422 in the genome "
        "(the file is hg19, the genome is hg38)"
    )


def test_only_three_disagreements_are_listed():
    sizes = {f"c{i}": 10 + i for i in range(5)}
    with pytest.raises(InputError) as error:
        harmonise(sizes, dict.fromkeys(sizes, 5), "x.bw", sizes=sizes)
    assert "5 contig length(s)" in str(error.value)
    assert "c2 12" in str(error.value)
    assert "c3" not in str(error.value)


def test_a_piece_of_an_assembly_accepts_longer_but_not_shorter_contigs():
    genome = {"1": 1000}
    assert harmonise(["chr1"], genome, "x.bw", sizes={"chr1": 249_250_621}, partial=True) == {"chr1": "1"}
    with pytest.raises(InputError, match="the file is hg19; is the genome another assembly, or only a piece"):
        harmonise(["chr1"], genome, "x.bw", sizes={"chr1": 249_250_621})
    with pytest.raises(InputError, match="chr1 999 in the file, 1,000 in the genome"):
        harmonise(["chr1"], genome, "x.bw", sizes={"chr1": 999}, partial=True)


def test_a_mitochondrion_of_another_length_is_another_sequence():
    genome = {"1": 10, "MT": 16_569}
    assert harmonise(["chr1", "chrM"], genome, "x", sizes={"chr1": 10, "chrM": 16_571}) == {"chr1": "1"}
    assert harmonise(["chr1", "chrM"], genome, "x", sizes={"chr1": 10, "chrM": 16_569}) == {"chr1": "1", "chrM": "MT"}
