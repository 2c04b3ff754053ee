"""Binary labels: does a window's label region overlap a peak."""

import numpy as np

from seqmill.genome.coords import merge, overlap_bp

PAIRS = 1 << 20


def overlap_labels(
    starts: np.ndarray,
    label_bp: int,
    peak_starts: np.ndarray,
    peak_ends: np.ndarray,
    min_overlap: float,
    overlap_of: str = "label",
) -> np.ndarray:
    """Label each region of ``label_bp`` by the peaks of one track on the same contig.

    Parameters
    ----------
    starts : int64 (n,), starts of the label regions, ascending.
    peak_starts, peak_ends : integer (m,), any order.
    min_overlap : least share, in (0, 1].
    overlap_of : share of what: ``label``, the bases of the label region that any peak covers; ``peak``, the bases of
        one peak that lie in the region; ``either``, the one or the other.

    Returns
    -------
    bool (n,).
    """
    starts = np.asarray(starts, dtype=np.int64)
    found = np.zeros(len(starts), dtype=bool)
    if not len(peak_starts):
        return found
    if overlap_of in ("label", "either"):
        covered = overlap_bp(*merge(peak_starts, peak_ends), starts, starts + label_bp)
        found |= covered >= min_overlap * label_bp
    if overlap_of in ("peak", "either"):
        found |= _by_peak(starts, label_bp, peak_starts, peak_ends, min_overlap)
    return found


def _by_peak(
    starts: np.ndarray, label_bp: int, peak_starts: np.ndarray, peak_ends: np.ndarray, min_overlap: float
) -> np.ndarray:
    """Regions that hold at least ``min_overlap`` of some peak."""
    found = np.zeros(len(starts), dtype=bool)
    peak_starts, peak_ends = np.asarray(peak_starts, np.int64), np.asarray(peak_ends, np.int64)
    first = np.searchsorted(starts, peak_starts - label_bp, side="right")
    last = np.searchsorted(starts, peak_ends, side="left")
    touched = np.maximum(last - first, 0)
    at = 0
    while at < len(peak_starts):  # pairs of (peak, region) in bounded blocks
        total = np.cumsum(touched[at:])
        stop = at + max(1, int(np.searchsorted(total, PAIRS, side="right")))
        counts = touched[at:stop]
        peak = np.repeat(np.arange(at, stop), counts)
        region = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[peak]
        shared = np.minimum(peak_ends[peak], starts[region] + label_bp) - np.maximum(peak_starts[peak], starts[region])
        found[region[shared >= min_overlap * (peak_ends[peak] - peak_starts[peak])]] = True
        at = stop
    return found
