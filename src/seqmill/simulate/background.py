"""The background of the world: a Markov chain over GC isochores, repeats, runs of N."""

from dataclasses import dataclass

import numpy as np

BLOCK_BP = 1000
_ORDER = 3
_ISOCHORE_GC = np.array([0.36, 0.39, 0.43, 0.48, 0.54])
_ISOCHORE_SHARE = np.array([0.20, 0.28, 0.26, 0.16, 0.10])


@dataclass
class Chromosome:
    """One simulated contig.

    ``codes`` uint8 (bp,) A0 C1 G2 T3 N4; ``soft`` bool (bp,) soft-masked repeats; ``gc`` float64 (blocks,) wanted GC of
    each `BLOCK_BP` bases; ``blacklist`` artefact regions, 0-based half-open; ``busy`` bool (bp,) where no site may lie.
    """

    name: str
    codes: np.ndarray
    soft: np.ndarray
    gc: np.ndarray
    blacklist: list[tuple[int, int]]
    busy: np.ndarray


def _isochores(blocks: int, rng: np.random.Generator) -> np.ndarray:
    """GC of each block: stretches of 8 to 40 blocks around one of five levels."""
    levels: list[float] = []
    while len(levels) < blocks:
        level = rng.choice(_ISOCHORE_GC, p=_ISOCHORE_SHARE)
        length = int(rng.integers(8, 41))
        levels += list(level + rng.normal(0, 0.01, length))
    return np.clip(levels[:blocks], 0.3, 0.6)


def _context_weights(rng: np.random.Generator) -> np.ndarray:
    """Weight of the next base after each context of three bases, (64, 4): mild preferences, CpG at half its share."""
    weights = np.exp(rng.normal(0, 0.15, (4**_ORDER, 4)))
    weights[1::4, 2] *= 0.5  # contexts that end in C, next base G
    for base in (0, 3):
        run = base * (4**_ORDER - 1) // 3
        weights[run, base] *= 1.3  # A and T runs are longer than chance
    return weights


def markov_sequence(gc: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw ``BLOCK_BP`` bases for each block from an order-3 Markov chain.

    Parameters
    ----------
    gc : float64 (blocks,), share of G and C asked for.
    weights : float64 (64, 4), multiplied into the base composition and normalised.

    Returns
    -------
    uint8 (blocks * BLOCK_BP,), codes 0 to 3.
    """
    base = np.stack([(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2], axis=1)
    out = np.empty((len(gc), BLOCK_BP), np.uint8)
    context = rng.integers(0, 4**_ORDER, len(gc))
    for step in range(BLOCK_BP):
        cumulative = np.cumsum(base * weights[context], axis=1)
        draw = rng.random(len(gc)) * cumulative[:, -1]
        code = (draw[:, None] >= cumulative[:, :3]).sum(axis=1)
        out[:, step] = code
        context = (context * 4 + code) % 4**_ORDER
    return out.reshape(-1)


def _add_repeats(codes: np.ndarray, soft: np.ndarray, families: list[np.ndarray], rng: np.random.Generator) -> None:
    """Paste diverged copies of a few families and short tandem repeats until 8 % of the contig is soft-masked."""
    while soft.mean() < 0.08:
        if rng.random() < 0.8:
            copy = families[rng.integers(len(families))].copy()
            changed = rng.random(len(copy)) < rng.uniform(0.02, 0.2)
            copy[changed] = rng.integers(0, 4, changed.sum())
            if rng.random() < 0.5:
                copy = 3 - copy[::-1]
        else:
            unit = rng.integers(0, 4, rng.integers(1, 5))
            copy = np.tile(unit, 30)[: rng.integers(24, 60)]
        at = int(rng.integers(0, len(codes) - len(copy)))
        if not soft[at : at + len(copy)].any():
            codes[at : at + len(copy)] = copy
            soft[at : at + len(copy)] = True


def _add_artefacts(length: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Regions of 1.5 to 3 kb whose signal is an artefact, one in each of ``count`` equal parts of the contig."""
    part = length // count
    regions = []
    for index in range(count):
        size = int(rng.integers(1500, 3001))
        start = int(index * part + rng.integers(3000, part - size - 1000))
        regions.append((start, start + size))
    return regions


def make_chromosomes(number: int, length: int, rng: np.random.Generator) -> list[Chromosome]:
    """Contigs ``chr1`` ... of ``length`` bp each, without sites."""
    weights = _context_weights(rng)
    families = [rng.integers(0, 4, size).astype(np.uint8) for size in (300, 300, 900)]
    blocks = -(-length // BLOCK_BP)
    chromosomes = []
    for index in range(number):
        gc = _isochores(blocks, rng)
        codes = markov_sequence(gc, weights, rng)[:length]
        soft = np.zeros(length, bool)
        _add_repeats(codes, soft, families, rng)
        blacklist = _add_artefacts(length, max(1, round(length / 500_000)), rng)
        codes[:500] = 4  # an unknown end, as in real assemblies, and one gap
        gap = int(rng.integers(600, length - 1600))
        codes[gap : gap + int(rng.integers(50, 1000))] = 4
        soft &= codes < 4
        busy = soft | (codes == 4)
        for start, end in blacklist:
            busy[start:end] = True
        chromosomes.append(Chromosome(f"chr{index + 1}", codes, soft, gc, blacklist, busy))
    return chromosomes
