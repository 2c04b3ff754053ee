"""Figures of the report as data URIs: vector graphics without script, the same bytes for the same numbers."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
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
    SKY,
    YELLOW,
    legend,
    new_figure,
    plain,
    style,
    svg,
)

MAX_DOTS = 400


@dataclass(frozen=True)
class Line:
    """One line of a dot plot.

    Attributes
    ----------
    label : what the line is of. value : the large dot. low, high : ends of its interval, NaN for none.
    dots : small dots, one a track. network : drawn in the colour of networks, else of baselines.
    """

    label: str
    value: float
    low: float
    high: float
    dots: Sequence[float] = ()
    network: bool = True


def new_axes(width: float, height: float) -> tuple[Any, Any]:
    figure = new_figure(width, height)
    axes = style(figure.add_subplot(), grid="x")
    axes.tick_params(labelsize=10)
    return figure, axes


def svg_uri(drawing: bytes) -> str:
    """Data URI of an SVG image."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing).decode()


def dot_plot(lines: Sequence[Line], label: str, *, reference: float | None = None) -> str:
    """Lines with a large dot, its 95 % interval and small dots behind it.

    Parameters
    ----------
    label : of the value axis. reference : where a dashed line is drawn, e.g. 0 for differences.

    Returns
    -------
    data URI of an SVG image.
    """
    figure, axes = new_axes(5.6, 0.8 + 0.38 * len(lines))
    for i, line in enumerate(lines):
        colour, marker = (BLUE, "o") if line.network else (ORANGE, "s")
        dots = [dot for dot in line.dots if not math.isnan(dot)][:MAX_DOTS]
        if len(dots) > 1:
            axes.plot(dots, [i] * len(dots), "|", color=GREY, markersize=9, alpha=0.75, zorder=2)
        if not math.isnan(line.low):
            axes.plot([line.low, line.high], [i, i], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
        if not math.isnan(line.value):
            axes.plot([line.value], [i], marker, color=colour, markersize=7, markeredgecolor="white", zorder=4)
    if reference is not None:
        axes.axvline(reference, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(lines)), [plain(line.label) for line in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.margins(x=0.06)
    name_axes(axes, label, "")
    return svg_uri(svg(figure))


def name_axes(axes: Any, x: str, y: str) -> None:
    """Labels of both axes, never set as mathematics."""
    axes.set_xlabel(plain(x), color=INK, fontsize=10)
    axes.set_ylabel(plain(y), color=INK, fontsize=10)
    for text in [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]:
        text.set_parse_math(False)


def training_curves(runs: Sequence[dict[str, Any]]) -> str:
    """Training and validation loss of the runs of one network.

    Parameters
    ----------
    runs : each with ``history`` (entries with epoch, train_loss, valid_loss) and ``best_epoch``.

    Returns
    -------
    data URI of an SVG image.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_axes(5.6, 2.8)
    faint = 1.0 if len(runs) == 1 else max(0.35, 1 - 0.12 * len(runs))
    for i, run in enumerate(runs):
        epochs = [entry["epoch"] for entry in run["history"]]
        for key, colour, dashes, name in (
            ("train_loss", BLUE, "-", "training"),
            ("valid_loss", ORANGE, "--", "validation"),
        ):
            losses = [entry[key] for entry in run["history"]]
            axes.plot(
                epochs, losses, dashes, color=colour, linewidth=1.8, alpha=faint, marker=".", label="" if i else name
            )
        best = [entry["valid_loss"] for entry in run["history"] if entry["epoch"] == run["best_epoch"]]
        if best:
            place = {"color": GREEN, "markersize": 11, "markeredgecolor": "white", "zorder": 5}
            axes.plot([run["best_epoch"]], best[:1], "*", label="" if i else "kept", **place)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.grid(axis="x", visible=False)
    name_axes(axes, "pass over the training examples", "loss")
    axes.legend(frameon=False, fontsize=10, labelcolor=INK)
    return svg_uri(svg(figure))


def overview(weight: np.ndarray) -> str:
    """All regions of a map, one line of pixels each: how much every base matters.

    Parameters
    ----------
    weight : (region, position) importance of each base, NaN where there is none.

    Returns
    -------
    data URI of an SVG image.
    """
    figure, axes = new_axes(7.2, 1.1 + 0.05 * max(len(weight), 12))
    largest = float(np.nanquantile(weight, 0.999)) if np.isfinite(weight).any() else 1.0
    axes.grid(visible=False)
    shown = axes.imshow(weight, aspect="auto", cmap="Blues", vmin=0, vmax=max(largest, 1e-9), interpolation="none")
    bar = figure.colorbar(shown, ax=axes, shrink=0.9, pad=0.01)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    axes.set_yticks([])
    name_axes(axes, "position in the region (bp)", "regions")
    return svg_uri(svg(figure))


def histogram(edges: np.ndarray, counts: Sequence[tuple[str, np.ndarray]], label: str) -> str:
    """Counts of values as lines of steps, on a logarithmic axis: rare large effects stay visible.

    Parameters
    ----------
    edges : (bins + 1,) bounds. counts : for each line its name and (bins,) counts. label : of the value axis.

    Returns
    -------
    data URI of an SVG image.
    """
    figure, axes = new_axes(5.6, 2.8)
    look = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, INK, GREY)
    for i, (name, values) in enumerate(counts):
        axes.stairs(values, edges, color=look[i % len(look)], linewidth=1.5, label=plain(name, 30))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.set_ylim(bottom=0.7)
    name_axes(axes, label, "alleles")
    if len(counts) > 1:
        legend(axes)
    return svg_uri(svg(figure))
