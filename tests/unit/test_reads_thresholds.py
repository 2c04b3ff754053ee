"""ENCODE's limits: every boundary as the portal's audits have it, who is judged, and the words."""

import math
import re
from pathlib import Path

import pytest

from seqmill.reads.quality_words import METRICS, label, said
from seqmill.reads.thresholds import (
    LEVELS,
    REPRODUCIBLE,
    THRESHOLDS,
    TSS,
    judge,
    kind_of,
    limits_of,
    tss_assembly,
    verdict,
)

HUMAN_BP = 3_100_000_000
M = 1_000_000
# Written out by hand: metric, then the value at and just beyond each limit with the level that the portal gives it.
ATAC = [
    ("depth", 15 * M - 1, "error"), ("depth", 15 * M, "not compliant"), ("depth", 20 * M - 1, "not compliant"),
    ("depth", 20 * M, "warning"), ("depth", 25 * M - 1, "warning"), ("depth", 25 * M, "fine"),
    ("mapped_fraction", 0.7999, "not compliant"), ("mapped_fraction", 0.8, "warning"),
    ("mapped_fraction", 0.95, "warning"), ("mapped_fraction", 0.9501, "fine"),
    ("nrf", 0.6999, "not compliant"), ("nrf", 0.7, "warning"), ("nrf", 0.8999, "warning"), ("nrf", 0.9, "fine"),
    ("pbc1", 0.6999, "not compliant"), ("pbc1", 0.7, "warning"), ("pbc1", 0.9, "warning"), ("pbc1", 0.9001, "fine"),
    ("pbc2", 0.9999, "not compliant"), ("pbc2", 1, "warning"), ("pbc2", 3, "warning"), ("pbc2", 3.0001, "fine"),
    ("pbc2", math.inf, "fine"),
    ("frip", 0.1999, "not compliant"), ("frip", 0.2, "warning"), ("frip", 0.3, "warning"), ("frip", 0.3001, "fine"),
    ("nsc", -1e-9, "error"), ("nsc", 0, "fine"), ("rsc", -1e-9, "error"), ("rsc", 0, "fine"),
    ("rescue_ratio", 1.9999, "fine"), ("rescue_ratio", 2, "warning"),
    ("self_consistency_ratio", 1.9999, "fine"), ("self_consistency_ratio", 2, "warning"),
    ("reproducible_peaks", 99_999, "not compliant"), ("reproducible_peaks", 100_000, "warning"),
    ("reproducible_peaks", 150_000, "warning"), ("reproducible_peaks", 150_001, "fine"),
    ("tss_enrichment", 4.9999, "not compliant"), ("tss_enrichment", 5, "warning"), ("tss_enrichment", 7, "warning"),
    ("tss_enrichment", 7.0001, "fine"),
]  # fmt: skip
DNASE = [
    ("depth", 20 * M - 1, "error"), ("depth", 20 * M, "warning"), ("depth", 50 * M - 1, "warning"),
    ("depth", 50 * M, "fine"), ("frip", 0.2499, "error"), ("frip", 0.25, "warning"), ("frip", 0.3999, "warning"),
    ("frip", 0.4, "fine"), ("replicate_pearson", 0.8999, "not compliant"), ("replicate_pearson", 0.9, "fine"),
]  # fmt: skip
COMPLEXITY = [
    ("nrf", 0.4999, "not compliant"), ("nrf", 0.5, "warning"), ("nrf", 0.7999, "warning"), ("nrf", 0.8, "fine"),
    ("pbc1", 0.4999, "not compliant"), ("pbc1", 0.5, "warning"), ("pbc1", 0.8999, "warning"), ("pbc1", 0.9, "fine"),
    ("pbc2", 0.9999, "not compliant"), ("pbc2", 1, "warning"), ("pbc2", 9.9999, "warning"), ("pbc2", 10, "fine"),
]  # fmt: skip
NARROW = [
    ("depth", 5 * M - 1, "error"), ("depth", 5 * M, "not compliant"), ("depth", 10 * M - 1, "not compliant"),
    ("depth", 10 * M, "warning"), ("depth", 20 * M - 1, "warning"), ("depth", 20 * M, "fine"),
]  # fmt: skip
FACTOR = [
    ("nsc", -0.001, "error"), ("nsc", 0, "warning"), ("nsc", 1.0499, "warning"), ("nsc", 1.05, "fine"),
    ("rsc", -0.001, "error"), ("rsc", 0, "warning"), ("rsc", 0.7999, "warning"), ("rsc", 0.8, "fine"),
    ("frip", 0.0099, "warning"), ("frip", 0.01, "fine"), ("rescue_ratio", 2, "fine"),
    ("rescue_ratio", 2.0001, "warning"),
    ("self_consistency_ratio", 2, "fine"), ("self_consistency_ratio", 2.0001, "warning"),
]  # fmt: skip
NEGATIVE = [("nsc", -0.001, "error"), ("nsc", 0, "fine"), ("rsc", -0.001, "error"), ("rsc", 0, "fine")]
BROAD = [
    ("depth", 5 * M - 1, "error"), ("depth", 5 * M, "not compliant"), ("depth", 35 * M - 1, "not compliant"),
    ("depth", 35 * M, "warning"), ("depth", 45 * M - 1, "warning"), ("depth", 45 * M, "fine"),
]  # fmt: skip
H3K9ME3 = [
    ("depth", 99, "error"), ("depth", 100, "not compliant"), ("depth", 35 * M - 1, "not compliant"),
    ("depth", 35 * M, "warning"), ("depth", 45 * M - 1, "warning"), ("depth", 45 * M, "fine"),
]  # fmt: skip
RNA = [
    ("depth", M - 1, "error"), ("depth", M, "not compliant"), ("depth", 20 * M - 1, "not compliant"),
    ("depth", 20 * M, "warning"), ("depth", 30 * M - 1, "warning"), ("depth", 30 * M, "fine"),
    ("replicate_spearman", 0.8999, "warning"), ("replicate_spearman", 0.9, "fine"),
]  # fmt: skip
WGBS = [
    ("coverage_depth", 4.99, "error"), ("coverage_depth", 5, "not compliant"),
    ("coverage_depth", 24.99, "not compliant"), ("coverage_depth", 25, "warning"), ("coverage_depth", 29.99, "warning"),
    ("coverage_depth", 30, "fine"), ("bisulfite_conversion", 0.9799, "warning"), ("bisulfite_conversion", 0.98, "fine"),
    ("replicate_pearson", 0.7999, "not compliant"), ("replicate_pearson", 0.8, "fine"),
]  # fmt: skip
EVERY = [
    *(("atac", "", case) for case in ATAC),
    *(("dnase", "", case) for case in DNASE),
    *(("chip", "CTCF", case) for case in COMPLEXITY + NARROW + FACTOR),
    *(("chip", "H3K27ac", case) for case in NARROW),
    *(("chip", "H3K27me3", case) for case in COMPLEXITY + BROAD + NEGATIVE),
    *(("chip", "H3K9me3", case) for case in COMPLEXITY + H3K9ME3 + NEGATIVE),
    *(("chip", "input", case) for case in COMPLEXITY + NARROW),
    *(("rna", "", case) for case in RNA),
    *(("wgbs", "", case) for case in WGBS),
]


def one(metric, value, assay="atac", target="", assembly="GRCh38", genome_bp=HUMAN_BP, replicate="1", **more):
    row = {"metric": metric, "replicate": replicate, "value": value}
    return judge([row], assay, target, assembly, genome_bp, **more)[0]


@pytest.mark.parametrize(("assay", "target", "case"), EVERY, ids=str)
def test_every_boundary(assay, target, case):
    metric, value, level = case
    finding = one(metric, value, assay, target)
    assert finding["level"] == level
    assert (finding["metric"], finding["replicate"], finding["value"]) == (metric, "1", value)
    if level == "fine":
        assert (finding["words"], finding["consequence"]) == ("", "")
    else:  # what is wrong, with the value, and what it does
        assert said(metric, value) in finding["words"]
        assert len(finding["consequence"]) > 60


def test_the_cases_above_meet_every_limit_of_the_table():
    """At each number of the table a value is tried, and beside it another with another level."""
    for kind, table in THRESHOLDS.items():
        for metric, limits in table.items():
            tried = {case[1]: case[2] for assay, target, case in EVERY
                     if kind_of(assay, target) == kind and case[0] == metric}  # fmt: skip
            for limit in [value for value in limits[:3] if value is not None]:
                assert limit in tried, (kind, metric, limit)
                near = [value for value in tried if value != limit and abs(value - limit) <= max(1e-3, 0.01 * limit)]
                assert {tried[value] for value in near} - {tried[limit]}, (kind, metric, limit)


def test_every_limit_has_words_and_a_consequence():
    judged = {metric for table in THRESHOLDS.values() for metric in table} | {"reproducible_peaks", "tss_enrichment"}
    assert judged <= set(METRICS)
    assert all(METRICS[metric].wrong and METRICS[metric].training for metric in judged)
    assert all(words.meaning and words.label for words in METRICS.values())


@pytest.mark.parametrize(
    ("value", "level"),
    [(9.99, "not compliant"), (10, "warning"), (15, "warning"), (15.01, "fine")],
)
@pytest.mark.parametrize("assembly", ["mm10", "GRCm38", "mm39", "mm10_chr19"])
def test_tss_enrichment_of_mouse(assembly, value, level):
    assert one("tss_enrichment", value, assembly=assembly)["level"] == level


@pytest.mark.parametrize(
    ("value", "level"),
    [(49_999, "not compliant"), (50_000, "warning"), (70_000, "warning"), (70_001, "fine")],
)
def test_reproducible_peaks_by_idr(value, level):
    assert one("reproducible_peaks", value, reproducibility="idr")["level"] == level


def test_another_assembly_is_said_or_not_judged():
    assert tss_assembly("GRCh38.p14") == ("GRCh38", "")
    assert tss_assembly("mm10") == ("mm10", "")
    assert tss_assembly("mm100") == tss_assembly("hg380") == tss_assembly("toy") == tss_assembly("") == ("", "")
    old = one("tss_enrichment", 3, assembly="hg19")
    assert old["level"] == "not compliant"
    assert old["words"] == (
        "TSS enrichment is 3×: promoters hardly stand out of the background (hg19 judged as GRCh38)"
    )
    yeast = one("tss_enrichment", 3, assembly="sacCer3")
    assert (yeast["level"], yeast["limits"]) == ("not judged", "")
    assert yeast["words"] == "ENCODE's limits are for GRCh38 and mm10, not for sacCer3"


@pytest.mark.parametrize("metric", ["depth", "reproducible_peaks"])
def test_counts_are_judged_for_whole_genomes_of_mammals_only(metric):
    assert one(metric, 10, genome_bp=1_000_000_000)["level"] != "not judged"
    small = one(metric, 10, genome_bp=999_999_999)
    assert small["level"] == "not judged"
    yeast = one(metric, 10, genome_bp=12_157_105)
    assert yeast["words"] == "ENCODE's limits are for the whole genomes of human and mouse; this one has 12.2 Mb"
    assert yeast["consequence"] == ""
    # what does not scale with the genome is judged there too
    assert one("nrf", 0.5, genome_bp=12_157_105)["level"] == "not compliant"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("CTCF", "chip-narrow"), ("H3K4me3", "chip-narrow"), ("H3K27ac", "chip-narrow"), ("H2AFZ", "chip-narrow"),
        ("H3K27me3", "chip-broad"), ("h3k36me3", "chip-broad"), ("H3K4me1-mouse", "chip-broad"),
        ("H3K79me2", "chip-broad"), ("H3K79me3", "chip-broad"), ("H3K9me1", "chip-broad"), ("H3K9me2", "chip-broad"),
        ("H4K20me1", "chip-broad"), ("H3F3A", "chip-broad"), ("H3K9me3-human", "chip-H3K9me3"),
        (" Input ", "chip-control"), ("IgG", "chip-control"), ("", "chip-control"),
    ],
)  # fmt: skip
def test_limits_by_target(target, kind):
    assert kind_of("chip", target) == kind


def test_a_control_and_an_assay_without_limits():
    assert one("frip", 0.001, "chip", "input")["words"] == "no limit is set for this assay"
    assert one("frip", 0.001, "mnase")["level"] == "not judged"
    assert limits_of("reproducible_peaks", "chip", "CTCF") is None
    assert limits_of("tss_enrichment", "dnase", assembly="GRCh38") is None


def test_both_ratios_beyond_are_not_compliant_one_is_a_warning():
    def levels(rescue, consistency, assay="atac"):
        rows = [
            {"metric": "rescue_ratio", "replicate": "pooled", "value": rescue},
            {"metric": "self_consistency_ratio", "replicate": "pooled", "value": consistency},
        ]
        return [finding["level"] for finding in judge(rows, assay, "CTCF", "GRCh38", HUMAN_BP)]

    assert levels(2, 2) == ["not compliant"] * 2
    assert levels(2, 1.9) == ["warning", "fine"]
    assert levels(1.2, 5) == ["fine", "warning"]
    assert levels(2, 2, "chip") == ["fine", "fine"]
    assert levels(2.1, 2.1, "chip") == ["not compliant"] * 2
    assert one("rescue_ratio", 3)["limits"] == "warning from 2, not compliant if both ratios are (ENCODE)"


def test_pooled_rows_are_judged_only_without_replicates():
    rows = [
        {"metric": "depth", "replicate": "1", "value": 30 * M},
        {"metric": "depth", "replicate": "2", "value": 10 * M},
        {"metric": "depth", "replicate": "pooled", "value": 40 * M},
        {"metric": "frip", "replicate": "pooled", "value": 0.1},
    ]
    found = judge(rows, "atac", "", "hg38", HUMAN_BP)
    assert [finding["level"] for finding in found] == ["fine", "error", "not judged", "not compliant"]
    assert found[2]["words"] == "limits are for replicates"
    assert found[1]["limits"] == (
        "error below 15,000,000, not compliant below 20,000,000, warning below 25,000,000 (ENCODE)"
    )


def test_what_could_not_be_measured_is_not_judged():
    for value in (None, math.nan):
        assert one("nrf", value)["words"] == "could not be measured"
    unknown = one("loveliness", 0.4)
    assert (unknown["level"], unknown["limits"]) == ("not judged", "")
    assert label("loveliness_index") == "loveliness index" and said("loveliness", 0.25) == "0.25"


def test_words_name_value_cause_and_effect():
    finding = one("nrf", 0.45)
    assert finding["words"] == (
        "NRF is 0.45: the library holds few different molecules, and much of the sequencing repeated what was there"
    )
    assert "fewer observations than counts" in finding["consequence"]
    assert "GC content and mappability" in one("frip", 0.05)["consequence"]
    assert "methylation that is not there" in one("bisulfite_conversion", 0.9, "wgbs")["consequence"]
    assert "SPOT1" in one("frip", 0.1, "dnase")["words"]
    # √0.64
    assert "correlate with one replicate by 0.80 at most" in one("replicate_pearson", 0.64, "dnase")["consequence"]
    assert "at most" not in one("replicate_pearson", -0.1, "dnase")["consequence"]


def test_verdict():
    def of(*levels):
        return verdict([{"level": level} for level in levels])

    assert of("fine", "not judged") == "good"
    assert of("fine", "warning") == "warning"
    assert of("warning", "not compliant") == of("error") == "poor"
    assert of("not judged") == of() == "not judged"
    assert set(LEVELS) == {"error", "not compliant", "warning", "fine", "not judged"}


def test_limits_are_in_order():
    """An error is further off than a warning, in every line."""
    every = [limits for table in THRESHOLDS.values() for limits in table.values()]
    for limits in [*every, *REPRODUCIBLE.values(), *TSS.values()]:
        given = [limit for limit in limits[:3] if limit is not None]
        assert given == sorted(given, reverse=limits.high) and given


def test_the_page_of_the_docs_has_every_limit():
    page = Path(__file__).parents[2].joinpath("docs/quality.md").read_text()
    rows = {}
    for line in page.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[2])
    assert set(rows) == set(METRICS)
    tables = [*THRESHOLDS.values(), {"reproducible_peaks": REPRODUCIBLE["overlap"], "tss_enrichment": TSS["GRCh38"]}]
    tables += [{"reproducible_peaks": REPRODUCIBLE["idr"], "tss_enrichment": TSS["mm10"]}]
    for metric, limits in ((metric, limits) for table in tables for metric, limits in table.items()):
        numbers = re.findall(r"[\d,.]*\d(?: M)?", rows[metric])
        for limit in [value for value in limits[:3] if value is not None]:
            said_there = f"{limit / M:g} M" if limit >= M else f"{limit:,.12g}"
            assert said_there in numbers, (metric, limit)
    assert all(rows[metric] == "none" for metric, words in METRICS.items() if not words.training)
