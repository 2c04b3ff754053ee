"""NSC and RSC: how far the strands' 5' ends stand apart by the length of fragments, and not of reads."""

import numpy as np

from seqmill.reads.fragments import FragmentTable
from seqmill.reads.quality_rows import Row, row, short
from seqmill.reads.strands import cross_correlation, fragment_length

MAX_SHIFT = 1500
SMOOTH = 5
# run_spp.R of phantompeakqualtools looks for the phantom peak from 10 below to 8 above the read length.
PHANTOM = (-10, 8)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over five shifts, of fewer at the ends; float64 (n,)."""
    box = np.ones(SMOOTH)
    return np.convolve(values, box, "same") / np.convolve(np.ones(len(values)), box, "same")


def strand_rows(table: FragmentTable, replicate: str, read_length: int) -> tuple[list[Row], dict, str]:
    """NSC, RSC and fragment length of a library, the curve for a figure, and why a row is missing ('' if none is).

    Landt et al. (2012) Genome Res 22:1813: NSC is the correlation at the fragment length over the lowest of all
    shifts; RSC is what the fragment peak rises above the lowest, over what the phantom peak at the read length does.
    ENCODE runs phantompeakqualtools on read 1 of at most 15 M fragments, cut to 50 bp, at shifts of -500 to 1500 in
    5-bp bins; here on all of them as they are, at shifts of 0 to 1500 by single bases, smoothed over five.

    Parameters
    ----------
    read_length : bp, 0 if not known: no RSC then.
    """
    found = cross_correlation(table, MAX_SHIFT)
    if not np.isfinite(found.correlation).all():
        return [], {}, f"reads of both strands on a contig longer than {MAX_SHIFT} bp are needed"
    curve = smoothed(found.correlation)
    figure = {"shifts": found.shift.tolist(), "values": [short(value) for value in curve.tolist()]}
    length = fragment_length(found, read_length)
    if length is None:
        return [], figure, "no fragment length: reads are too long for the shifts looked at"
    rows = [] if table.paired else [row("fragment_bp", replicate, length, found.reads)]
    lowest, peak = float(curve.min()), float(curve[length])
    figure |= {"fragment_bp": length, "read_length": read_length}
    if lowest <= 0:
        return rows, figure, "too few reads: the lowest correlation of the strands is not above 0"
    rows.append(row("nsc", replicate, peak / lowest, found.reads))
    if not read_length:
        return rows, figure, "the read length is not known"
    phantom = float(curve[max(0, read_length + PHANTOM[0]) : read_length + PHANTOM[1] + 1].max())
    if phantom <= lowest:
        return rows, figure, "no phantom peak"
    rows.append(row("rsc", replicate, (peak - lowest) / (phantom - lowest), found.reads))
    return rows, figure, ""
