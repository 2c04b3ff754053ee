"""Strata of variants that are compared with each other, and where an effect stands among those of a background.

A stratum is a bin on each of three axes: minor allele frequency, distance to the nearest start of a gene, and GC
content of the window of REF. One that holds fewer background variants than wanted is widened by one bin on both sides:
first of GC, then of distance, then of frequency, then of GC again, and so on, until it holds enough or is the whole
background. A variant of unknown frequency is compared with all frequencies; a background variant of unknown frequency
is only in strata of all frequencies. The same holds for the other axes; one on which nothing of the background is known
divides nothing.

Percentiles are mid-ranks, 100 (below + equal / 2) / n; p is (1 + at least as large) / (1 + n), so never 0 (Phipson and
Smyth 2010, Stat Appl Genet Mol Biol 9:39).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

AXES = ("maf", "tss_bp", "gc")
_ORDER = (2, 1, 0)


class Box(NamedTuple):
    """Bins of a stratum, first and last on each axis; bin 0 is that of unknown values."""

    first: tuple[int, ...]
    last: tuple[int, ...]


class Strata:
    """Strata of a background.

    Parameters
    ----------
    bounds : rising bounds of the bins of each axis; a bound belongs to the bin above it.
    values : float64 (n, axes) of the background, NaN where not known. least : variants that a stratum should hold.
    """

    def __init__(self, bounds: Sequence[Sequence[float]], values: np.ndarray, least: int):
        self.bounds = [np.array(axis, np.float64) for axis in bounds]
        self.least = least
        self.used = (~np.isnan(values)).any(axis=0)
        self.bins = self.bins_of(values)
        self.tops = [len(axis) + 1 for axis in self.bounds]
        self.counts = np.zeros([top + 1 for top in self.tops], np.int64)
        np.add.at(self.counts, tuple(self.bins.T), 1)
        self._known: dict[tuple[int, ...], Box] = {}

    def bins_of(self, values: np.ndarray) -> np.ndarray:
        """Bin of each value from 1, 0 where it is not known; int64 (n, axes)."""
        found = [
            np.where(np.isnan(column), 0, np.searchsorted(axis, column, side="right") + 1)
            for axis, column in zip(self.bounds, values.T)
        ]
        return np.stack(found, axis=1).astype(np.int64) * self.used

    def box(self, bins: Sequence[int]) -> Box:
        """The stratum of a variant in these bins, widened as far as needed."""
        key = tuple(bins)
        if key not in self._known:
            first = [1 if at == 0 else at for at in key]
            last = [top if at == 0 else at for at, top in zip(key, self.tops)]
            while self.count(self._boxed(first, last)) < self.least:
                if not self._widened(first, last):
                    break
            self._known[key] = self._boxed(first, last)
        return self._known[key]

    def _widened(self, first: list[int], last: list[int]) -> bool:
        """Widen by one axis at a time until there are enough; False if nothing is left to widen."""
        moved = False
        for axis in _ORDER:
            if first[axis] > 1 or last[axis] < self.tops[axis]:
                first[axis], last[axis] = max(1, first[axis] - 1), min(self.tops[axis], last[axis] + 1)
                moved = True
                if self.count(self._boxed(first, last)) >= self.least:
                    break
        return moved

    def _boxed(self, first: Sequence[int], last: Sequence[int]) -> Box:
        low = [0 if a == 1 and b == top else a for a, b, top in zip(first, last, self.tops)]
        return Box(tuple(low), tuple(last))

    def count(self, box: Box) -> int:
        """Background variants in a stratum."""
        return int(self.counts[tuple(slice(a, b + 1) for a, b in zip(*box))].sum())

    def members(self, box: Box) -> np.ndarray:
        """Rows of the background that are in a stratum, int64."""
        return np.flatnonzero(((self.bins >= box.first) & (self.bins <= box.last)).all(axis=1))

    def words(self, box: Box) -> str:
        """A stratum in words: "maf 0.01-0.05 gc <0.4"; "all" if it is the whole background."""
        parts = []
        for name, axis, a, b in zip(AXES, self.bounds, *box):
            if a == 0:
                continue
            low, high = (f"{axis[a - 2]:g}" if a > 1 else ""), (f"{axis[b - 1]:g}" if b <= len(axis) else "")
            parts.append(f"{name} {low}-{high}" if low and high else f"{name} {'>=' + low if low else '<' + high}")
        return " ".join(parts) or "all"


def standing(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where values stand among others.

    Parameters
    ----------
    values : (m,), NaN if there is none. known : (n,) sorted, without NaN.

    Returns
    -------
    Percentile, p of what is at least as large, p of what is at most as large; float64 (m,), NaN for NaN and for n = 0.
    """
    n = len(known)
    below = np.searchsorted(known, values, side="left")
    upto = np.searchsorted(known, values, side="right")
    found = 100 * (below + upto) / (2 * max(n, 1)), (1 + n - below) / (1 + n), (1 + upto) / (1 + n)
    unknown = np.isnan(values) | (n == 0)
    return tuple(np.where(unknown, np.nan, x) for x in found)  # type: ignore[return-value]
