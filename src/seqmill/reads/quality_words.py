"""What each metric of quality is called, means, and does to a network that is trained on the data."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Words(NamedTuple):
    """Words of a metric.

    Attributes
    ----------
    label : what people call it. unit : "count", "share" (0 to 1, shown in percent), "bp", "times" or "" for a number.
    meaning : what is counted. wrong : what a value beyond a limit says of the data, to stand behind a colon.
    training : what that does to training.
    """

    label: str
    unit: str
    meaning: str
    wrong: str = ""
    training: str = ""


_COPIES = (
    "Where copies are kept, one molecule is counted many times: there are fewer observations than counts, and count "
    "and multinomial losses fit the copies. Where they are removed, less depth is left and the highest peaks are cut."
)
_BACKGROUND = (
    "Most of the labels are background: the network learns GC content and mappability in place of regulatory "
    "sequence, and weak sites count as negatives."
)
_DISAGREE = (
    "Labels change with the replicate, and no network can tell what the assay cannot repeat: the reachable score is "
    "bounded by this agreement, however large the network."
)

METRICS: dict[str, Words] = {
    "depth": Words(
        "usable depth",
        "count",
        "fragments (of DNase and single reads: reads) left after all filters",
        "too little was sequenced, or too little survived the filters",
        "Counts are small, so labels are mostly sampling noise: weak sites are missing, and count and profile losses "
        "fit that noise. Pool replicates, or use wider bins.",
    ),
    "mapped_fraction": Words(
        "mapped",
        "share",
        "reads that align, of all that were given to the aligner",
        "many reads do not align (another organism, adapters, low base quality, or the wrong reference)",
        "What is left is what aligns easily, so composition and mappability leak into the labels; with the wrong "
        "reference all of them are shifted.",
    ),
    "adapter_fraction": Words("with adapter", "share", "reads from which adapter was trimmed"),
    "duplicate_fraction": Words("duplicates", "share", "fragments that repeat another one's ends, of those that align"),
    "mitochondrial_fraction": Words(
        "mitochondrial", "share", "aligned reads on the excluded contigs (chrM and the like)"
    ),
    "nrf": Words(
        "NRF",
        "",
        "non-redundant fraction: distinct fragments / all fragments, before duplicates are removed",
        "the library holds few different molecules, and much of the sequencing repeated what was there",
        _COPIES,
    ),
    "pbc1": Words(
        "PBC1",
        "",
        "places with exactly one fragment / places with at least one",
        "many places were seen more than once, as after a bottleneck in the PCR",
        _COPIES,
    ),
    "pbc2": Words(
        "PBC2",
        "",
        "places with exactly one fragment / places with exactly two",
        "few places were seen only once, as after a bottleneck in the PCR",
        _COPIES,
    ),
    "frip": Words(
        "FRiP",
        "share",
        "fraction of fragments (or cut sites) in the pooled peaks",
        "little of the signal lies in peaks",
        _BACKGROUND,
    ),
    "peaks": Words("peaks", "count", "peaks that macs calls at the loose p-value"),
    "reproducible_peaks": Words(
        "reproducible peaks",
        "count",
        "peaks that replicates, or halves of the pooled data, share",
        "few peaks are seen twice",
        "There are few positives and many unlabelled sites among the negatives: classes are unbalanced, and a right "
        "prediction of a missed site counts as wrong.",
    ),
    "tss_enrichment": Words(
        "TSS enrichment",
        "times",
        "largest mean cut density within 2 kb of transcription starts / that at the outer 100 bp",
        "promoters hardly stand out of the background",
        _BACKGROUND,
    ),
    "nucleosome_free_fraction": Words("nucleosome-free", "share", "fragments shorter than a nucleosome's"),
    "mono_nucleosome_fraction": Words("mono-nucleosomal", "share", "fragments as long as one nucleosome's"),
    "nsc": Words(
        "NSC",
        "",
        "normalised strand cross-correlation: at the fragment length / the least one",
        "the strands show hardly any clustering of fragments",
        _BACKGROUND,
    ),
    "rsc": Words(
        "RSC",
        "",
        "relative strand cross-correlation: at the fragment length / at the read length, the least one taken off both",
        "the strands correlate at the read length (which mappability does) nearly as much as at the fragment length",
        _BACKGROUND,
    ),
    "fragment_bp": Words("fragment length", "bp", "length of fragments: median (paired), or by cross-correlation"),
    "replicate_pearson": Words(
        "Pearson of replicates",
        "",
        "correlation of the signal of two replicates over bins",
        "the replicates differ",
        _DISAGREE,
    ),
    "replicate_spearman": Words(
        "Spearman of replicates",
        "",
        "rank correlation of the signal of two replicates over bins",
        "the replicates differ",
        _DISAGREE,
    ),
    "rescue_ratio": Words(
        "rescue ratio",
        "",
        "reproducible peaks of the true replicates and of the pooled halves, larger / smaller",
        "the replicates share far fewer peaks than halves of the pooled data do",
        _DISAGREE,
    ),
    "self_consistency_ratio": Words(
        "self-consistency ratio",
        "",
        "reproducible peaks of the halves of each replicate, most / fewest",
        "one replicate is much better than the other",
        _DISAGREE + " Consider to train on the better replicate alone.",
    ),
    "bisulfite_conversion": Words(
        "bisulfite conversion",
        "share",
        "unmethylated cytosines (spike-in or non-CpG) that were read as T",
        "cytosines without methylation were left unconverted",
        "They read as methylated: every fraction is too high, unmethylated sites (CpG islands) the most, and a "
        "network is taught methylation that is not there.",
    ),
    "coverage_depth": Words(
        "coverage of CpGs",
        "times",
        "reads at a CpG, both strands together, mean over all CpGs",
        "few reads lie on each CpG",
        "Fractions of few reads jump in large steps. Weigh sites by their reads: a beta-binomial loss, or a least "
        "coverage.",
    ),
    "cpg_covered": Words("CpGs covered", "share", "CpGs with at least one read"),
}


def said(metric: str, value: Any) -> str:
    """A value as people write it.

    >>> said("depth", 12345678), said("frip", 0.0512), said("tss_enrichment", 6.04), said("nrf", 0.81234)
    ('12,345,678', '5.12 %', '6.04×', '0.812')
    >>> said("pbc2", float("inf")), said("frip", None), said("fragment_bp", 187.0)
    ('∞', '–', '187 bp')
    """
    if value is None or value != value:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    unit = METRICS[metric].unit if metric in METRICS else ""
    if unit in ("count", "bp"):
        text = f"{round(value):,}" + (" bp" if unit == "bp" else "")
    elif unit == "share":
        text = f"{100 * value:.3g} %" if value < 0.9995 or value == 1 else f"{100 * value:.5g} %"
    else:
        text = f"{value:.3g}" + ("×" if unit == "times" else "")
    return text.replace("-", "−")


def label(metric: str) -> str:
    """What people call a metric; its own name where there are no words for it."""
    return METRICS[metric].label if metric in METRICS else metric.replace("_", " ")


def consequence(row: Mapping[str, Any]) -> str:
    """What a metric beyond its limit does to training.

    Two replicates whose signal correlates with r leave a perfect predictor a correlation of at most √r with one of
    them (the attenuation of Spearman, American Journal of Psychology 15:72, 1904, for equal and independent noise).
    """
    metric, value = str(row["metric"]), row["value"]
    text = METRICS[metric].training
    if metric == "replicate_pearson" and 0 < value <= 1:
        best = f"{value**0.5:.2f}"
        text += f" With equal noise in both, even a perfect one would correlate with one replicate by {best} at most."
    return text
