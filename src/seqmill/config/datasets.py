"""The section of one dataset: which windows, which targets, which negatives, which split."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from seqmill.config.base import File, Section
from seqmill.config.stored import checked_address

Selector = Annotated[
    Literal["all"] | list[str] | dict[str, str | list[str]],
    Field(description="Tracks: 'all', a list of names, or {column: value} filters of the sheet."),
]


class TileWindows(Section):
    """Windows at a regular step along the genome."""

    kind: Literal["tiles"]
    window_bp: int = Field(ge=1, description="Input length of the model, in bp.")
    stride_bp: int | None = Field(None, ge=1, description="Step between windows; window_bp if not given.")
    within: File | None = Field(None, description="BED file: the label_bp at a window's centre must lie inside it.")
    label_bp: int | None = Field(None, ge=1, description="Central part that carries labels; window_bp if not given.")
    keep: Literal["all", "labelled", "pools"] = Field(
        "all",
        description="'labelled' keeps windows with a positive label only; 'pools' keeps all: pool 'labelled' has those "
        "with a positive label, 'unlabelled' the others, so that a batch can hold more of the rare ones.",
    )

    @property
    def by_label(self) -> bool:
        """Whether labels decide which windows there are, or in which pool."""
        return self.keep != "all"


class PeakWindows(Section):
    """Windows centred on peaks; where a target is binned they are moved to the nearest bin of its tracks."""

    kind: Literal["peaks"]
    window_bp: int = Field(ge=1, description="Input length of the model, in bp.")
    tracks: Selector | None = None
    bed: File | None = Field(None, description="BED file of regions to centre on, instead of tracks.")
    centre: Literal["summit", "midpoint"] = "summit"
    label_bp: int | None = Field(None, ge=1, description="Central part that carries labels; window_bp if not given.")
    merge: Literal["none", "basset"] = Field(
        "none",
        description="'basset': peaks are extended to window_bp and merged greedily while they overlap by more than "
        "merge_overlap_bp, as in Basset (Kelley 2016, Methods); a merged window has the labels of all its peaks.",
    )
    merge_overlap_bp: int = Field(200, ge=0)

    @model_validator(mode="after")
    def _one_source(self):
        if (self.tracks is None) == (self.bed is None):
            raise ValueError("give exactly one of 'tracks' and 'bed'")
        return self


class TableFile(Section):
    """One file of a sequence table."""

    path: File
    format: Literal["fasta", "tsv", "csv", "lines"] = Field("fasta", description="'lines': one sequence a line.")
    fold: str | None = Field(None, description="Put all rows into this part: train, valid or test.")
    pool: str | None = None
    label: float | None = Field(None, description="One value for all rows of the file.")
    label_file: File | None = Field(None, description="With 'lines': a file with one value a line.")
    label_pattern: str | None = Field(None, description="With FASTA: regular expression whose group 1 is the value.")
    columns: list[str] | None = Field(
        None, description="With TSV and CSV: names of the columns of a file without header."
    )


class TableWindows(Section):
    """Rows of sequence tables: the sequences themselves are the examples."""

    kind: Literal["table"]
    files: list[TableFile] = Field(min_length=1)
    sequence_column: str = "sequence"
    name_column: str | None = None
    group_column: str | None = Field(None, description="Rows of one group share a fold and a bootstrap block.")
    fold_column: str | None = None
    length_bp: int | None = Field(
        None, ge=1, description="Sequences are cut at their end, or padded with N, to it; longest if none."
    )
    rna: bool = Field(False, description="U is read as T, and reverse complement is forbidden.")
    duplicates: Literal["drop", "keep"] = Field(
        "drop", description="Training rows whose sequence is also in another part are dropped and counted."
    )


class GenotypeWindows(Section):
    """Rows of genotypes (deleted genes) with an ontology, as DCell."""

    kind: Literal["genotype"]
    topology: File = Field(description="Ontology in DCell's ROOT/GENES/TERMS format.")
    files: dict[str, File] = Field(description="Part (train, test) to file of 'order gene gene value' lines.")


class MethylationWindows(Section):
    """CpG sites of single cells with their sequence and the neighbouring calls of each cell, as DeepCpG."""

    kind: Literal["methylation"]
    window_bp: int = Field(ge=1)
    calls: File | list[File] = Field(
        description="Table: contig, pos0, one column a cell with 0, 1 or empty; or a list of files of calls, one cell "
        "each (Bismark .cov, allc, ...), whose strands are merged.",
    )
    neighbours: int = Field(10, ge=1, description="Calls taken on each side of a site, in each cell.")


Windows = Annotated[
    TileWindows | PeakWindows | TableWindows | GenotypeWindows | MethylationWindows, Field(discriminator="kind")
]


class Target(Section):
    """One named target of a dataset."""

    kind: Literal["binary", "quantity", "fraction", "profile", "count", "class", "distribution", "beta_binomial"]
    tracks: Selector | None = None
    column: str | list[str] | None = Field(
        None,
        description="Value columns of a sequence table. Of 'class' one, of names or numbers; of 'distribution' the "
        "shares, which sum to 1; of 'beta_binomial' successes and trials in turn (of tracks: 'methylated' and 'total' "
        "reads of the same methylation calls).",
    )
    classes: list[str | int] | None = Field(
        None, min_length=2, description="Names of the classes in their order; those of the column, sorted, if none."
    )
    rule: Literal["overlap", "merged"] = Field("overlap", description="'merged' with Basset's merged peak lists.")
    min_overlap: float = Field(0.5, gt=0, le=1, description="Least overlap for a positive binary label.")
    overlap_of: Literal["label", "peak", "either"] = Field("label", description="Fraction of what must overlap.")
    length_bp: int | None = Field(None, ge=1, description="Central part that a profile or count covers.")
    bin_bp: int | None = Field(None, ge=1, description="Bin of a profile: a multiple of the track's bin.")

    @model_validator(mode="after")
    def _one_source(self):
        if self.tracks is not None and self.column is not None:
            raise ValueError("give 'tracks' or 'column', not both")
        return self

    @model_validator(mode="after")
    def _columns(self):
        count = len(self.column) if isinstance(self.column, list) else int(self.column is not None)
        if self.tracks is not None and self.kind in ("class", "distribution"):
            raise ValueError(f"kind '{self.kind}' is for sequence tables: give 'column', not 'tracks'")
        if self.kind == "class" and count > 1:
            raise ValueError(f"kind 'class' takes one column, found {count}")
        if self.kind == "distribution" and count < 2:
            raise ValueError("kind 'distribution' takes two or more columns")
        if self.kind == "beta_binomial" and self.tracks is None and (count == 0 or count % 2):
            raise ValueError("kind 'beta_binomial' takes pairs of columns: successes, trials, successes, trials, ...")
        if self.classes is not None and (self.kind != "class" or len(set(map(str, self.classes))) < len(self.classes)):
            raise ValueError("'classes' names each class of a target of kind 'class' once")
        return self


class Control(Section):
    """Signal that a network reads beside the sequence: the bias of an assay, such as the input DNA of a ChIP."""

    tracks: Selector
    length_bp: int | None = Field(None, ge=1, description="Central part that it covers; window_bp if not given.")
    bin_bp: int | None = Field(None, ge=1, description="Bin: a multiple of the tracks' bin.")


class Negatives(Section):
    """A pool of windows without signal, or of shuffled sequences."""

    kind: Literal["gc_matched", "shuffled"] = Field(
        description="'gc_matched': genome windows with the GC content of the peaks; 'shuffled': sequences of the "
        "other pools with their dinucleotides kept."
    )
    ratio: float = Field(1.0, gt=0, description="Negatives for each positive.")
    gc_tolerance: float = Field(0.02, gt=0, description="Largest difference in GC fraction to the matched window.")
    avoid: Selector | None = Field(
        None, description="Peaks that a negative may not touch; those of the windows if none."
    )
    folds: list[str] | None = Field(None, description="Make negatives only for these parts; all if none.")


class Split(Section):
    """How rows are divided. The extent of a window (input and margin) never overlaps one of another part."""

    kind: Literal["chromosomes", "folds", "blocks", "regions", "fold_file", "given"]
    test: list[str] | float | None = Field(None, description="Contigs (chromosomes) or fraction (blocks).")
    valid: list[str] | float | None = None
    k: int = Field(5, ge=2, description="Number of folds.")
    by: Literal["contig", "blocks", "group", "row"] = "contig"
    block_bp: int | None = Field(None, ge=1)
    file: File | None = Field(None, description="BED with a label column (regions) or ChromBPNet fold_N.json.")
    rename: dict[str, str] = Field(default_factory=dict, description="Label of the file to part: {valid: test}.")
    territory: Literal["contig", "region"] = "contig"
    inner_valid: float = Field(
        0.1, ge=0, lt=1, description="Part of training data set aside for early stopping where no valid part is given."
    )
    seed: int = 0


class Dataset(Section):
    """One dataset: a Zarr group of named inputs and targets over one example axis."""

    genomes: list[str] = Field(default_factory=list, description="Assemblies; empty for tables.")
    windows: Windows
    targets: dict[str, Target] = Field(description="May be {} for objectives that need no labels.")
    split: Split
    margin_bp: int = Field(0, ge=0, description="Extra flank on both sides of every array that jitter moves.")
    control: Control | None = Field(None, description="Tracks given to networks as the input 'control' (tiles, peaks).")
    max_n_fraction: float = Field(0.1, ge=0, le=1, description="Windows with more N are dropped.")
    blacklist: Literal["drop", "keep"] = "drop"
    negatives: Negatives | None = None
    reverse_complement: bool = Field(True, description="False for RNA, splicing and translation: it is then forbidden.")
    chunk_examples: int = Field(2048, ge=16, description="Examples in one chunk, the unit of reading.")
    seed: int = 0
    stored: str | None = Field(
        None,
        description="Address of the built dataset's folder (s3://bucket/path, gs://bucket/path, https://host/path): it "
        "is read from there and nothing of it is built here.",
    )

    @field_validator("stored")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else checked_address(value)

    @model_validator(mode="after")
    def _control_of_a_genome(self):
        if self.control is not None and self.windows.kind not in ("tiles", "peaks"):
            raise ValueError(f"control needs windows of kind tiles or peaks, found {self.windows.kind}")
        return self
