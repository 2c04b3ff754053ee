"""Enrichment of cut sites at transcription starts, as ENCODE's ATAC-seq pipeline measures it.

encode_task_tss_enrich.py (``make_tss_plot``): reads, centred on their 5' ends, are piled up in 400 bins of 10 bp within
2 kb of every start, starts on the - strand turned round; the mean over starts is divided by the mean of the outer
100 bp on both sides, and its maximum is the score. What is not the same here: cut sites carry the shift of the
experiment (there: none), starts closer than 2 kb to the end of a contig are left out (there: their windows are cut
short), the same start given twice counts once, and libraries whose read length is not known are piled up as reads of
50 bp.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqmill.formats.intervals import read_intervals
from seqmill.reads.quality_rows import Row, row, short
from seqmill.runtime.errors import InputError

FLANK_BP, BIN_BP, NOISE_BP = 2000, 10, 100
BINS = 2 * FLANK_BP // BIN_BP
RESAMPLES = 1000
# Middle of each bin, in bp from the start's base, + is into the gene.
POSITIONS = (np.arange(BINS) * BIN_BP - FLANK_BP + (BIN_BP - 1) / 2).tolist()


class Starts(NamedTuple):
    """Transcription starts.

    Attributes
    ----------
    by_contig : contig -> int64 0-based base (n,) and int8 strand (n,), 1 or -1, sorted.
    left_out : reason -> number of records that are not used.
    """

    by_contig: dict[str, tuple[np.ndarray, np.ndarray]]
    left_out: dict[str, int]

    @property
    def total(self) -> int:
        """Number of starts that are used."""
        return sum(len(position) for position, _ in self.by_contig.values())


def read_starts(path: str | Path, sizes: dict[str, int], *, partial: bool, exclude: set[str]) -> Starts:
    """Read transcription starts from BED of genes or of single bases: ``start`` on +, ``end - 1`` on -.

    Parameters
    ----------
    sizes : contig -> bp of the genome. partial : it is a piece of an assembly. exclude : contigs that are not used.

    Raises
    ------
    InputError : no strand in the file, no start that can be used, and what `read_intervals` refuses.
    """
    found = read_intervals(path, "bed", sizes, partial=partial)
    if not any(found[contig].strand.any() for contig in found):
        raise InputError(
            path, "no strand (column 6 is missing or '.' everywhere): transcription starts need + or -, as BED6"
        )
    left = {key: count for key, count in found.counts.items() if not key.startswith(("comment", "same interval"))}
    by_contig: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def leave_out(reason: str, number: int) -> None:
        if number:
            left[reason] = left.get(reason, 0) + number

    for contig in found:
        part = found[contig]
        if contig in exclude:
            leave_out("on excluded contigs", len(part))
            continue
        place = np.where(part.strand > 0, part.start, part.end - 1).astype(np.int64)[part.strand != 0]
        strand = part.strand[part.strand != 0]
        leave_out("without strand", len(part) - len(place))
        keep = (place >= FLANK_BP) & (place < sizes[contig] - FLANK_BP)
        leave_out(f"within {FLANK_BP} bp of the end of a contig", int(np.count_nonzero(~keep)))
        once = np.unique(np.stack([place[keep], strand[keep]], axis=1), axis=0)
        leave_out("given more than once", int(np.count_nonzero(keep)) - len(once))
        if len(once):
            by_contig[contig] = (once[:, 0], once[:, 1].astype(np.int8))
    if not by_contig:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in left.items())
        raise InputError(path, f"0 transcription starts left of {len(found):,}: {reasons}")
    return Starts(by_contig, left)


def start_profiles(cuts: np.ndarray, places: np.ndarray, strands: np.ndarray, read_bp: int) -> np.ndarray:
    """Mean pile-up in the bins round each start, 5' to 3'.

    Parameters
    ----------
    cuts : int64 (n,), sorted bases of the cut sites of one contig; each is piled up as ``read_bp`` bases round it.
    places : int64 (m,), bases of the starts. strands : int8 (m,), 1 or -1.

    Returns
    -------
    float32 (m, 400); bin i covers the bases at -2000 + 10 i to -1991 + 10 i from the start.
    """
    boxes = cuts - read_bp // 2
    before = np.concatenate([[0], np.cumsum(boxes)])

    def bases_left_of(x: np.ndarray) -> np.ndarray:
        """Sum over cut sites of the bases by which x lies right of where their reads begin."""
        number = np.searchsorted(boxes, x)
        return x * number - before[number]

    # On - the window is mirrored: its bases are place - 1999 to place + 2000.
    first = np.where(strands > 0, places - FLANK_BP, places + 1 - FLANK_BP)
    edges = first[:, None] + np.arange(0, 2 * FLANK_BP + 1, BIN_BP)
    piled = np.diff(bases_left_of(edges) - bases_left_of(edges - read_bp), axis=1)
    piled = np.where(strands[:, None] > 0, piled, piled[:, ::-1])
    return (piled / BIN_BP).astype(np.float32)


def enrichment(profiles: np.ndarray, replicate: str, seed: int) -> tuple[Row | None, dict[str, Any]]:
    """Enrichment of starts from the profiles of all of them.

    Parameters
    ----------
    profiles : float32 (m, 400) of `start_profiles`. seed : of the bootstrap.

    Returns
    -------
    The row with a 95 % percentile interval over resampled starts, of the enrichment at the bin that is highest in the
    data: a maximum taken anew in each resample would be biased upwards. And what a figure wants: "values" (400,),
    divided by the noise; "noise"; "at_start", the mean of the two bins at the start. Both are nothing where the outer
    bins hold nothing.
    """
    edge = NOISE_BP // BIN_BP
    outer = np.concatenate([profiles[:, :edge], profiles[:, -edge:]], axis=1).mean(axis=1, dtype=np.float64)
    noise, mean = float(outer.mean()), profiles.mean(axis=0, dtype=np.float64)
    if noise <= 0:
        return None, {}
    values = mean / noise
    best = int(np.argmax(values))
    rng = np.random.default_rng(seed)
    height, total = profiles[:, best].astype(np.float64), len(profiles)
    drawn = []
    for _ in range(RESAMPLES):
        weights = np.bincount(rng.integers(0, total, total), minlength=total)
        below = float(weights @ outer)
        if below > 0:
            drawn.append(float(weights @ height) / below)
    interval = tuple(np.quantile(drawn, [0.025, 0.975])) if len(drawn) > RESAMPLES / 2 else (None, None)
    figure = {
        "values": [short(value) for value in values],
        "noise": short(noise),
        "at_start": short(float(values[BINS // 2 - 1 : BINS // 2 + 1].mean())),
    }
    return row("tss_enrichment", replicate, values[best], total, interval), figure
