"""What a genome browser shows of one map: its values, the tracks, genes and variants of its page."""

import re
from pathlib import Path

from seqmill.config.effects import map_genome
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.exports.browser import Feature, Signal
from seqmill.runtime.errors import InputError
from seqmill.stages import effects as effects_steps
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import open_noun
from seqmill.stores.variants import VCF

# Assemblies that IGV has under the name that UCSC gives them.
_KNOWN = re.compile(r"(hg|mm|rn|dm|ce|danRer|sacCer|galGal|bosTau|canFam|susScr|panTro|rheMac)[0-9]+")


def needs_of_map(steps: Steps, name: str) -> list[Step]:
    """A map with its files, and the scored variants of its page."""
    page = steps.project.config.maps[name].page
    variants = [effects_steps.of_variants(steps, each) for each in (page.variants if page else ())]
    return [*effects_steps.of_map(steps, name)[:2], *variants]


def shown_of_map(project: Project, results: Path, name: str) -> tuple[list[Signal], list[Feature], str]:
    """Signals and files of a map, and what IGV loads its genome from ("" where it knows the assembly).

    Raises
    ------
    InputError
        The map lies on no genome.
    """
    section = project.config.maps[name]
    genome = map_genome(project.config, section, project.where)
    if genome is None:
        raise InputError("--map", f"{name} is of sequences of a table, which lie on no genome")
    folder = results / f"maps/{slug(name)}.files"
    sizes = GenomeReader(results / f"genome/{slug(genome)}.zarr").sizes
    signals, features = [], [Feature(f"regions of {name}", folder / "regions.bed", "regions.bed")]
    for target, tracks in open_noun(folder, "map-files").attrs["tracks"].items():
        for track in tracks:
            for kind, inner in (("contribution", "signed/"), ("size of effects", "")):
                file = folder / slug(target) / f"{inner}{slug(track)}.bw"
                parts = (name, target, track) if inner else (name, target, track, "size")
                text = f"{track}: {kind} of each base to {target}, by {section.model} (map {name})"
                signals.append(Signal(genome, "contribution", parts, text, sizes, file))
    if (folder / "positions.bed").is_file():
        features.append(Feature(f"stretches of {name}", folder / "positions.bed", "positions.bed"))
    if section.page is not None:
        for track in section.page.tracks:
            row = project.tracks[track]
            if row.format == "bigwig":
                signals.append(Signal(genome, "measured", (track,), f"{track}: measured", sizes, row.path))
            elif row.format in ("bam", "cram"):
                continue  # too large to copy: open it in IGV itself
            else:
                ending = "".join(row.path.suffixes[-2:])
                features.append(Feature(track, row.path, f"tracks/{slug(track)}{ending}"))
        if section.page.genes is not None:
            features.append(Feature("genes", section.page.genes, f"genes/{section.page.genes.name}"))
        for each in section.page.variants:
            source = results / f"variants/{slug(each)}" / VCF
            features.append(Feature(each, source, f"variants/{slug(each)}.vcf.gz", index=".tbi"))
        for number, path in enumerate(section.page.vcf, 1):
            features.append(Feature(path.name, path, f"variants/{number}.{path.name}"))
    fasta = project.config.genomes[genome].fasta
    return signals, features, "" if _KNOWN.fullmatch(genome) or not fasta.is_file() else str(fasta.absolute())
