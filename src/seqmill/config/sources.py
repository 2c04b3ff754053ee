"""Sections that say where data come from: genomes and tracks."""

from typing import Literal

from pydantic import Field

from seqmill.config.base import File, Section


class Genome(Section):
    """One assembly."""

    fasta: File = Field(description="FASTA file: plain, gzip or bgzip; or what is to be fetched, as ucsc:hg38.")
    sizes: File | None = Field(None, description="chrom.sizes file; contig lengths of the FASTA must agree with it.")
    blacklist: File | None = Field(None, description="BED file of regions that no window may touch.")
    partial: bool = Field(
        False,
        description="The FASTA is a piece of an assembly: headers of data files may state longer contigs, and records "
        "past the end of the piece are dropped and counted. Without it they are refused.",
    )
    contigs: list[str] | None = Field(None, description="Use only these contigs of the FASTA.")
    assembly: str = Field("", description="The portals' name of the assembly, where the genome's own is another.")
    licence: str = Field("", description="Terms of use of the file, for the report.")


class Tracks(Section):
    """The track sheet and how to treat it."""

    sheet: File = Field(description="Tab-separated track sheet, or a Calico targets.txt (by its header).")
    genome: str | None = Field(None, description="Assembly of rows that state none; needed with several genomes.")
    bin_bp: int = Field(32, ge=1, description="Bin of a track store, where the sheet's own bin_bp is empty.")
    on_bad_track: Literal["fail", "drop", "mask"] = Field(
        "fail",
        description="What a track that cannot be read does: stop the run, leave the datasets, or stay as all missing.",
    )
