"""k-mer counts against strings and loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import training_toys as toys

from seqmill.baselines.features import Features
from seqmill.baselines.words import bin_grid, cell_counts, kmer_patterns, number_words, sums_around, word_index
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import ArraySpec, TargetSpec

PAIR = {"A": "T", "C": "G", "G": "C", "T": "A"}


def turned(word: str) -> str:
    return "".join(PAIR[base] for base in reversed(word))


def kmers(k: int, **settings) -> Baseline:
    return Baseline(kind="kmer", dataset="d", k=k, **settings)


def kmer_counts(codes: np.ndarray, k: int, both: bool) -> np.ndarray:
    words = number_words(kmer_patterns(k, k), both)
    return cell_counts(codes, words, np.zeros(codes.shape[1], int), 1)[:, 0]


def count_words(text: str, k: int, both: bool) -> dict[str, int]:
    counts: dict[str, int] = {}
    for start in range(len(text) - k + 1):
        word = text[start : start + k]
        if "N" not in word:
            word = min(word, turned(word)) if both else word
            counts[word] = counts.get(word, 0) + 1
    return counts


def words_of_columns(k: int, both: bool) -> list[str]:
    words = ["".join(letters) for letters in product("ACGT", repeat=k)]
    return sorted({min(word, turned(word)) for word in words}) if both else words


@pytest.mark.parametrize(
    ("k", "both", "columns"), [(1, False, 4), (1, True, 2), (2, True, 10), (5, True, 512), (6, True, 2080)]
)
def test_number_of_columns(k, both, columns):
    assert number_words(kmer_patterns(k, k), both).width == columns


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.booleans(), st.lists(st.text("ACGTN", min_size=9, max_size=9), min_size=1, max_size=4))
def test_counts_are_those_of_words(k, both, texts):
    codes = np.array([["ACGTN".index(base) for base in text] for text in texts], np.uint8)
    counts = kmer_counts(codes, k, both)
    words = words_of_columns(k, both)
    assert counts.shape == (len(texts), len(words))
    for row, text in zip(counts, texts):
        assert {word: n for word, n in zip(words, row) if n} == count_words(text, k, both)


def test_both_strands_give_the_same_counts():
    codes = np.random.default_rng(0).integers(0, 5, (20, 50), dtype=np.uint8)
    other = np.where(codes < 4, 3 - codes, 4)[:, ::-1]
    assert np.array_equal(kmer_counts(codes, 5, True), kmer_counts(other, 5, True))
    assert not np.array_equal(kmer_counts(codes, 5, False), kmer_counts(other, 5, False))


def test_sequences_shorter_than_k_count_nothing():
    assert word_index(np.zeros((2, 3), np.uint8), (0, 1, 2, 3, 4)).shape == (2, 0)
    assert kmer_counts(np.zeros((2, 3), np.uint8), 5, True).sum() == 0


@pytest.mark.parametrize(("bin_bp", "offset", "bins"), [(4, 0, 10), (4, 8, 5), (4, 6, 8), (256, 0, 2), (1, 3, 30)])
def test_local_counts_cover_the_bin_and_its_surroundings(bin_bp, offset, bins):
    length = max(40, bin_bp * bins + offset)
    codes = np.random.default_rng(1).integers(0, 5, (3, length), dtype=np.uint8)
    axes = ("example", "bins", "tracks")
    spec = TargetSpec("p", "profile", "float32", axes, (bins, 1), ("t",), bp_per_bin=bin_bp, offset_bp=offset)
    grid = bin_grid(spec, length)
    counts = cell_counts(codes, number_words(kmer_patterns(2, 2), False), grid.cell, grid.cells)
    found = sums_around(counts, grid, 5)
    assert found.shape == (3, bins, 16)
    reach = -(-5 // bin_bp) * bin_bp
    for row in range(3):
        for b in range(bins):
            expected = np.zeros(16)
            for start in range(offset + b * bin_bp - reach, offset + (b + 1) * bin_bp + reach):
                if 0 <= start < length - 1 and max(codes[row, start : start + 2]) < 4:
                    expected[codes[row, start] * 4 + codes[row, start + 1]] += 1
            assert np.array_equal(found[row, b], expected)


def test_other_inputs_enter_as_they_are():
    specs = {
        "genotype": ArraySpec("input", "genotype", ("example", "genes"), "uint8", (3,), "genotype"),
        "states": ArraySpec("input", "states", ("example", "cells", "calls"), "uint8", (1, 3), "states"),
        "distances": ArraySpec("input", "distances", ("example", "cells", "calls"), "uint32", (1, 3), "distances"),
        "length": ArraySpec("input", "length", ("example",), "int32", (), "length"),
    }
    features = Features(specs, kmers(5), False)
    batch = {
        "inputs/genotype": np.array([[1, 0, 1]], np.uint8),
        "inputs/states": np.array([[[0, 1, 255]]], np.uint8),
        "inputs/distances": np.array([[[0, 999_999, 0]]], np.uint32),
    }
    assert features.width == 9
    np.testing.assert_allclose(features.whole(batch), [[1, 0, 1, -1, 1, 0, 0, 1, 0]], atol=1e-6)


def test_margins_are_cut_off_and_width_is_limited():
    spec = toys.sequence_spec(20, margin_bp=4)
    codes = np.random.default_rng(0).integers(0, 4, (2, 28), dtype=np.uint8)
    features = Features({"sequence": spec}, kmers(3), True)
    assert np.array_equal(features.whole({"inputs/sequence": codes}), kmer_counts(codes[:, 4:24], 3, True))
    with pytest.raises(InputError, match=r"kmer baseline: 32,896 features; at most 10,000 \(a smaller k\?\)"):
        Features({"sequence": spec}, kmers(8), True)
