"""Predicted against measured values, and tracks of one model against another's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqmill.evaluation.kinds import KINDS, logarithms
from seqmill.evaluation.runs import Run
from seqmill.evaluation.scores import pieces
from seqmill.formats.drawing import BLUE, GREY, INK, ORANGE, WIDTH, as_written, new_figure, plain, say, style
from seqmill.metrics.catalogue import describe

MANY = 1500
MAX_BARS = 100
MAX_NAMES = 5


def values_of(runs: Sequence[Run], target: str, kind: str, track: int) -> tuple[np.ndarray, np.ndarray]:
    """Measured and predicted values of one track, all runs (folds) together; logarithms of counts."""
    view = logarithms if kind == "count" else KINDS[kind].view
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for run in runs:
        whole = KINDS[kind].view is not KINDS["quantity"].view
        for _, *piece in pieces(run.reader, target, slice(track, track + 1) if not whole else slice(None)):
            truth, predicted, mask = view(*piece)
            column = track if whole else 0
            keep = mask[:, column]
            found[0].append(truth[keep, column])
            found[1].append(predicted[keep, column])
    truth, predicted = (np.concatenate(part) if part else np.zeros(0) for part in found)
    return truth, predicted


def draw_scatter(
    models: Sequence[tuple[str, str, Sequence[Run]]],
    target: str,
    kind: str,
    tracks: Sequence[tuple[int, str]],
    score: dict[tuple[str, str], float],
) -> Any:
    """Figure of predicted against measured values: a row for each track, a column for each model.

    Parameters
    ----------
    models : name, kind and runs (one of each fold). tracks : place and name.
    score : (model, track) to Pearson's r, for the titles.
    """
    figure = new_figure(WIDTH / 3 * max(len(models), 2) + 0.4, 2.4 * len(tracks) + 0.3)
    grid = figure.subplots(len(tracks), len(models), squeeze=False)
    scale = "log(1 + {})" if kind == "count" else "{}"
    for row, (place, track) in zip(grid, tracks):
        values = [values_of(runs, target, kind, place) for _, _, runs in models]
        frame = _frame([part for pair in values for part in pair])
        for axes, (name, model_kind, _), (truth, predicted) in zip(row, models, values):
            style(axes)
            if len(truth) > MANY:
                axes.hexbin(
                    truth, predicted, gridsize=36, extent=(*frame, *frame), bins="log", cmap="Blues", mincnt=1,
                    linewidths=0,
                )  # fmt: skip
            else:
                colour = ORANGE if model_kind == "baseline" else BLUE
                axes.plot(truth, predicted, ".", color=colour, markersize=4, alpha=0.45, markeredgewidth=0)
            axes.plot(frame, frame, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
            axes.set_xlim(*frame)
            axes.set_ylim(*frame)
            axes.set_aspect("equal")
            r = score.get((name, track), np.nan)
            said = f"{plain(name, 20)}: {plain(track, 24)}" + ("" if np.isnan(r) else f", r = {r:.2f}")
            say(axes, x=scale.format("measured"), y=scale.format("predicted"), title=said)
    return figure


def _frame(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ends of both axes: all but the most extreme values, and a little more."""
    ends = [np.percentile(part, [0.1, 99.9]) for part in values if len(part)] or [np.array([0.0, 1.0])]
    low, high = float(np.min(ends)), float(np.max(ends))
    edge = 0.04 * (high - low) or 0.5
    return low - edge, high + edge


def draw_tracks(
    pairs: pd.DataFrame, bounds: dict[tuple[str, str, str], tuple[float, float]], metrics: Sequence[str]
) -> Any:
    """Figure of tracks of a network against a baseline's: a panel for each metric, a diagonal, intervals.

    Parameters
    ----------
    pairs : lines of the paired table of tracks, of one network and one baseline.
    bounds : (model, track, metric) to the 95 % interval of the model alone.
    """
    figure = new_figure(WIDTH if len(metrics) > 1 else WIDTH / 2 + 0.4, 3.8)
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics):
        lines = pairs[(pairs["metric"] == metric) & pairs["difference"].notna()]
        _draw_pairs(style(axes), lines, bounds, metric)
    return figure


def _draw_pairs(axes: Any, lines: pd.DataFrame, bounds: dict[Any, tuple[float, float]], metric: str) -> None:
    about = describe(metric)
    network, baseline = lines["network"].iloc[0], lines["baseline"].iloc[0]
    x, y = lines["baseline_value"].to_numpy(float), lines["network_value"].to_numpy(float)
    if len(lines) <= MAX_BARS:
        for line in lines.itertuples():
            across = bounds.get((baseline, line.track, metric), (np.nan, np.nan))
            along = bounds.get((network, line.track, metric), (np.nan, np.nan))
            bar = {"color": GREY, "linewidth": 0.8, "alpha": 0.6, "zorder": 2}
            axes.plot(across, [line.network_value] * 2, **bar)
            axes.plot([line.baseline_value] * 2, along, **bar)
    size = 6 if len(lines) <= MAX_BARS else 3
    for verdict, marker, colour, label in (
        ("better than", "o", BLUE, f"{plain(network, 24)} better"),
        ("worse than", "s", ORANGE, f"{plain(baseline, 24)} better"),
        ("no clear difference", "o", "white", "no clear difference"),
        ("", "D", "white", "no interval"),
    ):
        said = ["better than", "worse than", "no clear difference"]
        of_verdict = lines["verdict"] == verdict if verdict else ~lines["verdict"].isin(said)
        chosen = of_verdict.to_numpy(bool)
        if chosen.any():
            rim = INK if colour == "white" else "white"
            look = {"color": colour, "markersize": size, "markeredgecolor": rim, "markeredgewidth": 0.8, "zorder": 4}
            axes.plot(x[chosen], y[chosen], marker, label=f"{label} ({chosen.sum()})", **look)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    edge = 0.08 * (high - low) or 0.05
    frame = (low - edge, high + edge)
    axes.plot(frame, frame, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(*frame)
    axes.set_ylim(*frame)
    axes.set_aspect("equal")
    better = (y - x) * (-1 if about.lower_is_better else 1)
    named = [i for i in np.argsort(better, kind="stable")[:MAX_NAMES] if better[i] < 0 or len(lines) <= MAX_NAMES]
    for turn, place in enumerate(sorted(named, key=lambda i: x[i])):
        right = x[place] > (low + 2 * high) / 3
        at = {"xytext": (-6 if right else 6, -10 if turn % 2 else 6), "ha": "right" if right else "left"}
        text = plain(lines["track"].iloc[place], 22)
        look = {"textcoords": "offset points", "fontsize": 7, "color": INK, "zorder": 5}
        as_written([axes.annotate(text, (x[place], y[place]), **at, **look)])
    say(axes, x=f"{about.label}, {plain(baseline, 24)}", y=f"{about.label}, {plain(network, 24)}")
    made = axes.legend(frameon=False, fontsize=7, labelcolor=INK, handletextpad=0.2, loc="best")
    as_written(made.get_texts())
