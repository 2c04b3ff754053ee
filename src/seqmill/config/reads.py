"""The sheet of reads: one row a sequencing run (or a file of alignments or fragments), joined to experiments."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from seqmill.config.base import File, Section, expand
from seqmill.config.names import check_collisions, check_label
from seqmill.config.remote import source_of
from seqmill.config.tsv import Optional, read_tsv
from seqmill.runtime.errors import InputError

ReadsFormat = Literal["fastq", "bam", "fragments"]
FORMATS: dict[ReadsFormat, tuple[str, ...]] = {
    "fastq": (".fastq", ".fq"),
    "bam": (".bam", ".cram"),
    "fragments": (".bedpe", ".fragments", ".fragments.tsv", "fragments.tsv", ".bed"),
}
Assay = Literal["atac", "dnase", "mnase", "chip", "rna"]
# What users, ENCODE and SRA call the assays whose reads become signal here.
_ASSAYS: dict[Assay, str] = {
    "atac": r"(sc|sn|single-cell |bulk |omni-?)?atac([- ]?seq)?",
    "dnase": r"dnase([- ]?seq|-hypersensitivity)?",
    "mnase": r"mnase([- ]?seq)?",
    "chip": r"((tf|histone|control|mint)[- ])?chip([- ]?seq)?",
    "rna": r"((polya (plus|minus)|total|ss|small)[- ]?)?rna([- ]?seq)?|cage|pro-?cap",
}
# Kinds of output: the name on disk, the words of the sheet's output_type, the assays that have it (first: its default).
OUTPUTS: dict[str, tuple[str, tuple[Assay, ...]]] = {
    "cut_sites": ("cut sites", ("atac", "dnase")),
    "centres": ("fragment centres", ("mnase",)),
    "fold_change": ("fold change over control", ("chip", "atac")),
    "coverage": ("coverage", ("rna", "atac", "dnase", "mnase", "chip")),
    "p_value": ("signal p-value", ("chip", "atac")),
    "peaks": ("peaks", ("atac", "dnase", "chip")),
    "reproducible_peaks": ("reproducible peaks", ("atac", "dnase", "chip")),
}


class Library(Section):
    """One row of the sheet of reads. Rows with the same experiment and replicate are runs of one library."""

    experiment: str = Field(description="Name of the experiment; tracks name it as `reads:NAME`.")
    replicate: int = Field(1, ge=1, description="Biological replicate.")
    location: str = Field(
        description="FASTQ (of read 1, or of single reads), BAM, CRAM or fragment file, or an accession of its reads."
    )
    mate: str = Field("", description="FASTQ of read 2, where `location` is a local file.")
    format: Literal["", "fastq", "bam", "fragments"] = Field("", description="Where the file name does not tell.")
    assay: str = Field(description="ATAC-seq, DNase-seq, MNase-seq, ChIP-seq or RNA-seq.")
    target: str = Field("", description="What the antibody is against.")
    biosample: str = ""
    control: str = Field("", description="Experiment that is the control (input) of this one.")
    assembly: str = Field("", description="Name of a genome of the configuration; the only one if empty.")
    strandedness: Literal["none", "forward", "reverse"] = Field(
        "none", description="RNA: strand that read 1 is of; 'reverse' for dUTP libraries."
    )
    adapter: str = Field("auto", description="Adapter to trim: its sequence, 'auto' (looked for) or 'none'.")
    prior_plus_shift: Annotated[int | None, Optional] = Field(
        None, description="Shift that the cut sites of this file carry already, in bp; looked for if empty."
    )
    prior_minus_shift: Annotated[int | None, Optional] = Field(None, description="The same of the - strand.")
    cells: str = Field("", description="Cell table of a fragment file: barcode and group, tab-separated.")
    cell_group: str = Field("", description="Group of the cell table whose fragments are this library (pseudobulk).")
    description: str = ""
    licence: str = Field("", description="Terms of use of the file, for the report.")

    @property
    def kind(self) -> Assay:
        """The assay as the pipeline knows it. Raises ValueError if it is none of them."""
        return assay_kind(self.assay)

    def files(self) -> list[Path]:
        """Local files of the row: reads, mates, cell table."""
        return [expand(text) for text in (self.location, self.mate, self.cells) if text and source_of(text) == "local"]


@dataclass(frozen=True)
class Experiment:
    """Libraries of one experiment; what they have in common.

    Attributes
    ----------
    replicates : replicate number to its rows (runs of one library), in the order of the sheet.
    """

    name: str
    assay: Assay
    target: str
    control: str
    assembly: str
    strandedness: str
    replicates: dict[int, list[Library]] = field(default_factory=dict)

    def outputs(self) -> list[str]:
        """Keys of `OUTPUTS` that this experiment has; the default one first."""
        return outputs_of(self.assay)


def assay_kind(assay: str) -> Assay:
    """What the pipeline calls an assay. Raises ValueError if it makes no signal of its reads.

    >>> assay_kind("Histone ChIP-seq"), assay_kind("DNase-Hypersensitivity"), assay_kind("scATAC-seq")
    ('chip', 'dnase', 'atac')
    """
    for kind, pattern in _ASSAYS.items():
        if re.fullmatch(pattern, assay.strip(), flags=re.IGNORECASE):
            return kind
    known = "ATAC-seq, DNase-seq, MNase-seq, ChIP-seq, RNA-seq"
    raise ValueError(f"assay {assay!r}: no signal is made of its reads; known: {known}")


def outputs_of(assay: Assay) -> list[str]:
    """Keys of `OUTPUTS` that an assay has, its default first."""
    found = [key for key, (_, assays) in OUTPUTS.items() if assay in assays]
    return sorted(found, key=lambda key: OUTPUTS[key][1][0] != assay)


class Reads(Section):
    """Sequencing reads: their sheet, and how they become signal and peaks."""

    sheet: File | None = Field(None, description="Tab-separated sheet of reads; tracks name its experiments.")
    aligner: Literal["auto", "bowtie2", "bwa", "hisat2"] = Field(
        "auto", description="auto: hisat2 for RNA, bowtie2 for all else."
    )
    mapq_min: int = Field(30, ge=0, description="Smallest mapping quality that is kept.")
    duplicates: Literal["auto", "remove", "keep"] = Field("auto", description="auto: kept for RNA, removed for others.")
    max_fragment_bp: int = Field(2000, ge=1, description="Longest insert that is aligned as a proper pair.")
    exclude_contigs: list[str] = Field(
        ["chrM", "MT", "M", "chrMT", "Mito", "chrmt"], description="Contigs whose reads are counted but not used."
    )
    plus_shift: int = Field(4, description="ATAC: shift of cut sites on the + strand, in bp.")
    minus_shift: int = Field(-5, description="ATAC: shift on the - strand; -4 puts both cuts of an insertion together.")
    fragment_bp: int | None = Field(
        None, ge=10, description="Fragment length of single-end ChIP; found by strand cross-correlation if empty."
    )
    mnase_fragment_bp: tuple[int, int] = Field((140, 200), description="MNase: shortest and longest fragment used.")
    peak_p: float = Field(0.01, gt=0, lt=1, description="macs: p-value up to which peaks are called.")
    max_peaks: int = Field(300_000, ge=1, description="Peaks kept at most, the best by p-value.")
    reproducibility: Literal["overlap", "idr"] = Field(
        "overlap", description="How reproducible peaks are told: naive overlap, or irreproducible discovery rate."
    )
    idr_max: float = Field(
        0.05, gt=0, lt=1, description="Largest irreproducible discovery rate of a reproducible peak."
    )
    genome_bp: int | None = Field(None, ge=1, description="Mappable size for macs; the bases that are not N if empty.")
    tss: File | None = Field(
        None, description="Transcription starts for TSS enrichment: BED with strand, start of genes or single bases."
    )
    conversion_contigs: list[str] = Field(
        ["lambda", "chrL", "J02459.1", "NC_001416.1"], description="Unmethylated spike-ins of bisulfite libraries."
    )
    on_poor_quality: Literal["warn", "mask", "refuse"] = Field(
        "warn", description="Tracks of experiments that fail: used with a warning, all missing, or the run stops."
    )
    seed: int = Field(0, ge=0, description="Of pseudo-replicates.")


def guess_reads_format(location: str) -> str:
    """Format by file name, '' if unknown.

    >>> guess_reads_format("a_R1.fq.gz"), guess_reads_format("x.bam"), guess_reads_format("pbmc_fragments.tsv.gz")
    ('fastq', 'bam', 'fragments')
    """
    name = location.lower().removesuffix(".gz").removesuffix(".bgz")
    return next((kind for kind, endings in FORMATS.items() if name.endswith(endings)), "")


def _row(cells: dict[str, str], path: Path, record: int) -> Library:
    values = {key: value for key, value in cells.items() if value != ""}
    check_label(values.get("experiment", ""), str(path), record)
    for column in ("location", "assay"):
        if column not in values:
            raise InputError(path, f"experiment {values['experiment']}: {column} is empty", record=record)
    if source_of(values["location"]) == "local":
        values.setdefault("format", guess_reads_format(values["location"]))
        if values["format"] not in FORMATS:
            raise InputError(
                path, f"format of {values['location']!r} not known; expected {', '.join(FORMATS)}", record=record
            )
    try:
        row = Library(**values)
        check_row(row)
    except ValidationError as error:
        first = error.errors()[0]
        column = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(
            path, f"column '{column}': {message}, found {first['input']!r}" if column else message, record=record
        ) from None
    except ValueError as error:
        raise InputError(path, str(error), record=record) from None
    return row


def check_row(row: Library) -> None:
    """Raise ValueError for columns of a row that contradict each other."""
    kind = row.kind
    if row.mate and (row.format != "fastq" or source_of(row.location) != "local"):
        raise ValueError("column 'mate' is for a local FASTQ of read 2; runs of archives bring their mates")
    if row.mate == row.location:
        raise ValueError(f"'location' and 'mate' are one file: {row.mate}")
    if bool(row.cells) != bool(row.cell_group) or (row.cells and row.format != "fragments"):
        raise ValueError("'cells' and 'cell_group' go together, with a fragment file")
    if row.strandedness != "none" and kind != "rna":
        raise ValueError(f"'strandedness' is for RNA, the assay is {row.assay}")
    if row.control and kind != "chip":
        raise ValueError(f"'control' is for ChIP-seq, the assay is {row.assay}")
    if (row.prior_plus_shift is None) != (row.prior_minus_shift is None):
        raise ValueError("'prior_plus_shift' and 'prior_minus_shift' go together")
    if row.format == "fragments" and kind == "rna":
        raise ValueError("RNA needs reads or alignments: fragments do not say what is spliced")


def read_reads_sheet(path: str | Path) -> list[Library]:
    """Rows of a sheet of reads, in file order. Raises InputError that names the line."""
    path = Path(path)
    header, lines = read_tsv(path, "sheet of reads")
    for column in ("experiment", "location", "assay"):
        if column not in header:
            found = ", ".join(header)[:120]
            raise InputError(path, f"column '{column}' missing; found: {found}; is it tab-separated?", record=1)
    for column in header:
        try:
            Library.check_key(column)
        except ValueError as error:
            raise InputError(path, str(error).replace("key", "column"), record=1) from None
    rows = [_row(cells, path, number) for number, cells in lines]
    if not rows:
        raise InputError(path, "0 rows; expected at least one below the header")
    return rows


_COMMON = ("assay", "target", "control", "assembly", "strandedness")


def experiments(rows: Iterable[Library], where: str) -> dict[str, Experiment]:
    """Rows joined to experiments, by name. Raises InputError for rows of one experiment that disagree."""
    found: dict[str, Experiment] = {}
    first: dict[str, Library] = {}
    for row in rows:
        if row.experiment not in found:
            first[row.experiment] = row
            found[row.experiment] = Experiment(
                row.experiment, row.kind, row.target, row.control, row.assembly, row.strandedness
            )
        for column in _COMMON:
            one, two = getattr(first[row.experiment], column), getattr(row, column)
            if one != two:
                raise InputError(where, f"experiment {row.experiment}: {column} is {one!r} and {two!r}")
        found[row.experiment].replicates.setdefault(row.replicate, []).append(row)
    for name, experiment in found.items():
        if experiment.control:
            control = found.get(experiment.control)
            if control is None:
                raise InputError(where, f"experiment {name}: control {experiment.control!r} is no experiment")
            if control.assembly != experiment.assembly or control.assay != "chip" or control.name == name:
                raise InputError(
                    where, f"experiment {name}: control {control.name} must be another ChIP experiment on its assembly"
                )
        for number, runs in experiment.replicates.items():
            formats = {run.format for run in runs if run.format}
            if len(formats) > 1:
                raise InputError(where, f"experiment {name}, replicate {number}: runs of formats {sorted(formats)}")
    check_collisions(list(found), where)
    return found


def output_file(output: str, replicate: str = "", strand: str = ".", *, replicates: int = 1) -> str:
    """Name of an output of an experiment in its folder.

    Parameters
    ----------
    output : key of `OUTPUTS`. replicate : number of a replicate, '' for all together. strand : of RNA coverage.
    replicates : how many the experiment has; the only one is the same as all together.

    >>> output_file("cut_sites"), output_file("peaks", "2", replicates=2), output_file("coverage", strand="-")
    ('cut_sites.bw', 'peaks.rep2.narrowPeak.gz', 'coverage.minus.bw')
    """
    parts = [output, {"+": "plus", "-": "minus", ".": ""}[strand]]
    parts += [f"rep{replicate}" if replicate and replicates > 1 else ""]
    parts += ["narrowPeak.gz" if output.endswith("peaks") else "bw"]
    return ".".join(part for part in parts if part)
