"""Filters by what a window holds: N and GC content, blacklisted regions. Memory does not grow with the contig."""

from collections.abc import Iterator

import numpy as np

from seqmill.genome.coords import merge, overlap_bp
from seqmill.stores.genome import GenomeReader

SPAN_BP = 4 << 20


def runs_of(starts: np.ndarray, width: int, span_bp: int = SPAN_BP, gap_bp: int = 1 << 16) -> Iterator[tuple[int, int]]:
    """Cut sorted windows into runs that are read together: ``(first, last + 1)`` indices.

    A run spans at most ``span_bp`` bases (or one window) and holds no gap of more than ``gap_bp``.
    """
    first = 0
    count = len(starts)
    gaps = np.flatnonzero(np.diff(starts) > width + gap_bp) + 1
    for stop in [*gaps.tolist(), count]:
        while first < stop:
            reach = int(np.searchsorted(starts, starts[first] + max(span_bp - width, 0), side="right"))
            last = min(max(reach, first + 1), stop)
            yield first, last
            first = last


def composition(reader: GenomeReader, contig: str, starts: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of N and number of G or C in each window.

    Parameters
    ----------
    starts : int64 (n,), ascending.
    width : bp.

    Returns
    -------
    n_count, gc_count : int64 (n,).
    """
    unknown, gc = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    for first, last in runs_of(starts, width):
        origin = int(starts[first])
        codes = reader.codes(contig, origin, int(starts[last - 1]) + width)
        at = starts[first:last] - origin
        for wanted, out in ((codes == 4, unknown), ((codes == 1) | (codes == 2), gc)):
            total = np.concatenate([[0], np.cumsum(wanted, dtype=np.int64)])
            out[first:last] = total[at + width] - total[at]
    return unknown, gc


def touches(starts: np.ndarray, ends: np.ndarray, region_starts: np.ndarray, region_ends: np.ndarray) -> np.ndarray:
    """Which of the intervals share a base with any region of the same contig; bool (n,)."""
    return overlap_bp(*merge(region_starts, region_ends), starts, ends) > 0
