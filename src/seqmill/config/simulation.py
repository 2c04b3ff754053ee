"""The section of the simulated world that the demo runs on."""

from pydantic import Field

from seqmill.config.base import Section


class SimulationSettings(Section):
    """Size, grammar density and noise of a simulated genome and its data files."""

    seed: int = Field(1, ge=0, description="The same seed and settings give the same bytes.")
    chromosomes: int = Field(6, ge=1, le=99, description="Number of chromosomes, named chr1, chr2, ...")
    chromosome_bp: int = Field(1_000_000, ge=40_000, le=50_000_000, description="Length of each chromosome, in bp.")
    sites_per_mb: float = Field(
        180.0, ge=0, le=220, description="Functional sites of each of the three rules, per Mb of genome."
    )
    decoys_per_mb: float = Field(
        720.0, ge=0, le=900, description="Non-functional arrangements of the rules' motifs, in all, per Mb of genome."
    )
    variants_per_mb: float = Field(
        120.0, ge=0, le=500, description="Variants of known effect in variants.vcf.gz, per Mb of genome."
    )
    instance_score: float = Field(
        0.7,
        ge=0,
        le=0.95,
        description="Motif instances are drawn from the matrix until their log-odds score is at least this fraction of "
        "the best one.",
    )
    strength_sd: float = Field(0.4, ge=0, le=2, description="Standard deviation of the log strength of sites.")
    atac_fragments_per_site: float = Field(60.0, gt=0, description="Mean ATAC fragments at a site of strength 1.")
    chip_fragments_per_site: float = Field(70.0, gt=0, description="Mean ChIP fragments at a site of strength 1.")
    background_fragments_per_kb: float = Field(6.0, ge=0, description="Mean fragments off the sites, per kb.")
    duplicate_fraction: float = Field(0.06, ge=0, le=0.9, description="Fragments that are copies of another.")
    low_quality_fraction: float = Field(0.04, ge=0, le=0.9, description="Fragments with mapping quality below 10.")
    peak_min_fragments: int = Field(16, ge=1, description="A site with fewer fragments than this is a missed peak.")
    false_peak_fraction: float = Field(0.03, ge=0, le=1, description="Peaks without a site, per called peak.")
    summit_jitter_bp: float = Field(12.0, ge=0, description="Standard deviation of summits around the site, in bp.")
    read_bp: int = Field(50, ge=20, le=150, description="Length of a sequencing read, in bp.")
