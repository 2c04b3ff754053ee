"""The sections of mutagenesis maps and of sets of variants (`seqmill.config.variants`), and what both must fit."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from seqmill.config.base import File, Section
from seqmill.config.variants import RUNS, VariantSet
from seqmill.runtime.errors import InputError

__all__ = ["Edit", "Map", "VariantSet", "check_effects", "genome_of", "map_genome"]

Edit = Literal["substitutions", "deletions", "insertions"]
Method = Literal["mutagenesis", "gradient_input", "integrated_gradients", "deeplift"]
WITH_REFERENCES = ("integrated_gradients", "deeplift")
REFERENCES, STEPS = 20, 50


class MapPage(Section):
    """The HTML page of a map, to look through its regions."""

    regions: int = Field(200, ge=1, le=5000, description="At most so many regions, those with the largest effects.")
    tracks: list[str] = Field(
        default_factory=list, description="Tracks of the sheet, on the map's genome, drawn below it."
    )
    genes: File | None = Field(
        None, description="Genes drawn below it: BED (3 to 12 columns), GTF, refFlat or refGene."
    )
    variants: list[str] = Field(default_factory=list, description="Sets of `variants`, marked with their effects.")
    vcf: list[File] = Field(
        default_factory=list, description="Further files of variants (VCF, BCF), marked with what the map says of them."
    )


class Map(Section):
    """A mutagenesis map: what every edit of some regions does to the predictions of one network."""

    model: str = Field(description="A network of `models`.")
    regions: File | None = Field(
        None, description="BED file; each region at most as long as the network's window. Or set `windows`."
    )
    windows: int | None = Field(
        None, ge=1, description="The first so many rows of the test parts of the model's dataset, in place of a file."
    )
    genome: str | None = Field(None, description="Assembly of the regions; the dataset's only genome if none.")
    edits: list[Edit] = Field(["substitutions"], min_length=1, description="Of one base each.")
    targets: list[str] | None = Field(None, description="Targets of the model; all if none.")
    runs: Literal["unseen", "all"] = Field("unseen", description=RUNS)
    picture: int = Field(10, ge=0, description="Regions that are drawn (logo over heatmap).")
    contigs: list[str] | Literal["all"] | None = Field(
        None, description="Whole contigs of the genome, in place of `regions` and `windows`; needs `tile_bp`."
    )
    tile_bp: int | None = Field(
        None,
        ge=1,
        description="Cut regions into tiles of this length, each edited in a window of its own; every base once.",
    )
    parts: int = Field(
        1, ge=1, le=10_000, description="Jobs among which Snakemake divides the regions, each with a device of its own."
    )

    method: Method = Field(
        "mutagenesis",
        description="mutagenesis: the effect of every edit; or contributions of bases: gradient_input, "
        "integrated_gradients, deeplift (rescale rule).",
    )
    references: int | None = Field(
        None,
        ge=1,
        description="Shuffled copies (same dinucleotides) that `deeplift` and `integrated_gradients` compare with; "
        f"{REFERENCES} if none.",
    )
    steps: int | None = Field(None, ge=1, description=f"Of `integrated_gradients`; {STEPS} if none.")
    exports: list[Literal["bedgraph", "positions"]] = Field(
        default_factory=list,
        description="Further files: the bigWigs as bedGraph; stretches whose effects stand out of their region as BED.",
    )
    page: MapPage | None = Field(
        None, description="Make an HTML page of the map (`{}` for one with nothing beside it)."
    )

    @model_validator(mode="after")
    def _fits_method(self):
        if self.method != "mutagenesis" and self.edits != ["substitutions"]:
            raise ValueError(f"'edits' are made by method mutagenesis, {self.method} makes none: leave them out")
        if self.references is not None and self.method not in WITH_REFERENCES:
            raise ValueError(f"'references' are for methods {' and '.join(WITH_REFERENCES)}, not for {self.method}")
        if self.steps is not None and self.method != "integrated_gradients":
            raise ValueError(f"'steps' are for method integrated_gradients, not for {self.method}")
        return self

    @model_validator(mode="after")
    def _one_source(self):
        if [self.regions, self.windows, self.contigs].count(None) != 2:
            raise ValueError(
                "needs either 'regions' (a BED file), 'windows' (how many test rows) or 'contigs' (whole contigs)"
            )
        if self.contigs is not None and self.tile_bp is None:
            raise ValueError("'contigs' needs 'tile_bp', the length of the tiles that they are cut into")
        if self.windows is not None and self.tile_bp is not None:
            raise ValueError("'tile_bp' cuts 'regions' or 'contigs'; 'windows' are rows of a dataset as they are")
        if len(set(self.edits)) < len(self.edits):
            raise ValueError(f"edits {self.edits} names one twice")
        return self


def genome_of(config: Any, section: Map | VariantSet, where: str) -> str:
    """Assembly that a section's places are on.

    Parameters
    ----------
    config : the whole configuration. where : for messages.

    Raises
    ------
    InputError
        The genome is not configured, or must be named because the model's dataset has several or none.
    """
    if section.genome is not None:
        if section.genome not in config.genomes:
            known = ", ".join(config.genomes) or "none"
            raise InputError(where, f"genome {section.genome!r} is not configured; known: {known}")
        return section.genome
    dataset = config.models[section.model].dataset
    genomes = config.datasets[dataset].genomes
    if len(genomes) != 1:
        raise InputError(where, f"set 'genome': dataset {dataset} has {', '.join(genomes) or 'no genome'}")
    return genomes[0]


def map_genome(config: Any, section: Map, where: str) -> str | None:
    """Assembly of a map's regions; None where they are rows of a table, whose sequences lie on no genome.

    Raises
    ------
    InputError
        As `genome_of`; a genome, or edits that need one, for rows of a table.
    """
    dataset = config.models[section.model].dataset
    if section.windows is None or config.datasets[dataset].windows.kind != "table":
        return genome_of(config, section, where)
    if section.genome is not None:
        raise InputError(where, f"'windows' are sequences of table {dataset}, on no genome: leave 'genome' out")
    if section.edits != ["substitutions"]:
        raise InputError(
            where,
            f"edits {section.edits}: sequences of table {dataset} have no neighbours, only substitutions can be made",
        )
    return None


def check_effects(config: Any, section: Map | VariantSet, where: str) -> None:
    """Refuse a map or a set of variants whose model, targets or genome are not there."""
    if section.model not in config.models:
        known = ", ".join(config.models) or "none"
        raise InputError(where, f"model {section.model!r} is not configured; known: {known}")
    model = config.models[section.model]
    known_targets = model.targets if model.targets else config.datasets[model.dataset].targets
    for target in section.targets or []:
        if target not in known_targets:
            raise InputError(where, f"target {target!r} is not learned by {section.model}: {', '.join(known_targets)}")
    if model.objective.name == "autoencoder":
        raise InputError(where, f"model {section.model} learns no targets (objective 'autoencoder')")
    if isinstance(section, Map):
        _check_page(config, section, map_genome(config, section, where), where)
    else:
        genome_of(config, section, where)


def _check_page(config: Any, section: Map, genome: str | None, where: str) -> None:
    """Refuse a page of a map with variants that are not configured, or with places where the map has none."""
    page = section.page
    if page is None:
        return
    if "substitutions" not in section.edits:
        raise InputError(where, f"page: needs substitutions among the edits, found {', '.join(section.edits)}")
    if genome is None and (page.tracks or page.genes or page.variants or page.vcf):
        raise InputError(where, "page: sequences of a table lie on no genome: no tracks, genes or variants beside them")
    for name in page.variants:
        if name not in config.variants:
            known = ", ".join(config.variants) or "none"
            raise InputError(where, f"page.variants: {name!r} is not configured; known: {known}")
        other = genome_of(config, config.variants[name], where)
        if other != genome:
            raise InputError(where, f"page.variants: {name} is on {other}, the map on {genome}")


def check_page_tracks(config: Any, tracks: Mapping[str, Any], section: Map, where: str) -> None:
    """Refuse tracks of a map's page that are not in the sheet, on another genome, or nothing that can be drawn.

    Parameters
    ----------
    tracks : name -> row of the sheet.
    """
    for track in section.page.tracks if section.page else ():
        if track not in tracks:
            raise InputError(where, f"page.tracks: {track!r} is not in the track sheet")
        row, genome = tracks[track], map_genome(config, section, where)
        if row.assembly != genome or row.kind not in ("signal", "intervals"):
            found = f"holds {row.kind} on {row.assembly}"
            raise InputError(where, f"page.tracks: {track} {found}, expected signal or intervals on {genome}")
