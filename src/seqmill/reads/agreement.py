"""How well replicates agree: correlation of their signal over the genome, and where there are peaks."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.reads.frip import Spans, overlapping
from seqmill.reads.quality_rows import POOLED, Row, row, short

BIN_BP = 1000
SCATTER = 2000
MIN_BINS = 10


def binned(path: str | Path, sizes: dict[str, int]) -> np.ndarray:
    """Mean signal in bins of 1 kb of all contigs, one after another; float32, 0 where the file has nothing."""
    from seqmill.formats.signal import open_signal

    with open_signal(path, "bigwig", sizes) as reader:
        parts = [reader.bins(contig, 0, -(-size // BIN_BP), BIN_BP, "mean", "zero") for contig, size in sizes.items()]
    return np.nan_to_num(np.concatenate(parts), nan=0.0)


def bins_with_peaks(peaks: Spans, sizes: dict[str, int]) -> np.ndarray:
    """Which bins of 1 kb share a base with a peak, in the order of `binned`; bool."""
    parts = []
    for contig, size in sizes.items():
        first = np.arange(0, size, BIN_BP)
        none = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        parts.append(overlapping(*peaks.get(contig, none), first, first + BIN_BP))
    return np.concatenate(parts)


def correlations(one: np.ndarray, two: np.ndarray) -> tuple[float, float] | None:
    """Pearson and Spearman correlation (ranks of ties averaged); None for fewer than 10 bins or no variation."""
    from scipy.stats import rankdata

    if len(one) < MIN_BINS or np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    pearson = np.corrcoef(one.astype(np.float64), two.astype(np.float64))[0, 1]
    spearman = np.corrcoef(rankdata(one), rankdata(two))[0, 1]
    return short(float(pearson)), short(float(spearman))


def agreement(files: dict[str, Path], sizes: dict[str, int], peaks: Spans, seed: int) -> tuple[list[Row], dict]:
    """Agreement of all pairs of replicates.

    ENCODE states no bins for this: here the mean signal in 1-kb bins, and of each pair the bins where either has any.
    Neighbouring bins are not independent, so that no interval is given.

    Parameters
    ----------
    files : replicate -> bigWig. peaks : of the experiment, pooled. seed : which bins the scatter shows.

    Returns
    -------
    Rows of the lowest Pearson and the lowest Spearman correlation of any pair (n: its bins), and for figures: "pairs"
    and "pairs_in_peaks" (bins that overlap a peak), each [one, two, pearson, spearman, bins]; "scatter", at most 2000
    bins of the pair with the lowest Pearson correlation.
    """
    signal = {name: binned(path, sizes) for name, path in files.items()}
    in_peaks = bins_with_peaks(peaks, sizes)
    pairs: list[list[Any]] = []
    peak_pairs: list[list[Any]] = []
    for one, two in combinations(signal, 2):
        used = (signal[one] != 0) | (signal[two] != 0)
        for found, chosen in ((pairs, used), (peak_pairs, used & in_peaks)):
            both = correlations(signal[one][chosen], signal[two][chosen])
            if both:
                found.append([one, two, *both, int(np.count_nonzero(chosen))])
    out: dict[str, Any] = {"bin_bp": BIN_BP, "pairs": pairs, "pairs_in_peaks": peak_pairs, "scatter": None}
    if not pairs:
        return [], out
    rows = []
    for metric, place in (("replicate_pearson", 2), ("replicate_spearman", 3)):
        lowest = min(pairs, key=lambda pair: pair[place])
        rows.append(row(metric, POOLED, lowest[place], lowest[4]))
    one, two = min(pairs, key=lambda pair: pair[2])[:2]
    used = np.flatnonzero((signal[one] != 0) | (signal[two] != 0))
    if len(used) > SCATTER:
        used = np.sort(np.random.default_rng(seed).choice(used, SCATTER, replace=False))
    x, y = ([short(value) for value in signal[name][used].tolist()] for name in (one, two))
    out["scatter"] = {"replicates": [one, two], "x": x, "y": y}
    return rows, out
