"""The look of all figures, and how they are written: the same bytes for the same numbers."""

import io
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from seqmill.runtime.files import atomic_path, atomic_write

# Okabe & Ito's colour-blind-safe palette (Okabe and Ito 2008, Color Universal Design).
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#007a5a", "#8a8f98"
PURPLE, SKY, YELLOW = "#aa4499", "#56b4e9", "#e69f00"
INK, RULE, SHADE = "#22272e", "#d7dade", "#c9ced4"
COLOURS = {"network": (BLUE, GREEN, SKY, PURPLE), "baseline": (ORANGE, YELLOW), "published": (INK, GREY)}
STYLES = {"network": "-", "baseline": (0, (5, 2)), "published": (0, (1, 1.5))}
WIDTH = 7.2


def plain(text: Any, limit: int = 60) -> str:
    """``text`` fit for a figure: printable characters only, shortened."""
    clean = "".join(c if c.isprintable() else " " for c in str(text).encode("utf-8", "replace").decode())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in inches, on white."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "seqmill"
    matplotlib.rcParams["svg.fonttype"] = "path"
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasSVG(figure)
    return figure


def style(axes: Any, *, grid: str = "both") -> Any:
    """Quiet spines and ticks, a light grid along ``grid`` ("x", "y" or "both")."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=RULE)
    axes.grid(axis=grid, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def say(axes: Any, *, x: str = "", y: str = "", title: str = "") -> None:
    """Name the axes; text is drawn as it is, never as mathematics."""
    axes.set_xlabel(plain(x), color=INK, fontsize=9)
    axes.set_ylabel(plain(y), color=INK, fontsize=9)
    if title:
        axes.set_title(plain(title), color=INK, fontsize=9, loc="left")
    as_written([axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title, *axes.get_xticklabels()])
    as_written(axes.get_yticklabels())


def log_axis(axes: Any, places: Sequence[float] | None = None) -> None:
    """A logarithmic x axis with plain numbers: at ``places`` as far as there is room, else where they fall.

    matplotlib's own labels are mathematics, which `say` turns off.
    """
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if places is not None:
        axes.xaxis.set_major_locator(FixedLocator(_apart(sorted(places))))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))


def _apart(places: Sequence[float]) -> list[float]:
    """The last of ``places`` and those before it that lie at least an eighth of the logarithmic range apart."""
    room = math.log(places[-1] / places[0]) / 8
    kept: list[float] = []
    for place in reversed(places):
        if not kept or math.log(kept[-1] / place) >= room:
            kept.append(place)
    return kept[::-1]


def short_number(value: float) -> str:
    """A number short enough for an axis.

    >>> short_number(0.00001), short_number(950), short_number(12000), short_number(2.5e6)
    ('1e-5', '950', '12k', '2.5M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}".replace("e-0", "e-")


def as_written(texts: Iterable[Any]) -> None:
    """Keep names with dollar signs from being set as mathematics."""
    for text in texts:
        text.set_parse_math(False)


def legend(axes: Any, **more: Any) -> None:
    """A legend of what has a label."""
    made = axes.legend(frameon=False, fontsize=8, labelcolor=INK, **more)
    as_written(made.get_texts())


def colours(kinds: Iterable[str]) -> list[tuple[str, Any]]:
    """Colour and line style of each model, by its kind; the same for the same list."""
    used: dict[str, int] = {}
    found = []
    for kind in kinds:
        which = used[kind] = used.get(kind, -1) + 1
        found.append((COLOURS[kind][which % len(COLOURS[kind])], STYLES[kind]))
    return found


def svg(figure: Any) -> bytes:
    """The figure as SVG, without date or program."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save(figure: Any, path: Path) -> None:
    """Write the figure as SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, svg(figure))


def save_png(figure: Any, path: Path) -> None:
    """Write the figure as PNG at 150 dots per inch, without date or program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), atomic_path(path) as part:
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(part, format="png", dpi=150, metadata={"Software": None})
