"""The section of one set of effects that were measured by experiment, and what they are compared with."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from seqmill.config.base import File, Section
from seqmill.config.effects import RUNS, genome_of
from seqmill.runtime.errors import InputError

Kind = Literal["saturation", "qtl", "pairs", "mpra"]
# Keys that belong to some kinds only.
ONLY = {
    "file": ("saturation", "qtl", "mpra"),
    "columns": ("saturation", "qtl", "mpra"),
    "elements": ("saturation", "mpra"),
    "edits": ("saturation", "mpra"),
    "strong": ("pairs",),
    "weak": ("pairs",),
    "negatives": ("qtl",),
    "matched": ("qtl",),
    "positive_p": ("qtl",),
    "negative_p": ("qtl",),
    "min_ref_match": ("qtl",),
}
# Roles that `columns` may name, by kind.
ROLES = {
    "saturation": ("element", "contig", "position", "ref", "alt", "value", "error", "tags"),
    "qtl": ("contig", "position", "ref", "alt", "id", "value", "p", "maf"),
    "mpra": (
        *("element", "contig", "position", "ref", "alt", "value", "error", "tags"),
        *("sequence", "ref_sequence", "alt_sequence", "ref_value", "alt_value", "group", "name"),
    ),
    "pairs": (),
}


class Pwm(Section):
    """A baseline of known motifs: what an allele does to their matches."""

    file: File = Field(description="Motifs in MEME or JASPAR format.")
    motifs: list[str] | None = Field(
        None, min_length=1, description="Names or second names in the file; all if none. Several: the mean over them."
    )
    score: Literal["best", "summed"] = Field(
        "best", description="Difference of the best match, or of the log of the mean over places of exp(match)."
    )


class Measured(Section):
    """Effects measured by experiment, beside what one network predicts of them."""

    kind: Kind = Field(
        description="'saturation': single-base effects along elements; 'qtl': variants with a signed effect; 'pairs': "
        "strong and weak alleles; 'mpra': a table of sequences, or of two sequences, with activities."
    )
    model: str = Field(description="A network of `models`.")
    targets: list[str] | None = Field(None, description="Targets of the model; all if none.")
    tracks: list[str] | None = Field(
        None,
        min_length=1,
        description="Tracks stated beforehand, judged beside the mean over all tracks of each target.",
    )
    file: File | None = Field(None, description="Table (.tsv, .csv, also .gz); with 'qtl' also VCF.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Role -> name of the column where it is another; in a VCF -> key of INFO. 'saturation': "
        + ", ".join(ROLES["saturation"])
        + "; 'qtl': "
        + ", ".join(ROLES["qtl"])
        + "; 'mpra': those of 'saturation' and "
        + ", ".join(role for role in ROLES["mpra"] if role not in ROLES["saturation"])
        + ".",
    )
    position_base: Literal[0, 1] = Field(1, description="Of a table: the first base is 0 or 1.")
    elements: File | None = Field(
        None,
        description="FASTA of the elements; the place behind the name (`chr1:start-end`), if any, is where positions "
        "count from. Without it the elements are read where they lie on the genome.",
    )
    edits: list[Literal["substitutions", "deletions"]] = Field(
        ["substitutions"], min_length=1, description="Which measured changes of one base are compared."
    )
    min_tags: int = Field(10, ge=0, description="Fewest barcodes behind a measured value, where the table counts them.")
    strong: File | None = Field(None, description="With 'pairs': FASTA of the alleles with more signal.")
    weak: File | None = Field(None, description="With 'pairs': the other alleles, same order, names and lengths.")
    genome: str | None = Field(None, description="Assembly of places on a genome; the dataset's only genome if none.")
    min_ref_match: float = Field(
        0.95, ge=0, le=1, description="With 'qtl': smallest share of REF alleles that must agree with the genome."
    )
    negatives: File | None = Field(
        None, description="With 'qtl': variants without an effect, in a file like the first. Or set `negative_p`."
    )
    positive_p: float | None = Field(None, gt=0, le=1, description="With 'qtl': largest p (column 'p') of an effect.")
    negative_p: float | None = Field(
        None, gt=0, le=1, description="With 'qtl': smallest p of variants of the same file that are negatives."
    )
    matched: int = Field(
        1, ge=1, description="Negatives for each variant, the nearest in GC, distance and allele frequency where known."
    )
    runs: Literal["unseen", "all"] = Field(
        "unseen", description=RUNS + " Sequences without a place are scored by all runs, which may have seen them."
    )
    backgrounds: int = Field(
        10, ge=1, description="Shuffled backgrounds of a sequence that is shorter than the window and has no place."
    )
    seed: int = Field(0, ge=0, description="Of backgrounds, controls and intervals.")
    block_bp: int = Field(10, ge=1, description="Positions of an element that are resampled together.")
    resamples: int = Field(1000, ge=100, description="Of blocks, for 95 % intervals.")
    pwm: Pwm | None = Field(None, description="Baseline: difference of motif matches.")
    kmer: str | None = Field(None, description="Baseline: a baseline of `baselines` on the model's dataset.")
    distance: File | None = Field(None, description="Baseline: BED of places, as TSS; near ones should matter more.")
    conservation: File | None = Field(None, description="Baseline: bigWig; high values should matter more.")

    @field_validator("tracks", mode="before")
    @classmethod
    def _no_picking(cls, value: Any) -> Any:
        if value == "best" or (isinstance(value, list) and "best" in value):
            raise ValueError("'best' would choose after looking: name the tracks that you expect, or leave it out")
        return value

    @model_validator(mode="after")
    def _fits_together(self):
        for key, kinds in ONLY.items():
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if getattr(self, key) != default and self.kind not in kinds:
                raise ValueError(f"'{key}' goes with kind {' and '.join(kinds)}, not with {self.kind}")
        for role in self.columns:
            if role not in ROLES[self.kind]:
                raise ValueError(f"columns: unknown role {role!r}; known: {', '.join(ROLES[self.kind])}")
        if self.kind == "pairs":
            if self.strong is None or self.weak is None:
                raise ValueError("kind 'pairs' needs 'strong' and 'weak'")
        elif self.file is None:
            raise ValueError(f"kind '{self.kind}' needs 'file'")
        if self.kind == "qtl" and self.negatives is not None and self.negative_p is not None:
            raise ValueError("set 'negatives' or 'negative_p', not both")
        if self.negative_p is not None and (self.positive_p is None or self.negative_p <= self.positive_p):
            raise ValueError("'negative_p' needs a smaller 'positive_p': what lies between them is neither")
        if not self.placed and (self.distance or self.conservation):
            raise ValueError("'distance' and 'conservation' need places; these are bare sequences")
        return self

    @property
    def by_sequence(self) -> bool:
        """Whether each row holds its sequence, or two."""
        return self.kind == "pairs" or (
            self.kind == "mpra" and bool({"sequence", "ref_sequence", "alt_sequence"} & set(self.columns))
        )

    @property
    def placed(self) -> bool:
        """Whether alleles may have a place on an assembly."""
        return not self.by_sequence

    @property
    def on_genome(self) -> bool:
        """Whether sequence is read from a genome of the configuration."""
        return self.kind == "qtl" or (not self.by_sequence and self.elements is None)


def measured_genome(config: Any, section: Measured, where: str) -> str | None:
    """Assembly that the sequences are read from; None where they lie in files of their own.

    Raises
    ------
    InputError
        As `seqmill.config.effects.genome_of`.
    """
    return genome_of(config, section, where) if section.on_genome else None  # type: ignore[arg-type]


def check_measured(config: Any, section: Measured, where: str) -> None:
    """Refuse a section whose model, targets, baseline or genome are not there."""
    if section.model not in config.models:
        known = ", ".join(config.models) or "none"
        raise InputError(where, f"model {section.model!r} is not configured; known: {known}")
    model = config.models[section.model]
    if model.objective.name == "autoencoder":
        raise InputError(where, f"model {section.model} learns no targets (objective 'autoencoder')")
    learned = model.targets if model.targets else config.datasets[model.dataset].targets
    for target in section.targets or []:
        if target not in learned:
            raise InputError(where, f"target {target!r} is not learned by {section.model}: {', '.join(learned)}")
    if section.kmer is not None:
        if section.kmer not in config.baselines:
            known = ", ".join(config.baselines) or "none"
            raise InputError(where, f"kmer: baseline {section.kmer!r} is not configured; known: {known}")
        other = config.baselines[section.kmer].dataset
        if other != model.dataset:
            raise InputError(where, f"kmer: baseline {section.kmer} is fitted to {other}, the model to {model.dataset}")
    measured_genome(config, section, where)
