"""Values at single places of an assembly: distance to the nearest of some places, and bases of a bigWig."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqmill.formats.bbi import check_bigwig
from seqmill.formats.bedtext import read_bed
from seqmill.genome.names import match_names
from seqmill.runtime.isolate import IsolatedWorker

FURTHEST = 2**31 - 1


def _by_contig(contigs: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, contig in enumerate(contigs):
        found.setdefault(contig, []).append(row)
    return found


def nearest_bp(path: str | Path, contigs: Sequence[str], starts: Sequence[int]) -> np.ndarray:
    """Distance of each place to the nearest record of a BED file (to its first base), bp.

    Parameters
    ----------
    contigs, starts : of the places, 0-based; names may differ in style from the file's.

    Returns
    -------
    float64 (n,), NaN on contigs without a record.
    """
    places: dict[str, list[np.ndarray]] = {}
    for block in read_bed(path, "bed3", Counter()):
        for number, name in enumerate(block.names):
            places.setdefault(name, []).append(block.start[block.contig == number])
    rows = _by_contig(contigs)
    names = match_names(places, dict.fromkeys(rows, FURTHEST), str(path))
    out = np.full(len(starts), np.nan)
    for name, contig in names.items():
        known = np.sort(np.concatenate(places[name]))
        at = np.asarray(starts, np.int64)[rows[contig]]
        after = np.searchsorted(known, at)
        left = np.abs(at - known[np.maximum(after - 1, 0)])
        out[rows[contig]] = np.minimum(left, np.abs(at - known[np.minimum(after, len(known) - 1)]))
    return out


def bigwig_at(path: str | Path, contigs: Sequence[str], starts: Sequence[int]) -> np.ndarray:
    """Values of a bigWig at single bases.

    Parameters
    ----------
    contigs, starts : of the places, 0-based; names may differ in style from the file's.

    Returns
    -------
    float64 (n,), NaN where the file has no data or no such base.
    """
    check_bigwig(path)
    rows = _by_contig(contigs)
    out = np.full(len(starts), np.nan)
    with IsolatedWorker("seqmill.formats.bigwig:_Worker", str(path), where=str(path)) as worker:
        sizes = worker.call("sizes")
        for name, contig in match_names(sizes, dict.fromkeys(rows, FURTHEST), str(path)).items():
            mine = np.array(rows[contig])
            at = np.asarray(starts, np.int64)[mine]
            mine, at = mine[(at >= 0) & (at < sizes[name])], at[(at >= 0) & (at < sizes[name])]
            order = np.argsort(at, kind="stable")
            mine, at = mine[order], at[order]
            for first, last in _stretches(at.tolist()):
                low, high = np.searchsorted(at, [first, last])
                out[mine[low:high]] = worker.call("bases", name, first, last)[at[low:high] - first]
    return out


def _stretches(starts: list[int], gap_bp: int = 10_000) -> list[tuple[int, int]]:
    """Runs of places without a long gap, as half-open bounds."""
    found: list[tuple[int, int]] = []
    for start in starts:
        if found and start - found[-1][1] < gap_bp:
            found[-1] = found[-1][0], max(start + 1, found[-1][1])
        else:
            found.append((start, start + 1))
    return found
