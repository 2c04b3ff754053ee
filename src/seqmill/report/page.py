"""The report: one HTML file that needs nothing else, opens from disk and prints.

It holds no script, and its content security policy forbids any: names come from sheets of strangers. Every string
passes the template engine's escaping; figures are images.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from seqmill import __version__
from seqmill.config.models import Report
from seqmill.metrics.catalogue import describe
from seqmill.report import collect, words
from seqmill.report.figures import Line, dot_plot, training_curves
from seqmill.runtime.files import atomic_write
from seqmill.runtime.progress import human_bytes, human_seconds

MAX_LINES = 300
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
        "figure": dot_plot(dots, about.label, reference=guessing),
    }


def _guessing(metric: str, columns: list[pd.DataFrame]) -> float | None:
    """What guessing gives; for AUPRC the share of positives, mean over tracks, as the large mark is."""
    if metric != "auprc":
        return describe(metric).guessing
    share = pd.concat(columns)["prevalence"].mean()
    return None if pd.isna(share) else float(share)


def _targets(table: pd.DataFrame, figures: list[dict[str, str]]) -> list[dict[str, Any]]:
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


def _comparisons(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each target and metric the lines of networks against baselines, with a figure of the differences."""
    found = []
    several = set(table.loc[table["runs"] > 1, "network"])
    table = table[(table["fold"] == ALL) | table["network"].isin(several)]
    for (target, metric), lines in table[table["group"] == ""].groupby(["target", "metric"], sort=False):
        about, rows = describe(metric), lines.to_dict("records")
        for row in rows:
            row["tone"] = words.VERDICTS.get(row["verdict"], "even")
            row["run"] = words.run(row["network"], row["fold"], row["seed"], row["runs"])
        dots = [Line(f"{row['run']} − {row['baseline']}", *_bounds(row)) for row in rows]
        figure = dot_plot(dots, f"difference in {about.label}", reference=0)
        side = "Left" if about.lower_is_better else "Right"
        found.append({"target": target, "label": about.label, "rows": rows, "figure": figure, "better_side": side})
    return found


def _bounds(row: dict[str, Any]) -> tuple[float, float, float]:
    return row["difference"], row["ci_low"], row["ci_high"]


def _headlines(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first metric of every target: each network beside each baseline, for the top of the page."""
    found = []
    for item in evaluations:
        seen = set()
        for comparison in item["comparisons"]:
            if comparison["target"] not in seen:
                seen.add(comparison["target"])
                rows = [row for row in comparison["rows"] if row["fold"] == ALL]
                found += [{"dataset": item["name"], "label": comparison["label"], **row} for row in rows]
    return found[:20]


def _networks(folders: list[Path]) -> list[dict[str, Any]]:
    return [{**network, "figure": training_curves(network["runs"])} for network in collect.models(folders)]


def _machine(machine: dict[str, Any]) -> str:
    memory = human_bytes(machine.get("memory_bytes") or 0)
    cpu, cores, system = (machine.get(key) or "unknown" for key in ("cpu", "cores", "system"))
    return f"Processor {cpu}, {cores} cores, {memory} memory, {system}"


def _records(folders: Iterable[Path]) -> dict[str, Any]:
    """Run records, what they have in common, and their sums."""
    records = [record for folder in folders if (record := collect.run_record(folder))]
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["versions"].items():
            versions.setdefault(package, set()).add(str(version))
    machines = {_machine(record["machine"]) for record in records if record["machine"]}
    return {
        "lines": records[:MAX_LINES],
        "hidden": max(0, len(records) - MAX_LINES),
        "seconds": sum(record["seconds"] or 0 for record in records),
        "versions": {package: ", ".join(sorted(found)) for package, found in sorted(versions.items())},
        "machines": sorted(machines),
    }


def gather(
    report: Report, evaluations: list[Path], datasets: list[Path], models: list[Path], predictions: list[Path]
) -> dict[str, Any]:
    """Everything the template shows."""
    judged = [collect.evaluation(folder) for folder in evaluations]
    for item in judged:
        item["targets"] = _targets(item.pop("metrics"), item.pop("figures"))
        item["comparisons"] = _comparisons(item.pop("comparison"))
    upstream = list(collect.upstream_folders(datasets))
    parts = [folder / part for folder in datasets for part in collect.read_marker(folder).parts]
    return {
        "title": report.title,
        "version": __version__,
        "headlines": _headlines(judged),
        "sources": collect.sources(datasets),
        "datasets": [collect.dataset(folder) for folder in datasets],
        "networks": _networks(models),
        "evaluations": judged,
        "record": _records([*upstream, *parts, *models, *predictions, *evaluations]),
        "max_lines": MAX_LINES,
    }


def render(context: dict[str, Any]) -> str:
    """The page as text, from what `gather` found."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("seqmill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "plural": words.plural,
        "percent": words.percent,
        "short": words.short,
        "seconds": lambda value: human_seconds(value) if value is not None else "–",
        "bytes": lambda value: human_bytes(value) if value else "–",
    }
    style = files("seqmill.report").joinpath("templates/page.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        **context, interval=words.interval, style=Markup(style), style_digest=digest
    )


def write_report(
    path: str | Path,
    *,
    report: Report,
    evaluations: list[Path],
    datasets: list[Path],
    models: list[Path],
    predictions: list[Path],
) -> None:
    """Write the report page.

    Parameters
    ----------
    path : HTML file to write, whole or not at all.
    report : section of the configuration.
    evaluations, datasets, models, predictions : folders of the nouns to report on. Genome and track stores are found
        beside the datasets.

    Apart from the run record the page is the same for the same nouns.
    """
    page = render(gather(report, *(list(map(Path, group)) for group in (evaluations, datasets, models, predictions))))
    atomic_write(path, page.encode("utf-8", "replace"))
