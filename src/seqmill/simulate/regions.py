"""Regions of the world to make mutagenesis maps of: as many around decoys as around functional sites."""

from pathlib import Path

import numpy as np

from seqmill.simulate.background import Chromosome
from seqmill.simulate.grammar import RULES, Site

REGION_BP = 240
PER_RULE = 6


def pick_regions(chromosomes: list[Chromosome], sites: list[Site], rng: np.random.Generator) -> list[Site]:
    """`PER_RULE` functional sites and as many decoys of each rule, fewer where there are not so many, sorted by place.

    They are taken from the last third of the contigs, which the demo holds out from training.
    """
    first = len(chromosomes) - max(1, len(chromosomes) // 3)
    chosen: list[int] = []
    for rule in RULES:
        for functional in (True, False):
            here = [
                i
                for i, site in enumerate(sites)
                if site.contig >= first and (site.rule, site.functional) == (rule, functional)
            ]
            chosen += rng.choice(np.array(here, np.int64), min(PER_RULE, len(here)), replace=False).tolist()
    return [sites[i] for i in sorted(chosen)]


def write_regions(path: Path, chromosomes: list[Chromosome], chosen: list[Site]) -> None:
    """BED of `REGION_BP` around the middle of each site, within its contig; the name says what the site is."""
    with open(path, "w") as out:
        for site in chosen:
            contig = chromosomes[site.contig]
            start = min(max(0, site.centre - REGION_BP // 2), len(contig.codes) - REGION_BP)
            what = "functional" if site.functional else "decoy"
            out.write(f"{contig.name}\t{start}\t{start + REGION_BP}\t{what}_{site.rule}_{site.kind}\n")
