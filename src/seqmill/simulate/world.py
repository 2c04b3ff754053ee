"""The whole simulated world: genome, data files, truth, sheet and a description, in one folder."""

from pathlib import Path

import numpy as np

from seqmill.config.simulation import SimulationSettings
from seqmill.runtime.files import staged_folder
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.marker import write_marker
from seqmill.simulate import FORMAT
from seqmill.simulate.background import Chromosome, make_chromosomes
from seqmill.simulate.files import (
    write_bam,
    write_bigwig,
    write_fasta,
    write_narrow_peaks,
    write_truth,
)
from seqmill.simulate.grammar import GRAMMAR, RULES, Site, place_sites, truth_arrays
from seqmill.simulate.motifs import Motif, load_motifs
from seqmill.simulate.regions import PER_RULE, REGION_BP, pick_regions, write_regions
from seqmill.simulate.signal import ASSAYS, call_peaks, coverage, make_fragments
from seqmill.simulate.variants import AWAY_BP, MIN_BITS, make_variants, write_vcf

ASSEMBLY = "sim1"

# fmt: off
_COLUMNS = (
    "track", "source", "location", "assembly", "assay", "target", "biosample", "strand", "strand_pair",
    "aggregate", "transform", "clip", "clip_soft", "scale", "missing", "reads", "plus_shift", "minus_shift",
)
# fmt: on

_CUTS = {"assay": "ATAC-seq", "aggregate": "sum", "reads": "cuts", "plus_shift": "4", "minus_shift": "-5"}
_TRACKS = (
    {"track": "atac_cuts", "location": "atac.bam", **_CUTS},
    {"track": "chip_ctcf", "location": "chip_ctcf.bw", "assay": "ChIP-seq", "target": "CTCF"},
    {"track": "chip_myc", "location": "chip_myc.bw", "assay": "ChIP-seq", "target": "MYC"},
    {"track": "atac_peaks", "location": "atac.narrowPeak.gz", "assay": "ATAC-seq"},
    {"track": "ctcf_peaks", "location": "ctcf.narrowPeak.gz", "assay": "ChIP-seq", "target": "CTCF"},
    {"track": "gata1_peaks", "location": "gata1.narrowPeak.gz", "assay": "ChIP-seq", "target": "GATA1"},
    {"track": "myc_peaks", "location": "myc.narrowPeak.gz", "assay": "ChIP-seq", "target": "MYC"},
)

_README = """A simulated world: a genome whose regulatory grammar is known, and data files made from it with noise.
Nothing here was measured. Made by seqmill with the settings at the end; the same settings give the same bytes.

Grammar
-------
{grammar}
Motif instances are drawn column by column from JASPAR matrices (CC BY 4.0), kept when their log-odds score reaches
{instance_score} of the best: {motifs}.
Bases between the motifs of a site are background. The background is an order-3 Markov chain over isochores of
different GC, with repeats (soft-masked) and runs of N. Sites prefer GC-rich isochores, decoys less so: GC alone
predicts peaks somewhat, and is not the cause.

Arrangements that arise in the background by chance (a few in a million bases) give no signal and count as background.
{sites} functional sites ({per_rule}) and {decoys} decoys were placed.

Files (0-based half-open coordinates)
-------------------------------------
genome.fa.gz, genome.sizes, blacklist.bed   the genome; regions whose signal is an artefact
atac.bam                  read pairs of open chromatin at all functional sites; read ends are raw (Tn5 shift +4/-5)
chip_ctcf.bw, chip_myc.bw fragment coverage; no value where there is none
*.narrowPeak.gz           called peaks: summits jittered, weak sites missed, some false, blacklisted regions included
tracks.tsv                track sheet of all data files; locations are relative to this folder
truth.bed.gz              each motif instance: contig start end motif score strand class site rule
                          arrangement columns strength (class: functional or decoy; score: 1000 x the fraction of the
                          best; columns: those of the matrix)
variants.vcf.gz           variants of known effect; CLASS in INFO: disrupting (changes a base of at least {min_bits}
                          bits in a functional motif), decoy (the same in a decoy), background ({away_bp} bp or more
                          from both); MOTIF, BITS and SITE (that of truth.bed.gz) say which base
regions.bed               {region_bp} bp around {regions_per_rule} functional sites and as many decoys of each rule, on
                          the last third of the contigs: for maps that are judged by the truth
truth.npz                 for each contig: .class uint8 (0 background, 1 functional, 2 decoy), .bits float16
                          (information of the matrix column), .motif uint8
                          (0 none, else {numbers})

Settings
--------
{settings}
"""


def _sheet() -> str:
    common = {"source": "local", "assembly": ASSEMBLY, "biosample": "simulated", "strand": ".", "missing": "zero"}
    common |= {"aggregate": "mean", "transform": "none", "scale": "1"}
    rows = [{**common, **track} for track in _TRACKS]
    lines = ["\t".join(_COLUMNS)] + ["\t".join(row.get(column, "") for column in _COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def _readme(settings: SimulationSettings, motifs: dict[str, Motif], sites: list[Site]) -> str:
    functional = [site for site in sites if site.functional]
    return _README.format(
        grammar=GRAMMAR,
        instance_score=settings.instance_score,
        motifs=", ".join(f"{motif.name} {motif.matrix_id}" for motif in motifs.values()),
        numbers=", ".join(f"{index + 1} {name}" for index, name in enumerate(motifs)),
        sites=len(functional),
        per_rule=", ".join(f"{rule} {sum(site.rule == rule for site in functional)}" for rule in RULES),
        decoys=len(sites) - len(functional),
        min_bits=MIN_BITS,
        away_bp=AWAY_BP,
        regions_per_rule=PER_RULE,
        region_bp=REGION_BP,
        settings=settings.model_dump_json(indent=1),
    )


def _write_data(
    folder: Path, chromosomes: list[Chromosome], sites: list[Site], settings: SimulationSettings, seeds: list
) -> None:
    """Fragments, signal and peaks of each assay; each has its own stream of random numbers."""
    for assay, seed in zip(ASSAYS, seeds):
        rng = np.random.default_rng(seed)
        fragments, peaks = [], []
        for index, chromosome in enumerate(chromosomes):
            here = [site for site in sites if site.contig == index and site.functional]
            fragments.append(make_fragments(chromosome, here, assay, settings, rng))
            peaks += call_peaks(chromosome, here, fragments[-1], assay, settings, rng)
        write_narrow_peaks(folder / f"{assay.name}.narrowPeak.gz", peaks, assay.name)
        if assay.name == "atac":
            write_bam(folder / "atac.bam", chromosomes, fragments, settings, rng)
        elif assay.name in ("ctcf", "myc"):
            signal = {c.name: coverage(f, len(c.codes)) for c, f in zip(chromosomes, fragments)}
            write_bigwig(folder / f"chip_{assay.name}.bw", signal)


def simulate_world(folder: Path, settings: SimulationSettings) -> None:
    """Write a simulated world into ``folder``, whole or not at all.

    Parameters
    ----------
    folder : replaced when it exists.
    settings : size, density, noise and seed. The bytes of every file depend on nothing else (and on the versions of
        the writing libraries).

    Raises
    ------
    LockedError
        Another live process writes the same folder.
    """
    folder = Path(folder)
    streams = np.random.SeedSequence(settings.seed).spawn(4 + len(ASSAYS))
    motifs = load_motifs()
    chromosomes = make_chromosomes(settings.chromosomes, settings.chromosome_bp, np.random.default_rng(streams[0]))
    megabases = settings.chromosomes * settings.chromosome_bp / 1e6
    sites = place_sites(
        chromosomes,
        motifs,
        sites_per_rule=round(settings.sites_per_mb * megabases),
        decoys=round(settings.decoys_per_mb * megabases),
        instance_score=settings.instance_score,
        strength_sd=settings.strength_sd,
        rng=np.random.default_rng(streams[1]),
    )
    with artefact_lock(folder), staged_folder(folder) as part:
        write_fasta(part / "genome.fa.gz", chromosomes)
        (part / "genome.sizes").write_text("".join(f"{c.name}\t{len(c.codes)}\n" for c in chromosomes))
        (part / "blacklist.bed").write_text(
            "".join(f"{c.name}\t{a}\t{b}\tHigh Signal Region\n" for c in chromosomes for a, b in c.blacklist)
        )
        write_truth(part, chromosomes, sites, truth_arrays(chromosomes, sites, motifs))
        _write_data(part, chromosomes, sites, settings, streams[2:-2])
        rng = np.random.default_rng(streams[-2])
        variants = make_variants(chromosomes, sites, motifs, settings.variants_per_mb, rng)
        write_vcf(part / "variants.vcf.gz", chromosomes, variants)
        chosen = pick_regions(chromosomes, sites, np.random.default_rng(streams[-1]))
        write_regions(part / "regions.bed", chromosomes, chosen)
        (part / "tracks.tsv").write_text(_sheet())
        (part / "README.txt").write_text(_readme(settings, motifs, sites))
        write_marker(part, noun="world", name=folder.name, format=FORMAT, attrs={"settings": settings.model_dump()})
