"""A picture of a mutagenesis map: sequence logo over a heatmap, the whole region and its strongest part."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from seqmill.genome.sequence import decode
from seqmill.runtime.files import atomic_path
from seqmill.stores.genome import N_CODE
from seqmill.stores.map_values import MUTAGENESIS, contribution

ZOOM_BP = 100
"""Length of the second panel; regions up to this length and a half have one panel only."""
COLUMNS = 1000
"""Most columns of a heatmap, each at least a pixel; longer regions show the strongest effect of each few bases."""
WIDTH = 11.0
INK, RULE, UNKNOWN = "#22272e", "#d7dade", "#c9ced4"
# Okabe & Ito's colour-blind-safe palette (Okabe and Ito 2008, Color Universal Design).
LETTER_COLOURS = {"A": "#007a5a", "C": "#0072b2", "G": "#c98500", "T": "#d55e00"}
# Blue lowers, orange raises, as on the report's page; told apart with every common kind of colour blindness.
DIVERGING = ("#1f5fa8", "#f7f7f7", "#c44e0c")


@dataclass(frozen=True)
class Row:
    """One track, or the mean of several, over one region.

    Attributes
    ----------
    title : of the row. scale : what an effect is, e.g. "difference of the logit".
    effects : float (position, base), of substitutions or, by attribution, hypothetical contributions.
    """

    title: str
    scale: str
    effects: np.ndarray


def strongest(values: np.ndarray, width: int) -> int:
    """First of the ``width`` neighbouring positions whose |values| sum to most; NaN counts as 0."""
    total = np.cumsum(np.concatenate([[0.0], np.abs(np.nan_to_num(values))]))
    return int(np.argmax(total[width:] - total[:-width])) if len(values) > width else 0


def draw_region(
    path: str | Path,
    *,
    codes: np.ndarray,
    contig: str,
    start: int,
    rows: Sequence[Row],
    title: str,
    caption: str,
    method: str = MUTAGENESIS,
) -> None:
    """Write a PNG of one region.

    Parameters
    ----------
    codes : uint8 (bp,), sequence of the region. contig : empty for a sequence of a table.
    start : its first base, 0-based; the axis is labelled 1-based.
    rows : what to draw below one another. title, caption : above and below. method : of the map.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    zoomed = len(codes) > 1.5 * ZOOM_BP
    panels = 2 if zoomed else 1
    height = len(rows) * (0.35 + 2.0 * panels) + 1.2
    figure = Figure(figsize=(WIDTH, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    heights = [ratio for _ in rows for ratio in ([1.15, 0.65] * panels)]
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0].tolist()
    for number, row in enumerate(rows):
        limit = float(np.nanmax(np.abs(row.effects), initial=0)) or 1.0
        score = contribution(row.effects[..., None], codes, method)[:, 0]
        mine = axes[2 * panels * number : 2 * panels * (number + 1)]
        mine[0].set_title(_plain(row.title), color=INK, fontsize=10, loc="left", parse_math=False)
        image = _panel(mine[0], mine[1], codes, score, row, start, limit)
        if zoomed:
            at = strongest(score, ZOOM_BP)
            part = slice(at, at + ZOOM_BP)
            zoom = Row(row.title, row.scale, row.effects[part])
            _panel(mine[2], mine[3], codes[part], score[part], zoom, start + at, limit)
            middle, half = start + at + 0.5 + ZOOM_BP / 2, max(ZOOM_BP, len(codes) / 250) / 2
            mine[0].axvspan(middle - half, middle + half, color=RULE, alpha=0.45, zorder=0, lw=0)
            note = f"the strongest {ZOOM_BP} bp (shaded above)"
            mine[2].set_title(note, color=INK, fontsize=8, loc="left")
        bar = figure.colorbar(image, ax=mine, shrink=0.6, pad=0.01, aspect=30)
        bar.ax.tick_params(labelsize=7, colors=INK)
        bar.set_label(_plain(row.scale), fontsize=8, color=INK)
        bar.ax.yaxis.label.set_parse_math(False)
        bar.outline.set_visible(False)
        axis = f"position on {contig} (1-based)" if contig else "position in the sequence (1-based)"
        mine[-1].set_xlabel(_plain(axis), fontsize=9, color=INK)
        mine[-1].xaxis.label.set_parse_math(False)
    figure.suptitle(_plain(title, 120), x=0.01, ha="left", fontsize=12, color=INK).set_parse_math(False)
    figure.supxlabel(fill(caption, 165), x=0.01, ha="left", fontsize=8, color=INK).set_parse_math(False)
    with atomic_path(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})


def _panel(logo: Any, heat: Any, codes: np.ndarray, score: np.ndarray, row: Row, start: int, limit: float) -> Any:
    """Logo (bars where letters would be too thin) over heatmap of some positions; returns the image."""
    from matplotlib.colors import LinearSegmentedColormap

    bp, first = len(codes), start + 1
    span = (first - 0.5, first + bp - 0.5)
    if bp <= 1.5 * ZOOM_BP:
        _letters(logo, codes, score, first)
    else:
        binned = _strongest_of_each(score[:, None], bp)[:, 0]
        edges = np.linspace(*span, len(binned) + 1)
        logo.bar(edges[:-1], binned, width=np.diff(edges), align="edge", color=INK, linewidth=0)
    low, high = float(np.nanmin(score, initial=0)), float(np.nanmax(score, initial=0))
    room = 0.06 * (high - low or 1.0)
    logo.set(xlim=span, ylim=(low - room, high + room))
    logo.axhline(0, color=INK, linewidth=0.5)
    logo.set_ylabel("importance", fontsize=8, color=INK)
    logo.tick_params(labelbottom=False, bottom=False, labelsize=7, colors=INK)
    logo.spines[["top", "right", "bottom"]].set_visible(False)

    cells = _strongest_of_each(row.effects, bp)
    heat.set_facecolor(UNKNOWN)
    image = heat.imshow(
        cells.T, aspect="auto", cmap=LinearSegmentedColormap.from_list("effect", DIVERGING), vmin=-limit, vmax=limit,
        interpolation="nearest", extent=(*span, 3.5, -0.5),
    )  # fmt: skip
    if bp <= 1.5 * ZOOM_BP:
        known = np.flatnonzero(codes < N_CODE)
        heat.plot(first + known, codes[known], ".", color=INK, markersize=2.5)
    heat.set_yticks(range(4), list("ACGT"))
    heat.tick_params(labelsize=8, colors=INK, length=2)
    heat.spines[:].set_visible(False)
    heat.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return image


def _strongest_of_each(values: np.ndarray, bp: int) -> np.ndarray:
    """Values (bp, n) as they are, or for long regions the strongest of each few positions."""
    step = -(-bp // COLUMNS)
    if step == 1:
        return values
    filled = np.full((-(-bp // step) * step, values.shape[1]), np.nan, np.float32)
    filled[:bp] = values
    groups = filled.reshape(-1, step, values.shape[1])
    at = np.argmax(np.abs(np.nan_to_num(groups)), axis=1)
    return np.take_along_axis(groups, at[:, None], axis=1)[:, 0]


@cache
def _outline(letter: str) -> Any:
    """Outline of a letter in the unit square."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    low, high = path.vertices.min(axis=0), path.vertices.max(axis=0)
    return Outline((path.vertices - low) / (high - low), path.codes)


def _letters(axes: Any, codes: np.ndarray, score: np.ndarray, first: int) -> None:
    """Each base as a letter as high as its score; upside down below zero."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    by_letter: dict[str, list[Any]] = {letter: [] for letter in LETTER_COLOURS}
    for place, (letter, height) in enumerate(zip(decode(codes), score.tolist())):
        if letter in by_letter and np.isfinite(height) and height:
            outline = _outline(letter)
            vertices = outline.vertices * [0.94, height] + [first + place - 0.47, 0]
            by_letter[letter].append(Outline(vertices, outline.codes))
    for letter, outlines in by_letter.items():
        if outlines:
            joined = Outline.make_compound_path(*outlines)
            axes.add_patch(PathPatch(joined, facecolor=LETTER_COLOURS[letter], linewidth=0))


def _plain(text: Any, limit: int = 90) -> str:
    """``text`` fit for a figure: printable characters only, shortened."""
    clean = "".join(c if c.isprintable() else " " for c in str(text).encode("utf-8", "replace").decode())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def rows_of(
    effects: Mapping[str, np.ndarray], tracks: Mapping[str, Sequence[str]], spaces: Mapping[str, str], most: int = 6
) -> Iterable[Row]:
    """What to draw of one region: each track, or the mean over the tracks of each target where there are many.

    Parameters
    ----------
    effects : target -> float (position, base, tracks). tracks : target -> their names.
    spaces : target -> what a score is. most : tracks in all that are drawn one by one.
    """
    each = sum(len(names) for names in tracks.values()) <= most
    for target, values in effects.items():
        scale = f"difference of the {spaces[target]}"
        if each:
            for place, track in enumerate(tracks[target]):
                title = track if track == target else f"{target}: {track}"
                yield Row(title, scale, values[..., place])
        else:
            count = len(tracks[target])
            title = target if count == 1 else f"{target}: mean over {count} tracks"
            yield Row(title, scale, values.mean(axis=-1))
