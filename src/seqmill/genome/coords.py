"""Intervals on contigs, 0-based and half-open, and arithmetic on arrays of them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, order=True)
class Interval:
    """The bases ``start <= position < end`` of a contig, 0-based."""

    contig: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"{self.contig}:{self.start}-{self.end} is not an interval: need 0 <= start <= end")

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start}-{self.end}"

    @property
    def centre(self) -> int:
        """Middle base (of an even length: the right one of the two)."""
        return (self.start + self.end) // 2

    def overlaps(self, other: "Interval") -> bool:
        return self.contig == other.contig and self.start < other.end and other.start < self.end


def merge(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Union of intervals of one contig: sorted, overlapping and touching ones joined, empty ones dropped.

    Parameters
    ----------
    starts, ends : integer (n,), any order.

    Returns
    -------
    starts, ends : same dtype, (m,), ``ends[i] < starts[i + 1]``.
    """
    starts, ends = np.asarray(starts), np.asarray(ends)
    order = np.argsort(starts, kind="stable")
    order = order[ends[order] > starts[order]]
    starts, ends = starts[order], ends[order]
    if not starts.size:
        return starts, ends
    reach = np.maximum.accumulate(ends)
    first = np.concatenate([[True], starts[1:] > reach[:-1]])
    return starts[first], reach[np.concatenate([first[1:], [True]])]


def _covered_before(starts: np.ndarray, ends: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Bases of sorted, disjoint intervals that lie left of each position."""
    total = np.concatenate([[0], np.cumsum(ends.astype(np.int64) - starts)])
    index = np.searchsorted(starts, position, side="right")
    inside = ends[np.maximum(index - 1, 0)] - position if starts.size else np.zeros_like(position)
    return total[index] - np.where(index > 0, np.maximum(inside, 0), 0)


def overlap_bp(starts: np.ndarray, ends: np.ndarray, q_start: np.ndarray, q_end: np.ndarray) -> np.ndarray:
    """Bases of each query interval that the given intervals cover.

    Parameters
    ----------
    starts, ends : integer (n,), sorted and disjoint (as `merge` returns them).
    q_start, q_end : integer (m,), any order, on the same contig.

    Returns
    -------
    int64 (m,).
    """
    starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    q_start, q_end = np.asarray(q_start, dtype=np.int64), np.asarray(q_end, dtype=np.int64)
    return _covered_before(starts, ends, q_end) - _covered_before(starts, ends, q_start)


def complement(starts: np.ndarray, ends: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """What sorted, disjoint intervals leave of a contig of ``length`` bases; integer (m,) starts and ends."""
    starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    gap_start, gap_end = np.concatenate([[0], ends]), np.concatenate([starts, [length]])
    keep = gap_end > gap_start
    return gap_start[keep], gap_end[keep]
