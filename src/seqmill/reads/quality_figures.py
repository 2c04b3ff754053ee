"""Pictures of the quality of one experiment: fragment sizes, transcription starts, strands, replicates."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.formats.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RULE,
    SHADE,
    SKY,
    YELLOW,
    as_written,
    legend,
    new_figure,
    plain,
    save_png,
    say,
    style,
)

Metrics = Mapping[str, Any]
SIZE = (5.4, 3.4)
LONGEST_BP = 800
MAX_LINES = 12
"""Replicates that are drawn one by one; where there are more, the first."""
LOOK = (
    (BLUE, "-"), (ORANGE, (0, (5, 1.5))), (GREEN, (0, (2, 1.2))), (PURPLE, (0, (6, 1.5, 1.5, 1.5))), (SKY, "-"),
    (YELLOW, (0, (5, 1.5))),
)  # fmt: skip
NUCLEOSOMES = ((0, 150, "no"), (150, 300, "one"), (300, 500, "two nucleosomes"))
"""Ranges of fragment lengths in bp, by the nucleosomes between two cuts, as ENCODE's pipeline divides them."""


def draw(folder: str | Path, metrics: Metrics) -> list[str]:
    """Draw what there is to draw, as PNG; the same bytes for the same numbers.

    Parameters
    ----------
    metrics : content of ``metrics.json``. Drawn of it are, each where it is there:
        "fragment_sizes": replicate -> number of fragments of 0, 1, 2, … bp.
        "tss_profile": "positions" (n,) in bp, "values": replicate or "pooled" -> (n,) enrichment, "noise",
            "starts".
        "cross_correlation": replicate -> "shifts" (n,) in bp, "values" (n,), "fragment_bp", "read_length".
        "agreement": "scatter" ("replicates", "x", "y"), "pairs", "bin_bp".

    Returns
    -------
    Names of the files written: of ``fragment_sizes.png``, ``tss_profile.png``, ``cross_correlation.png`` and
    ``agreement.png``.
    """
    written = []
    for name, (drawing, *_) in FIGURES.items():
        figure = drawing(metrics)
        if figure is not None:
            save_png(figure, Path(folder) / name)
            written.append(name)
    return written


def _axes(metrics: Metrics, what: str, x: str, y: str) -> tuple[Any, Any]:
    figure = new_figure(*SIZE)
    axes = style(figure.add_subplot())
    name = metrics.get("experiment", "")
    say(axes, x=x, y=y, title=f"{plain(name, 40)}: {what}" if name else what)
    return figure, axes


def _lines(names: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Label, colour and dashes of the line of each replicate; pooled ones are thick and dark."""
    single = [name for name in names if name != "pooled"][:MAX_LINES]
    found = {}
    for number, name in enumerate(single):
        colour, dashes = LOOK[number % len(LOOK)]
        found[name] = {"label": f"replicate {plain(name, 12)}", "color": colour, "linestyle": dashes, "linewidth": 1.5}
    if "pooled" in names:
        found["pooled"] = {"label": "pooled", "color": INK, "linestyle": "-", "linewidth": 1.8, "alpha": 0.75}
    return found


def _finish(axes: Any, lines: Mapping[str, Any], **place: Any) -> None:
    if len(lines) > 1:
        legend(axes, ncols=1 + (len(lines) > 6), **place)
    as_written([*axes.get_xticklabels(), *axes.get_yticklabels()])


def _fragment_sizes(metrics: Metrics) -> Any:
    """Share of fragments by length, with an inset on a logarithmic axis where the second nucleosome shows."""
    sizes = {name: np.asarray(counts, float) for name, counts in metrics.get("fragment_sizes", {}).items()}
    sizes = {name: counts for name, counts in sizes.items() if counts.sum() > 0}
    if not sizes:
        return None
    figure, axes = _axes(metrics, "fragment sizes", "fragment length (bp)", "% of fragments in 1 bp")
    inset = style(axes.inset_axes((0.61, 0.36, 0.37, 0.46)))
    inset.tick_params(labelsize=7)
    lines = _lines(sizes)
    for name, look in lines.items():
        share = 100 * sizes[name] / sizes[name].sum()
        bp = np.arange(len(share))
        axes.plot(bp[: LONGEST_BP + 1], share[: LONGEST_BP + 1], **look)
        smooth = np.convolve(share, np.full(10, 0.1), "same")  # single lengths of few fragments jump
        inset.plot(bp[: LONGEST_BP + 1], np.where(smooth > 0, smooth, np.nan)[: LONGEST_BP + 1], **look)
    axes.set_xlim(0, LONGEST_BP)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
    inset.set_xlim(0, LONGEST_BP)
    inset.set_yscale("log")
    inset.set_ylim(bottom=max(inset.get_ylim()[0], 1e-4))
    inset.set_title("the same, logarithmic", fontsize=7, color=INK, loc="left")
    inset.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if metrics.get("assay") in ("atac", "mnase"):
        for start, end, words in NUCLEOSOMES[:2]:
            axes.axvspan(start, end, color=SHADE, alpha=0.28 if words == "no" else 0.12, linewidth=0, zorder=0)
        top = axes.get_ylim()[1]
        for start, end, words in NUCLEOSOMES:
            axes.text((start + end) / 2, top * 0.985, words, fontsize=7, color=INK, ha="center", va="top")
            inset.axvline(end, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    _finish(axes, lines, loc="lower right")
    return figure


def _tss_profile(metrics: Metrics) -> Any:
    """Mean density of cut sites round transcription starts, over that far from them."""
    profile = metrics.get("tss_profile") or {}
    noise = profile.get("noise", {})  # where it is 0, the values were divided by nothing
    values = {name: found for name, found in profile.get("values", {}).items() if any(found) and noise.get(name, 1)}
    if not values:
        return None
    starts = f"{profile['starts']:,} " if profile.get("starts") else ""
    figure, axes = _axes(
        metrics, f"cut sites at {starts}transcription starts", "bp from the start, into the gene", "enrichment"
    )
    axes.axhline(1, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.axvline(0, color=RULE, linewidth=1.2, zorder=1)
    lines = _lines(values)
    for name, look in lines.items():
        axes.plot(profile["positions"], values[name], **look)
    furthest = 100 * float(np.ceil(np.abs(profile["positions"]).max() / 100))
    axes.set_xlim(-furthest, furthest)
    axes.set_xticks(np.linspace(-furthest, furthest, 5))
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+,.0f}".replace("-", "−") if value else "0")
    _finish(axes, lines)
    return figure


def _cross_correlation(metrics: Metrics) -> Any:
    """Correlation of the strands by their shift, with the length of fragments and of reads marked."""
    curves = {name: curve for name, curve in (metrics.get("cross_correlation") or {}).items() if curve.get("values")}
    if not curves:
        return None
    figure, axes = _axes(metrics, "strand cross-correlation", "shift of the − strand (bp)", "Pearson's r")
    lines = _lines(curves)
    for name, look in lines.items():
        curve = curves[name]
        shifts, values = np.asarray(curve["shifts"]), np.asarray(curve["values"], float)
        axes.plot(shifts, values, **look)
        if curve.get("fragment_bp"):
            at = int(np.argmin(np.abs(shifts - curve["fragment_bp"])))
            axes.plot([shifts[at]], [values[at]], "o", color=look["color"], markeredgecolor="white", markersize=7)
    for length in sorted({curve["read_length"] for curve in curves.values() if curve.get("read_length")}):
        axes.axvline(length, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlim(left=0)
    _finish(axes, lines, loc="upper right")
    return figure


def _agreement(metrics: Metrics) -> Any:
    """Signal of the two replicates that agree least, bin by bin."""
    agreement = metrics.get("agreement") or {}
    scatter = agreement.get("scatter")
    if not scatter:
        return None
    one, two = scatter["replicates"]
    said = [f"r = {pair[2]:.3f}" for pair in agreement.get("pairs", []) if pair[:2] == [one, two]]
    what = ", ".join([f"signal in bins of {agreement.get('bin_bp', 0):,} bp", *said])
    figure, axes = _axes(metrics, what, f"replicate {one}", f"replicate {two}")
    x, y = np.asarray(scatter["x"], float), np.asarray(scatter["y"], float)
    both = np.concatenate([x, y])
    positive = both[both > 0]
    if len(positive) and positive.max() > 20 * np.median(positive):  # few bins are far higher than most
        _logarithmic(axes, positive)
    ends = [min(0.0, float(both.min())), float(both.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_aspect("equal")
    axes.plot(x, y, "o", color=BLUE, markersize=3, alpha=0.3, markeredgewidth=0, zorder=2)
    _finish(axes, {})
    return figure


def _logarithmic(axes: Any, positive: np.ndarray) -> None:
    """Powers of ten on both axes, with room for zeros."""
    from matplotlib.ticker import FixedLocator, NullLocator

    lowest, highest = (int(np.floor(np.log10(value))) for value in (np.quantile(positive, 0.05), positive.max()))
    ticks = [0.0, *(10.0**power for power in range(lowest, highest + 1))]
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("symlog", linthresh=10.0**lowest, linscale=0.6)
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:g}")


FIGURES: dict[str, tuple[Callable[[Metrics], Any], str, str]] = {
    "fragment_sizes.png": (
        _fragment_sizes,
        "Fragment sizes",
        "Good ATAC-seq has most fragments below 150 bp (no nucleosome between the cuts) and a second hill near 200 bp "
        "(one nucleosome). Without the first hill open chromatin was not cut; one hill at short lengths alone may be "
        "adapters or naked DNA.",
    ),
    "tss_profile.png": (
        _tss_profile,
        "Transcription starts",
        "Mean density of cut sites round all starts, over that 2 kb away (dashed: 1, no enrichment). A sharp, high "
        "hill at 0 means that the signal lies in open chromatin.",
    ),
    "cross_correlation.png": (
        _cross_correlation,
        "Strand cross-correlation",
        "Reads of the two strands flank bound sites, so the curve peaks at the fragment length (dot). A peak at the "
        "read length (dashed) comes from mappability; where it is the higher one, there is little enrichment.",
    ),
    "agreement.png": (
        _agreement,
        "Agreement of replicates",
        "Each dot is a bin of the genome; of several replicates the two that agree least. Far from the dashed line "
        "(equal signal; another slope is another depth) replicates say different things, and no network can "
        "predict both.",
    ),
}
"""File name to its drawing, title, and how to read it."""
