"""Metrics of one library from what was counted while it was made: depth, mapping, duplicates, complexity."""

from collections.abc import Mapping
from typing import Any

from seqmill.genome.names import MITOCHONDRION, core_name
from seqmill.reads.quality_rows import Row, proportion, row, wilson

COMPLEXITY = ("nrf", "pbc1", "pbc2")


def complexity(replicate: str, distinct: int, once: int, twice: int, before: int) -> list[Row]:
    """NRF, PBC1 and PBC2 of one library, as ENCODE's pipelines count them (``pbc_qc_se``, ``pbc_qc_pe``).

    Landt et al. (2012) Genome Res 22:1813, section on library complexity.

    Parameters
    ----------
    distinct : different places of fragments (M0). once, twice : places with exactly one, exactly two (M1, M2).
    before : fragments before duplicates were removed (MT), mitochondrion and other excluded contigs left out.

    Returns
    -------
    NRF = M0 / MT and PBC1 = M1 / M0 with Wilson intervals; PBC2 = M1 / M2 with the odds of the Wilson interval of
    M1 / (M1 + M2). Where no place was seen twice, M2 counts as 1 (ENCODE writes -1): PBC2 is then a lower bound.
    """
    rows = []
    if before > 0:
        rows.append(proportion("nrf", replicate, distinct, before))
    if distinct > 0:
        rows.append(proportion("pbc1", replicate, once, distinct))
    if once + twice > 0:
        lower, upper = wilson(once, once + twice)
        odds = (lower / (1 - lower) if lower < 1 else None, upper / (1 - upper) if upper < 1 else None)
        rows.append(row("pbc2", replicate, once / max(twice, 1), once + twice, odds))
    return rows


def mitochondrial(by_contig: Mapping[str, int]) -> int:
    """Reads on the mitochondrion among reads by contig."""
    return sum(count for contig, count in by_contig.items() if core_name(contig).lower() in MITOCHONDRION)


def library_rows(replicate: str, counts: Mapping[str, Any], fragments: int, paired: bool, assay: str = "") -> list[Row]:
    """Rows of one library.

    Depth is what is left after all filters, as ENCODE counts it: fragments of paired libraries, reads of single ones;
    of DNase reads throughout, as in the flagstat that the portal audits.
    The duplicate fraction is that of what passes the filters; a fragment file that tells no duplicates but copies has
    its copies counted. The mitochondrial one is of all reads that map. The other rows are there as far as the counts
    are: a BAM tells nothing of adapters, a fragment file nothing of what was filtered.

    Parameters
    ----------
    counts : of the library's marker (``attrs["counts"]``). fragments : rows of its table. paired : they are pairs.
    """
    depth = 2 * fragments if paired and assay == "dnase" else fragments
    rows = [row("depth", replicate, depth, depth)]

    def share(metric: str, k: int | None, n: int | None) -> None:
        if k is not None and n:
            rows.append(proportion(metric, replicate, min(k, n), n))

    before, distinct = counts.get("fragments_before_duplicates", 0), counts.get("distinct")
    share("adapter_fraction", counts.get("reads_trimmed"), counts.get("reads_raw"))
    share("mapped_fraction", counts.get("mapped"), counts.get("reads"))
    if "duplicates" in counts:
        share("duplicate_fraction", counts["duplicates"], before * (2 if paired else 1))
    elif distinct is not None:
        share("duplicate_fraction", before - distinct, before)
    if "excluded_by_contig" in counts:
        excluded = counts["excluded_by_contig"]
        share(
            "mitochondrial_fraction", mitochondrial(excluded), counts.get("mapped", fragments + sum(excluded.values()))
        )
    if distinct is not None and "once" in counts and "twice" in counts:
        rows += complexity(replicate, distinct, counts["once"], counts["twice"], before)
    return rows
