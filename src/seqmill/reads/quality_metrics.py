"""All metrics of one experiment: which of them mean something for its assay, and from what they are measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.config.reads import Assay, Reads, output_file, outputs_of
from seqmill.reads.agreement import agreement
from seqmill.reads.fragment_sizes import size_counts, size_peaks, size_rows
from seqmill.reads.frip import frip_rows, read_peaks, tags_in_peaks
from seqmill.reads.library_quality import COMPLEXITY, library_rows
from seqmill.reads.quality_rows import POOLED, Row, row
from seqmill.reads.replicates import Replicate
from seqmill.reads.strand_quality import strand_rows
from seqmill.reads.tags import CUTS, READ_BP, cut_positions
from seqmill.reads.tss import POSITIONS, Starts, enrichment, start_profiles

PEAKS: tuple[Assay, ...] = ("atac", "dnase", "chip")
NUCLEOSOMES: tuple[Assay, ...] = ("atac", "mnase")


@dataclass
class Measured:
    """What was measured: rows of the table, arrays for figures, and what could not be measured, with the reason."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    absent: list[dict[str, str]] = field(default_factory=list)

    def lacks(self, metric: str, replicate: str, why: str) -> None:
        """Note a metric that this experiment would have."""
        self.absent.append({"metric": metric, "replicate": replicate, "why": why})


def measure(
    assay: Assay,
    replicates: list[Replicate],
    counts: Mapping[int, Mapping[str, Any]],
    folder: Path,
    attrs: Mapping[str, Any],
    settings: Reads,
    sizes: dict[str, int],
    starts: Starts | None,
) -> Measured:
    """Measure one experiment.

    Parameters
    ----------
    replicates : in order. counts : of their markers, by number. folder, attrs : of the experiment.
    sizes : contig -> bp of the genome, without those that are excluded. starts : transcription starts.
    """
    out = Measured()
    for one in replicates:
        found = library_rows(_name(one), counts[one.number], one.table.total, one.table.paired, assay)
        if assay == "rna":  # reads of one transcript begin at the same places, whatever the library is like
            found = [made for made in found if made["metric"] not in COMPLEXITY]
        out.rows += found
    if assay != "rna":
        _sizes(out, assay, replicates)
    if assay == "chip":
        _strands(out, replicates)
    if assay in CUTS:
        _starts(out, replicates, starts, settings.seed)
    if assay in PEAKS:
        _peaks(out, assay, replicates, folder, attrs)
    if len(replicates) > 1:
        _agreement(out, assay, replicates, folder, sizes, settings.seed)
    return out


def _name(replicate: Replicate) -> str:
    return str(replicate.number)


def _sizes(out: Measured, assay: Assay, replicates: list[Replicate]) -> None:
    """Fragment lengths, where fragments are whole."""
    counted = {_name(one): size_counts(one.table) for one in replicates if one.table.paired}
    for name, (counts, longer) in counted.items():
        rows = size_rows(counts, longer, name)
        out.rows += rows if assay in NUCLEOSOMES else rows[:1]
    if counted:
        out.figures["fragment_sizes"] = {name: counts.tolist() for name, (counts, _) in counted.items()}
        out.figures["fragments_longer"] = {name: longer for name, (_, longer) in counted.items()}
    if assay == "atac":
        out.figures["fragment_peaks"] = {name: size_peaks(counts) for name, (counts, _) in counted.items()}
        for one in replicates:
            if not one.table.paired:
                out.lacks("nucleosome_free_fraction", _name(one), "single reads do not tell the length of fragments")


def _strands(out: Measured, replicates: list[Replicate]) -> None:
    curves = {}
    for one in replicates:
        rows, figure, why = strand_rows(one.table, _name(one), one.read_length)
        out.rows += rows
        if figure:
            curves[_name(one)] = figure
        for metric in ("nsc", "rsc"):
            if why and metric not in {made["metric"] for made in rows}:
                out.lacks(metric, _name(one), why)
    if curves:
        out.figures["cross_correlation"] = curves


def _starts(out: Measured, replicates: list[Replicate], starts: Starts | None, seed: int) -> None:
    if starts is None:
        for one in replicates:
            out.lacks("tss_enrichment", _name(one), "no transcription starts: set reads.tss")
        return
    profiles: dict[str, np.ndarray] = {}
    for one in replicates:
        parts = []
        for contig, (places, strands) in starts.by_contig.items():
            cuts = cut_positions(one.table.contig(contig), one)
            parts.append(start_profiles(cuts, places, strands, one.read_length or READ_BP))
        profiles[_name(one)] = np.concatenate(parts)
    if len(profiles) > 1:
        profiles[POOLED] = np.sum(list(profiles.values()), axis=0)
    figure: dict[str, Any] = {
        "positions": POSITIONS,
        "starts": starts.total,
        "left_out": starts.left_out,
        "read_bp": {_name(one): one.read_length or READ_BP for one in replicates},
        "values": {},
        "at_start": {},
        "noise": {},
    }
    for name, found in profiles.items():
        made, about = enrichment(found, name, seed)
        for key, value in about.items():
            figure[key][name] = value
        if made is None:
            out.lacks("tss_enrichment", name, "no cut site in the outer 100 bp of any start")
        else:
            out.rows.append(made)
    out.figures["tss_profile"] = figure


def _peaks(out: Measured, assay: Assay, replicates: list[Replicate], folder: Path, attrs: Mapping[str, Any]) -> None:
    """FRiP in the pooled peaks, numbers of peaks, and the ratios that the experiment found."""
    peaks, number = read_peaks(folder / output_file("peaks"))
    lengths = attrs.get("fragment_lengths") or {}
    tags = {}
    for one in replicates:
        length = lengths.get(f"rep{one.number}", lengths.get("pooled", {})).get("bp")
        tags[_name(one)] = tags_in_peaks(one, peaks, assay, length)
    if len(tags) > 1:
        inside, total = (sum(found[side] for found in tags.values()) for side in (0, 1))
        tags[POOLED] = (inside, total)
    out.rows += frip_rows(tags)
    out.rows.append(row("peaks", POOLED, number, number))
    counts, found = attrs.get("peaks", {}), attrs.get("reproducibility") or {}
    if len(replicates) > 1:
        for one in replicates:
            if f"rep{_name(one)}" in counts:
                out.rows.append(row("peaks", _name(one), counts[f"rep{_name(one)}"], counts[f"rep{_name(one)}"]))
    if "reproducible" in counts:
        out.rows.append(row("reproducible_peaks", POOLED, counts["reproducible"], counts["reproducible"]))
    for metric, key in (("rescue_ratio", "rescue"), ("self_consistency_ratio", "self_consistency")):
        if found.get(key) is not None:
            out.rows.append(row(metric, POOLED, found[key]))
        else:
            out.lacks(metric, POOLED, "one replicate only" if len(replicates) == 1 else "no peaks to divide by")


def _agreement(
    out: Measured, assay: Assay, replicates: list[Replicate], folder: Path, sizes: dict[str, int], seed: int
) -> None:
    output, number = outputs_of(assay)[0], len(replicates)
    files = {_name(one): folder / output_file(output, _name(one), replicates=number) for one in replicates}
    peaks = read_peaks(folder / output_file("peaks"))[0] if assay in PEAKS else {}
    rows, figure = agreement(files, sizes, peaks, seed)
    out.rows += rows
    out.figures["agreement"] = figure | {"output": output}
    if not rows:
        why = "fewer than 10 bins of 1 kb with signal, or all alike"
        out.lacks("replicate_pearson", POOLED, why)
        out.lacks("replicate_spearman", POOLED, why)
