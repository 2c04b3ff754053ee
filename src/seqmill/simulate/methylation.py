"""Bisulfite calls whose truth is known: a methylation rate of each CpG, counts drawn from it, incomplete conversion."""

from typing import NamedTuple

import numpy as np

from seqmill.genome.sequence import C, G, encode


class CpGCounts(NamedTuple):
    """CpGs of a contig: int64 place of the C on the + strand (n,), 0-based; float64 rate (n,), the truth.

    int64 (n, 2) methylated and total reads, by strand: + (the C), - (the base after it).
    """

    place: np.ndarray
    rate: np.ndarray
    methylated: np.ndarray
    total: np.ndarray


def simulate_methylation(
    contigs: dict[str, str], *, seed: int = 0, depth: float = 12.0, conversion: float = 0.995, spike_in: str = ""
) -> dict[str, CpGCounts]:
    """Counts of methylated and all reads at every CpG, by strand.

    Most CpGs are methylated, islands are not: rates are 0.85 on average, 0.04 in stretches of 1 to 3 kb. A cytosine
    that is not methylated is read as methylated when its conversion failed, so that a count is
    binomial(total, rate + (1 - rate) * (1 - conversion)). Total reads of a strand are Poisson.

    Parameters
    ----------
    contigs : name -> sequence. depth : mean reads a strand. conversion : share of unmethylated C that becomes T.
    spike_in : contig without any methylation, from which the conversion can be told.
    """
    rng = np.random.default_rng([seed, 2])
    found = {}
    for name, text in contigs.items():
        codes = encode(text)
        place = np.flatnonzero((codes[:-1] == C) & (codes[1:] == G))
        low = np.zeros(len(codes), bool)
        for start in rng.integers(0, len(codes), max(1, len(codes) // 10_000)):
            low[start : start + rng.integers(1000, 3000)] = True
        rate = np.where(low[place], rng.beta(2, 48, len(place)), rng.beta(17, 3, len(place)))
        if name == spike_in:
            rate = np.zeros(len(place))
        seen = rate + (1 - rate) * (1 - conversion)
        total = rng.poisson(depth, (len(place), 2))
        found[name] = CpGCounts(place, rate, rng.binomial(total, seen[:, None]), total)
    return found
