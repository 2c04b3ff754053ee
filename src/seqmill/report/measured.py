"""What the report says of effects that were measured by experiment: numbers beside controls and baselines, pictures."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.evaluation.measured import (
    ALL,
    AUROC,
    CEILING,
    MEAN,
    PEARSON,
    PERFECT,
    RANDOM,
    SIGN,
    SIZE,
    SPEARMAN,
    STATED,
    TRACK,
    lines_of,
)
from seqmill.formats.drawing import BLUE, GREY, INK, ORANGE, legend, new_figure, say, style, svg
from seqmill.report.figures import svg_uri
from seqmill.report.words import number
from seqmill.stores.measured import (
    CONSERVATION,
    DISTANCE,
    KMER,
    MEASURED,
    NEGATIVE,
    NETWORK,
    PWM,
    Column,
    MeasuredReader,
)

MAX_PICTURES = 24
MAX_DOTS = 4000
NAMES = {
    NETWORK: "network", KMER: "k-mer baseline", PWM: "motif matches", DISTANCE: "distance",
    CONSERVATION: "conservation", RANDOM: "control: measured values shuffled",
    PERFECT: "control: the measured values themselves", CEILING: "most that the noise of the measurement allows",
}  # fmt: skip
METRICS = {
    PEARSON: "Pearson’s r", SPEARMAN: "Spearman’s ρ", SIZE: "Spearman’s ρ of sizes", SIGN: "share of signs that agree",
    AUROC: "AUROC against variants without an effect",
}  # fmt: skip
WORDS = {
    "saturation": "Single bases of each element were changed and the change of activity was measured.",
    "qtl": "Each variant has a measured direction: which allele has more signal.",
    "pairs": "Of each pair of alleles one was measured to have more signal.",
    "mpra": "Sequences were measured for their activity.",
}


def gather_measured(folder: Path) -> dict[str, Any]:
    """One set of measured effects as the page shows it."""
    reader = MeasuredReader(folder)
    attrs, scores, summary = reader.attrs, reader.scores(), reader.summary()
    elements = list(dict.fromkeys(summary["element"]))
    elements = [name for name in elements if name == ALL] + [name for name in elements if name != ALL]
    target = attrs["targets"][0]
    shown = [_element(name, summary, scores, reader.columns, target, attrs["kind"]) for name in elements]
    drawn = 0
    for item in shown:
        drawn += item["figure"] is not None
        if drawn > MAX_PICTURES:
            item["figure"] = None
    keys = ("name", "model", "kind", "n", "stated", "files", "notes", "kmer", "backgrounds", "block_bp", "resamples")
    return {key: attrs[key] for key in keys} | {
        "what": WORDS[attrs["kind"]],
        "negatives": int((scores["role"] == NEGATIVE).sum()),
        "members": len(attrs["models"]),
        "runs": attrs["runs"],
        "both_strands": attrs["both_strands"],
        "spaces": sorted(set(attrs["spaces"].values())),
        "dropped": reader.dropped().to_dict("records"),
        "elements": shown,
        "finding": finding(summary),
    }


def finding(summary: pd.DataFrame) -> list[str]:
    """In words, what the first metric says of the network in each target, beside chance and baselines."""
    rows = summary[(summary["predictor"] == NETWORK) & summary["over"].isin([MEAN, STATED])]
    if rows.empty:
        return []
    metric, element = rows["metric"].iloc[0], ALL if (rows["element"] == ALL).any() else rows["element"].iloc[0]
    rows = rows[(rows["metric"] == metric) & (rows["element"] == element)]
    chance = 0.5 if metric in (SIGN, AUROC) else 0.0
    found = []
    for row in rows.to_dict("records"):
        who = f"{row['target']}, {row['over']}"
        if row["against"]:
            other = NAMES[row["against"]]
            word = {1: "better than", -1: "worse than", 0: "not clearly different from"}[_side(row, 0.0)]
            plus = "+" if row["value"] > 0 else ""
            text = f"{who}: the network is {word} the {other} ({plus}{number(row['value'])}{_bounds(row)})"
        else:
            word = {1: "more than chance", -1: "less than chance", 0: "not told from chance"}[_side(row, chance)]
            text = f"{who}: {METRICS[metric]} {number(row['value'])}{_bounds(row)}, {word}"
        found.append(text + (f"; {row['note']}" if row["note"] else "") + ".")
    return found


def _side(row: dict[str, Any], chance: float) -> int:
    if math.isnan(row["ci_low"]):
        return 0
    return 1 if row["ci_low"] > chance else -1 if row["ci_high"] < chance else 0


def _bounds(row: dict[str, Any]) -> str:
    return "" if math.isnan(row["ci_low"]) else f" [{number(row['ci_low'])}, {number(row['ci_high'])}]"


def _element(
    name: str, summary: pd.DataFrame, scores: pd.DataFrame, columns: list[Column], target: str, kind: str
) -> dict[str, Any]:
    rows = summary[summary["element"] == name]
    tracks = rows[(rows["over"] == TRACK) & (rows["predictor"] == NETWORK)]
    spread = [
        {"target": key[0], "metric": METRICS[key[1]], "count": len(part), "low": part["value"].min(),
         "middle": part["value"].median(), "high": part["value"].max()}
        for key, part in tracks.groupby(["target", "metric"], sort=False)
    ]  # fmt: skip
    lines = [
        {"metric": METRICS[row["metric"]], "who": _who(row), "value": row["value"], "ci_low": row["ci_low"],
         "ci_high": row["ci_high"], "p": row["p"], "n": row["n"], "blocks": row["blocks"], "note": row["note"],
         "difference": bool(row["against"])}
        for row in rows[rows["over"] != TRACK].to_dict("records")
    ]  # fmt: skip
    found = {"name": name, "lines": lines, "spread": spread, "figure": None, "words": ""}
    part = scores[(scores["element"] == name) & (scores["role"] == MEASURED)]
    mean = next((line for line in lines_of(part, columns, None) if line.target == target and line.over == MEAN), None)
    if len(part) and mean is not None and np.isfinite(mean.values).any():
        found["figure"] = picture(part, mean.values, kind)
        found["words"] = f"{target}, mean of tracks"
    return found


def _who(row: dict[str, Any]) -> str:
    own = ", ".join(text for text in (row["target"], row["over"]) if text)
    who = NAMES[row["predictor"]] + (f" ({own})" if own else "")
    return f"{who} less {NAMES[row['against']]}" if row["against"] else who


def picture(part: pd.DataFrame, predicted: np.ndarray, kind: str) -> str:
    """Measured beside predicted values; along elements also both by position, in their own standard deviations.

    Returns
    -------
    data URI of an SVG image.
    """
    along = kind == "saturation" and part["position_1based"].nunique() > 1
    figure = new_figure(7.2, 2.8)
    axes = style(figure.add_subplot(1, 3, 1) if along else figure.add_subplot())
    measured = part["measured"].to_numpy(np.float64)
    step = -(-len(part) // MAX_DOTS)
    if kind == "pairs":
        axes.hist(predicted[np.isfinite(predicted)], bins=40, color=BLUE)
        axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        say(axes, x="predicted: strong less weak", y="pairs")
    else:
        axes.plot(measured[::step], predicted[::step], ".", color=BLUE, markersize=4, alpha=0.6, markeredgewidth=0)
        axes.axhline(0, color=GREY, linewidth=0.6)
        axes.axvline(0, color=GREY, linewidth=0.6)
        say(axes, x="measured", y="predicted")
    if along:
        axes = style(figure.add_subplot(1, 3, (2, 3)))
        position = part["position_1based"].to_numpy()
        for values, colour, label in ((measured, ORANGE, "measured"), (predicted, BLUE, "predicted")):
            mean = pd.Series(values).groupby(position).mean()
            axes.plot(mean.index, mean / (mean.std() or 1.0), color=colour, linewidth=1, label=label)
        axes.axhline(0, color=GREY, linewidth=0.6)
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.locator_params(axis="x", nbins=4)
        say(axes, x="position", y="mean effect / its deviation")
        legend(axes, loc="lower right", ncols=2)
    return svg_uri(svg(figure))
