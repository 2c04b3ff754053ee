"""ENCODE's limits on the quality of sequencing data, and what a value says against them.

Limits are those of the audits of the ENCODE portal (github.com/ENCODE-DCC/encoded, src/encoded/audit/analysis.py and
standards_data.py), boundaries included as they are there: ATAC-seq in ``check_analysis_atac_encode4_qc_standards``,
DNase-seq in ``check_analysis_dnase_seq_standards``, ChIP-seq in ``check_analysis_chip_seq_standards``, RNA-seq in
``check_analysis_bulk_rna_standards``, bisulfite sequencing in ``check_analysis_wgbs_encode4_standards``. Five readings:

- The portal's audit of ATAC-seq compares PBC1, not FRiP, with 0.3 where it warns of a low FRiP; its own message says
  FRiP 0.2 to 0.3, and that is done here.
- DNase-seq is judged there by SPOT1, the share of reads in hotspots; FRiP in peaks of macs stands for it.
- NSC and RSC are audited only for negative values; the guideline 1.05 and 0.8, and FRiP 0.01 of transcription factors
  and narrow marks, are of Landt et al. (Genome Research 22:1813, 2012) and never more than a warning.
- Depth is here what is left after all filters. The portal counts reads of RNA, and of ChIP for H3K9me3 (repeats),
  before reads with several places are taken out: those two are judged more strictly here.
- The portal judges two replicates of one donor more strictly than of two; here they are taken for those of one.

Depths and numbers of peaks are for the genomes of human and mouse and are not judged for genomes below 1 Gb. TSS
enrichment is judged for GRCh38 and mm10; hg19 as GRCh38 and mm39 as mm10, since their promoters are the same.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from seqmill.reads.quality_words import METRICS, consequence, label, said

ENCODE, LANDT = "ENCODE", "Landt et al. 2012"
ERROR, NOT_COMPLIANT, WARNING, FINE, NOT_JUDGED = LEVELS = ("error", "not compliant", "warning", "fine", "not judged")
MAMMAL_BP = 1_000_000_000
# H3K9me3 is broad too, but lies in repeats: the portal has limits of its own for it.
BROAD = {"H3K27ME3", "H3K36ME3", "H3K4ME1", "H3K79ME2", "H3K79ME3", "H3K9ME1", "H3K9ME2", "H4K20ME1", "H3F3A"}
CONTROLS = {"", "INPUT", "INPUT DNA", "CONTROL", "IGG", "MOCK", "MOCK IP", "MOCK IGG", "WCE", "NONE"}
Row = Mapping[str, Any]
Finding = dict[str, Any]


class Limits(NamedTuple):
    """Limits of one metric.

    Attributes
    ----------
    error, not_compliant, warning : values below (``high``: above) them have that level; None for no such level.
    high : large values are the bad ones. touching : the limit of the warning itself warns.
    mammal : for genomes of human or mouse alone. source : who set them.
    """

    error: float | None = None
    not_compliant: float | None = None
    warning: float | None = None
    high: bool = False
    touching: bool = False
    mammal: bool = False
    source: str = ENCODE

    def level(self, value: float) -> str:
        """Level of a value."""
        for level, limit in zip(LEVELS, self[:3]):
            if limit is not None:
                beyond = value > limit if self.high else value < limit
                if beyond or (level == WARNING and self.touching and value == limit):
                    return level
        return FINE

    def words(self, metric: str) -> str:
        """The limits as a reader would write them.

        >>> Limits(None, 0.7, 0.9, touching=True).words("pbc1")
        'not compliant below 0.7, warning up to 0.9 (ENCODE)'
        """
        side = "above" if self.high else "below"
        parts = []
        for level, limit in zip(LEVELS, self[:3]):
            if limit is not None:
                touching = self.touching and level == WARNING
                where = ("from" if self.high else "up to") if touching else side
                parts.append(f"{level} {where} {said(metric, limit)}")
        return f"{', '.join(parts)} ({self.source})"


_CHIP = {
    "nrf": Limits(None, 0.5, 0.8),
    "pbc1": Limits(None, 0.5, 0.9),
    "pbc2": Limits(None, 1, 10),
}
_NEGATIVE = Limits(0)
_NARROW_DEPTH = Limits(5e6, 10e6, 20e6, mammal=True)
_CHIP_RATIO = Limits(warning=2, high=True)
_ATAC_RATIO = Limits(warning=2, high=True, touching=True)

THRESHOLDS: dict[str, dict[str, Limits]] = {
    "atac": {
        "depth": Limits(15e6, 20e6, 25e6, mammal=True),
        "mapped_fraction": Limits(None, 0.8, 0.95, touching=True),
        "nrf": Limits(None, 0.7, 0.9),
        "pbc1": Limits(None, 0.7, 0.9, touching=True),
        "pbc2": Limits(None, 1, 3, touching=True),
        "frip": Limits(None, 0.2, 0.3, touching=True),
        "nsc": _NEGATIVE,
        "rsc": _NEGATIVE,
        "rescue_ratio": _ATAC_RATIO,
        "self_consistency_ratio": _ATAC_RATIO,
    },
    "dnase": {
        "depth": Limits(20e6, None, 50e6, mammal=True),
        "frip": Limits(0.25, None, 0.4),
        "replicate_pearson": Limits(None, 0.9),
    },
    "chip-narrow": _CHIP
    | {
        "depth": _NARROW_DEPTH,
        "nsc": Limits(0, None, 1.05, source=f"{ENCODE}; {LANDT}"),
        "rsc": Limits(0, None, 0.8, source=f"{ENCODE}; {LANDT}"),
        "frip": Limits(warning=0.01, source=LANDT),
        "rescue_ratio": _CHIP_RATIO,
        "self_consistency_ratio": _CHIP_RATIO,
    },
    "chip-broad": _CHIP | {"depth": Limits(5e6, 35e6, 45e6, mammal=True), "nsc": _NEGATIVE, "rsc": _NEGATIVE},
    "chip-H3K9me3": _CHIP | {"depth": Limits(100, 35e6, 45e6, mammal=True), "nsc": _NEGATIVE, "rsc": _NEGATIVE},
    "chip-control": _CHIP | {"depth": _NARROW_DEPTH},
    "mnase": {},
    "rna": {
        "depth": Limits(1e6, 20e6, 30e6, mammal=True),
        "replicate_spearman": Limits(warning=0.9),
    },
    "wgbs": {
        "coverage_depth": Limits(5, 25, 30),
        "bisulfite_conversion": Limits(warning=0.98),
        "replicate_pearson": Limits(None, 0.8),
    },
}
REPRODUCIBLE = {
    "overlap": Limits(None, 100_000, 150_000, touching=True, mammal=True),
    "idr": Limits(None, 50_000, 70_000, touching=True, mammal=True),
}
"""Reproducible peaks of ATAC-seq, by how they were told."""
TSS = {"GRCh38": Limits(None, 5, 7, touching=True), "mm10": Limits(None, 10, 15, touching=True)}
"""TSS enrichment of ATAC-seq."""
_ASSEMBLIES = {"GRCh38": r"grch38|hg38|grch37|hg19|hs37d5|b37", "mm10": r"grcm38|mm10|grcm39|mm39"}
_SAME = r"grcm38|mm10|grch38|hg38"


def kind_of(assay: str, target: str = "") -> str:
    """Which limits an experiment is judged by: a key of `THRESHOLDS`.

    Parameters
    ----------
    assay : "atac", "dnase", "mnase", "chip", "rna" (`seqmill.config.reads.assay_kind`) or "wgbs".
    target : of ChIP-seq; without one, or with the name of a control, the experiment is judged as a control.

    >>> kind_of("chip", "H3K27me3"), kind_of("chip", "CTCF"), kind_of("chip", "H3K9me3-human"), kind_of("chip")
    ('chip-broad', 'chip-narrow', 'chip-H3K9me3', 'chip-control')
    """
    if assay != "chip":
        return assay
    name = re.sub(r"-(human|mouse)$", "", target.strip(), flags=re.IGNORECASE).upper()
    if name in CONTROLS:
        return "chip-control"
    if name == "H3K9ME3":
        return "chip-H3K9me3"
    return "chip-broad" if name in BROAD else "chip-narrow"


def tss_assembly(assembly: str) -> tuple[str, str]:
    """The assembly whose limits of TSS enrichment hold, '' for none, and words where it is another one.

    >>> tss_assembly("hg38"), tss_assembly("hg19_chr1"), tss_assembly("sacCer3")
    (('GRCh38', ''), ('GRCh38', 'hg19_chr1 judged as GRCh38'), ('', ''))
    """
    for name, pattern in _ASSEMBLIES.items():
        if re.match(f"({pattern})(?![0-9])", assembly, flags=re.IGNORECASE):
            same = re.match(f"({_SAME})(?![0-9])", assembly, flags=re.IGNORECASE)
            return name, "" if same else f"{assembly} judged as {name}"
    return "", ""


def limits_of(
    metric: str, assay: str, target: str = "", assembly: str = "", *, reproducibility: str = "overlap"
) -> Limits | None:
    """Limits of a metric, None where there are none."""
    kind = kind_of(assay, target)
    if kind == "atac" and metric == "reproducible_peaks":
        return REPRODUCIBLE[reproducibility]
    if kind == "atac" and metric == "tss_enrichment":
        return TSS.get(tss_assembly(assembly)[0])
    return THRESHOLDS.get(kind, {}).get(metric)


def judge(
    rows: Iterable[Row], assay: str, target: str, assembly: str, genome_bp: int, *, reproducibility: str = "overlap"
) -> list[Finding]:
    """What each metric of an experiment says, one finding a row, in their order.

    Parameters
    ----------
    rows : dicts with "metric", "replicate" and "value" (None: not measurable). Where a metric has rows of replicates,
        its row "pooled" is not judged: limits are for replicates.
    assay, target : as `kind_of` takes them. assembly : name of the genome. genome_bp : its size.
    reproducibility : "overlap" or "idr", how reproducible peaks were told.

    Returns
    -------
    dicts of ``metric``, ``replicate``, ``level`` (of `LEVELS`), ``value``, ``limits`` (in words, '' for none),
    ``words`` (what is wrong, or why it is not judged) and ``consequence`` (what that does to training; only beyond a
    limit).
    """
    rows = list(rows)
    single = {row["metric"] for row in rows if str(row["replicate"]) != "pooled"}
    findings = []
    for row in rows:
        metric, value = str(row["metric"]), row["value"]
        limits = limits_of(metric, assay, target, assembly, reproducibility=reproducibility)
        said_limits = limits.words(metric) if limits else ""
        finding = {"metric": metric, "replicate": str(row["replicate"]), "value": value, "limits": said_limits}
        why = _unjudged(row, limits, single, assay, assembly, genome_bp)
        level = NOT_JUDGED if why or limits is None else limits.level(float(value))
        findings.append(finding | {"level": level, "words": why, "consequence": ""})
    _both_ratios(findings)
    for finding in findings:
        if finding["level"] in (ERROR, NOT_COMPLIANT, WARNING):
            finding["words"] = _wrong(finding, tss_assembly(assembly)[1], assay)
            finding["consequence"] = consequence(finding)
    return findings


def verdict(findings: Iterable[Mapping[str, Any]]) -> str:
    """ "poor" with any error or anything not compliant, "warning" with any warning, "good" where something was judged
    and all of it is fine, else "not judged"."""
    levels = {finding["level"] for finding in findings}
    if levels & {ERROR, NOT_COMPLIANT}:
        return "poor"
    if WARNING in levels:
        return "warning"
    return "good" if FINE in levels else NOT_JUDGED


def _unjudged(row: Row, limits: Limits | None, single: set[str], assay: str, assembly: str, genome_bp: int) -> str:
    """Why a row is not judged, '' where it is."""
    metric, value = row["metric"], row["value"]
    if value is None or math.isnan(value):
        return "could not be measured"
    if metric == "tss_enrichment" and assay == "atac" and limits is None:
        return f"ENCODE's limits are for GRCh38 and mm10, not for {assembly or 'a genome without a name'}"
    if limits is None:
        return "no limit is set for this assay"
    if str(row["replicate"]) == "pooled" and metric in single:
        return "limits are for replicates"
    if limits.mammal and genome_bp < MAMMAL_BP:
        return f"ENCODE's limits are for the whole genomes of human and mouse; this one has {genome_bp / 1e6:,.3g} Mb"
    return ""


def _both_ratios(findings: list[Finding]) -> None:
    """Rescue and self-consistency ratio together beyond the limit: not compliant; one of them: a warning."""
    ratios = [found for found in findings if found["metric"] in ("rescue_ratio", "self_consistency_ratio")]
    beyond = {found["metric"] for found in ratios if found["level"] == WARNING}
    for found in ratios:
        if found["limits"]:
            found["limits"] = found["limits"].replace(f" ({ENCODE})", f", not compliant if both ratios are ({ENCODE})")
        if found["level"] == WARNING and len(beyond) == 2:
            found["level"] = NOT_COMPLIANT


def _wrong(finding: Finding, same: str, assay: str) -> str:
    metric = finding["metric"]
    notes = []
    if metric == "tss_enrichment" and same:
        notes.append(same)
    if metric == "frip" and assay == "dnase":
        notes.append("ENCODE's limit is of SPOT1, the share of reads in hotspots; peaks of macs stand for them")
    text = f"{label(metric)} is {said(metric, finding['value'])}: {METRICS[metric].wrong}"
    return text + (f" ({'; '.join(notes)})" if notes else "")
