"""From marked alignments to what is used: the filtered BAM, the table of fragments, and the library's complexity."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from seqmill.reads.fragments import Fragments, write_fragments
from seqmill.reads.programs import pipeline

FILTERED, TABLE = "filtered.bam", "fragments.parquet"
LONGEST_BAI = 1 << 29
"""A BAI index has no place behind it."""
_REVERSE, _READ_1, _DUPLICATE = 0x10, 0x40, 0x400


class _Pieces(Mapping[str, Fragments]):
    """Fragments by contig, read when they are asked for; counts what passes."""

    def __init__(self, marked: Path, paired: bool, keep_duplicates: bool, threads: int):
        import pysam

        pysam.set_verbosity(0)
        self._file = pysam.AlignmentFile(str(marked), threads=threads)
        self._paired, self._keep = paired, keep_duplicates
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._file.nreferences

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.references)

    def __getitem__(self, contig: str) -> Fragments:
        if contig not in self._file.references:
            raise KeyError(contig)
        starts, ends, strands, copies = array("i"), array("i"), array("b"), array("b")
        for read in self._file.fetch(contig):
            flag, start = read.flag, read.reference_start
            if self._paired:
                if flag & _REVERSE:
                    continue  # an insert is told by its forward read: fixmate measures from 5' to 5' end
                ends.append(start + read.template_length)
                strands.append(1 if flag & _READ_1 else -1)
            else:
                ends.append(read.reference_end or start)
                strands.append(-1 if flag & _REVERSE else 1)
            starts.append(start)
            copies.append(1 if flag & _DUPLICATE else 0)
        found = Fragments(np.array(starts, np.int32), np.array(ends, np.int32), np.array(strands, np.int8))
        copy = np.array(copies, bool)
        self.counts.update(complexity(found.start, found.end, None if self._paired else found.strand))
        self.counts["duplicates"] += int(copy.sum()) * (2 if self._paired else 1)
        kept = found if self._keep else Fragments(*(column[~copy] for column in found))
        self.counts["fragments"] += len(kept.start)
        return Fragments.of(*kept)

    def close(self) -> None:
        self._file.close()


def complexity(start: np.ndarray, end: np.ndarray, strand: np.ndarray | None) -> dict[str, int]:
    """How often the places of fragments of one contig come, before duplicates are removed.

    As ENCODE's pipelines (``encode_lib_qc: pbc_qc``): a place is contig, start, end and strand of a single read, or
    both ends of a pair. (ENCODE takes the leftmost base of one mate and the last of the other: the same two where the
    mates do not run past each other.)

    Parameters
    ----------
    start, end : int (n,), 0-based half-open. strand : int8 (n,), None for pairs.

    Returns
    -------
    ``fragments_before_duplicates`` (MT), ``distinct`` places (M0), those seen ``once`` (M1) and ``twice`` (M2).
    """
    keys = (end, start) if strand is None else (strand, end, start)
    order = np.lexsort(keys)
    new = np.ones(len(start), bool)
    if len(start):
        new[1:] = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    times = np.diff(np.append(np.flatnonzero(new), len(start)))
    return {
        "fragments_before_duplicates": len(start),
        "distinct": len(times),
        "once": int(np.count_nonzero(times == 1)),
        "twice": int(np.count_nonzero(times == 2)),
    }


def split_marked(
    marked: Path,
    folder: Path,
    *,
    sizes: Mapping[str, int],
    paired: bool,
    keep_duplicates: bool,
    threads: int,
    what: str,
) -> dict[str, int]:
    """Write the filtered BAM with its index, and the table of fragments: the same reads, in two forms.

    Parameters
    ----------
    marked : BAM of `seqmill.reads.align.keep_and_mark`. folder : what is written goes there.
    sizes : contig -> bp of the genome. paired : inserts, else single reads. what : the work in words, for messages.
    keep_duplicates : marked duplicates stay.

    Returns
    -------
    ``fragments`` (rows of the table), ``duplicates`` (reads, both mates counted) and the counts of `complexity`.

    Notes
    -----
    One contig is in memory at a time: 18 bytes a fragment and twice as much while it is sorted. About a million reads
    a second pass on one core.
    """
    kind = ["-c"] if any(size > LONGEST_BAI for size in sizes.values()) else []
    pipeline([["samtools", "index", "-c", str(marked.resolve())]], cwd=folder, what=what)
    pieces = _Pieces(marked, paired, keep_duplicates, threads)
    try:
        write_fragments(folder / TABLE, sizes, paired, pieces)
    finally:
        pieces.close()
    helpers = ["-@", str(threads - 1)]
    drop = [] if keep_duplicates else ["-F", str(_DUPLICATE)]
    view = ["samtools", "view", "-b", "--no-PG", *helpers, *drop, "-o", FILTERED, str(marked.resolve())]
    pipeline([view], cwd=folder, what=what)
    pipeline([["samtools", "index", *helpers, *kind, FILTERED]], cwd=folder, what=what)
    return dict(pieces.counts)
