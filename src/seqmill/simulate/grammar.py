"""The grammar: which arrangements of motif instances are functional sites, and which are decoys."""

from dataclasses import dataclass

import numpy as np

from seqmill.simulate.background import BLOCK_BP, Chromosome
from seqmill.simulate.motifs import Motif

SLOT_BP = 640
SLOT_MARGIN_BP = 100
PAIR_GAP_BP = (8, 12)  # GATA1 to SPI1, edge to edge, both ends included
PARTNER_GAP_BP = (2, 20)  # MYC::MAX to NRF1
FAR_GAP_BP = (36, 100)  # decoys
_HALF = 9  # first base of the right half of CTCF

GRAMMAR = f"""Three rules. Anything else is background, whatever motifs it holds.

CTCF        A whole CTCF instance, on either strand, alone is enough.
            Decoys: its two halves ({_HALF} bp and the rest) 6-12 bp apart; in exchanged order; the right half turned.
GATA1_SPI1  A GATA1 instance followed, on the same strand of the same site, by an SPI1 instance of the same
            orientation, {PAIR_GAP_BP[0]}-{PAIR_GAP_BP[1]} bp from edge to edge. Sites lie on either strand.
            Decoys: {FAR_GAP_BP[0]}-{FAR_GAP_BP[1]} bp apart; SPI1 turned; SPI1 first; either motif alone.
MYC         A MYC::MAX E-box (CACGTG) with an NRF1 instance {PARTNER_GAP_BP[0]}-{PARTNER_GAP_BP[1]} bp away, edge
            to edge, on either side and in any orientation.
            Decoys: {FAR_GAP_BP[0]}-{FAR_GAP_BP[1]} bp apart; either motif alone.
"""


@dataclass(frozen=True)
class Part:
    """Columns ``lo`` to ``hi`` of a motif, ``gap`` bp after the previous part, turned if ``strand`` is ``-``."""

    motif: str
    strand: str
    gap: int
    lo: int
    hi: int


@dataclass(frozen=True)
class Instance:
    """One placed part in genome coordinates (0-based half-open); ``score`` is the instance's fraction of the best."""

    motif: str
    start: int
    end: int
    strand: str
    lo: int
    hi: int
    score: float


@dataclass(frozen=True)
class Site:
    """One arrangement: a functional site or a decoy. ``strength`` is 0 for decoys."""

    contig: int
    rule: str
    kind: str
    functional: bool
    strength: float
    instances: tuple[Instance, ...]

    @property
    def centre(self) -> int:
        """Middle of the arrangement, 0-based."""
        return (self.instances[0].start + self.instances[-1].end) // 2


def _between(rng: np.random.Generator, gap: tuple[int, int]) -> int:
    return int(rng.integers(gap[0], gap[1] + 1))


def _strand(rng: np.random.Generator) -> str:
    return "+-"[rng.integers(2)]


def _arrange(rule: str, functional: bool, widths: dict[str, int], rng: np.random.Generator) -> tuple[str, list[Part]]:
    """Name of the arrangement and its parts from left to right, before the strand of the site is drawn."""

    def whole(motif: str, strand: str = "+", gap: int = 0) -> Part:
        return Part(motif, strand, gap, 0, widths[motif])

    if rule == "CTCF":
        left, right = (0, _HALF), (_HALF, widths["CTCF"])
        if functional:
            return "whole", [whole("CTCF")]
        kind = rng.choice(["halves_apart", "halves_exchanged", "half_turned"])
        if kind == "halves_apart":
            return kind, [Part("CTCF", "+", 0, *left), Part("CTCF", "+", _between(rng, (6, 12)), *right)]
        if kind == "halves_exchanged":
            return kind, [Part("CTCF", "+", 0, *right), Part("CTCF", "+", 0, *left)]
        return kind, [Part("CTCF", "+", 0, *left), Part("CTCF", "-", 0, *right)]
    if rule == "GATA1_SPI1":
        if functional:
            return "pair", [whole("GATA1"), whole("SPI1", "+", _between(rng, PAIR_GAP_BP))]
        kind = rng.choice(["far", "turned", "exchanged", "alone"], p=[0.3, 0.35, 0.2, 0.15])
        if kind == "far":
            return kind, [whole("GATA1"), whole("SPI1", "+", _between(rng, FAR_GAP_BP))]
        if kind == "turned":
            return kind, [whole("GATA1"), whole("SPI1", "-", _between(rng, PAIR_GAP_BP))]
        if kind == "exchanged":
            return kind, [whole("SPI1"), whole("GATA1", "+", _between(rng, PAIR_GAP_BP))]
        return kind, [whole(str(rng.choice(["GATA1", "SPI1"])))]
    pair = ["MYC::MAX", "NRF1"] if rng.random() < 0.5 else ["NRF1", "MYC::MAX"]
    if functional:
        return "partner", [whole(pair[0], _strand(rng)), whole(pair[1], _strand(rng), _between(rng, PARTNER_GAP_BP))]
    kind = rng.choice(["far", "alone"], p=[0.75, 0.25])
    if kind == "far":
        return kind, [whole(pair[0], _strand(rng)), whole(pair[1], _strand(rng), _between(rng, FAR_GAP_BP))]
    return kind, [whole(pair[0], _strand(rng))]


def _turn(parts: list[Part]) -> list[Part]:
    """The same arrangement read from the other strand."""
    gaps = [part.gap for part in parts[1:]][::-1]
    flip = {"+": "-", "-": "+"}
    turned = [Part(part.motif, flip[part.strand], 0, part.lo, part.hi) for part in parts[::-1]]
    return turned[:1] + [Part(part.motif, part.strand, gap, part.lo, part.hi) for part, gap in zip(turned[1:], gaps)]


RULES = ("CTCF", "GATA1_SPI1", "MYC")
# CTCF alone is enough, so k-mers of its 19 bp already say little; the two rules of arrangement get twice the decoys
_DECOY_RULES = ("CTCF", "GATA1_SPI1", "MYC", "GATA1_SPI1", "MYC")


def _choose_slots(
    chromosomes: list[Chromosome], functional: int, decoys: int, rng: np.random.Generator
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Places (contig, start) of functional sites and of decoys: without overlap, both drawn to GC-rich stretches.

    Functional sites more strongly so: GC alone predicts peaks somewhat, as in real genomes.
    """
    slots, gc = [], []
    for index, chromosome in enumerate(chromosomes):
        for start in range(0, len(chromosome.codes) - SLOT_BP + 1, SLOT_BP):
            inner = slice(start + SLOT_MARGIN_BP, start + SLOT_BP - SLOT_MARGIN_BP)
            if not chromosome.busy[inner].any():
                slots.append((index, start))
                gc.append(chromosome.gc[(start + SLOT_BP // 2) // BLOCK_BP])
    z = (np.array(gc) - np.mean(gc)) / max(np.std(gc), 1e-9)
    # the first n of keys log w + Gumbel noise are a weighted sample without replacement
    first = np.argsort(-(0.9 * z + rng.gumbel(size=len(z))), kind="stable")[:functional]
    left = np.setdiff1d(np.arange(len(z)), first)
    second = left[np.argsort(-(0.3 * z[left] + rng.gumbel(size=len(left))), kind="stable")[:decoys]]
    return [slots[i] for i in rng.permutation(first)], [slots[i] for i in rng.permutation(second)]


def place_sites(
    chromosomes: list[Chromosome],
    motifs: dict[str, Motif],
    *,
    sites_per_rule: int,
    decoys: int,
    instance_score: float,
    strength_sd: float,
    rng: np.random.Generator,
) -> list[Site]:
    """Write sites and decoys into the sequences; return them sorted by contig and place.

    One arrangement a slot of `SLOT_BP`, at least 2 * `SLOT_MARGIN_BP` apart. Fewer decoys than asked for are placed
    where the genome has too few free slots.
    """
    widths = {name: motif.width for name, motif in motifs.items()}
    n = len(RULES)
    wanted, unwanted = _choose_slots(chromosomes, n * sites_per_rule, decoys, rng)
    plans = [(slot, RULES[i % n], True) for i, slot in enumerate(wanted)]
    plans += [(slot, _DECOY_RULES[i % len(_DECOY_RULES)], False) for i, slot in enumerate(unwanted)]
    pools = {name: iter(motif.sample(len(plans) + 1, rng, instance_score)) for name, motif in motifs.items()}
    sites = []
    for (contig, slot), rule, is_functional in plans:
        kind, parts = _arrange(rule, is_functional, widths, rng)
        if rng.random() < 0.5:
            parts = _turn(parts)
        length = sum(part.gap + part.hi - part.lo for part in parts)
        at = slot + SLOT_MARGIN_BP + int(rng.integers(0, SLOT_BP - 2 * SLOT_MARGIN_BP - length + 1))
        codes = chromosomes[contig].codes
        drawn: dict[str, np.ndarray] = {}
        instances = []
        for part in parts:
            if part.motif not in drawn:  # the two halves of a decoy come from one instance
                drawn[part.motif] = next(pools[part.motif])
            instance = drawn[part.motif]
            score = float(motifs[part.motif].scores(instance[None])[0])
            piece = instance[part.lo : part.hi]
            at += part.gap
            end = at + len(piece)
            codes[at:end] = piece if part.strand == "+" else 3 - piece[::-1]
            instances.append(Instance(part.motif, at, end, part.strand, part.lo, part.hi, score))
            at = end
        strength = float(np.exp(rng.normal(0, strength_sd))) * float(np.mean([i.score for i in instances]))
        sites.append(Site(contig, rule, kind, is_functional, strength if is_functional else 0.0, tuple(instances)))
    return sorted(sites, key=lambda site: (site.contig, site.instances[0].start))


def truth_arrays(chromosomes: list[Chromosome], sites: list[Site], motifs: dict[str, Motif]) -> dict[str, np.ndarray]:
    """Truth of every base.

    Returns
    -------
    For each contig three arrays of shape (bp,): ``{contig}.class`` uint8 (0 background, 1 functional, 2 decoy),
    ``{contig}.bits`` float16 (information of the matrix column, 0 elsewhere), ``{contig}.motif`` uint8 (0 none, else
    1 + index of the matrix in motifs.meme).
    """
    number = {name: index + 1 for index, name in enumerate(motifs)}
    bits = {name: motif.bits for name, motif in motifs.items()}
    arrays: dict[str, np.ndarray] = {}
    for chromosome in chromosomes:
        length = len(chromosome.codes)
        arrays[f"{chromosome.name}.class"] = np.zeros(length, np.uint8)
        arrays[f"{chromosome.name}.bits"] = np.zeros(length, np.float16)
        arrays[f"{chromosome.name}.motif"] = np.zeros(length, np.uint8)
    for site in sites:
        name = chromosomes[site.contig].name
        for part in site.instances:
            columns = bits[part.motif][part.lo : part.hi]
            where = slice(part.start, part.end)
            arrays[f"{name}.class"][where] = 1 if site.functional else 2
            arrays[f"{name}.bits"][where] = columns if part.strand == "+" else columns[::-1]
            arrays[f"{name}.motif"][where] = number[part.motif]
    return arrays
