"""Sets of intervals (peaks, regions, blacklists) read whole, placed on a genome and sorted."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seqmill.formats.bedtext import LAYOUTS, BedBlock, read_bed
from seqmill.formats.placing import Placer

KINDS = tuple(kind for kind in LAYOUTS if kind not in ("bedpe", "cell_fragments"))


@dataclass(frozen=True)
class ContigIntervals:
    """Intervals of one contig, sorted by start, then end; 0-based half-open.

    Attributes
    ----------
    start, end : int32 (n,).
    summit : int32 (n,), position of the summit; the middle where the file names none.
    score : float32 (n,), NaN where there is none.
    strand : int8 (n,), 1, -1 or 0.
    """

    start: np.ndarray
    end: np.ndarray
    summit: np.ndarray
    score: np.ndarray
    strand: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


def _no_intervals() -> ContigIntervals:
    def none(dtype: type) -> np.ndarray:
        return np.zeros(0, dtype=dtype)

    return ContigIntervals(none(np.int32), none(np.int32), none(np.int32), none(np.float32), none(np.int8))


@dataclass(frozen=True)
class Intervals:
    """Intervals by contig of the genome; ``intervals[contig]`` is empty for a contig without any.

    Attributes
    ----------
    by_contig : contigs that have intervals, in the order of the genome.
    counts : reason -> number of lines or records that were skipped, dropped or changed.
    """

    by_contig: dict[str, ContigIntervals]
    counts: Counter[str] = field(default_factory=Counter)

    def __getitem__(self, contig: str) -> ContigIntervals:
        return self.by_contig.get(contig) or _no_intervals()

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_contig)

    def __len__(self) -> int:
        return sum(len(part) for part in self.by_contig.values())


def read_intervals(path: str | Path, kind: str, genome_sizes: Mapping[str, int], *, partial: bool = False) -> Intervals:
    """Read a file of intervals.

    Zero-length records and contigs that the genome does not have are dropped and counted; with ``partial`` so are
    records past the end of a contig, which are an error otherwise.

    Parameters
    ----------
    path : plain or gzip, tab-separated.
    kind : bed (BED3 to BED12: score in column 5, strand in 6), bed3 (other columns are not looked at), narrowPeak,
        broadPeak (score is signalValue), bedgraph or fragments (BEDPE or 3–5 columns).
    genome_sizes : contig -> length in bp.
    partial : the genome is a piece of an assembly.

    Raises
    ------
    InputError : see `seqmill.formats.bedtext.read_bed` and `seqmill.formats.placing.Placer`.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of intervals {kind!r}; expected one of {', '.join(KINDS)}")
    counts: Counter[str] = Counter()
    placer = Placer(path, genome_sizes, partial, counts, keep_straddling=False)
    parts: dict[int, list[ContigIntervals]] = defaultdict(list)
    for block in read_bed(path, kind, counts):
        rows, contig = placer.place(block)
        for index in np.unique(contig).tolist():
            parts[index].append(_take(block, rows[contig == index], counts))
    placer.finish()
    names = list(genome_sizes)
    result = Intervals({names[index]: _join(parts[index]) for index in sorted(parts)}, counts)
    _count_duplicates(path, result)
    return result


def _take(block: BedBlock, rows: np.ndarray, counts: Counter[str]) -> ContigIntervals:
    start, end = block.start[rows], block.end[rows]
    summit = (start + end) // 2
    if block.peak is not None:
        peak = block.peak[rows]
        without = int(np.count_nonzero(peak == -1))
        if without:
            counts["no summit (middle used)"] += without
        summit = np.where(peak == -1, summit, start + peak)
    score = np.full(len(rows), np.nan) if block.score is None else block.score[rows]
    strand = np.zeros(len(rows), dtype=np.int8) if block.strand is None else block.strand[rows]
    return ContigIntervals(
        start.astype(np.int32), end.astype(np.int32), summit.astype(np.int32), score.astype(np.float32), strand
    )


def _join(parts: list[ContigIntervals]) -> ContigIntervals:
    start, end = (np.concatenate([getattr(part, name) for part in parts]) for name in ("start", "end"))
    order = np.lexsort((end, start))
    summit, score, strand = (
        np.concatenate([getattr(part, name) for part in parts])[order] for name in ("summit", "score", "strand")
    )
    return ContigIntervals(start[order], end[order], summit, score, strand)


def _count_duplicates(path: str | Path, intervals: Intervals) -> None:
    number = sum(
        int(np.count_nonzero((np.diff(part.start) == 0) & (np.diff(part.end) == 0)))
        for part in intervals.by_contig.values()
    )
    if number:
        intervals.counts["same interval again (kept)"] = number
        logging.getLogger("seqmill").warning("%s: %d interval(s) come more than once", path, number)
