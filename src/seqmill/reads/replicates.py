"""Replicates of an experiment: each alone, all together, and seeded halves of them (pseudo-replicates).

A pseudo-replicate is a random half of the fragments of a replicate; peaks that come back in both halves do not rest on
single reads (Landt et al. 2012, Genome Res 22:1813). Halves of all replicates joined are the pooled pseudo-replicates.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from seqmill.reads.fragments import Fragments, FragmentTable


class Replicate(NamedTuple):
    """A library as its experiment uses it.

    Attributes
    ----------
    number : of the replicate. table : its fragments. read_length : of its reads in bp.
    plus, minus : bp that 5' ends of + and - reads are still to be moved: the shift asked for less that already there.
    """

    number: int
    table: FragmentTable
    read_length: int
    plus: int = 0
    minus: int = 0


class Part(NamedTuple):
    """A replicate, whole (``half`` 0) or one of its two halves (1, 2)."""

    replicate: Replicate
    half: int = 0


def samples(replicates: list[Replicate]) -> dict[str, list[Part]]:
    """What peaks are called on: name to the parts that are pooled for it.

    ``pooled`` and ``pseudo1``, ``pseudo2`` of all replicates; of several replicates also ``rep{N}`` and their own
    ``rep{N}.pseudo1``, ``rep{N}.pseudo2``.
    """
    found = {"pooled": [Part(one) for one in replicates]}
    found |= {f"pseudo{half}": [Part(one, half) for one in replicates] for half in (1, 2)}
    for one in replicates if len(replicates) > 1 else []:
        found[f"rep{one.number}"] = [Part(one)]
        found |= {f"rep{one.number}.pseudo{half}": [Part(one, half)] for half in (1, 2)}
    return found


def first_half(n: int, *, seed: int, replicate: int, contig: str) -> np.ndarray:
    """Which of the ``n`` fragments of a contig are in the first pseudo-replicate, bool (n,); the others in the second.

    Half of them, drawn without replacement; a coin decides for the odd one. A function of seed, replicate and contig
    alone, so contigs can be done in any order.
    """
    key = hashlib.sha256(f"{seed}/{replicate}/{contig}".encode()).digest()
    rng = np.random.Generator(np.random.Philox(int.from_bytes(key[:16], "little")))
    chosen = np.zeros(n, bool)
    more = int(rng.integers(2))
    chosen[rng.permutation(n)[: (n + more) // 2]] = True
    return chosen


def fragments_of(part: Part, contig: str, seed: int) -> Fragments:
    """Fragments of one contig of a replicate or of its half, not shifted."""
    found = part.replicate.table.contig(contig)
    if not part.half:
        return found
    chosen = first_half(len(found.start), seed=seed, replicate=part.replicate.number, contig=contig)
    return Fragments(*(column[chosen if part.half == 1 else ~chosen] for column in found))


def tags_of(fragments: Fragments, replicate: Replicate, size: int) -> Fragments:
    """One tag a read, as ENCODE's tagAlign: of pairs both mates.

    Parameters
    ----------
    size : of the contig in bp.

    Returns
    -------
    Tags of at most the read length, whose 5' ends are moved; those whose 5' end leaves the contig are dropped.
    """
    start, end, strand = (np.asarray(column) for column in fragments)
    if replicate.table.paired:
        length = np.minimum(end - start, replicate.read_length)
        start, end = np.concatenate([start, end - length]), np.concatenate([start + length, end])
        strand = np.repeat(np.array([1, -1], np.int8), len(length))
    forward = strand >= 0
    start = np.where(forward, start + replicate.plus, start)
    end = np.where(forward, end, end + replicate.minus)
    inside = np.where(forward, (start >= 0) & (start < size), (end > 0) & (end <= size))
    # a tag shorter than the shift keeps one base, its 5' end
    end = np.where(forward, np.maximum(end, start + 1), end)
    start = np.where(forward, start, np.minimum(start, end - 1))
    return Fragments(start[inside], end[inside], np.where(forward, 1, -1).astype(np.int8)[inside])


def pooled_tags(parts: list[Part], seed: int) -> Iterator[tuple[str, Fragments]]:
    """Contig and the tags of all parts on it, each with its own shift, in the order of the genome."""
    for contig, size in parts[0].replicate.table.sizes.items():
        found = [tags_of(fragments_of(part, contig, seed), part.replicate, size) for part in parts]
        yield contig, Fragments(*(np.concatenate([one[column] for one in found]) for column in range(3)))
