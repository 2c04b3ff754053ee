"""ROC and precision-recall curves of yes/no tracks: each track thin, their mean thick, models together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqmill.evaluation.runs import Run
from seqmill.evaluation.scores import pieces
from seqmill.formats.drawing import GREY, WIDTH, colours, legend, new_figure, say, style

GRID = np.linspace(0, 1, 201)
MAX_TRACKS = 200
MAX_THIN = 60
SLAB_VALUES = 25_000_000


def curve(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """ROC and precision-recall curve of one track on fixed grids.

    Parameters
    ----------
    truth : (n,) 0 or 1. score : (n,) larger means more likely 1.

    Returns
    -------
    True positive rate at each false positive rate of `GRID`, and precision at each recall of `GRID` (of the highest
    cut-off that reaches it); None where a class is missing.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
    positives, called = np.cumsum(truth[order])[last].astype(np.float64), np.flatnonzero(last) + 1.0
    if not len(positives) or positives[-1] in (0, called[-1]):
        return None
    recall, wrong = positives / positives[-1], (called - positives) / (called[-1] - positives[-1])
    rate = np.interp(GRID, np.append(0.0, wrong), np.append(0.0, recall))
    reached = np.searchsorted(recall, np.maximum(GRID, recall[recall > 0][0]), side="left")
    return rate, (positives / called)[reached]


def _columns(run: Run, target: str, tracks: Sequence[int]) -> Any:
    """(truth, score) of each track, slab by slab."""
    step = max(1, SLAB_VALUES // max(run.reader.n, 1))
    for start in range(0, len(tracks), step):
        chosen = list(tracks[start : start + step])
        parts = [part[1:] for part in pieces(run.reader, target, chosen)]
        truth, score, mask = (np.concatenate([part[i] for part in parts]) for i in range(3))
        for column in range(truth.shape[1]):
            known = mask[:, column]
            yield truth[known, column], score[known, column]


def mean_curves(runs: Sequence[Run], target: str, tracks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """ROC and precision-recall curves (tracks, grid), each the mean over runs (of folds); NaN where undefined."""
    total, count = np.zeros((2, len(tracks), len(GRID))), np.zeros(len(tracks))
    for run in runs:
        for place, (truth, score) in enumerate(_columns(run, target, tracks) if run.reader.n else ()):
            found = curve(truth, score)
            if found is not None:
                total[:, place] += found
                count[place] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        roc, pr = total / count[:, None]
    return roc, pr


def draw_curves(
    models: Sequence[tuple[str, str, Sequence[Run]]], target: str, tracks: Sequence[int], prevalence: float
) -> Any:
    """Figure with a ROC and a precision-recall panel.

    Parameters
    ----------
    models : name, kind and runs (one of each fold). tracks : which are drawn, as places on the track axis.
    prevalence : mean share of positives, drawn as a line.
    """
    figure = new_figure(WIDTH, 3.7)
    roc_axes, pr_axes = (style(axes) for axes in figure.subplots(1, 2))
    thin = set(np.linspace(0, len(tracks) - 1, min(MAX_THIN, len(tracks))).round().astype(int))
    shown: set[str] = set()
    for (name, kind, runs), (colour, line) in zip(models, colours(kind for _, kind, _ in models)):
        curves = mean_curves(runs, target, tracks)
        for axes, each in zip((roc_axes, pr_axes), curves):
            # the tracks of every model would be one grey cloud
            if kind not in (*shown, "published") and len(tracks) > 1:
                for place in thin:
                    axes.plot(GRID, each[place], color=colour, linewidth=0.6, alpha=0.3, zorder=2)
            defined = each[~np.isnan(each).any(axis=1)]
            if len(defined):
                options = {"color": colour, "linestyle": line, "linewidth": 2.2, "zorder": 3}
                axes.plot(GRID, defined.mean(axis=0), label=name, **options)
        shown.add(kind)
    guess = {"color": GREY, "linewidth": 1, "linestyle": (0, (2, 2)), "zorder": 1, "label": "guessing"}
    roc_axes.plot([0, 1], [0, 1], **guess)
    pr_axes.axhline(prevalence, **guess)
    for axes in (roc_axes, pr_axes):
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.02)
        axes.set_aspect("equal")
    say(roc_axes, x="false positive rate", y="true positive rate", title="ROC")
    say(pr_axes, x="recall", y="precision", title=f"precision and recall (prevalence {prevalence:.3g})")
    legend(roc_axes, loc="lower right")
    return figure
