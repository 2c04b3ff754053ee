"""Interval arithmetic against sets of bases."""

import numpy as np
import pytest

from seqmill.genome.coords import Interval, complement, merge, overlap_bp


def test_interval():
    one = Interval("chr1", 5, 10)
    assert len(one) == 5
    assert str(one) == "chr1:5-10"
    assert one.centre == 7
    assert one.overlaps(Interval("chr1", 9, 20))
    assert not one.overlaps(Interval("chr1", 10, 20))
    assert not one.overlaps(Interval("chr2", 5, 10))


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (6, 5)])
def test_interval_refuses(start, end):
    with pytest.raises(ValueError, match="need 0 <= start <= end"):
        Interval("chr1", start, end)


def bases(starts, ends):
    return {base for start, end in zip(starts, ends) for base in range(start, end)}


def test_merge_known_case():
    starts, ends = merge(np.array([10, 0, 3, 20, 7, 5]), np.array([12, 4, 5, 20, 10, 6]))
    assert list(zip(starts.tolist(), ends.tolist())) == [(0, 6), (7, 12)]


def test_merge_of_nothing():
    starts, ends = merge(np.zeros(0, np.int32), np.zeros(0, np.int32))
    assert starts.size == ends.size == 0


def test_against_sets_of_bases():
    rng = np.random.default_rng(3)
    for _ in range(100):
        start = rng.integers(0, 90, rng.integers(0, 12))
        end = start + rng.integers(0, 10, len(start))
        merged = merge(start, end)
        assert bases(*merged) == bases(start, end)
        assert np.all(merged[0][1:] > merged[1][:-1])
        gaps = complement(*merged, 100)
        assert bases(*gaps) == set(range(100)) - bases(start, end)
        query = rng.integers(0, 100, 20)
        query_end = query + rng.integers(0, 30, 20)
        found = overlap_bp(*merged, query, query_end)
        expected = [len(bases(*merged) & set(range(a, b))) for a, b in zip(query, query_end)]
        assert found.tolist() == expected
