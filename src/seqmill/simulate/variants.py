"""Variants of the world whose effect is known: in functional motifs, in decoys, in the background."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seqmill.simulate.background import Chromosome
from seqmill.simulate.grammar import Instance, Site
from seqmill.simulate.motifs import Motif

CLASSES = ("disrupting", "decoy", "background")
MIN_BITS = 1.5
AWAY_BP = 100
_DELETION_EVERY = 8
_LETTERS = "ACGTN"


@dataclass(frozen=True)
class Variant:
    """One variant: ``ref`` is at ``start``, 0-based. ``site`` counts from 1; off sites it is 0 and ``motif`` empty."""

    contig: int
    start: int
    ref: str
    alt: str
    kind: str
    motif: str = ""
    bits: float = 0.0
    site: int = 0


def _column(part: Instance, offset: int) -> int:
    """Column of the matrix at a base of an instance."""
    return part.lo + offset if part.strand == "+" else part.hi - 1 - offset


def _in_site(site: Site, number: int, codes: np.ndarray, motifs: dict[str, Motif], rng: np.random.Generator) -> Variant:
    """A base of at least `MIN_BITS` becomes the one that the matrix likes least; the best base of a weaker site."""
    bases = [(part, at - part.start) for part in site.instances for at in range(part.start, part.end)]
    bits = np.array([motifs[part.motif].bits[_column(part, offset)] for part, offset in bases])
    strong = np.flatnonzero(bits >= min(MIN_BITS, bits.max()))
    pick = int(rng.choice(strong))
    part, offset = bases[pick]
    least = int(np.argmin(motifs[part.motif].pwm[_column(part, offset)]))
    start = part.start + offset
    alt = least if part.strand == "+" else 3 - least
    ref = int(codes[start])
    if alt == ref:  # the instance holds the unlikely base already: its complement is no better
        alt = 3 - ref
    kind = "disrupting" if site.functional else "decoy"
    return Variant(
        site.contig, start, _LETTERS[ref], _LETTERS[alt], kind, part.motif, round(float(bits[pick]), 3), number
    )


def _as_deletion(variant: Variant, codes: np.ndarray) -> Variant:
    """The same base deleted, written with the base before it; unchanged where that could be written elsewhere too."""
    before, here, after = (int(code) for code in codes[variant.start - 1 : variant.start + 2])
    if len({before, here, after}) < 3 or 4 in (before, here, after):
        return variant
    return replace(variant, start=variant.start - 1, ref=_LETTERS[before] + variant.ref, alt=_LETTERS[before])


def make_variants(
    chromosomes: list[Chromosome], sites: list[Site], motifs: dict[str, Motif], per_mb: float, rng: np.random.Generator
) -> list[Variant]:
    """Variants in equal numbers of each of `CLASSES`, at most one a site, sorted by place.

    Parameters
    ----------
    per_mb : variants of all classes for each Mb of genome. Fewer are made where a contig has too few sites.

    One in eight of those in sites deletes its base. Those of the background lie at least `AWAY_BP` bp from any site.
    """
    found: list[Variant] = []
    for index, chromosome in enumerate(chromosomes):
        codes, count = chromosome.codes, round(per_mb * len(chromosome.codes) / 1e6 / len(CLASSES))
        free = codes < 4
        for site in sites:
            if site.contig == index:
                low = max(0, site.instances[0].start - AWAY_BP)
                free[low : site.instances[-1].end + AWAY_BP] = False
        for functional in (True, False):
            here = [i for i, site in enumerate(sites) if site.contig == index and site.functional == functional]
            chosen = rng.choice(np.array(here, np.int64), min(count, len(here)), replace=False)
            for number, i in enumerate(sorted(chosen.tolist())):
                variant = _in_site(sites[i], i + 1, codes, motifs, rng)
                deleted = number % _DELETION_EVERY == _DELETION_EVERY - 1
                found.append(_as_deletion(variant, codes) if deleted else variant)
        places = np.flatnonzero(free)
        for start in rng.choice(places, min(count, len(places)), replace=False).tolist():
            ref = int(codes[start])
            alt = (ref + int(rng.integers(1, 4))) % 4
            found.append(Variant(index, start, _LETTERS[ref], _LETTERS[alt], "background"))
    return sorted(found, key=lambda variant: (variant.contig, variant.start, variant.alt))


def vcf_lines(chromosomes: list[Chromosome], variants: list[Variant]) -> Iterator[str]:
    """Lines of the VCF file, header first."""
    yield "##fileformat=VCFv4.3"
    yield from (f"##contig=<ID={c.name},length={len(c.codes)}>" for c in chromosomes)
    yield '##INFO=<ID=CLASS,Number=1,Type=String,Description="disrupting, decoy or background">'
    yield '##INFO=<ID=MOTIF,Number=1,Type=String,Description="Motif that it changes">'
    yield '##INFO=<ID=BITS,Number=1,Type=Float,Description="Information of the matrix column">'
    yield '##INFO=<ID=SITE,Number=1,Type=String,Description="Site in truth.bed.gz">'
    yield "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    for number, v in enumerate(variants):
        info = f"CLASS={v.kind}"
        if v.site:
            info += f";MOTIF={v.motif};BITS={v.bits:g};SITE=site{v.site}"
        name = chromosomes[v.contig].name
        yield f"{name}\t{v.start + 1}\tv{number + 1}\t{v.ref}\t{v.alt}\t.\tPASS\t{info}"


def write_vcf(path: Path, chromosomes: list[Chromosome], variants: list[Variant]) -> None:
    """Write ``path`` (ends in .vcf.gz, bgzip) with its tabix index."""
    import pysam

    plain = path.with_suffix("")
    plain.write_text("".join(line + "\n" for line in vcf_lines(chromosomes, variants)))
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    pysam.tabix_index(str(path), preset="vcf", force=True)
