"""How networks and baselines were judged: lines, figures and cards from the tables of an evaluation."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from seqmill.metrics.catalogue import describe
from seqmill.report import words
from seqmill.report.figures import Line, dot_plot

MAX_LINES = 300
MAX_CARD_LINES = 12
MAX_DRAWN = 30
"""Lines of a figure; where there are more, only the means over runs are drawn."""
ALL = "all"


def _runs(table: pd.DataFrame) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """Name, whether it is the mean of runs, and lines of each model and its runs; a single run is its own mean."""
    pooled = table[table["fold"] == ALL]
    several = set(pooled.loc[pooled["runs"] > 1, "model"])
    for (model, fold, seed), lines in table.groupby(["model", "fold", "seed"], sort=False):
        if fold == ALL or model in several:
            yield words.run(model, fold, seed, lines["runs"].iloc[0]), fold == ALL, lines


def _metric(table: pd.DataFrame, metric: str) -> dict[str, Any]:
    """One metric of one target: a line for each model and run, a figure, and the table of tracks."""
    about = describe(metric)
    lines, dots, columns = [], [], []
    for name, pooled, run in _runs(table[table["metric"] == metric]):
        over = {key: part.iloc[0].to_dict() for key, part in run.groupby("over", sort=False)}
        mean = over["target"] if "target" in over else over["mean of tracks"]
        tracks = run[run["over"] == "track"].set_index("track")
        network = mean["kind"] != "baseline"
        lines.append({"run": name, "pooled": pooled, "network": network, "mean": mean, "tracks": len(tracks)})
        lines[-1]["median"] = over.get("median of tracks")
        dots.append(Line(name, mean["value"], mean["ci_low"], mean["ci_high"], list(tracks["value"]), network))
        if pooled:
            columns.append(tracks)
    names = list(columns[0].index)
    guessing = _guessing(metric, columns)
    thinned = len(lines) > MAX_DRAWN and any(not line["pooled"] for line in lines)
    drawn = [dot for dot, line in zip(dots, lines) if line["pooled"] or not thinned]
    tracks = [
        {
            "name": name,
            "first": columns[0].loc[name].to_dict(),
            "cells": [column.loc[name].to_dict() if name in column.index else None for column in columns],
        }
        for name in names[:MAX_LINES]
    ]
    return {
        "label": about.label,
        "reading": about.reading,
        "lines": lines,
        "tracks": tracks,
        "hidden": max(0, len(names) - MAX_LINES),
        "guessing": guessing is not None,
        "bars": any(not pd.isna(dot.low) for dot in drawn),
        "figure": dot_plot(drawn, about.label, reference=guessing),
        "thinned": thinned,
    }


def _guessing(metric: str, columns: list[pd.DataFrame]) -> float | None:
    """What guessing gives; for AUPRC the share of positives, mean over tracks, as the large mark is."""
    if metric != "auprc":
        return describe(metric).guessing
    share = pd.concat(columns)["prevalence"].mean()
    return None if pd.isna(share) else float(share)


def targets_of(table: pd.DataFrame, figures: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Metrics and figures of each target, from the metric table of a dataset."""
    return [
        {
            "name": name,
            "kind": lines["target_kind"].iloc[0],
            "tracks": lines.loc[lines["over"] == "track", "track"].nunique(),
            "metrics": [_metric(lines, metric) for metric in lines["metric"].unique()],
            "figures": [figure for figure in figures if figure["target"] == name],
        }
        for name, lines in table.groupby("target", sort=False)
    ]


def comparisons_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each target and metric the lines of networks against baselines, with a figure of the differences."""
    found = []
    several = set(table.loc[table["runs"] > 1, "network"])
    table = table[(table["fold"] == ALL) | table["network"].isin(several)]
    for (target, metric), lines in table[table["group"] == ""].groupby(["target", "metric"], sort=False):
        about, rows = describe(metric), lines.to_dict("records")
        for row in rows:
            row["tone"] = words.VERDICTS.get(row["verdict"], "even")
            row["run"] = words.run(row["network"], row["fold"], row["seed"], row["runs"])
        drawn = [row for row in rows if len(rows) <= MAX_DRAWN or row["fold"] == ALL]
        dots = [Line(f"{row['run']} − {row['baseline']}", *_bounds(row)) for row in drawn[:MAX_LINES]]
        figure = dot_plot(dots, f"difference in {about.label}", reference=0)
        side = "Left" if about.lower_is_better else "Right"
        shared = {"target": target, "label": about.label, "better_side": side, "thinned": len(drawn) < len(rows)}
        shared["bars"] = any(not pd.isna(row["ci_low"]) for row in drawn)
        found.append({**shared, "rows": rows, "figure": figure})
    return found


def _bounds(row: dict[str, Any]) -> tuple[float, float, float]:
    return row["difference"], row["ci_low"], row["ci_high"]


def headlines(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A card for every dataset and target: its first metric, each network and beside it each baseline."""
    found = []
    for item in evaluations:
        seen = set()
        for comparison in item["comparisons"]:
            if comparison["target"] in seen:
                continue
            seen.add(comparison["target"])
            rows = [row for row in comparison["rows"] if row["fold"] == ALL]
            networks: dict[str, dict[str, Any]] = {}
            for row in rows[:MAX_CARD_LINES]:
                network = networks.setdefault(
                    row["run"], {"run": row["run"], "value": row["network_value"], "rows": []}
                )
                network["rows"].append(row)
            if rows:
                about = {"dataset": item["name"], "label": comparison["label"], "hidden": len(rows[MAX_CARD_LINES:])}
                shared = {key: rows[0][key] for key in ("target", "over", "tracks")}
                found.append(about | shared | {"networks": list(networks.values())})
    return found
