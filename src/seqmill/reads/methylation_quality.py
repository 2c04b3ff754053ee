"""Quality of bisulfite sequencing from its calls: conversion, depth, and how replicates agree.

Depth is per CpG, both strands together, over all CpGs of the contigs that the file has; those without a read count as
0. It stands for the genome's mean coverage that ENCODE's WGBS pipeline reports; replicates are compared there as here,
by the Pearson correlation of the fractions of CpGs with at least 10 reads in both.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from seqmill.formats.methylation import CallFile
from seqmill.genome.sequence import C, G
from seqmill.reads.quality_rows import POOLED, Row, proportion, row
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader

REPLICATE_READS = 10
MIN_CPGS = 10
BLOCK_BP = 1 << 24


def conversion(file: CallFile, conversion_contigs: Iterable[str], replicate: str = POOLED) -> Row | None:
    """Share of unmethylated cytosines that were converted.

    Counted on the spike-in contigs, where no cytosine is methylated (in any context, whether the genome has the contig
    or not); without reads there, in CHH context, else CHG, which in most animal tissues holds next to no methylation:
    the rate is then a lower bound, and in plants and neurons it is no conversion rate.

    Returns
    -------
    Row with the reads it was counted of and their Wilson interval; None without such reads, or in files without counts.
    """
    wanted = set(conversion_contigs)
    for sums in (
        [found for (contig, _), found in file.sums.items() if contig in wanted],
        [found for (_, context), found in file.sums.items() if context == "CHH"],
        [found for (_, context), found in file.sums.items() if context == "CHG"],
    ):
        methylated, reads = (int(sum(found[column] for found in sums)) for column in (0, 1))
        if reads:
            return proportion("bisulfite_conversion", replicate, reads - methylated, reads)
    return None


def cpgs(genome: GenomeReader, contigs: Iterable[str]) -> int:
    """Number of CpGs of contigs of the genome, each counted once."""
    total = 0
    for contig in contigs:
        for start in range(0, genome.sizes[contig], BLOCK_BP):
            codes = genome.codes(contig, start, start + BLOCK_BP + 1)  # a CpG may lie across two blocks
            total += int(np.count_nonzero((codes[:-1] == C) & (codes[1:] == G)))
    return total


def methylation_metrics(
    paths: Mapping[str, str | Path],
    genome: GenomeReader,
    *,
    layout: str = "",
    partial: bool = False,
    conversion_contigs: Iterable[str] = (),
) -> list[Row]:
    """Rows of the quality table for the replicates of one experiment.

    Parameters
    ----------
    paths : replicate ("1", "2", ...) -> file of calls. layout : of its files, '' to tell it from each.
    partial : the genome is a piece of an assembly. conversion_contigs : spike-ins, by the names of the files.

    Returns
    -------
    For each replicate ``coverage_depth`` (mean reads at a CpG; n: CpGs of the genome's contigs that the file has),
    ``cpg_covered`` (share of them with a read) and ``bisulfite_conversion`` (n: reads), where they can be counted; with
    several ``replicate_pearson`` of the worst pair (replicate "pooled", n: CpGs), if a pair has at least 10 such CpGs
    and its fractions vary.

    Raises
    ------
    InputError : see `CallFile`; no replicate at all.
    """
    if not paths:
        raise InputError("methylation quality", "no file of calls given")
    rows: list[Row] = []
    deep: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for replicate, path in paths.items():
        with CallFile(path, genome.sizes, layout=layout, partial=partial, windows=genome.many) as file:
            reads = covered = 0
            deep[replicate] = {}
            for contig in file.contigs:
                calls = file.contig(contig)
                reads, covered = reads + int(calls.total.sum(dtype=np.int64)), covered + len(calls.position)
                enough = calls.total >= REPLICATE_READS
                deep[replicate][contig] = calls.position[enough], calls.fraction[enough]
            total = cpgs(genome, file.contigs)
            if file.counted and total:
                rows.append(row("coverage_depth", replicate, reads / total, total))
            if total:
                rows.append(proportion("cpg_covered", replicate, covered, total))
            found = conversion(file, conversion_contigs, replicate)
            rows += [found] if found else []
    pairs = [_pearson(deep[one], deep[two]) for one, two in combinations(deep, 2)]
    known = [pair for pair in pairs if pair is not None]
    if known:
        worst, n = min(known)
        rows.append(row("replicate_pearson", POOLED, worst, n))
    return rows


def _pearson(one: dict, two: dict) -> tuple[float, int] | None:
    """Correlation of two replicates and the CpGs it was counted of; None if there are too few, or they do not vary."""
    left, right = [], []
    for contig in one.keys() & two.keys():
        _, here, there = np.intersect1d(one[contig][0], two[contig][0], assume_unique=True, return_indices=True)
        left.append(one[contig][1][here])
        right.append(two[contig][1][there])
    x = np.concatenate(left or [np.zeros(0)]).astype(np.float64)
    y = np.concatenate(right or [np.zeros(0)]).astype(np.float64)
    if len(x) < MIN_CPGS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1]), len(x)
