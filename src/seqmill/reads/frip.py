"""Fraction of reads in peaks."""

import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqmill.config.reads import Assay
from seqmill.formats.bedtext import read_bed
from seqmill.genome.coords import merge
from seqmill.reads.quality_rows import Row, proportion
from seqmill.reads.replicates import Replicate
from seqmill.reads.tags import tag_spans

Spans = dict[str, tuple[np.ndarray, np.ndarray]]


def read_peaks(path: str | Path) -> tuple[Spans, int]:
    """Union of the peaks of an experiment by contig (sorted, disjoint starts and ends, int64), and how many there are.

    An empty file is no peaks. Contigs are those of the genome: the file is ours.
    """
    with gzip.open(path, "rb") as handle:
        if not handle.read(1):
            return {}, 0
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    number = 0
    for block in read_bed(path, "narrowPeak", Counter()):
        number += len(block.start)
        for index in np.unique(block.contig).tolist():
            rows = block.contig == index
            parts.setdefault(block.names[index], []).append((block.start[rows], block.end[rows]))
    merged = {
        contig: merge(*(np.concatenate([piece[side] for piece in pieces]) for side in (0, 1)))
        for contig, pieces in parts.items()
    }
    return merged, number


def overlapping(starts: np.ndarray, ends: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Which of the spans [first, last) share a base with sorted, disjoint intervals [starts, ends); bool (n,)."""
    return np.searchsorted(ends, first, side="right") < np.searchsorted(starts, last, side="left")


def tags_in_peaks(replicate: Replicate, peaks: Spans, assay: Assay, fragment_bp: int | None) -> tuple[int, int]:
    """Tags of a replicate that share a base with a peak, and all its tags (`seqmill.reads.tags.tag_spans`).

    ENCODE: ``bedtools intersect -a tags -b peaks -u`` over all tags (encode_lib_frip.py).
    """
    inside = total = 0
    for contig, fragments in replicate.table:
        first, last = tag_spans(fragments, replicate, assay, replicate.table.sizes[contig], fragment_bp)
        total += len(first)
        if contig in peaks:
            inside += int(np.count_nonzero(overlapping(*peaks[contig], first, last)))
    return inside, total


def frip_rows(counts: Mapping[str, tuple[int, int]]) -> list[Row]:
    """Rows "frip" from replicate -> (tags in peaks, tags)."""
    return [proportion("frip", replicate, k, n) for replicate, (k, n) in counts.items() if n > 0]
