"""Where windows are: tiles along contigs, windows centred on peaks, merged peaks.

All positions are 0-based; a window is told by its start, its width is the dataset's ``window_bp``.
"""

import heapq
import math

import numpy as np

from seqmill.runtime.errors import InputError


def centred_offset(window_bp: int, part_bp: int, where: str) -> int:
    """Offset of a central part of ``part_bp`` against the window's start. Raises InputError if it is not whole."""
    if part_bp > window_bp:
        raise InputError(where, f"a part of {part_bp} bp is longer than the window of {window_bp} bp")
    if (window_bp - part_bp) % 2:
        raise InputError(
            where, f"{part_bp} bp cannot be centred in a window of {window_bp} bp; both must be even, or both odd"
        )
    return (window_bp - part_bp) // 2


def snap(starts: np.ndarray, offset: int, grid_bp: int) -> np.ndarray:
    """Move windows to the nearest start at which base ``start + offset`` begins a bin (ties go right).

    int64 (n,) in and out; a window moves by at most ``grid_bp / 2`` bp.
    """
    if grid_bp == 1:
        return starts
    return (starts + offset + grid_bp // 2) // grid_bp * grid_bp - offset


def tile_starts(
    size: int, window_bp: int, stride_bp: int, margin_bp: int = 0, offset: int = 0, grid_bp: int = 1
) -> np.ndarray:
    """Starts of all windows at a step of ``stride_bp`` whose extent (window and margins) lies on the contig.

    The first window is the leftmost at which base ``start + offset`` begins a bin of ``grid_bp``. int64 (n,).
    """
    first = margin_bp + (-(margin_bp + offset)) % grid_bp
    last = size - margin_bp - window_bp
    return np.arange(first, last + 1, stride_bp, dtype=np.int64) if last >= first else np.zeros(0, np.int64)


def check_grid(stride_bp: int, grid_bp: int, where: str) -> None:
    """Refuse a stride that would move windows off the bins of the tracks."""
    if stride_bp % grid_bp:
        good = math.ceil(stride_bp / grid_bp) * grid_bp
        raise InputError(
            where, f"stride_bp {stride_bp} is not a multiple of the tracks' bins ({grid_bp} bp); try {good}"
        )


def centred_starts(centres: np.ndarray, window_bp: int) -> np.ndarray:
    """Starts of windows around centres, int64 (n,): base ``window_bp // 2`` of the window is the centre."""
    return np.asarray(centres, dtype=np.int64) - window_bp // 2


def inside(starts: np.ndarray, window_bp: int, margin_bp: int, size: int) -> np.ndarray:
    """Which windows have their whole extent on the contig; bool (n,)."""
    return (starts - margin_bp >= 0) & (starts + window_bp + margin_bp <= size)


def merge_peaks(
    starts: np.ndarray, ends: np.ndarray, tracks: np.ndarray, size: int, window_bp: int, overlap_bp: int
) -> tuple[np.ndarray, list[int]]:
    """Merge the peaks of many tracks on one contig into a single list of windows, as Basset did.

    Basset (Kelley, Snoek and Rinn 2016, Genome Res 26:990, Methods; its `preprocess_features.py`): every peak is
    extended around its midpoint to the window. In each run of peaks that overlap by more than ``overlap_bp``, the
    adjacent pair with the largest overlap is merged, again and again, while that overlap is at least ``overlap_bp``.
    A merged window is centred on the mean of the two midpoints, weighted by 1 + number of tracks of each, and has
    the tracks of both. Windows are pushed back onto the contig where they pass its ends.

    Parameters
    ----------
    starts, ends : integer (n,), peaks in bp, any order.
    tracks : integer (n,), number of the track of each peak.
    size : length of the contig in bp.

    Returns
    -------
    starts : int64 (m,), ascending, of windows of ``window_bp``.
    members : m integers whose bit t says that the window has a peak of track t.
    """
    if size < window_bp or not len(starts):
        return np.zeros(0, np.int64), []
    half = window_bp // 2
    middle = (np.asarray(starts, np.int64) + np.asarray(ends, np.int64)) // 2
    left = np.minimum(np.maximum(middle - half, 0), size - window_bp)
    order = np.lexsort((tracks, left))
    left, numbers = left[order].tolist(), np.asarray(tracks)[order].tolist()
    found: list[tuple[int, int]] = []
    first = 0
    for index in range(1, len(left) + 1):
        if index == len(left) or left[index - 1] + window_bp - overlap_bp <= left[index]:
            members = [1 << number for number in numbers[first:index]]
            found += _merge_run(left[first:index], members, size, window_bp, overlap_bp)
            first = index
    union: dict[int, int] = {}
    for start, members_ in found:  # two windows at one place are one example
        union[start] = union.get(start, 0) | members_
    ordered = sorted(union)
    return np.array(ordered, dtype=np.int64), [union[start] for start in ordered]


def _merge_run(
    left: list[int], members: list[int], size: int, window_bp: int, overlap_bp: int
) -> list[tuple[int, int]]:
    """Merge one run of overlapping windows, largest overlap first (leftmost pair of equal ones).

    A heap with stale entries gives the order of the quadratic search in O(n log n).
    """
    count = len(left)
    after = [*range(1, count), -1]
    before = list(range(-1, count - 1))
    alive = [True] * count
    version = [0] * count
    heap: list[tuple[int, int, int, int, int]] = []

    def push(i: int) -> None:
        j = after[i]
        if j >= 0:
            overlap = left[i] + window_bp - left[j]
            if overlap >= overlap_bp:
                heapq.heappush(heap, (-overlap, i, j, version[i], version[j]))

    for i in range(count):
        push(i)
    while heap:
        _, i, j, version_i, version_j = heapq.heappop(heap)
        if not (alive[i] and alive[j]) or (version_i, version_j) != (version[i], version[j]):
            continue
        weight_i, weight_j = 1 + members[i].bit_count(), 1 + members[j].bit_count()
        half = window_bp // 2
        # midpoints as preprocess_features.py takes them, (start + end) / 2 without fraction
        mid_i, mid_j = (2 * left[i] + window_bp) // 2, (2 * left[j] + window_bp) // 2
        middle = int(0.5 + (mid_i * weight_i + mid_j * weight_j) / (weight_i + weight_j))
        left[i] = min(max(middle - half, 0), size - window_bp)
        members[i] |= members[j]
        version[i] += 1
        alive[j] = False
        after[i] = after[j]
        if after[j] >= 0:
            before[after[j]] = i
        push(i)
        if before[i] >= 0:
            push(before[i])
    return [(left[i], members[i]) for i in range(count) if alive[i]]
