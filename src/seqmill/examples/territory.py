"""Territories: the pieces of contigs that folds own."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Place = tuple[str, str]  # assembly, contig
NOWHERE, BORDER = -1, -2


@dataclass(frozen=True)
class Territory:
    """Pieces of one contig.

    Attributes
    ----------
    bounds : int64 (m + 1,), ascending; piece i is ``bounds[i]`` to ``bounds[i + 1]``.
    folds : int64 (m,), number of the fold of each piece; `NOWHERE` where no window may be. Neighbours differ.
    """

    bounds: np.ndarray
    folds: np.ndarray

    @staticmethod
    def of(pieces: list[tuple[int, int, int]], size: int) -> "Territory":
        """From disjoint (start, end, fold) pieces in any order; what they leave is `NOWHERE`."""
        bounds: list[int] = [0]
        folds: list[int] = []
        for start, end, fold in sorted(pieces):
            for until, value in ((start, NOWHERE), (end, fold)):
                if until > bounds[-1]:
                    if folds and folds[-1] == value:
                        bounds[-1] = until
                    else:
                        folds.append(value)
                        bounds.append(until)
        if bounds[-1] < size:
            folds.append(NOWHERE)
            bounds.append(size)
        return Territory(np.array(bounds, np.int64), np.array(folds, np.int64))

    def assign(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Fold of each extent, `NOWHERE`, or `BORDER` for one that lies in more than one piece; int64 (n,)."""
        if not len(self.folds):
            return np.full(len(starts), NOWHERE, np.int64)
        first = np.searchsorted(self.bounds, starts, side="right") - 1
        last = np.searchsorted(self.bounds, ends, side="left") - 1
        both = first == last
        fold = self.folds[np.clip(first, 0, len(self.folds) - 1)]
        return np.where(both, fold, BORDER)

    def carve(self, start: int, end: int, old: int, new: int) -> "Territory":
        """The same territory with what is ``old`` between ``start`` and ``end`` given to ``new``."""
        pieces = []
        for a, b, fold in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), self.folds.tolist()):
            low, high = max(a, start), min(b, end)
            if fold != old or low >= high:
                pieces.append((a, b, fold))
            else:
                pieces += [(a, low, old), (low, high, new), (high, b, old)]
        return Territory.of([piece for piece in pieces if piece[0] < piece[1]], int(self.bounds[-1]))


@dataclass(frozen=True)
class Windows:
    """Windows to split: int64 starts by contig, and the reach of their extents in bp around each start."""

    starts: Mapping[Place, np.ndarray]
    extent_bp: int
    margin_bp: int

    def extents(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of the extents (window and margins) on one contig."""
        low = self.starts[place] - self.margin_bp
        return low, low + self.extent_bp


@dataclass
class Plan:
    """Folds by number, the territories, and which folds each run uses for what."""

    folds: list[str]
    territories: dict[Place, Territory]
    runs: dict[str, dict[str, list[str]]]

    def assign(self, place: Place, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        territory = self.territories.get(place)
        return territory.assign(starts, ends) if territory else np.full(len(starts), NOWHERE, np.int64)

    def counts(self, windows: Windows) -> list[int]:
        """Windows in each fold."""
        total = np.zeros(len(self.folds), np.int64)
        for place in windows.starts:
            fold = self.assign(place, *windows.extents(place))
            total += np.bincount(fold[fold >= 0], minlength=len(self.folds))
        return total.tolist()
