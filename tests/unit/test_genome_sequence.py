"""Codes, one-hot, reverse complement, GC content and the dinucleotide shuffle, against plain loops."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from seqmill.genome.sequence import (
    decode,
    dinucleotide_shuffle,
    encode,
    gc_fraction,
    one_hot,
    reverse_complement,
)


def test_encode_known_letters():
    assert encode("ACGTNacgtn").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    assert encode(b"RYSWKMBDHVryswkmbdhv").tolist() == [4] * 20
    assert encode("").shape == (0,)
    assert encode("ACGT").dtype == np.uint8


def test_encode_refuses_what_is_not_dna():
    with pytest.raises(ValueError, match="'U' at position 2 is not DNA"):
        encode("ACUG")
    with pytest.raises(ValueError, match="'E' at position 0"):
        encode("EF")
    assert encode("ACUu", allow_rna=True).tolist() == [0, 1, 3, 3]


def test_encode_result_can_be_written_to():
    codes = encode("ACGT")
    codes[0] = 3
    assert decode(codes) == "TCGT"


def test_decode_and_reverse_complement():
    assert decode(encode("acgtnR")) == "ACGTNN"
    assert decode(reverse_complement(encode("AACGN"))) == "NCGTT"
    stacked = np.stack([encode("AAC"), encode("GTN")])
    assert [decode(row) for row in reverse_complement(stacked)] == ["GTT", "NAC"]


def test_one_hot_order_and_unknown():
    out = one_hot(encode("ACGTN"))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, np.vstack([np.eye(4), np.zeros(4)]))
    assert one_hot(np.zeros((2, 3), np.uint8)).shape == (2, 3, 4)


def test_gc_fraction_leaves_unknown_bases_out():
    assert gc_fraction(encode("GGCCAATTNN")) == 0.5
    assert np.isnan(gc_fraction(encode("NNN")))
    np.testing.assert_allclose(gc_fraction(np.stack([encode("GCA"), encode("ANN")])), [2 / 3, 0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "AC",
        "ACG",
        "AAAAAAAA",
        "ACACACAC",
        "ACGTTGCATTGACCAGTAACGGT",
        "ACGTACGNNNNTTGACAGGNA",
        "NNNN",
        "NACGGTCAN",
    ],
)
def test_shuffle_keeps_dinucleotides_ends_and_unknown_bases(text):
    rng = np.random.default_rng(1)
    pairs = Counter(pairwise(text))
    for _ in range(20):
        out = decode(dinucleotide_shuffle(encode(text), rng))
        assert Counter(pairwise(out)) == pairs
        assert [i for i, letter in enumerate(out) if letter == "N"] == [i for i, c in enumerate(text) if c == "N"]
        assert out[:1] == text[:1]
        assert out[-1:] == text[-1:]


def test_shuffle_draws_every_arrangement_equally_often():
    """All sequences with the dinucleotides of a short one, found by search, must come with the same frequency."""
    text = "ACGATGTCA"
    wanted = Counter(pairwise(text))

    def arrangements(path, left):
        if not left:
            yield path
        for pair in list(left):
            if pair[0] == path[-1]:
                rest = left - Counter([pair])
                yield from arrangements(path + pair[1], rest)

    every = set(arrangements(text[0], wanted))
    rng = np.random.default_rng(0)
    draws = 400 * len(every)
    seen = Counter(decode(dinucleotide_shuffle(encode(text), rng)) for _ in range(draws))
    assert set(seen) == every
    assert len(every) > 5
    # chi-square with len(every) - 1 degrees of freedom: far below mean + 5 standard deviations
    chi2 = sum((seen[path] - 400) ** 2 / 400 for path in every)
    assert chi2 < len(every) - 1 + 5 * (2 * (len(every) - 1)) ** 0.5


def test_shuffle_depends_on_the_generator_only():
    codes = encode("ACGGTCATTGACCATAGGACATT" * 3)
    one = dinucleotide_shuffle(codes, np.random.default_rng(5))
    assert np.array_equal(one, dinucleotide_shuffle(codes, np.random.default_rng(5)))
    assert not np.array_equal(one, dinucleotide_shuffle(codes, np.random.default_rng(6)))
    assert not np.array_equal(one, codes)
