"""Signal from text: bedGraph values, coverage by BED records, and fragments.

Each file is read once, front to back, into a `Spill`; bins are then made from it in any order.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from seqmill.formats.bedtext import BedBlock, read_bed
from seqmill.formats.placing import Placer
from seqmill.formats.signal import SignalReader
from seqmill.formats.spill import Spill
from seqmill.runtime.errors import InputError

FRAGMENT_MODES = ("coverage", "ends", "centres")


class _SpilledReader(SignalReader):
    """Reads all records at the start; subclasses say what a record means."""

    def __init__(self, path: str | Path, genome_sizes: Mapping[str, int], kind: str, partial: bool):
        super().__init__(path, genome_sizes, {})
        self._spill = Spill(genome_sizes)
        try:
            placer = Placer(path, genome_sizes, partial, self.counts, keep_straddling=True)
            for block in read_bed(path, kind, self.counts):
                rows, contig = placer.place(block)
                self._check_order(block, rows, contig)
                self._spill_rows(block, rows, contig)
            self.contigs = {name: found for name, found in placer.finish().items() if name in self.sizes}
            self.missing_contigs = [name for name in self.sizes if name not in self.contigs]
        except BaseException:
            self._spill.close()
            raise

    def _check_order(self, block: BedBlock, rows: np.ndarray, contig: np.ndarray) -> None:
        """Any order will do, unless a subclass says otherwise."""

    def _spill_rows(self, block: BedBlock, rows: np.ndarray, contig: np.ndarray) -> None:
        raise AssertionError("a subclass says what a record means")

    def _bases(self, contig: str, start: int, end: int) -> np.ndarray:
        """Sum of the values of the records over each base; NaN at bases without a record."""
        number, total = np.zeros(end - start + 1, dtype=np.int64), np.zeros(end - start + 1)
        for first, last, value in self._spill.read(contig, start, end):
            length = len(total)
            number += np.bincount(first, minlength=length) - np.bincount(last, minlength=length)
            total += np.bincount(first, value, length) - np.bincount(last, value, length)
        values = np.cumsum(total[:-1])
        values[np.cumsum(number[:-1]) == 0] = np.nan
        return values

    def close(self) -> None:
        self._spill.close()


class BedGraphReader(_SpilledReader):
    """Values of a bedGraph, which must be sorted by start within each contig and free of overlaps.

    Parameters
    ----------
    path, genome_sizes, partial : see `seqmill.formats.signal.open_signal`. A contig without a record is missing.
    """

    def __init__(self, path: str | Path, genome_sizes: Mapping[str, int], *, partial: bool = False):
        self._reached = np.zeros((2, len(genome_sizes)), dtype=np.int64)  # last start and end of each contig
        super().__init__(path, genome_sizes, "bedgraph", partial)

    def _check_order(self, block: BedBlock, rows: np.ndarray, contig: np.ndarray) -> None:
        order = np.argsort(contig, kind="stable")
        rows, contig = rows[order], contig[order]
        start, end = block.start[rows], block.end[rows]
        first = np.diff(contig, prepend=-1) != 0
        before_start = np.where(first, self._reached[0][contig], np.roll(start, 1))
        before_end = np.where(first, self._reached[1][contig], np.roll(end, 1))
        wrong = np.flatnonzero(start < before_end)
        if wrong.size:
            worst = wrong[np.argmin(rows[wrong])]
            name, line = block.names[block.contig[rows[worst]]], block.line(int(rows[worst]))
            if start[worst] < before_start[worst]:
                problem = f"{name}:{start[worst]} comes after {name}:{before_start[worst]}: sort the file by start"
            else:
                problem = (
                    f"overlap: {name}:{start[worst]}-{end[worst]} begins before the record above it ends "
                    f"({before_end[worst]})"
                )
            raise InputError(self.path, problem, record=line)
        last = np.append(first[1:], True) if len(first) else first
        self._reached[0][contig[last]], self._reached[1][contig[last]] = start[last], end[last]

    def _spill_rows(self, block: BedBlock, rows: np.ndarray, contig: np.ndarray) -> None:
        assert block.score is not None  # the layout of a bedGraph has it
        value = block.score[rows]
        known = ~np.isnan(value)
        if not known.all():
            self.counts["records without a value"] += int(np.count_nonzero(~known))
        self._spill.add(contig[known], block.start[rows][known], block.end[rows][known], value[known])

    def _bases(self, contig: str, start: int, end: int) -> np.ndarray:
        values = np.full(end - start, np.nan)
        for first, last, value in self._spill.read(contig, start, end):
            length = last - first
            inner = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
            values[np.repeat(first, length) + inner] = np.repeat(value, length)
        return values


class BedReader(_SpilledReader):
    """How many records cover each base, or the sum of their scores.

    Parameters
    ----------
    path, genome_sizes, partial : see `seqmill.formats.signal.open_signal`. A contig without a record has none.
    table : bed, bed3, narrowPeak or broadPeak. Of a BED, columns 5 and 6 are looked at only if they are used.
    value : ``count``, or ``score`` (column 5 of BED, signalValue of peaks); records without a score are counted
        and left out.
    strand : use only records of this strand, ``.`` for all.
    """

    absent_is_zero = True

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        partial: bool = False,
        table: Literal["bed", "bed3", "narrowPeak", "broadPeak"] = "bed",
        value: Literal["count", "score"] = "count",
        strand: Literal["+", "-", "."] = ".",
    ):
        if value not in ("count", "score") or strand not in ("+", "-", "."):
            raise ValueError(f"value {value!r} must be count or score, strand {strand!r} one of + - .")
        self._value, self._strand = value, {"+": 1, "-": -1, ".": 0}[strand]
        if table == "bed" and value == "count" and strand == ".":
            table = "bed3"
        super().__init__(path, genome_sizes, table, partial)

    def _spill_rows(self, block: BedBlock, rows: np.ndarray, contig: np.ndarray) -> None:
        keep = np.ones(len(rows), dtype=bool)
        if self._strand:
            if block.strand is None:
                raise InputError(self.path, "has no strand column, but records of one strand are wanted")
            keep = block.strand[rows] == self._strand
        if self._value == "count":
            value = np.ones(len(rows))
        elif block.score is None:
            raise InputError(self.path, "has no score column")
        else:
            value = block.score[rows]
            without = keep & np.isnan(value)
            if without.any():
                self.counts["records without a score"] += int(np.count_nonzero(without))
            keep &= ~without
        rows = rows[keep]
        self._spill.add(contig[keep], block.start[rows], block.end[rows], value[keep])


class FragmentReader(_SpilledReader):
    """Fragments of paired reads, each line one fragment whatever its barcode or count column says.

    Parameters
    ----------
    path, genome_sizes, partial : see `seqmill.formats.signal.open_signal`. A contig without a fragment has none.
        The file has three to five columns, or is a BEDPE of the two mates; any order.
    mode : ``coverage`` of the whole fragment, its two ``ends`` (first and last base, cut sites) or its ``centres``
        (of an even length: the right one of the two middle bases).
    plus_shift, minus_shift : bp added to the position of the left and the right end; cut sites moved out of the
        contig are dropped and counted.
    """

    absent_is_zero = True

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        partial: bool = False,
        mode: Literal["coverage", "ends", "centres"] = "coverage",
        plus_shift: int = 0,
        minus_shift: int = 0,
    ):
        if mode not in FRAGMENT_MODES:
            raise ValueError(f"unknown mode {mode!r}; expected one of {', '.join(FRAGMENT_MODES)}")
        self._mode, self._shifts = mode, (plus_shift, minus_shift)
        super().__init__(path, genome_sizes, "fragments", partial)

    def _spill_rows(self, block: BedBlock, rows: np.ndarray, contig: np.ndarray) -> None:
        start, end = block.start[rows], block.end[rows]
        if self._mode == "coverage":
            self._spill.add(contig, start, end, np.ones(len(rows)))
        elif self._mode == "centres":
            self._add_points(contig, (start + end) // 2)
        else:
            self._add_points(contig, start + self._shifts[0])
            self._add_points(contig, end - 1 + self._shifts[1])

    def _add_points(self, contig: np.ndarray, place: np.ndarray) -> None:
        length = np.array(list(self.sizes.values()), dtype=np.int64)[contig]
        outside = int(np.count_nonzero((place < 0) | (place >= length)))
        if outside:
            self.counts["positions outside the contig"] += outside
        self._spill.add(contig, place, place + 1, np.ones(len(place)))
