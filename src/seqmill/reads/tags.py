"""What metrics count: cut sites, whole fragments, or single reads moved to the middle of their fragments."""

import numpy as np

from seqmill.config.reads import Assay
from seqmill.reads.fragments import Fragments

CUTS: tuple[Assay, ...] = ("atac", "dnase")


def cut_positions(fragments: Fragments, paired: bool, shift: tuple[int, int]) -> np.ndarray:
    """Sorted 0-based bases of the cut sites, int64: both ends of a fragment, the 5' end of a single read.

    Parameters
    ----------
    shift : bp added to the start on the + strand, and to the last base (end - 1) on the - strand. A single read of
        unknown strand counts as +.
    """
    left = fragments.start.astype(np.int64) + shift[0]
    right = fragments.end.astype(np.int64) - 1 + shift[1]
    found = np.concatenate([left, right]) if paired else np.where(fragments.strand < 0, right, left)
    return np.sort(found)


def tag_spans(
    fragments: Fragments, assay: Assay, paired: bool, shift: tuple[int, int], fragment_bp: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """First base and end of what is looked for in peaks, int64 (n,), 0-based half-open.

    ATAC and DNase: cut sites, one base each. Others: whole fragments; single reads moved by half the fragment length
    towards their 3' end (as ENCODE's ``frip_shifted``), where that length is known.
    """
    if assay in CUTS:
        cuts = cut_positions(fragments, paired, shift)
        return cuts, cuts + 1
    start, end = fragments.start.astype(np.int64), fragments.end.astype(np.int64)
    if paired or not fragment_bp:
        return start, end
    moved = fragments.strand.astype(np.int64) * ((fragment_bp + 1) // 2)
    return start + moved, end + moved
