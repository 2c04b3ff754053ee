"""Peaks that replicates share, against plain loops; ENCODE's ratios and verdicts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.reads.overlap import comparisons, found_again, naive_overlap, overlaps, reproducibility
from seqmill.reads.peaks import Peaks, empty_peaks

SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 25)), max_size=12)


def _peaks(spans):
    """Peaks of (contig, start, length), sorted."""
    rows = sorted((contig, start, start + length) for contig, start, length in spans)
    contig, start, end = (np.array([row[column] for row in rows], np.int64) for column in range(3))
    other = np.arange(len(rows), dtype=float)
    return Peaks(contig.astype(np.int32), start, end, other, other, other, (start + end) // 2)


def _rows(peaks):
    return list(zip(peaks.contig.tolist(), peaks.start.tolist(), peaks.end.tolist()))


@given(SPANS, SPANS)
@settings(deadline=None, max_examples=150)
def test_all_overlapping_pairs_are_found(first, second):
    one, two = _peaks(first), _peaks(second)
    expected = {
        (i, j, min(a[2], b[2]) - max(a[1], b[1]))
        for i, a in enumerate(_rows(one))
        for j, b in enumerate(_rows(two))
        if a[0] == b[0] and min(a[2], b[2]) > max(a[1], b[1])
    }
    assert set(zip(*(column.tolist() for column in overlaps(one, two)))) == expected


@given(SPANS, SPANS, SPANS)
@settings(deadline=None, max_examples=150)
def test_naive_overlap_is_encodes(pooled, first, second):
    """As ``intersectBed -wo | awk '$21/s1 >= 0.5 || $21/s2 >= 0.5'``, once with each replicate."""

    def again(peak, others):
        for other in others:
            share = min(peak[2], other[2]) - max(peak[1], other[1])
            half = share >= 0.5 * (peak[2] - peak[1]) or share >= 0.5 * (other[2] - other[1])
            if peak[0] == other[0] and share > 0 and half:
                return True
        return False

    lists = [_peaks(spans) for spans in (pooled, first, second)]
    expected = [again(peak, _rows(lists[1])) and again(peak, _rows(lists[2])) for peak in _rows(lists[0])]
    assert naive_overlap(*lists).tolist() == expected


def test_half_of_either_peak_is_enough():
    pooled = _peaks([(0, 100, 100)])
    assert found_again(pooled, _peaks([(0, 150, 200)])).tolist() == [True]
    assert found_again(pooled, _peaks([(0, 151, 200)])).tolist() == [False]
    assert found_again(pooled, _peaks([(0, 190, 20)])).tolist() == [True]
    assert found_again(pooled, _peaks([(1, 100, 100)])).tolist() == [False]
    assert found_again(pooled, empty_peaks()).tolist() == [False]


def test_contigs_beyond_32_bits_do_not_mix():
    long = _peaks([(900, 240_000_000, 500)])
    assert found_again(long, long).tolist() == [True]
    assert found_again(long, long._replace(contig=np.array([899], np.int32))).tolist() == [False]


def test_which_samples_are_compared():
    assert comparisons([1]) == {"pooled": ("pooled", "pseudo1", "pseudo2")}
    assert comparisons([1, 3]) == {
        "pooled": ("pooled", "pseudo1", "pseudo2"),
        "rep1.rep3": ("pooled", "rep1", "rep3"),
        "rep1": ("rep1", "rep1.pseudo1", "rep1.pseudo2"),
        "rep3": ("rep3", "rep3.pseudo1", "rep3.pseudo2"),
    }
    assert {"rep1.rep2", "rep1.rep3", "rep2.rep3"} < set(comparisons([1, 2, 3]))


@pytest.mark.parametrize(
    ("nt", "np_", "n1", "n2", "rescue", "consistency", "chosen", "verdict"),
    [
        (100, 120, 90, 80, 1.2, 1.125, "pooled", "pass"),
        (100, 250, 90, 80, 2.5, 1.125, "pooled", "borderline"),
        (100, 200, 90, 30, 2.0, 3.0, "pooled", "borderline"),
        (300, 100, 90, 30, 3.0, 3.0, "rep1.rep2", "fail"),
        (0, 10, 4, 4, None, 1.0, "pooled", "borderline"),
        (0, 0, 0, 0, None, None, "rep1.rep2", "fail"),
    ],
)
def test_ratios_and_verdict(nt, np_, n1, n2, rescue, consistency, chosen, verdict):
    found = reproducibility({"pooled": np_, "rep1.rep2": nt, "rep1": n1, "rep2": n2})
    assert found == {
        "Nt": nt, "Np": np_, "N1": n1, "N2": n2, "rescue": rescue, "self_consistency": consistency,
        "chosen": chosen, "verdict": verdict,
    }  # fmt: skip


def test_the_best_pair_of_three_replicates_counts():
    counts = {"pooled": 50, "rep1.rep2": 40, "rep1.rep3": 60, "rep2.rep3": 10, "rep1": 5, "rep2": 6, "rep3": 20}
    found = reproducibility(counts)
    assert (found["Nt"], found["chosen"], found["self_consistency"]) == (60, "rep1.rep3", 4.0)


def test_one_replicate_is_not_judged():
    found = reproducibility({"pooled": 7})
    assert (found["N1"], found["Np"], found["rescue"], found["verdict"]) == (7, 7, None, "not judged")
