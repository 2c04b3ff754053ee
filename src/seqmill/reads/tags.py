"""What metrics count: cut sites at transcription starts, and tags, as ENCODE's pipelines make them, in peaks."""

import numpy as np

from seqmill.config.reads import Assay
from seqmill.reads.fragments import Fragments
from seqmill.reads.replicates import Replicate, tags_of
from seqmill.reads.signal import five_prime_ends

CUTS: tuple[Assay, ...] = ("atac", "dnase")
READ_BP = 50
"""Length of reads where nothing tells it (fragment files)."""


def cut_positions(fragments: Fragments, replicate: Replicate) -> np.ndarray:
    """Sorted 0-based bases of the cut sites, int64, shifted: both ends of a fragment, the 5' end of a single read."""
    plus, minus = five_prime_ends(fragments, replicate.table.paired)
    return np.sort(np.concatenate([plus + replicate.plus, minus + replicate.minus]))


def tag_spans(
    fragments: Fragments, replicate: Replicate, assay: Assay, size: int, fragment_bp: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of what is looked for in peaks, int64 (n,), 0-based half-open.

    ATAC and DNase: ENCODE's tags, a read each, of pairs both mates, with the 5' end shifted. Others: single reads moved
    by half the fragment length towards their 3' end, where that length is known (ENCODE's ``frip_shifted``), and whole
    fragments of pairs (ENCODE moves the mates, too).

    Parameters
    ----------
    size : of the contig in bp. fragment_bp : length of fragments, for single reads.
    """
    if assay in CUTS:
        tags = tags_of(fragments, replicate._replace(read_length=replicate.read_length or READ_BP), size)
        return tags.start.astype(np.int64), tags.end.astype(np.int64)
    start, end = fragments.start.astype(np.int64), fragments.end.astype(np.int64)
    if replicate.table.paired or not fragment_bp:
        return start, end
    moved = fragments.strand.astype(np.int64) * ((fragment_bp + 1) // 2)
    return start + moved, end + moved
