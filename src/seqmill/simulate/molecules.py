"""Molecules of a sequencing library whose origin is known: where each assay cuts, and what it keeps.

All places are 0-based, half-open. Nothing here depends on anything but the plan and its seed.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from seqmill.genome.sequence import encode

Assay = Literal["atac", "dnase", "mnase", "chip", "rna"]
TN5_BP = 9
"""Bases that Tn5 copies on both sides of its cut (Goryshin & Reznikoff 1998, J Biol Chem 273:7367)."""
_REACH_BP = 12  # a cut finds its place this far around where chance put it
_SHORTEST_BP = 25
# Liking of Tn5 for A, C, G, T at the centre of the copied bases and 1 to 5 bases after it (log scale); before the
# centre the complement holds: the enzyme is a dimer, its site a palindrome. Strength and shape as in
# Goryshin et al. 1998, PNAS 95:10716 (AGNTYWRANCT).
_TN5 = np.array(
    [
        [0.2, 0.0, 0.0, 0.2],
        [0.3, -0.2, 0.3, -0.4],
        [0.5, -0.3, -0.2, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [-0.3, 0.9, -0.4, -0.2],
        [-0.4, -0.2, -0.5, 0.7],
    ]
)


class Transcript(NamedTuple):
    """A transcript: contig, strand ("+" or "-"), exons by place (start, end), relative abundance."""

    contig: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    weight: float = 1.0


@dataclass(frozen=True)
class LibraryPlan:
    """What a simulated library holds.

    Attributes
    ----------
    molecules : number of molecules before PCR. seed : the same plan and sequence give the same bytes.
    sites : contig -> (place, weight): summits (ChIP), open chromatin (ATAC, DNase), dyads (MNase).
    site_share : share of molecules that come from sites; the rest is even over the genome.
    artefacts, artefact_share : places of signal that a control has as well.
    transcripts : of RNA. fragment_bp : mean length of ChIP and RNA fragments.
    spill, spill_share : a contig (mitochondrion) that takes a share of the molecules.
    copied_share : share of molecules that PCR copies, once or more. error_rate : substitutions per base.
    paired : two reads a fragment. read_bp : length of a read. adapters : reads run into them after short inserts.
    """

    assay: Assay
    molecules: int
    seed: int = 0
    sites: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    site_share: float = 0.5
    artefacts: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    artefact_share: float = 0.0
    transcripts: tuple[Transcript, ...] = ()
    fragment_bp: int = 200
    spill: str = ""
    spill_share: float = 0.0
    copied_share: float = 0.1
    error_rate: float = 0.002
    paired: bool = True
    read_bp: int = 50
    adapters: bool = True


class Molecules(NamedTuple):
    """Molecules (n,): int32 contig (index), start, end; int8 strand of read 1 (1, -1); int32 copies (1 or more).

    int32 transcript (index, -1 if none), first and last: span on the transcript, from its 5' end.
    """

    contig: np.ndarray
    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray
    copies: np.ndarray
    transcript: np.ndarray
    first: np.ndarray
    last: np.ndarray


def tn5_liking(codes: np.ndarray) -> np.ndarray:
    """How well Tn5 likes to insert with the centre of its copied bases here: float64 (bp,), log scale."""
    liking = np.zeros(len(codes))
    table = np.hstack([_TN5, np.zeros((len(_TN5), 1))])  # N: indifferent
    mirrored = np.hstack([_TN5[:, ::-1], np.zeros((len(_TN5), 1))])
    for offset in range(len(_TN5)):
        after = table[offset][codes]
        before = mirrored[offset][codes]
        liking[: len(codes) - offset] += after[offset:] / 2
        liking[offset:] += before[: len(codes) - offset] / 2
    return liking


def _settle(places: np.ndarray, liking: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each place moved to one nearby, drawn by liking (Gumbel-max)."""
    offsets = np.arange(-_REACH_BP, _REACH_BP + 1)
    found = np.empty_like(places)
    for first in range(0, len(places), 1 << 16):
        near = np.clip(places[first : first + (1 << 16), None] + offsets, 0, len(liking) - 1)
        best = np.argmax(2 * liking[near] + rng.gumbel(size=near.shape), axis=1)
        found[first : first + (1 << 16)] = near[np.arange(len(near)), best]
    return found


def _from_sites(sites: list[tuple[str, int, float]], n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Contig (names) and place of ``n`` draws from weighted sites."""
    weights = np.array([weight for _, _, weight in sites], float)
    drawn = rng.choice(len(sites), n, p=weights / weights.sum())
    return np.array([contig for contig, _, _ in sites])[drawn], np.array([place for _, place, _ in sites])[drawn]


def _lengths(plan: LibraryPlan, n: int, rng: np.random.Generator) -> np.ndarray:
    """Lengths of molecules, int64 (n,)."""
    if plan.assay == "atac":  # free of nucleosomes, around one, around two (Buenrostro et al. 2013, figure 1)
        kind = rng.choice(3, n, p=(0.6, 0.3, 0.1))
        free = 32 + rng.gamma(2.0, 22.0, n)
        return np.rint(np.choose(kind, (free, rng.normal(205, 20, n), rng.normal(400, 30, n)))).astype(np.int64)
    if plan.assay == "dnase":
        return np.rint(rng.normal(90, 22, n)).astype(np.int64)
    if plan.assay == "mnase":
        return np.rint(rng.normal(147, 4, n)).astype(np.int64)
    return np.rint(rng.normal(plan.fragment_bp, 0.12 * plan.fragment_bp, n)).astype(np.int64)


def _spread(plan: LibraryPlan, place: np.ndarray, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Start of each molecule that comes from a site."""
    n = len(place)
    if plan.assay == "mnase":  # the dyad in the middle, give or take
        return place - length // 2 + np.rint(rng.normal(0, 3, n)).astype(np.int64)
    if plan.assay == "chip":  # the bound place anywhere in the fragment
        return place - (rng.random(n) * length).astype(np.int64)
    # One of the ends is a cut in open chromatin.
    cut = place + np.rint(rng.normal(0, 60, n)).astype(np.int64)
    return np.where(rng.random(n) < 0.5, cut, cut - length)


def _genomic(plan: LibraryPlan, contigs: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    names = list(contigs)
    sizes = np.array([len(codes) for codes in contigs.values()])
    n = plan.molecules
    even = sizes * np.array([name != plan.spill for name in names], float)
    contig = rng.choice(len(names), n, p=even / even.sum())
    length = np.clip(_lengths(plan, n, rng), _SHORTEST_BP, None)
    start = (rng.random(n) * (sizes[contig] - length)).astype(np.int64)
    kinds = rng.random(n)
    edge = 0.0
    for given, share in ((plan.sites, plan.site_share), (plan.artefacts, plan.artefact_share)):
        flat = [(name, place, weight) for name, places in given.items() for place, weight in places]
        if flat:
            rows = np.flatnonzero((kinds >= edge) & (kinds < edge + share))
            where, place = _from_sites(flat, len(rows), rng)
            contig[rows] = [names.index(name) for name in where]
            start[rows] = _spread(plan, place, length[rows], rng)
            edge += share
    if plan.spill:
        rows = np.flatnonzero(rng.random(n) < plan.spill_share)
        contig[rows] = names.index(plan.spill)
        start[rows] = (rng.random(len(rows)) * (len(contigs[plan.spill]) - length[rows])).astype(np.int64)
    end = start + length
    if plan.assay == "atac":  # both ends are insertions; their copied bases belong to the molecule
        half = TN5_BP // 2
        for index, codes in enumerate(contigs.values()):
            rows, liking = np.flatnonzero(contig == index), tn5_liking(codes)
            start[rows] = _settle(start[rows] + half, liking, rng) - half
            end[rows] = _settle(end[rows] - half - 1, liking, rng) + half + 1
    inside = (start >= 0) & (end <= sizes[contig]) & (end - start >= _SHORTEST_BP)
    strand = np.where(rng.random(n) < 0.5, 1, -1)
    none = np.full(n, -1)
    return tuple(column[inside] for column in (contig, start, end, strand, none, none, none))


def _spliced(plan: LibraryPlan, contigs: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Fragments of transcripts; read 1 is of the other strand than the transcript (dUTP, Parkhomchuk et al. 2009)."""
    names, n = list(contigs), plan.molecules
    bp = np.array([sum(end - start for start, end in one.exons) for one in plan.transcripts])
    weight = bp * np.array([one.weight for one in plan.transcripts])
    which = rng.choice(len(bp), n, p=weight / weight.sum())
    length = np.clip(_lengths(plan, n, rng), _SHORTEST_BP, bp[which])
    first = (rng.random(n) * (bp[which] - length + 1)).astype(np.int64)
    last = first + length
    contig, start, end, strand = (np.empty(n, np.int64) for _ in range(4))
    for index, one in enumerate(plan.transcripts):
        rows, places = np.flatnonzero(which == index), transcript_places(one)
        left, right = places[first[rows]], places[last[rows] - 1]
        contig[rows] = names.index(one.contig)
        start[rows], end[rows] = np.minimum(left, right), np.maximum(left, right) + 1
        strand[rows] = -1 if one.strand == "+" else 1
    return contig, start, end, strand, which, first, last


def transcript_places(transcript: Transcript) -> np.ndarray:
    """Genomic place of each base of a transcript, from its 5' end: int64 (bp,)."""
    places = np.concatenate([np.arange(start, end) for start, end in transcript.exons])
    return places if transcript.strand == "+" else places[::-1]


def draw_molecules(plan: LibraryPlan, contigs: dict[str, str]) -> Molecules:
    """Molecules of a plan, in the order of contig, start, end.

    Parameters
    ----------
    contigs : name -> sequence. Molecules that would reach over an end of a contig are left out.
    """
    rng = np.random.default_rng(plan.seed)
    codes = {name: encode(text) for name, text in contigs.items()}
    drawn = (_spliced if plan.assay == "rna" else _genomic)(plan, codes, rng)
    copies = 1 + np.where(rng.random(len(drawn[0])) < plan.copied_share, rng.geometric(0.7, len(drawn[0])), 0)
    contig, start, end, strand, *spliced = drawn
    order = np.lexsort((strand, end, start, contig))
    columns = [column[order].astype(np.int32) for column in (contig, start, end, strand, copies, *spliced)]
    columns[3] = columns[3].astype(np.int8)
    return Molecules(*columns)
