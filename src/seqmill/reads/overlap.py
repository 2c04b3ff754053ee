"""Reproducible peaks by naive overlap, and how well replicates agree, as ENCODE's pipelines tell."""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from seqmill.reads.peaks import Peaks

SHARE = 0.5
RATIO = 2.0


class Overlaps(NamedTuple):
    """Pairs of peaks that share bases: rows of the first and of the second list, and how many bases; int64 (n,)."""

    first: np.ndarray
    second: np.ndarray
    bases: np.ndarray


def overlaps(first: Peaks, second: Peaks) -> Overlaps:
    """All pairs of peaks of two lists that share at least one base; both sorted by contig and start."""
    stride = int(max(first.end.max(initial=0), second.end.max(initial=0))) + 1
    # contigs laid behind each other, without touching
    one, two = first.contig.astype(np.int64) * stride, second.contig.astype(np.int64) * stride
    reach = np.maximum.accumulate(two + second.end) if len(second.end) else second.end
    low = np.searchsorted(reach, one + first.start, side="right")
    high = np.searchsorted(two + second.start, one + first.end, side="left")
    many = np.maximum(high - low, 0)
    row = np.repeat(np.arange(len(many)), many)
    other = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many) + low[row]
    bases = np.minimum((one + first.end)[row], (two + second.end)[other])
    bases = bases - np.maximum((one + first.start)[row], (two + second.start)[other])
    share = bases > 0  # a long peak before short ones stretches the range
    return Overlaps(row[share], other[share], bases[share])


def found_again(pooled: Peaks, replicate: Peaks) -> np.ndarray:
    """Which pooled peaks a replicate's peak covers by half, or that cover half of one: bool (n,)."""
    pairs = overlaps(pooled, replicate)
    least = np.minimum((pooled.end - pooled.start)[pairs.first], (replicate.end - replicate.start)[pairs.second])
    again = np.zeros(len(pooled.start), bool)
    again[pairs.first[pairs.bases >= SHARE * least]] = True
    return again


def naive_overlap(pooled: Peaks, one: Peaks, two: Peaks) -> np.ndarray:
    """Pooled peaks that both replicates find again: bool (n,).

    As ENCODE's ``naive overlap``: in each replicate some peak shares at least half of itself or half of the pooled
    peak with it.
    """
    return found_again(pooled, one) & found_again(pooled, two)


def comparisons(replicates: list[int]) -> dict[str, tuple[str, str, str]]:
    """Which peaks are compared: a name to the samples (pooled, one, two) of `seqmill.reads.replicates.samples`.

    ``Nt`` comparisons are true replicates, two by two (``rep1.rep2``); ``Np`` is ``pooled``; ``N`` are each
    replicate's own halves (``rep1``). With one replicate ``pooled`` is all there is.
    """
    found = {"pooled": ("pooled", "pseudo1", "pseudo2")}
    if len(replicates) > 1:
        for one, two in combinations(replicates, 2):
            found[f"rep{one}.rep{two}"] = ("pooled", f"rep{one}", f"rep{two}")
        for one in replicates:
            found[f"rep{one}"] = (f"rep{one}", f"rep{one}.pseudo1", f"rep{one}.pseudo2")
    return found


def reproducibility(counts: dict[str, int]) -> dict[str, Any]:
    """Numbers and verdict from how many peaks each of the `comparisons` left.

    Returns
    -------
    ``Nt`` (the most that a pair of true replicates left), ``Np`` (pooled pseudo-replicates), ``N1``, ``N2``, … (halves
    of each replicate); ``rescue`` = max(Np, Nt) / min(Np, Nt) and ``self_consistency`` = max N / min N, None where the
    smaller is 0 or there is one replicate; ``chosen``, the comparison with the most peaks among Nt and Np (ENCODE's
    optimal set); ``verdict``: "pass", "borderline" if one ratio is above 2, "fail" if both are, "not judged" for one
    replicate.
    """
    pairs = {name: count for name, count in counts.items() if name.count("rep") == 2}
    own = {name: count for name, count in counts.items() if name.count("rep") == 1}
    np_count = counts["pooled"]
    if not pairs:
        return {
            "Nt": None,
            "Np": np_count,
            "N1": np_count,
            "rescue": None,
            "self_consistency": None,
            "chosen": "pooled",
            "verdict": "not judged",
        }
    best = max(pairs, key=lambda name: pairs[name])
    values = {"rescue": (np_count, pairs[best]), "self_consistency": tuple(own.values())}
    ratios = {name: max(found) / min(found) if min(found) else None for name, found in values.items()}
    above = sum(ratio is None or ratio > RATIO for ratio in ratios.values())
    return {
        "Nt": pairs[best],
        "Np": np_count,
        **{name.replace("rep", "N"): count for name, count in own.items()},
        **ratios,
        "chosen": best if pairs[best] >= np_count else "pooled",
        "verdict": ("pass", "borderline", "fail")[above],
    }
