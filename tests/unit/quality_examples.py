"""Made-up qualities of experiments, in the form of the noun: good, poor, and of other assays."""

from pathlib import Path
from typing import Any

import numpy as np

from seqmill.reads.quality_figures import draw
from seqmill.reads.thresholds import judge, verdict
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import seal
from seqmill.stores.layout import noun_folder

HUMAN_BP = 3_100_000_000


def row(metric: str, replicate: str, value: float | None, n: int | None = None, half: float | None = None) -> dict:
    lower, upper = (None, None) if half is None else (value - half, value + half)
    return {"metric": metric, "replicate": replicate, "value": value, "n": n, "lower": lower, "upper": upper}


def sizes(rng: np.random.Generator, free: float) -> list[int]:
    """Fragments of 0 to 1000 bp with a share ``free`` of them nucleosome-free and a helix pitch of 10.4 bp."""
    bp = np.arange(1001)
    density = free * np.exp(-((bp - 60) ** 2) / 800) / 50 + (1 - free) * np.exp(-((bp - 195) ** 2) / 1500) / 70
    density += (1 - free) * 0.12 * np.exp(-((bp - 390) ** 2) / 3000) / 90
    density *= 1 + 0.15 * np.sin(2 * np.pi * bp / 10.4) * (bp < 250)
    density[:25] = 0
    return rng.poisson(density / density.sum() * 400_000).tolist()


def profile(rng: np.random.Generator, height: float) -> list[float]:
    at = np.arange(400) * 10 - 1995.5
    hill = 1 + (height - 1) * np.exp(-(((at + 40) / 220) ** 2)) + 0.12 * height * np.exp(-(((at - 190) / 60) ** 2))
    return (hill * rng.normal(1, 0.02, 400)).round(4).tolist()


def strands(peak: float, phantom: float) -> dict[str, Any]:
    shift = np.arange(1501)
    curve = 0.02 + 0.006 * np.exp(-shift / 500) + peak * np.exp(-(((shift - 180) / 70) ** 2))
    curve += phantom * np.exp(-(((shift - 50) / 6) ** 2))
    return {"shifts": shift.tolist(), "values": curve.round(7).tolist(), "fragment_bp": 180, "read_length": 50}


def scatter(rng: np.random.Generator, noise: float) -> dict[str, Any]:
    true = rng.lognormal(0, 1.3, 2000)
    x, y = (true * rng.lognormal(0, noise, 2000) for _ in range(2))
    r = float(np.corrcoef(x, y)[0, 1])
    pairs = [["1", "2", round(r, 4), round(r, 4), 2000]]
    drawn = {"replicates": ["1", "2"], "x": x.round(4).tolist(), "y": y.round(4).tolist()}
    return {"bin_bp": 1000, "pairs": pairs, "pairs_in_peaks": [], "scatter": drawn, "output": "cut_sites"}


def atac(good: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(int(good))
    rows = []
    for replicate in ("1", "2"):
        bad_here = not good
        rows += [
            row("depth", replicate, 8_400_000 if bad_here else 41_000_000, 41_000_000),
            row("adapter_fraction", replicate, 0.31, 90_000_000, 0.0001),
            row("mapped_fraction", replicate, 0.871 if bad_here else 0.973, 90_000_000, 0.0001),
            row("duplicate_fraction", replicate, 0.56 if bad_here else 0.08, 45_000_000, 0.0001),
            row("mitochondrial_fraction", replicate, 0.42 if bad_here else 0.05, 90_000_000, 0.0001),
            row("nrf", replicate, 0.44 if bad_here else 0.92, 45_000_000, 0.0002),
            row("pbc1", replicate, 0.52 if bad_here else 0.93, 40_000_000, 0.0002),
            row("pbc2", replicate, 0.9 if bad_here else 13.1, 40_000_000, 0.02),
            row("nucleosome_free_fraction", replicate, 0.22 if bad_here else 0.55, 40_000_000, 0.0001),
            row("mono_nucleosome_fraction", replicate, 0.48 if bad_here else 0.25, 40_000_000, 0.0001),
            row("tss_enrichment", replicate, 2.7 if bad_here else 14.2, 19_000, 0.3),
            row("frip", replicate, 0.06 if bad_here else 0.41, 80_000_000, 0.0002),
        ]
    agreement = scatter(rng, 1.1 if not good else 0.12)
    r = agreement["pairs"][0][2]
    rows += [
        row("tss_enrichment", "pooled", 2.6 if not good else 14.1, 19_000, 0.3),
        row("frip", "pooled", 0.06 if not good else 0.41, 160_000_000, 0.0002),
        row("peaks", "pooled", 31_000 if not good else 240_000),
        row("reproducible_peaks", "pooled", 9_000 if not good else 161_000),
        row("rescue_ratio", "pooled", 3.1 if not good else 1.1),
        row("self_consistency_ratio", "pooled", 2.4 if not good else 1.2),
        row("replicate_pearson", "pooled", r, 2_900_000),
        row("replicate_spearman", "pooled", r, 2_900_000),
    ]
    return {
        "assay": "atac",
        "target": "",
        "rows": rows,
        "absent": [],
        "fragment_sizes": {name: sizes(rng, 0.6 if good else 0.15) for name in ("1", "2")},
        "tss_profile": {
            "positions": (np.arange(400) * 10 - 1995.5).tolist(),
            "starts": 19_000,
            "values": {name: profile(rng, 14 if good else 2.5) for name in ("1", "2", "pooled")},
        },
        "agreement": agreement,
    }


def chip(target: str = "CTCF") -> dict[str, Any]:
    rows = [
        row("depth", "1", 17_300_000, 17_300_000),
        row("mapped_fraction", "1", 0.96, 40_000_000, 0.0001),
        row("nrf", "1", 0.86, 20_000_000, 0.0002),
        row("pbc1", "1", 0.91, 17_000_000, 0.0002),
        row("pbc2", "1", 11.2, 17_000_000, 0.02),
        row("nsc", "1", 1.31, 17_300_000),
        row("rsc", "1", 1.4, 17_300_000),
        row("fragment_bp", "1", 180, 17_300_000),
        row("frip", "1", 0.083, 17_300_000, 0.0002),
        row("peaks", "pooled", 52_000),
    ]
    return {
        "assay": "chip",
        "target": target,
        "rows": rows,
        "absent": [{"metric": "rescue_ratio", "replicate": "pooled", "why": "one replicate only"}],
        "cross_correlation": {"1": strands(0.012, 0.005)},
    }


def rna() -> dict[str, Any]:
    rows = [
        row("depth", "1", 900_000, 900_000),
        row("depth", "2", 1_200_000, 1_200_000),
        row("replicate_spearman", "pooled", 0.97, 9_000),
    ]
    return {"assay": "rna", "target": "", "rows": rows, "absent": []}


def write_quality(folder: Path, name: str, metrics: dict[str, Any], *, assembly="GRCh38", genome_bp=HUMAN_BP) -> Path:
    """A noun quality without the reads behind it."""
    with noun_folder(folder, noun="quality", label=name, packages=("numpy", "matplotlib")) as (part, attrs, _):
        findings = judge(metrics["rows"], metrics["assay"], metrics["target"], assembly, genome_bp)
        metrics = {"experiment": name, **metrics, "findings": findings}
        atomic_write(part / "metrics.json", seal(metrics))
        draw(part, metrics)
        attrs |= {
            "assay": metrics["assay"],
            "target": metrics["target"],
            "replicates": sorted({int(row["replicate"]) for row in metrics["rows"] if row["replicate"] != "pooled"}),
            "verdict": verdict(findings),
            "findings": findings,
        }
    return folder


def write_qualities(results: Path) -> list[Path]:
    """Four experiments: good, poor, with a warning, and not judged (a small genome)."""
    return [
        write_quality(results / "quality/K562=20ATAC", "K562 ATAC", atac()),
        write_quality(results / "quality/old=20ATAC", "old ATAC", atac(good=False)),
        write_quality(results / "quality/CTCF", "CTCF", chip()),
        write_quality(results / "quality/yeast", "yeast", rna(), assembly="sacCer3", genome_bp=12_157_105),
    ]
