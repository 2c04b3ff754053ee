"""How much work maps and variants will be: sequences to predict and numbers to keep, from the configuration alone."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from seqmill.config.effects import REFERENCES, STEPS, WITH_REFERENCES, Map, VariantSet, genome_of
from seqmill.config.names import slug
from seqmill.config.project import Project

EDITS = {"substitutions": 3, "deletions": 1, "insertions": 4}  # of one base
IN_FLOAT64 = 4  # a prediction in float64 takes as long as so many
BED_BYTES = 30  # of a region
VARIANT_BYTES = {False: 40, True: 12}  # of a variant in a plain and in a compressed file


class Amount(NamedTuple):
    """Work of one map or set of variants.

    ``sequences`` predicted by one run, ``runs`` that score a place, ``values`` kept, ``places`` regions or variants,
    ``jobs`` that Snakemake starts for it.
    """

    noun: str
    name: str
    place: str
    dataset: str
    sequences: int
    runs: int
    values: int
    places: int
    jobs: int = 1


def effect_amounts(project: Project, lengths: Mapping[str, int] | None = None) -> Iterator[Amount]:
    """Work of every map and set of variants of a configuration; at most so much.

    Parameters
    ----------
    lengths : genome -> bp, for maps of whole contigs.
    """
    config = project.config
    for name, section in config.maps.items():
        dataset = config.models[section.model].dataset
        bp = section.tile_bp or _window_bp(project, dataset)
        places = section.windows or _tiles(project, section, lengths or {})
        edits = sum(EDITS[edit] for edit in section.edits)
        runs, tracks = _runs(project, section), _tracks(project, section)
        kept = sum(1 if edit == "deletions" else 4 for edit in section.edits)
        values = places * bp * kept * tracks * (2 if runs > 1 else 1)
        place = f"maps/{slug(name)}.zarr"
        each = 1 + bp * edits if section.method == "mutagenesis" else _passes(section, tracks)
        yield Amount("map", name, place, dataset, places * each, runs, values, places, _jobs(section))
    for name, variants in config.variants.items():
        dataset, count = config.models[variants.model].dataset, _variants(project, variants.file)
        values = count * _tracks(project, variants) * len(variants.effects)
        place = f"variants/{slug(name)}"
        beside = _background(project, variants)
        yield Amount("variants", name, place, dataset, 2 * count + beside, _runs(project, variants), values, count)


def _passes(section: Map, tracks: int) -> int:
    """Predictions that attribution of one region takes about as long as: forwards once, backwards for each track."""
    count = (section.references or REFERENCES) if section.method in WITH_REFERENCES else 1
    steps = (section.steps or STEPS) if section.method == "integrated_gradients" else 1
    return IN_FLOAT64 * count * steps * (1 + tracks)


def _jobs(section: Map) -> int:
    """Its parts, and the job that joins them."""
    return section.parts + 1 if section.parts > 1 else 1


def _tiles(project: Project, section: Map, lengths: Mapping[str, int]) -> int:
    """Regions of a file, or tiles that they, or contigs, are cut into."""
    if section.tile_bp is None:
        return _bytes(section.regions) // BED_BYTES
    if section.regions is None:
        sizes = _contig_sizes(project, section)
        chosen = [size for name, size in sizes.items() if section.contigs == "all" or name in (section.contigs or [])]
        total = [*chosen] or [lengths.get(genome_of(project.config, section, project.where), 0)]
    else:
        total = list(_lengths(section.regions))
    return sum(-(-size // section.tile_bp) for size in total)


def _contig_sizes(project: Project, section: Map) -> dict[str, int]:
    """Contig -> bp, where the genome has a file of sizes or an index; else empty."""
    genome = project.config.genomes[genome_of(project.config, section, project.where)]
    for path in (genome.sizes, genome.fasta.with_name(genome.fasta.name + ".fai")):
        if path and path.is_file():
            rows = [line.split("\t") for line in path.read_text().splitlines() if "\t" in line]
            return {row[0]: int(row[1]) for row in rows if row[1].isdigit()}
    return {}


def _lengths(path: Path) -> Iterator[int]:
    """Lengths of the regions of a BED file, as far as it can be read; the job that reads it refuses what is wrong."""
    if not path.is_file():
        return
    with (
        gzip.open(path, "rt", errors="replace")
        if path.suffix in (".gz", ".bgz")
        else path.open(errors="replace") as lines
    ):
        for line in lines:
            fields = line.split("\t")
            if len(fields) > 2 and fields[1].isdigit() and fields[2].strip().isdigit():
                yield max(0, int(fields[2]) - int(fields[1]))


def _window_bp(project: Project, dataset: str) -> int:
    windows = project.config.datasets[dataset].windows
    return getattr(windows, "window_bp", None) or getattr(windows, "length_bp", None) or 200


def _runs(project: Project, section: Map | VariantSet) -> int:
    """Runs that score a place: of cross-validation's folds the one that did not see it, unless all shall."""
    folds = project.folds(section.model)
    return len(project.seeds(section.model)) * (len(folds) if section.runs == "all" else 1)


def _tracks(project: Project, section: Map | VariantSet) -> int:
    dataset = project.config.models[section.model].dataset
    targets = section.targets or project.config.datasets[dataset].targets
    return sum(max(1, len(project.target_tracks(dataset, target))) for target in targets)


def _background(project: Project, section: VariantSet) -> int:
    """Sequences that are predicted beside those of the variants, at most."""
    windows, background = section.quantile_windows.sampled if section.quantile_windows else 0, section.background
    if background is None:
        return windows
    known = background.sampled or 0
    if background.file is not None:
        known = min(_variants(project, background.file), background.at_most)
    return windows + 2 * known


def _bytes(path: Path | None) -> int:
    return path.stat().st_size if path and path.is_file() else 0


def _variants(project: Project, path: Path) -> int:
    simulation = project.config.simulation
    if not path.is_file() and simulation and path.name == "variants.vcf.gz":
        return round(simulation.variants_per_mb * simulation.chromosomes * simulation.chromosome_bp / 1e6)
    return _bytes(path) // VARIANT_BYTES[path.suffix in (".gz", ".bgz", ".bcf", ".parquet")]
