"""Effects of alleles beside those of the background variants of their stratum."""

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

from seqmill.effects.variants.alleles import Alleles, Sequences
from seqmill.effects.variants.strata import AXES, Box, Strata, standing
from seqmill.formats.intervals import read_intervals
from seqmill.genome.sequence import gc_fraction
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader

CACHE_BYTES = 256_000_000
"""Sorted effects of strata that are kept in memory."""


class Compared(NamedTuple):
    """Of each allele.

    Attributes
    ----------
    statistics : float64 (n, columns): percentile and p of the size of each effect, then percentile and p with the sign
        of those that have a direction. stratum : in words. n : background variants in it.
    """

    statistics: np.ndarray
    stratum: list[str]
    n: np.ndarray


class Starts:
    """Distance to the nearest start of a gene.

    Parameters
    ----------
    path : BED file of genes or of single bases: ``start`` on +, ``end - 1`` on -, the middle without a strand.

    Raises
    ------
    InputError : the file has no interval on the genome.
    """

    def __init__(self, path: object, genome: GenomeReader):
        found = read_intervals(str(path), "bed", genome.sizes, partial=genome.partial)
        if not len(found):
            raise InputError(str(path), f"0 genes on {genome.name}; distances to starts need some")
        self.by_contig = {}
        for contig in found:
            part = found[contig]
            middle = (part.start.astype(np.int64) + part.end - 1) // 2
            place = np.where(part.strand > 0, part.start, np.where(part.strand < 0, part.end - 1, middle))
            self.by_contig[contig] = np.unique(place.astype(np.int64))

    def distance(self, contigs: list[str], places: np.ndarray) -> np.ndarray:
        """bp to the nearest start, float64 (n,); infinite on a contig without any."""
        out = np.full(len(contigs), np.inf)
        names = np.array(contigs, object)
        for contig, starts in self.by_contig.items():
            rows = np.flatnonzero(names == contig)
            right = np.searchsorted(starts, places[rows])
            near = [np.abs(starts[np.clip(right - back, 0, len(starts) - 1)] - places[rows]) for back in (0, 1)]
            out[rows] = np.minimum(*near)
        return out


def axes_of(alleles: Alleles, windows: Sequences, maf: np.ndarray, starts: Starts | None, window_bp: int) -> np.ndarray:
    """Place of the scored alleles on the axes of strata; float64 (scored, 3), NaN where not known.

    Parameters
    ----------
    maf : float64 (alleles,), frequency of ALT or of the minor allele.
    """
    margin = (windows.codes.shape[1] - window_bp) // 2
    gc = gc_fraction(windows.codes[:, margin : margin + window_bp])[windows.ref]
    maf = np.minimum(maf, 1 - maf)[windows.rows]
    distance = np.full(len(gc), np.nan)
    if starts is not None:
        distance = starts.distance([alleles.contig[row] for row in windows.rows], alleles.start[windows.rows])
    return np.stack([maf, distance, gc], axis=1)


class Matched:
    """A scored background.

    Parameters
    ----------
    effects : float32 (n, columns). strata : of the same variants. signed : bool of each column.
    """

    def __init__(self, effects: np.ndarray, strata: Strata, signed: list[bool]):
        self.effects = np.ascontiguousarray(effects.T, np.float32)
        self.strata, self.signed = strata, np.array(signed, bool)
        self._sorted: OrderedDict[Box, tuple[list[np.ndarray], list[np.ndarray]]] = OrderedDict()

    def _of(self, box: Box) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Sorted sizes of each column, and sorted effects of those with a sign."""
        if box not in self._sorted:
            part = self.effects[:, self.strata.members(box)]
            sizes, plain = np.sort(np.abs(part), axis=1), np.sort(part[self.signed], axis=1)
            self._sorted[box] = [row[~np.isnan(row)] for row in sizes], [row[~np.isnan(row)] for row in plain]
            kept = sum(sum(row.nbytes for rows in pair for row in rows) for pair in self._sorted.values())
            while kept > CACHE_BYTES and len(self._sorted) > 1:
                _, pair = self._sorted.popitem(last=False)
                kept -= sum(row.nbytes for rows in pair for row in rows)
        self._sorted.move_to_end(box)
        return self._sorted[box]

    def compare(self, effects: np.ndarray, axes: np.ndarray) -> Compared:
        """Effects (n, columns) of alleles at these places of the axes (n, 3), beside the background of their strata."""
        values = effects.astype(np.float32)  # as the background is kept: equal effects are equal
        boxes = [self.strata.box(bins) for bins in self.strata.bins_of(axes).tolist()]
        rows_of: dict[Box, list[int]] = {}
        for row, box in enumerate(boxes):
            rows_of.setdefault(box, []).append(row)
        columns = values.shape[1]
        signed = np.flatnonzero(self.signed).tolist()
        out = np.full((len(values), 2 * columns + 2 * len(signed)), np.nan)
        for box, rows in rows_of.items():
            sizes, plain = self._of(box)
            for column, known in enumerate(sizes):
                percentile, p, _ = standing(np.abs(values[rows, column]), known)
                out[rows, column], out[rows, columns + column] = percentile, p
            for number, (column, known) in enumerate(zip(signed, plain)):
                x = values[rows, column]
                percentile, above, upto = standing(x, known)
                out[rows, 2 * columns + number] = percentile
                out[rows, 2 * columns + len(signed) + number] = np.where(x < 0, upto, above)
        n = {box: self.strata.count(box) for box in rows_of}
        return Compared(out, [self.strata.words(box) for box in boxes], np.array([n[box] for box in boxes], np.int32))


class Beside:
    """What stands beside the effects of a block of alleles: their places on the axes, or the comparison itself.

    Parameters
    ----------
    starts : of genes, None if none are given. matched : the scored background; None while it is scored.
    """

    def __init__(self, window_bp: int, starts: Starts | None, matched: Matched | None = None):
        self.window_bp, self.starts, self.matched = window_bp, starts, matched

    def columns(
        self, effects: np.ndarray, alleles: Alleles, windows: Sequences, maf: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, list[Any]]]:
        """Further columns of the scored alleles.

        Parameters
        ----------
        effects : float64 (scored, columns of means). maf : float64 (alleles,), frequencies of ALT; None if not known.

        Returns
        -------
        Statistics (scored, columns), of no column without a background, and columns of the place, for all alleles.
        """
        maf = np.full(len(alleles), np.nan) if maf is None else maf
        axes = axes_of(alleles, windows, maf, self.starts, self.window_bp)
        if self.matched is None:
            place = np.full((len(alleles), len(AXES)), np.nan)
            place[windows.rows] = axes
            return np.empty((len(effects), 0)), dict(zip(AXES, place.T.tolist()))
        found = self.matched.compare(effects, axes)
        stratum: list[Any] = [None] * len(alleles)
        n: list[Any] = [None] * len(alleles)
        for row, words, count in zip(windows.rows.tolist(), found.stratum, found.n.tolist()):
            stratum[row], n[row] = words, count
        return found.statistics, {"stratum": stratum, "background_n": n}
