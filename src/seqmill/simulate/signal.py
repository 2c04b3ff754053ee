"""From sites to noisy data: fragments, coverage, called peaks."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import poisson

from seqmill.config.simulation import SimulationSettings
from seqmill.simulate.background import BLOCK_BP, Chromosome
from seqmill.simulate.grammar import Site

ARTEFACT_FOLD = 25  # signal of a blacklisted region against background


@dataclass(frozen=True)
class Assay:
    """How one experiment sees the sites: weight of each rule, and the shape of its fragments."""

    name: str
    weights: dict[str, float]
    accessibility: bool


ASSAYS = (
    Assay("atac", {"CTCF": 0.8, "GATA1_SPI1": 1.1, "MYC": 1.0}, True),
    Assay("ctcf", {"CTCF": 1.2}, False),
    Assay("gata1", {"GATA1_SPI1": 1.0}, False),
    Assay("myc", {"MYC": 1.0}, False),
)


@dataclass
class Fragments:
    """Fragments of one contig, sorted by start: ``start``, ``end`` int64 (n,), 0-based half-open."""

    start: np.ndarray
    end: np.ndarray


def _lengths(n: int, accessibility: bool, rng: np.random.Generator) -> np.ndarray:
    """Fragment lengths in bp: sonicated chromatin, or nucleosome-free and mono-nucleosome ATAC fragments."""
    if not accessibility:
        return np.clip(rng.normal(190, 35, n), 80, 400).astype(np.int64)
    free = 40 + rng.gamma(2.5, 22, n)
    mono = rng.normal(205, 18, n)
    return np.clip(np.where(rng.random(n) < 0.72, free, mono), 38, 600).astype(np.int64)


def make_fragments(
    chromosome: Chromosome, sites: list[Site], assay: Assay, settings: SimulationSettings, rng: np.random.Generator
) -> Fragments:
    """Poisson numbers of fragments at the sites, over the background (more in GC-rich blocks) and over artefacts."""
    length = len(chromosome.codes)
    depth = settings.atac_fragments_per_site if assay.accessibility else settings.chip_fragments_per_site
    means = np.array([depth * site.strength * assay.weights.get(site.rule, 0.0) for site in sites])
    centres = np.repeat(np.array([site.centre for site in sites], np.float64), rng.poisson(means).astype(np.int64))
    at_sites = centres + rng.normal(0, 55 if assay.accessibility else 35, len(centres))

    rate = settings.background_fragments_per_kb * np.exp(4 * (chromosome.gc - 0.42))
    per_block = rng.poisson(rate)
    off_sites = np.repeat(np.arange(len(rate)) * BLOCK_BP, per_block) + rng.random(per_block.sum()) * BLOCK_BP
    artefacts = [
        rng.uniform(a, b, rng.poisson(ARTEFACT_FOLD * settings.background_fragments_per_kb * (b - a) / 1000))
        for a, b in chromosome.blacklist
    ]
    middle = np.concatenate([at_sites, off_sites, *artefacts])
    size = _lengths(len(middle), assay.accessibility, rng)
    start = np.round(middle).astype(np.int64) - size // 2
    end = start + size
    keep = (start >= 0) & (end <= length)
    start, end = start[keep], end[keep]
    unknown = np.concatenate([[0], np.cumsum(chromosome.codes == 4)])
    known = unknown[start] == unknown[end]
    order = np.lexsort((end[known], start[known]))
    return Fragments(start[known][order], end[known][order])


def coverage(fragments: Fragments, length: int) -> np.ndarray:
    """Fragments over each base, int32 (length,)."""
    change = np.bincount(fragments.start, minlength=length + 1) - np.bincount(fragments.end, minlength=length + 1)
    return np.cumsum(change[:length]).astype(np.int32)


@dataclass(frozen=True)
class Peak:
    """A called peak in the terms of the narrowPeak format; 0-based half-open, ``summit`` absolute."""

    contig: str
    start: int
    end: int
    summit: int
    fold: float
    p_log10: float


def _peak(contig: str, summit: int, length: int, count: int, expected: float, rng: np.random.Generator) -> Peak:
    left, right = (int(v) for v in rng.integers(80, 151, 2))
    start, end = max(0, summit - left), min(length, summit + right)
    p_log10 = min(-float(poisson.logsf(count - 1, expected)) / np.log(10), 500.0)
    return Peak(contig, start, end, summit, (count + 1) / (expected + 1), p_log10)


def call_peaks(
    chromosome: Chromosome,
    sites: list[Site],
    fragments: Fragments,
    assay: Assay,
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> list[Peak]:
    """Peaks as a caller would report them: summits jittered, weak sites missed, some false, artefacts included.

    A site is called when at least ``peak_min_fragments`` fragments cover its middle.
    """
    depth = coverage(fragments, len(chromosome.codes))
    length = len(depth)
    expected = max(settings.background_fragments_per_kb * 0.15, 0.1)
    peaks = []
    for site in sites:
        if assay.weights.get(site.rule) and site.functional:
            count = int(depth[max(0, site.centre - 20) : site.centre + 20].max())
            jitter = round(rng.normal(0, settings.summit_jitter_bp))
            if count >= settings.peak_min_fragments:
                peaks.append(_peak(chromosome.name, site.centre + jitter, length, count, expected, rng))
    share = np.exp(4 * chromosome.gc)
    wrong = rng.poisson(settings.false_peak_fraction * len(peaks))
    for block in rng.choice(len(share), size=wrong, p=share / share.sum()):
        summit = int(block * BLOCK_BP + rng.integers(BLOCK_BP))
        if 200 <= summit < length - 200 and chromosome.codes[summit] < 4:
            count = settings.peak_min_fragments + int(rng.poisson(2))
            peaks.append(_peak(chromosome.name, summit, length, count, expected, rng))
    for start, end in chromosome.blacklist:
        summit = int(rng.integers(start + 300, end - 300))
        peaks.append(_peak(chromosome.name, summit, length, int(depth[summit]) + 1, expected, rng))
    return sorted(peaks, key=lambda peak: (peak.start, peak.end))
