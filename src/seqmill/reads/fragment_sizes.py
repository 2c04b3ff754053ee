"""Lengths of the fragments of paired libraries, and what they say of nucleosomes."""

import numpy as np

from seqmill.reads.fragments import FragmentTable
from seqmill.reads.quality_rows import Row, proportion, row

LONGEST_BP = 1000
NUCLEOSOME_FREE_BP, MONO_BP = 150, 300
# Ranges of encode_task_fraglen_stat_pe.py (``fragment_length_qc``), in bp, both ends included.
PEAK_RANGES = {"nucleosome_free": (20, 90), "mono_nucleosome": (120, 250), "di_nucleosome": (300, 500)}
PEAK_WIDTH_BP = 25


def size_counts(table: FragmentTable) -> tuple[np.ndarray, int]:
    """Number of fragments of 0 to 1000 bp, int64 (1001,), and of those that are longer."""
    counts, longer = np.zeros(LONGEST_BP + 1, np.int64), 0
    for _, fragments in table:
        length = fragments.end - fragments.start
        short = length[length <= LONGEST_BP]
        counts += np.bincount(short, minlength=LONGEST_BP + 1)
        longer += len(length) - len(short)
    return counts, longer


def size_rows(counts: np.ndarray, longer: int, replicate: str) -> list[Row]:
    """Rows of the median length and of the fractions below 150 bp and above 150 up to 300 bp, of all fragments.

    Bounds as ENCODE's encode_task_fraglen_stat_pe.py; fragments of exactly 150 bp are in neither, as there.
    """
    total = int(counts.sum()) + longer
    if not total:
        return []
    free = int(counts[:NUCLEOSOME_FREE_BP].sum())
    mono = int(counts[NUCLEOSOME_FREE_BP + 1 : MONO_BP + 1].sum())
    median = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
    return [
        row("fragment_bp", replicate, median, total),
        proportion("nucleosome_free_fraction", replicate, free, total),
        proportion("mono_nucleosome_fraction", replicate, mono, total),
    ]


def size_peaks(counts: np.ndarray) -> dict[str, bool]:
    """Whether the histogram has a peak of nucleosome-free, mono- and di-nucleosomal fragments.

    As ENCODE's encode_task_fraglen_stat_pe.py: wavelet peaks of width 25 bp (Du et al. 2006 Bioinformatics 22:2059) in
    the ranges 20–90, 120–250 and 300–500 bp.
    """
    from scipy.signal import find_peaks_cwt

    found = np.asarray(find_peaks_cwt(counts, np.array([PEAK_WIDTH_BP]))) if counts.any() else np.zeros(0)
    return {name: bool(((found >= low) & (found <= high)).any()) for name, (low, high) in PEAK_RANGES.items()}
