"""How scores grow with the data: a table and a figure of networks that were trained on growing parts of their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.names import slug
from seqmill.evaluation.runs import Run, open_runs
from seqmill.formats.drawing import BLUE, GREY, WIDTH, log_axis, new_figure, save, say, style
from seqmill.metrics.catalogue import describe
from seqmill.stores.layout import noun_folder, upstream
from seqmill.stores.search import write_tsv

POINTS, SUMMARY = "points.tsv", "summary.tsv"
COLUMNS = ("fraction", "rows", "fold", "seed", "target", "target_kind", "over", "metric", "value", "tracks")
GROUP = ["target", "target_kind", "over", "metric", "fraction"]
MAX_PANELS = 6


@dataclass(frozen=True)
class Point:
    """One network of a curve: the fraction of the training rows it saw, how many these are, and its predictions."""

    fraction: float
    rows: int
    predictions: Path


def _scores(point: Point, run: Run) -> Iterator[dict[str, Any]]:
    """A line for each metric: the mean over the tracks that have a value, or of the target as a whole."""
    for target in run.reader.targets:
        for scores in run.scores(target):
            for metric, values in zip(scores.metrics, scores.value):
                known = values[~np.isnan(values)]
                yield {
                    "fraction": point.fraction,
                    "rows": point.rows,
                    "fold": run.fold,
                    "seed": run.seed,
                    "target": target,
                    "target_kind": scores.kind,
                    "over": "target" if scores.whole else "mean of tracks",
                    "metric": metric,
                    "value": float(known.mean()) if len(known) else float("nan"),
                    "tracks": len(known),
                }
        run.forget()


def summary_of(points: pd.DataFrame) -> pd.DataFrame:
    """Mean, smallest and largest value, and standard deviation over folds and seeds, for each fraction.

    The standard deviation (n - 1) says how runs differ, not how sure the mean is: runs share their data.
    """
    groups = points.groupby(GROUP, sort=False)
    table = groups["value"].agg(["mean", "std", "min", "max", "count"]).rename(columns={"count": "runs"}).reset_index()
    rows = groups["rows"].mean().round().astype(int).reset_index(drop=True)
    table.insert(len(GROUP), "rows", rows)
    return table


def write_curve(
    out: str | Path, *, name: str, points: Sequence[Point], parameters: dict[str, Any], figures: bool = True
) -> None:
    """Write the table of all networks of a curve, its summary and figures.

    Parameters
    ----------
    out : ``…/curves/{curve}``: ``points.tsv`` (each network, target and metric), ``summary.tsv`` (over folds and
        seeds), ``figures/{target}.svg``.
    points : the networks, with predictions of the test parts of their folds.
    parameters : for the run record.

    Raises
    ------
    InputError
        The predictions were made from different versions of the dataset.
    """
    inputs = upstream(*[point.predictions for point in points])
    with noun_folder(out, noun="curve", label=name, inputs=inputs, parameters=parameters) as (part, attrs, _):
        opened = {run.reader.folder: run for run in open_runs([point.predictions for point in points], name)}
        ordered = sorted(points, key=lambda point: point.fraction)
        rows = [row for point in ordered for row in _scores(point, opened[point.predictions])]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        summary = summary_of(table)
        write_tsv(part / POINTS, table)
        write_tsv(part / SUMMARY, summary)
        targets = list(dict.fromkeys(table["target"]))
        for target in targets if figures else []:
            chosen = table["target"] == target, summary["target"] == target
            _draw(part / "figures" / f"{slug(target)}.svg", name, table[chosen[0]], summary[chosen[1]])
        attrs |= {"fractions": sorted({point.fraction for point in points}), "targets": targets}


def _draw(path: Path, name: str, points: pd.DataFrame, summary: pd.DataFrame) -> None:
    """A panel for each metric: every network a dot, the mean a line; rows on a logarithmic axis."""
    metrics = list(dict.fromkeys(zip(summary["over"], summary["metric"])))[:MAX_PANELS]
    columns = min(2, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = new_figure(WIDTH, 2.5 * rows + 0.2)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (over, metric) in zip(panels, metrics):
        each = points[(points["over"] == over) & (points["metric"] == metric)]
        mean = summary[(summary["over"] == over) & (summary["metric"] == metric)]
        style(axes)
        axes.plot(each["rows"], each["value"], ".", color=GREY)
        axes.plot(mean["rows"], mean["mean"], "-", color=BLUE, linewidth=1.8)
        log_axis(axes, list(mean["rows"]))
        say(axes, x="training rows", y=describe(metric).label, title=over)
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    save(figure, path)
