"""Cross-correlation of strands against a plain loop, and the fragment length that it tells."""

import numpy as np
import pytest

from seqmill.reads.fragments import Fragments, FragmentTable, write_fragments
from seqmill.reads.strands import CrossCorrelation, cross_correlation, five_prime_ends, fragment_length


def _table(folder, sizes, pieces, paired=False):
    write_fragments(folder / "fragments.parquet", sizes, paired, pieces)
    return FragmentTable(folder / "fragments.parquet")


def _slow(plus, minus, length, max_shift):
    """Pearson's r of two dense arrays, shift by shift."""
    one, two = np.zeros(length), np.zeros(length)
    for at in plus:
        one[at] += 1
    for at in minus:
        two[at] += 1
    return [np.corrcoef(one[: length - shift], two[shift:])[0, 1] for shift in range(max_shift + 1)]


def _single_reads(rng, size, n, length, read=30):
    """Reads of both ends of fragments of one length, as single reads."""
    left = rng.integers(0, size - length, n)
    plus = rng.random(n) < 0.5
    start = np.where(plus, left, left + length - read)
    return Fragments.of(start, start + read, np.where(plus, 1, -1))


def test_correlation_is_that_of_a_plain_loop(tmp_path, monkeypatch):
    monkeypatch.setattr("seqmill.reads.strands.PAIRS", 50)
    rng = np.random.default_rng(1)
    pieces = {"a": _single_reads(rng, 900, 300, 60), "b": _single_reads(rng, 400, 50, 60)}
    table = _table(tmp_path, {"a": 900, "b": 400, "tiny": 90, "empty": 500}, pieces)
    found = cross_correlation(table, 120)
    expected = np.zeros(121)
    for contig, weight in (("a", 300), ("b", 50)):
        plus, minus = five_prime_ends(pieces[contig], False)
        expected += np.array(_slow(plus, minus, table.sizes[contig] + 1, 120)) * weight / 350
    np.testing.assert_allclose(found.correlation, expected, atol=1e-12)
    assert found.reads == 350 and found.shift.tolist() == list(range(121))


def test_length_of_single_reads_is_found_within_five_bases(tmp_path):
    rng = np.random.default_rng(2)
    sites = rng.integers(500, 99_000, 60)
    left = np.repeat(sites, 60) + rng.integers(-100, 100, 3600)
    length = rng.normal(180, 12, 3600).astype(int)
    plus = rng.random(3600) < 0.5
    start = np.where(plus, left, left + length - 36)
    table = _table(tmp_path, {"a": 100_000}, {"a": Fragments.of(start, start + 36, np.where(plus, 1, -1))})
    length = fragment_length(cross_correlation(table, 400), 36)
    assert length is not None and abs(length - 180) <= 5


def test_of_a_pair_only_read_1_counts(tmp_path):
    pieces = Fragments.of(np.array([10, 20, 30]), np.array([110, 130, 160]), np.array([1, -1, 1]))
    plus, minus = five_prime_ends(pieces, True)
    assert plus.tolist() == [10, 30] and minus.tolist() == [130]


def test_pairs_without_strand_are_taken_in_turn():
    pieces = Fragments.of(np.array([10, 20, 30]), np.array([110, 130, 160]), np.array([0, 0, 0]))
    plus, minus = five_prime_ends(pieces, True)
    assert plus.tolist() == [10, 30] and minus.tolist() == [130]
    assert five_prime_ends(pieces, False)[0].size == 0


def test_a_phantom_peak_at_the_read_length_is_passed_over():
    shift = np.arange(301)
    curve = np.exp(-((shift - 150) ** 2) / 800) + 2 * np.exp(-((shift - 36) ** 2) / 8)
    length = fragment_length(CrossCorrelation(shift, curve, 10), 36)
    assert length == pytest.approx(150, abs=1)


def test_without_reads_of_both_strands_there_is_no_length(tmp_path):
    one = Fragments.of(np.array([5]), np.array([40]), np.array([1]))
    found = cross_correlation(_table(tmp_path, {"a": 1000}, {"a": one}), 200)
    assert np.isnan(found.correlation).all() and found.reads == 0
    assert fragment_length(found, 35) is None
