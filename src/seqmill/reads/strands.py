"""Cross-correlation of the two strands' 5' ends: how long the fragments of a library are (also of single reads).

A fragment has a read of each strand at its ends, so the density of 5' ends of the - strand is that of the + strand
moved by the fragment's length (Kharchenko, Tolstorukov and Park 2008, Nat Biotechnol 26:1351). A second, phantom peak
at the length of the reads comes from where reads can be placed at all (Landt et al. 2012, Genome Res 22:1813).
"""

from typing import NamedTuple

import numpy as np

from seqmill.reads.fragments import Fragments, FragmentTable

PAIRS = 1 << 22
"""Pairs of positions that are held at once."""


class CrossCorrelation(NamedTuple):
    """Pearson correlation between + and moved - strand.

    shift : int64 (n,), 0 to the largest, bp. correlation : float64 (n,); NaN where no contig has reads of both strands.
    reads : number of 5' ends it was computed from.
    """

    shift: np.ndarray
    correlation: np.ndarray
    reads: int


def five_prime_ends(fragments: Fragments, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Edges where reads begin, int64, sorted: ``start`` of + reads, ``end`` (not end - 1) of - reads.

    Of a pair only read 1 counts, as in ENCODE's pipeline: both mates would correlate with each other, whatever the
    experiment. Pairs that do not tell (strand 0) are taken as + and - in turn.
    """
    strand = fragments.strand
    if paired and (strand == 0).any():
        strand = np.where(strand == 0, 1 - 2 * (np.arange(len(strand)) % 2), strand)
    plus, minus = fragments.start[strand > 0], fragments.end[strand < 0]
    return np.sort(plus).astype(np.int64), np.sort(minus).astype(np.int64)


def cross_correlation(table: FragmentTable, max_shift: int) -> CrossCorrelation:
    """Correlate the number of + reads that begin at x with that of - reads that begin at x + shift, over all x.

    Parameters
    ----------
    table : reads; whole fragments count by the strand of read 1.
    max_shift : largest shift in bp.

    Returns
    -------
    Contigs are averaged with their reads as weights, as SPP does; those not longer than ``max_shift`` are left out.
    At a shift equal to the length of all fragments the correlation is that of their two ends.
    """
    total, weight = np.zeros(max_shift + 1), 0
    for contig, fragments in table:
        size = table.sizes[contig]
        plus, minus = five_prime_ends(fragments, table.paired)
        if size > max_shift and len(plus) and len(minus):
            found = _correlation(plus, minus, size + 1, max_shift)
            if np.isfinite(found).all():
                total += found * (len(plus) + len(minus))
                weight += len(plus) + len(minus)
    correlation = total / weight if weight else np.full(max_shift + 1, np.nan)
    return CrossCorrelation(np.arange(max_shift + 1), correlation, weight)


def _correlation(plus: np.ndarray, minus: np.ndarray, length: int, max_shift: int) -> np.ndarray:
    """Pearson correlations of one contig with ``length`` edges, over the edges that both have at each shift."""
    plus_at, plus_n = np.unique(plus, return_counts=True)
    minus_at, minus_n = np.unique(minus, return_counts=True)
    shift = np.arange(max_shift + 1)
    overlap = length - shift
    both = _products(plus_at, plus_n, minus_at, minus_n, max_shift)
    # + reads whose partner would lie past the contig's end, and - reads before its begin, have left the overlap
    last = np.searchsorted(plus_at, overlap)
    first = np.searchsorted(minus_at, shift)
    sums = [
        np.append(0, np.cumsum(count.astype(np.float64) ** power)) for count in (plus_n, minus_n) for power in (1, 2)
    ]
    plus_sum, plus_square = sums[0][last], sums[1][last]
    minus_sum, minus_square = sums[2][-1] - sums[2][first], sums[3][-1] - sums[3][first]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (overlap * plus_square - plus_sum**2) * (overlap * minus_square - minus_sum**2)
        return (overlap * both - plus_sum * minus_sum) / np.sqrt(spread)


def _products(
    plus_at: np.ndarray, plus_n: np.ndarray, minus_at: np.ndarray, minus_n: np.ndarray, max_shift: int
) -> np.ndarray:
    """Sum over x of plus(x) * minus(x + shift) for each shift; only the pairs that are there are visited."""
    first = np.searchsorted(minus_at, plus_at)
    count = np.searchsorted(minus_at, plus_at + max_shift, side="right") - first
    total, done = np.zeros(max_shift + 1), 0
    ends = np.cumsum(count)
    while done < len(plus_at):
        before = ends[done] - count[done]
        stop = max(done + 1, int(np.searchsorted(ends, before + PAIRS, side="right")))
        many = count[done:stop]
        row = np.repeat(np.arange(done, stop), many)
        partner = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many) + first[row]
        apart = minus_at[partner] - plus_at[row]
        total += np.bincount(apart, weights=plus_n[row] * minus_n[partner], minlength=max_shift + 1)
        done = stop
    return total


def fragment_length(found: CrossCorrelation, read_length: int, *, smooth: int = 10) -> int | None:
    """The shift of the highest correlation beyond the phantom peak, in bp; None where there is no correlation.

    Shifts up to ten beyond the read length, and below 50, are left out, as ENCODE's pipeline does for transcription
    factors. The curve is a running mean of ``smooth`` shifts.
    """
    least = max(read_length + 10, 50)
    if least + smooth >= len(found.shift) or not np.isfinite(found.correlation).all():
        return None
    smoothed = np.convolve(found.correlation, np.ones(smooth) / smooth, mode="same")
    usable = smoothed[least : len(smoothed) - smooth // 2]
    return int(least + np.argmax(usable))
