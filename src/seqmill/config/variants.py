"""The section of a set of variants: what is scored, beside which background, and in which blocks."""

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from seqmill.config.base import File, Section

RUNS = "'unseen': each place is scored by the runs (folds and seeds) that never saw it in training; 'all': by all."
Effect = Literal["diff", "logfc", "score", "jsd", "active_allele_quantile"]
COLUMNS = "Of a table: the names of its contig, position, ref, alt and id columns, where they are others."
POSITION_BASE = "Of a table: the first base of a contig is 0 or 1."
# Keys that came later: where they are not set, a section is written as it was before there were any.
_LATER = ("standard_deviation", "quantile_windows", "background", "haplotypes", "samples")


class QuantileWindows(Section):
    """Windows of the genome whose predictions say how active an allele is."""

    regions: File | None = Field(
        None, description="BED file (peaks, say); windows centred on its regions. Places all over the genome if none."
    )
    sampled: int = Field(10_000, ge=20, description="Windows at most; drawn where there are more.")
    seed: int = Field(0, ge=0, description="Of the draw.")


def _rising(name: str, bounds: list[Any]) -> None:
    if sorted(set(bounds)) != bounds:
        raise ValueError(f"{name} {bounds}: bounds must rise")


class Background(Section):
    """Variants that others are compared with: those of a file, or drawn from the genome."""

    file: File | None = Field(None, description="VCF, BCF or table, as of the variants: common variants, say.")
    sampled: int | None = Field(
        None, ge=100, description="In place of a file: so many single-base variants, drawn to be like those of the set."
    )
    seed: int = Field(0, ge=0, description="Of the draws.")
    at_most: int = Field(20_000, ge=100, description="Alleles of the file that are scored; drawn where there are more.")
    columns: dict[str, str] = Field(default_factory=dict, description=COLUMNS)
    position_base: Literal[0, 1] = Field(1, description=POSITION_BASE)
    af_key: str = Field(
        "AF", min_length=1, description="INFO field (column of a table) that holds the frequency of each ALT allele."
    )
    genes: File | None = Field(None, description="BED file of genes or their starts, for the distance to a start.")
    maf_bins: list[float] = Field([0.01, 0.05, 0.2], description="Bounds of bins of minor allele frequency.")
    tss_bins_bp: list[int] = Field([1_000, 10_000, 100_000], description="Bounds of bins of the distance to a start.")
    gc_bins: list[float] = Field(
        [0.35, 0.4, 0.45, 0.5, 0.55, 0.6], description="Bounds of bins of the window's share of G and C."
    )
    min_stratum: int = Field(100, ge=10, description="Smaller strata are widened.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.sampled is None):
            raise ValueError("needs either 'file' (of variants) or 'sampled' (how many are drawn)")
        for name in ("maf_bins", "tss_bins_bp", "gc_bins"):
            _rising(name, getattr(self, name))
        return self


class VariantSet(Section):
    """Variants, and the network that scores them."""

    model: str = Field(description="A network of `models`.")
    file: File = Field(description="VCF or BCF (.vcf, .vcf.gz, .bcf), table (.tsv, .tsv.gz, .csv) or Parquet.")
    genome: str | None = Field(None, description="Assembly of the variants; the dataset's only genome if none.")
    columns: dict[str, str] = Field(default_factory=dict, description=COLUMNS)
    position_base: Literal[0, 1] = Field(1, description=POSITION_BASE)
    targets: list[str] | None = Field(None, description="Targets of the model; all if none.")
    effects: list[Effect] = Field(
        ["diff", "score"],
        min_length=1,
        description="diff: ALT − REF of the prediction; logfc: log2 of their ratio; score: difference in the space of "
        "the kind (logit, log of the total + 1, ...); jsd: divergence of the two profiles (profile targets); "
        "active_allele_quantile: where the larger prediction of the two stands among those of `quantile_windows`.",
    )
    runs: Literal["unseen", "all"] = Field("unseen", description=RUNS)
    min_ref_match: float = Field(
        0.95, ge=0, le=1, description="Smallest share of REF alleles that must agree with the genome."
    )
    standard_deviation: bool = Field(False, description="Of each effect over the runs that scored it, beside its mean.")
    quantile_windows: QuantileWindows | None = Field(
        None, description="What active_allele_quantile ranks in; if none, the REF windows of `background`."
    )
    background: Background | None = Field(
        None, description="Variants to compare with: percentile and empirical p of each effect."
    )
    haplotypes: Literal["blocks"] | None = Field(
        None, description="blocks: also score the phased alleles of one window together (VCF or BCF with genotypes)."
    )
    samples: list[str] | None = Field(None, min_length=1, description="Whose haplotypes; of all samples if none.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        ranked = "active_allele_quantile" in self.effects
        if ranked and self.quantile_windows is None and self.background is None:
            raise ValueError("active_allele_quantile needs 'quantile_windows' or 'background' to rank in")
        if self.quantile_windows is not None and not ranked:
            raise ValueError("quantile_windows is for the effect active_allele_quantile, which is not asked for")
        if self.samples is not None and self.haplotypes is None:
            raise ValueError("samples is for 'haplotypes', which is not asked for")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        off = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in handler(self).items() if name not in off}
