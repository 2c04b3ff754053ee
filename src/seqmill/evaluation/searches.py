"""Pictures of searches, and their nested scores beside the optimistic ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.formats.drawing import BLUE, GREY, ORANGE, WIDTH, legend, log_axis, new_figure, plain, save, say, style
from seqmill.stores.layout import noun_folder
from seqmill.stores.search import write_tsv

SCORES, FIGURE = "scores.tsv", "scores.svg"
COLUMNS = (
    *("fold", "trials", "best_trial", "optimistic_loss", "optimistic_mean_loss", "optimistic_score"),
    *("nested_loss", "nested_mean_loss", "nested_score", "settings"),
)
MAX_PANELS = 9


def draw_trials(path: Path, table: pd.DataFrame, keys: Sequence[str], importance: Mapping[str, float]) -> None:
    """Draw the values of all trials over their numbers, and over each setting (the most important first).

    Bad values would leave no room for the good ones: those far above the median are triangles at the upper edge.

    Parameters
    ----------
    table : as `seqmill.stores.search.write_search` writes it. keys : of the settings. importance : their shares.
    """
    shown = sorted(keys, key=lambda key: (-importance.get(key, 0.0), list(keys).index(key)))[: MAX_PANELS - 1]
    columns = min(2, 1 + len(shown))
    rows = -(-(1 + len(shown)) // columns)
    figure = new_figure(WIDTH, 2.5 * rows + 0.2)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    whole = table[table["state"] == "complete"]
    axes, top = style(panels[0]), _top(whole["value"])
    pruned = table[table["state"] == "pruned"].dropna(subset=["value"])
    _dots(axes, pruned["number"], pruned["value"], top, color=GREY, label="stopped early")
    _dots(axes, whole["number"], whole["value"], top, color=BLUE, label="whole")
    if len(whole):
        axes.step(whole["number"], np.minimum.accumulate(whole["value"]), where="post", color=ORANGE, label="best")
    say(axes, x="trial", y="validation loss")
    legend(axes)
    for axes, key in zip(panels[1:], shown):
        _draw_setting(style(axes), key, whole, top, importance.get(key))
    for axes in panels[1 + len(shown) :]:
        axes.set_visible(False)
    save(figure, path)


def _top(values: pd.Series) -> float:
    """Upper edge of the values that are drawn where they lie: three times as far from the best as the median is."""
    if values.nunique() < 2:
        return float("inf")
    best, middle, worst = float(values.min()), float(values.median()), float(values.max())
    return min(worst, best + 3 * (middle - best)) if middle > best else worst


def _dots(axes: Any, x: Any, values: pd.Series, top: float, **look: Any) -> None:
    inside = (values <= top).to_numpy()
    x = np.asarray(x)
    axes.plot(x[inside], values[inside], ".", **look)
    axes.plot(x[~inside], np.full((~inside).sum(), top), "^", color=look["color"], markersize=5)


def _draw_setting(axes: Any, key: str, whole: pd.DataFrame, top: float, share: float | None) -> None:
    values = whole[key]
    if pd.api.types.is_numeric_dtype(values):
        _dots(axes, values, whole["value"], top, color=BLUE)
        if len(values) and values.min() > 0 and values.max() / values.min() > 20:
            log_axis(axes)
    else:
        names = sorted(set(values.astype(str)))
        _dots(axes, [names.index(str(value)) for value in values], whole["value"], top, color=BLUE)
        axes.set_xticks(range(len(names)), [plain(name, 16) for name in names])
        axes.margins(x=0.2)
    say(axes, x=key, title="" if share is None else f"{share:.0%} of the spread")


def score_of(loss: float, mean_loss: float | None) -> float:
    """Share of the loss of predicting the mean that a network takes away: 1 is perfect, 0 no better; NaN if unknown.

    >>> score_of(0.25, 1.0)
    0.75
    """
    return 1 - loss / mean_loss if mean_loss else float("nan")


def write_scores(
    out: str | Path, *, name: str, rows: Sequence[Mapping[str, Any]], inputs: dict[str, str], parameters: dict[str, Any]
) -> None:
    """Write nested scores beside the optimistic ones.

    Parameters
    ----------
    out : ``…/search_scores/{search}``.
    rows : for each fold what `COLUMNS` names, but for the two scores: ``optimistic`` is of the best trial on the rows
        it was chosen by, ``nested`` of a network trained with its settings on the test part, which no trial has read;
        each with the loss of predicting the mean of the training labels on the same rows.
    inputs : labels and digests of what this was made from. parameters : for the run record.
    """
    filled = [
        {
            **row,
            "optimistic_score": score_of(row["optimistic_loss"], row["optimistic_mean_loss"]),
            "nested_score": score_of(row["nested_loss"], row["nested_mean_loss"]),
        }
        for row in rows
    ]
    table = pd.DataFrame(filled, columns=list(COLUMNS))
    with noun_folder(out, noun="search-scores", label=name, inputs=inputs, parameters=parameters) as (part, attrs, _):
        write_tsv(part / SCORES, table)
        _draw_scores(part / FIGURE, table)
        attrs |= {"folds": [row["fold"] for row in rows]}


def _draw_scores(path: Path, table: pd.DataFrame) -> None:
    what = "score" if table["nested_score"].notna().all() else "loss"
    figure = new_figure(5.6, 2.6)
    axes = style(figure.subplots(1, 1), grid="y")
    for place, column in enumerate((f"optimistic_{what}", f"nested_{what}")):
        axes.plot(np.full(len(table), place), table[column], "o", color=(ORANGE, BLUE)[place])
    for _, row in table.iterrows():
        axes.plot([0, 1], [row[f"optimistic_{what}"], row[f"nested_{what}"]], color=GREY, linewidth=0.8, zorder=1)
    axes.set_xticks([0, 1], ["best trial, on the rows\nit was chosen by", "nested: test part,\nread by no trial"])
    axes.set_xlim(-0.4, 1.4)
    say(
        axes,
        y="1 − loss / loss of the mean" if what == "score" else "loss",
        title="1 fold" if len(table) == 1 else f"{len(table)} folds",
    )
    save(figure, path)
