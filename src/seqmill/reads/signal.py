"""From fragments to values at every base of a contig, and those to a bigWig.

Contigs are handled one by one; the values of one take 4 bytes a base (1 GB for 250 Mb), and nothing else here grows
with the contig.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from seqmill.formats.bam import BamReader
from seqmill.formats.bigwig_out import Piece, write_bigwig
from seqmill.reads.fragments import Fragments

BLOCK_BP = 1 << 20
DYAD_BP = 73
"""From the edge of a nucleosome, which MNase cuts at, to its middle: half of 147 bp."""


def five_prime_ends(fragments: Fragments, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the 5' bases of + reads and of - reads.

    Parameters
    ----------
    paired : every row is a whole fragment, which has both (its first and its last base); else a read, which has the
        one of its strand.

    Returns
    -------
    plus, minus : int64, 0-based; as many as there are.
    """
    start, last = fragments.start.astype(np.int64), fragments.end.astype(np.int64) - 1
    if paired:
        return start, last
    reverse = fragments.strand < 0
    return start[~reverse], last[reverse]


def cut_sites(fragments: Fragments, size: int, paired: bool, plus: int, minus: int) -> np.ndarray:
    """How many cut sites lie on each base.

    Parameters
    ----------
    size : bp of the contig. paired : see `five_prime_ends`.
    plus, minus : bp added to the 5' position of the + and the - ends. ATAC: +4 and -5 (Buenrostro et al. 2013, Nat
        Methods 10:1213; ENCODE), or +4 and -4, which puts both cuts of one insertion on one base.

    Returns
    -------
    uint32 (size,). Cuts that were moved off the contig are dropped: the sum is the number of ends without those.
    """
    ends = five_prime_ends(fragments, paired)
    return _counts([ends[0] + plus, ends[1] + minus], size)


def centres(
    fragments: Fragments, size: int, paired: bool, *, fragment_bp: tuple[int, int] = (1, 2**31 - 1)
) -> np.ndarray:
    """How many fragments have their centre on each base.

    Parameters
    ----------
    fragment_bp : shortest and longest fragment used, both included; single reads do not tell, all are used.
        Their centre is taken `DYAD_BP` downstream of their 5' end.

    Returns
    -------
    uint32 (size,). Of an even length the right one of the two middle bases counts.
    """
    if not paired:
        plus, minus = five_prime_ends(fragments, False)
        return _counts([plus + DYAD_BP, minus - DYAD_BP], size)
    length = fragments.end - fragments.start
    used = (length >= fragment_bp[0]) & (length <= fragment_bp[1])
    return _counts([(fragments.start[used].astype(np.int64) + fragments.end[used]) // 2], size)


def coverage(fragments: Fragments, size: int, *, extend_bp: int | None = None) -> np.ndarray:
    """How many fragments (or reads) cover each base.

    Parameters
    ----------
    extend_bp : single reads count as fragments of this length from their 5' end on.

    Returns
    -------
    uint32 (size,). What lies outside the contig is cut off.
    """
    start, end = fragments.start.astype(np.int64), fragments.end.astype(np.int64)
    if extend_bp is not None:
        reverse = fragments.strand < 0
        start, end = np.where(reverse, end - extend_bp, start), np.where(reverse, end, start + extend_bp)
    values = np.zeros(size + 1, np.int32)
    np.add.at(values, np.clip(start, 0, size), 1)
    np.subtract.at(values, np.clip(end, 0, size), 1)
    np.cumsum(values, out=values)
    return values[:size].view(np.uint32)


def _counts(positions: list[np.ndarray], size: int) -> np.ndarray:
    values = np.zeros(size, np.uint32)
    for places in positions:
        np.add.at(values, places[(places >= 0) & (places < size)], 1)
    return values


@contextmanager
def rna_coverage(
    bam: str | Path,
    sizes: Mapping[str, int],
    *,
    strandedness: Literal["none", "forward", "reverse"] = "none",
    strand: Literal["+", "-", "."] = ".",
    partial: bool = False,
) -> Iterator[Callable[[str], np.ndarray | None]]:
    """Spliced coverage of alignments: a base counts for every read with a base aligned to it, introns do not.

    Both mates count, also where they overlap (as ``bedtools genomecov -split``). Nothing is filtered but unmapped and
    secondary alignments: the file holds what passed the filters.

    Parameters
    ----------
    bam : sorted by coordinate. sizes, partial : of the genome.
    strandedness : which mate has the transcript's strand; see `seqmill.formats.bam.BamReader`.
    strand : of the transcript; values are positive on both. ``.`` for both together.

    Yields
    ------
    Function: contig -> uint32 (size,), None for a contig that the file does not have.
    """
    with BamReader(
        bam,
        sizes,
        partial=partial,
        mode="coverage",
        strand=strand,
        strandedness=strandedness if strand != "." else "none",
        keep_supplementary=True,
        keep_qc_fail=True,
        keep_duplicates=True,
    ) as reader:

        def values(contig: str) -> np.ndarray | None:
            if contig not in reader.contigs:
                return None
            found = np.zeros(sizes[contig], np.uint32)
            for start in range(0, len(found), BLOCK_BP):
                n_bp = min(BLOCK_BP, len(found) - start)
                found[start : start + n_bp] = reader.bins(contig, start, n_bp, 1)
            return found

        yield values


def write_signal(path: str | Path, sizes: Mapping[str, int], values: Callable[[str], np.ndarray | None]) -> None:
    """Write values of all contigs as a bigWig, a run of equal values as one record.

    Parameters
    ----------
    sizes : contig -> bp, in the order they are written.
    values : contig -> numbers (size,), or None where nothing is known (an excluded contig): it is left out of the
        file, so that readers take it for missing. Bases of value 0 are not written, except on a contig that has
        nothing else: a bigWig lists only contigs with a record, and this one was looked at. Values are stored as
        float32: counts above 16,777,216 are rounded. NaN is not written.
    """
    write_bigwig(path, sizes, _pieces(sizes, values))


def _pieces(sizes: Mapping[str, int], values: Callable[[str], np.ndarray | None]) -> Iterator[Piece]:
    for contig, size in sizes.items():
        found = values(contig)
        if found is None or not size:
            continue
        empty = True
        for starts, ends in runs(found):
            height = found[starts]
            keep = height != 0
            empty &= not keep.any()
            yield contig, starts[keep], ends[keep], height[keep]
        if empty:
            yield contig, np.array([0]), np.array([size]), np.array([0.0])
        del found  # before the next contig needs as much


def runs(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Starts and ends (int64, 0-based half-open) of the runs of equal values, in order, some of them at a time."""
    pending = np.zeros(1, np.int64)
    for first in range(0, len(values), BLOCK_BP):
        here = values[max(first - 1, 0) : first + BLOCK_BP]
        starts = np.concatenate([pending, np.flatnonzero(here[1:] != here[:-1]) + max(first - 1, 0) + 1])
        if len(starts) > 1:
            yield starts[:-1], starts[1:]
        pending = starts[-1:]
    if len(values):
        yield pending, np.array([len(values)])
