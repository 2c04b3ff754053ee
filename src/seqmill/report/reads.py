"""What the report says of experiments made from reads: their quality, what it does to training, pictures, limits."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqmill.reads.quality_figures import FIGURES
from seqmill.reads.quality_table import long_lines, read_quality
from seqmill.reads.quality_words import METRICS, label, said
from seqmill.reads.thresholds import FINE, LEVELS, NOT_JUDGED, REPRODUCIBLE, THRESHOLDS, TSS, Limits, kind_of
from seqmill.report.reads_methods import processing
from seqmill.report.words import number
from seqmill.runtime.marker import read_marker
from seqmill.stores.layout import check_file

MAX_DRAWN = 30
"""Experiments whose figures are in the page, the worst first."""
ASSAYS = {
    "atac": "ATAC-seq",
    "dnase": "DNase-seq",
    "mnase": "MNase-seq",
    "chip": "ChIP-seq",
    "rna": "RNA-seq",
    "wgbs": "bisulfite sequencing",
}
KINDS = {
    "chip-narrow": "ChIP-seq of factors and narrow marks",
    "chip-broad": "ChIP-seq of broad marks",
    "chip-H3K9me3": "ChIP-seq of H3K9me3",
    "chip-control": "ChIP-seq without a target (controls)",
}
# Columns of the overview, where they have values; the others are in each experiment's own table.
COLUMNS = (
    "depth", "mapped_fraction", "nrf", "frip", "tss_enrichment", "nsc", "reproducible_peaks",
    "replicate_pearson", "replicate_spearman", "coverage_depth", "bisulfite_conversion",
)  # fmt: skip
TONES = {
    "error": "bad", "not compliant": "bad", "warning": "warn", "fine": "good", "not judged": "even",
    "poor": "bad", "good": "good",
}  # fmt: skip
_ORDER = ("poor", "warning", "good", "not judged")
Item = dict[str, Any]


def gather_reads(qualities: Sequence[Path], experiments: Sequence[Path], libraries: Sequence[Path]) -> Item | None:
    """The section on reads; None without experiments.

    Parameters
    ----------
    qualities : nouns quality. experiments, libraries : what they were made from, for the methods text; those that are
        not given are not told of.

    Returns
    -------
    "experiments": worst verdict first, each with "findings", "figures" and "lines"; "columns" of the overview, and in
    each experiment its "cells"; "limits" for each assay that occurs; "sentence" for the summary; "processing" for the
    methods text.
    """
    found = [_experiment(folder) for folder in qualities]
    if not found:
        return None
    found.sort(key=lambda item: _ORDER.index(item["verdict"]))
    left = MAX_DRAWN
    for item in found:
        files = item.pop("files")
        item["undrawn"] = bool(files) and not left
        item["figures"] = [_figure(item, *place) for place in files] if left else []
        left -= bool(files and left)
    known = {line["metric"] for item in found for line in item["lines"]}
    judged = {line["metric"] for item in found for line in item["lines"] if line["level"] != NOT_JUDGED}
    columns = [metric for metric in COLUMNS if metric in known and (metric in judged or metric != "replicate_spearman")]
    for item in found:
        item["cells"] = [_worst(item["lines"], metric) for metric in columns]
    return {
        "experiments": found,
        "columns": [label(metric) for metric in columns],
        "limits": _limits(found),
        "sentence": _sentence(found),
        "processing": processing(experiments, libraries),
    }


def _experiment(folder: Path) -> Item:
    name, attrs, metrics = read_quality(folder)
    assay, target = str(attrs["assay"]), str(attrs["target"])
    lines = [_line(line) for line in long_lines(name, metrics["rows"], attrs["findings"])]
    order = list(METRICS)
    lines.sort(key=lambda line: order.index(line["metric"]) if line["metric"] in order else len(order))
    return {
        "name": name,
        "what": " ".join(part for part in (ASSAYS.get(assay, assay), target) if part),
        "kind": kind_of(assay, target),
        "replicates": len(attrs["replicates"]),
        "verdict": attrs["verdict"],
        "tone": TONES[attrs["verdict"]],
        "findings": _grouped(lines),
        "lines": lines,
        "absent": _absent(metrics.get("absent", [])),
        "files": [(Path(folder), file) for file in FIGURES if file in read_marker(folder).files],
    }


def _line(line: Mapping[str, Any]) -> Item:
    metric, bounds = line["metric"], (line["lower"], line["upper"])
    return {
        **line,
        "label": label(metric),
        "said": said(metric, line["value"]),
        "interval": "–" if None in bounds else f"{said(metric, bounds[0])} to {said(metric, bounds[1])}",
        "n": number(line["n"]),
        "where": line["replicate"] if line["replicate"] == "pooled" else f"replicate {line['replicate']}",
        "tone": TONES[line["level"]],
        "beyond": LEVELS.index(line["level"]) < LEVELS.index(FINE),
        "about": line["words"] if line["level"] == NOT_JUDGED else line["limits"],
    }


def _grouped(lines: Iterable[Mapping[str, Any]]) -> list[Item]:
    """What is beyond its limit, worst first, joined where the consequence is the same."""
    beyond = sorted((line for line in lines if line["beyond"]), key=lambda line: LEVELS.index(line["level"]))
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for line in beyond:
        groups.setdefault(line["consequence"], []).append(line)
    found = []
    for consequence, members in groups.items():
        by_metric: dict[str, list[Mapping[str, Any]]] = {}
        for line in members:
            by_metric.setdefault(line["metric"], []).append(line)
        items = [{**first, "also": more} for first, *more in by_metric.values()]
        found.append({"consequence": consequence, "items": items})
    return found


def _absent(absent: Iterable[Mapping[str, str]]) -> list[Item]:
    """What could not be measured, and why; once where replicates share the reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for item in absent:
        found.setdefault((item["metric"], item["why"]), []).append(item["replicate"])
    return [{"label": label(metric), "why": why} for metric, why in found]


def _figure(item: Item, folder: Path, file: str) -> Item:
    raw = check_file(folder, read_marker(folder), file).read_bytes()
    _, title, reading = FIGURES[file]
    return {
        "title": title,
        "source": "data:image/png;base64," + base64.b64encode(raw).decode(),
        "alt": f"{title} of {item['name']}; the table below gives the numbers.",
        "reading": reading,
    }


def _worst(lines: Iterable[Mapping[str, Any]], metric: str) -> Item | None:
    """The replicate with the worst level, then the smallest value; the pooled one where no other is judged."""
    mine = [line for line in lines if line["metric"] == metric and line["value"] is not None]
    if not mine:
        return None
    worst = min(mine, key=lambda line: (LEVELS.index(line["level"]), line["value"]))
    return {key: worst[key] for key in ("said", "level", "tone", "beyond")}


def _limits(found: Iterable[Item]) -> list[Item]:
    """Limits of each assay that occurs, in words."""
    kinds = list(dict.fromkeys(item["kind"] for item in found))
    shown = []
    for kind in kinds:
        limits = [(metric, metric, each) for metric, each in THRESHOLDS.get(kind, {}).items()]
        if kind == "atac":
            limits += [("tss_enrichment", f"TSS enrichment, {assembly}", each) for assembly, each in TSS.items()]
            how = {"overlap": "overlap", "idr": "IDR"}
            limits += [
                ("reproducible_peaks", f"reproducible peaks by {how[key]}", each) for key, each in REPRODUCIBLE.items()
            ]
        order = list(METRICS)
        lines = [
            {
                "label": label(metric) if text == metric else text,
                "meaning": METRICS[metric].meaning,
                "limits": [_limit(metric, each, which) for which in range(3)],
                "source": each.source,
            }
            for metric, text, each in sorted(limits, key=lambda limit: order.index(limit[0]))
        ]
        if lines:
            shown.append({"assay": KINDS.get(kind, ASSAYS.get(kind, kind)), "lines": lines})
    return shown


def _limit(metric: str, limits: Limits, which: int) -> str:
    """One of the three limits with its sign, e.g. "≤ 95 %"."""
    value = limits[which]
    if value is None:
        return "–"
    sign = ">" if limits.high else "<"
    if limits.touching and which == 2:
        sign = "≥" if limits.high else "≤"
    return f"{sign} {said(metric, float(value))}"


def _sentence(found: Sequence[Item]) -> str:
    by_verdict = {verdict: [item["name"] for item in found if item["verdict"] == verdict] for verdict in _ORDER}
    words = {"poor": "poor", "warning": "usable with a warning", "good": "good", "not judged": "not judged"}
    if len(found) == 1:
        return f"By ENCODE’s limits, the quality of the one experiment is: {words[found[0]['verdict']]}."
    counts = [(len(names), words[verdict]) for verdict, names in by_verdict.items() if names]
    parts = [f"{count} {'is' if count == 1 else 'are'} {how}" for count, how in counts]
    return f"By ENCODE’s limits, of {len(found)} experiments {', '.join(parts)}."
