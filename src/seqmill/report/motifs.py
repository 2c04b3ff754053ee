"""What the report says of motifs: logos with counts and matches, effects in backgrounds, spacing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.formats.drawing import BLUE, GREEN, ORANGE, PURPLE, legend, plain
from seqmill.report.figures import Line, dot_plot, name_axes, new_axes, svg, svg_uri
from seqmill.report.motif_logo import heights, logo, turned
from seqmill.stores.motifs import MotifsReader

MAX_PATTERNS = 40
MAX_FILTERS = 30
MAX_EFFECTS = 24
MAX_PLOTS = 8
SHOWN_Q = 0.5
"""Above it the nearest known motif is no match."""
_LOOK = {"++": (BLUE, "-"), "+-": (ORANGE, "--"), "-+": (GREEN, "-."), "--": (PURPLE, ":")}


def gather_motifs(folder: Path) -> dict[str, Any]:
    """Motifs of one section of the configuration, as the page shows them."""
    reader = MotifsReader(folder)
    attrs = reader.attrs
    marginal, spacing = reader.table("marginal"), reader.table("spacing")
    patterns, filters = reader.table("patterns"), reader.table("filters")
    drawn = filters[filters["sites"] > 0].sort_values("information_bits", ascending=False, kind="stable")
    tracks = marginal[["target", "track"]].drop_duplicates()
    return {
        "name": str(attrs["name"]),
        "model": str(attrs["model"]),
        "map": str(attrs["map"]),
        "searched": bool(attrs["searched"]),
        "regions": attrs["regions"],
        "runs": attrs["runs"],
        "sources": attrs["sources"],
        "database": attrs["database"],
        "absent": [str(name) for name in attrs["absent"]],
        "patterns": _patterns(reader, patterns, marginal),
        "hidden_patterns": max(0, len(patterns) - MAX_PATTERNS),
        "filters": _filters(reader, drawn.head(MAX_FILTERS)),
        "hidden_filters": max(0, len(drawn) - MAX_FILTERS),
        "all_filters": len(filters),
        "filters_of": str(attrs["filters_of"]),
        "silent": int((filters["sites"] == 0).sum()),
        "several_tracks": len(tracks) > 1,
        "effects": _effects(marginal, attrs["spaces"]),
        "marginal": attrs["marginal"],
        "spacing": _spacing(spacing, attrs["spaces"]),
    }


def _aligned(reader: MotifsReader) -> dict[str, tuple[dict[str, Any], np.ndarray, int]]:
    """Motif to its best match, that one's heights as they lie below the motif, and the column they begin at."""
    known, found = reader.known(), {}
    table = reader.table("matches")
    for line in table[(table["rank"] == 1) & (table["q"] <= SHOWN_Q)].to_dict("records"):
        values = heights(known[line["name"]].pwm)
        found[line["motif"]] = (line, values if line["strand"] == "+" else turned(values), int(line["offset"]))
    return found


def _match(line: dict[str, Any] | None) -> dict[str, Any]:
    if line is None:
        return {"match": "", "alias": "", "p": None, "q": None, "strand": ""}
    return {key: line[key] for key in ("alias", "p", "q", "strand")} | {"match": line["name"]}


def _patterns(reader: MotifsReader, table: pd.DataFrame, marginal: pd.DataFrame) -> list[dict[str, Any]]:
    aligned, lines = _aligned(reader), []
    bases = dict(iter(reader.table("contributions").groupby("motif", sort=False)))
    best = _strongest(marginal)
    for row in table.head(MAX_PATTERNS).to_dict("records"):
        values = bases[row["motif"]][list("ACGT")].to_numpy(float)
        line, known, offset = aligned.get(row["motif"], (None, None, 0))
        lines.append(
            {key: row[key] for key in ("motif", "target", "track", "seqlets", "regions", "consensus", "contribution")}
            | _match(line)
            | {"logo": logo(values, known, offset), "reverse": logo(turned(values)), "effect": best.get(row["motif"])}
        )
    return lines


def _filters(reader: MotifsReader, table: pd.DataFrame) -> list[dict[str, Any]]:
    aligned, motifs, lines = _aligned(reader), reader.motifs(), []
    for row in table.to_dict("records"):
        values = heights(motifs[row["motif"]].pwm)
        line, known, offset = aligned.get(row["motif"], (None, None, 0))
        lines.append(
            {key: row[key] for key in ("motif", "sites", "consensus", "information_bits")}
            | _match(line)
            | {"logo": logo(values, known, offset), "reverse": logo(turned(values))}
        )
    return lines


def _strongest(marginal: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Of each motif the line (strand, track) with the largest effect."""
    order = marginal.assign(size=marginal["effect"].abs()).sort_values("size", ascending=False, kind="stable")
    return {line["motif"]: line for line in order.drop_duplicates("motif").to_dict("records")}


def _effects(marginal: pd.DataFrame, spaces: dict[str, str]) -> list[dict[str, Any]]:
    """A plot and a table for each target: of each motif and strand the track where it does most."""
    found = []
    for target, part in marginal.groupby("target", sort=False):
        part = part.assign(size=part["effect"].abs()).sort_values("size", ascending=False, kind="stable")
        part = part.drop_duplicates(["motif", "strand"])
        shown = part.head(MAX_EFFECTS)
        several = part["track"].nunique() > 1
        lines = [
            Line(f"{row['motif']} {row['strand']}{', ' + row['track'] if several else ''}", *_bounds(row))
            for row in shown.to_dict("records")
        ]
        space = str(spaces.get(str(target), ""))
        found.append(
            {
                "target": str(target),
                "space": space,
                "figure": dot_plot(lines, f"difference of the score ({space})", reference=0.0),
                "lines": shown.to_dict("records"),
                "hidden": len(part) - len(shown),
            }
        )
    return found


def _bounds(row: dict[str, Any]) -> tuple[float, float, float]:
    return row["effect"], row["ci_low"], row["ci_high"]


def _spacing(spacing: pd.DataFrame, spaces: dict[str, str]) -> list[dict[str, Any]]:
    """A plot for each pair and track, those with the largest co-operation first."""
    groups = list(spacing.groupby(["motif_a", "motif_b", "target", "track"], sort=False))
    groups.sort(key=lambda group: -group[1]["cooperation"].abs().max())
    found = []
    for (first, second, target, track), part in groups[:MAX_PLOTS]:
        best = part.loc[part["cooperation"].abs().idxmax()]
        title = f"{first} and {second}, {track if track == target else f'{target}: {track}'}"
        found.append(
            {
                "title": title,
                "figure": _plot(part, str(spaces.get(str(target), ""))),
                "best": {key: best[key] for key in ("orientation", "distance_bp", "cooperation", "ci_low", "ci_high")},
                "alone": (float(best["effect_a"]), float(best["effect_b"])),
                "both": float(best["effect_both"]),
            }
        )
    return found


def _plot(part: pd.DataFrame, space: str) -> str:
    figure, axes = new_axes(5.6, 2.9)
    for orientation, lines in part.groupby("orientation", sort=False):
        colour, dashes = _LOOK[str(orientation)]
        lines = lines.sort_values("distance_bp")
        band = lines["distance_bp"], lines["ci_low"], lines["ci_high"]
        axes.fill_between(*band, color=colour, alpha=0.15, linewidth=0)
        marks = {"color": colour, "linewidth": 1.6, "marker": ".", "label": plain(orientation)}
        axes.plot(lines["distance_bp"], lines["cooperation"], dashes, **marks)
    axes.axhline(0, color="#22272e", linewidth=0.8)
    axes.grid(axis="y", color="#d7dade", linewidth=0.6)
    name_axes(axes, "bases between the two", f"co-operation ({space})")
    legend(axes, title="strands", title_fontsize=8)
    return svg_uri(svg(figure))
