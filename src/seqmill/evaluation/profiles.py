"""Example windows of a profile target: measured signal, and what network and baseline predict for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqmill.evaluation.kinds import KINDS
from seqmill.evaluation.runs import Run
from seqmill.formats.drawing import SHADE, WIDTH, colours, legend, new_figure, say, style

PERCENTILES = (90, 50, 10)
MAX_WINDOWS = 256
MAX_BYTES = 512_000_000


def pick_windows(correlation: np.ndarray) -> list[tuple[int, int]]:
    """(percentile, window): the windows whose r lies nearest to the percentiles of all; NaN is left out.

    >>> pick_windows(np.array([0.1, np.nan, 0.5, 0.9]))
    [(90, 3), (50, 2), (10, 0)]
    """
    known = np.flatnonzero(~np.isnan(correlation))
    found = []
    for percentile in PERCENTILES if len(known) else ():
        aim = np.percentile(correlation[known], percentile)
        found.append((percentile, int(known[np.argmin(np.abs(correlation[known] - aim))])))
    return found


def draw_profiles(models: Sequence[tuple[str, str, Run]], target: str, track: int, name: str) -> tuple[Any, int] | None:
    """Figure of three test windows, near the 90th, 50th and 10th percentile of the first model's r within a window.

    Parameters
    ----------
    models : name, kind and run of one fold, the same test rows; the first is the one that windows are picked by.
    track : its place. name : of the track.

    Returns
    -------
    The figure, and from how many windows the three were picked (a run of the test part); None where r is undefined in
    all of them.
    """
    reader = models[0][2].reader
    spec = reader.targets[target]
    width = 4 * int(np.prod(spec.shape_per_example))
    n = min(reader.n, MAX_WINDOWS, max(16, MAX_BYTES // width))
    truth, mask = (read(target, 0, n)[..., track] for read in (reader.truth, reader.mask))
    guesses = [run.reader.predicted(target, 0, n)[..., track] for _, _, run in models]
    within = KINDS["contact"].summed()[1]
    each = within.terms(truth[..., None], guesses[0][..., None], mask[..., None] & ~np.isnan(truth[..., None]))
    chosen = pick_windows(np.where(each[0] > 0, each[1], np.nan)[:, 0])
    if not chosen:
        return None
    rows = reader.rows()
    figure = new_figure(WIDTH, 1.75 * len(chosen) + 0.4)
    for place, (axes, (percentile, window)) in enumerate(
        zip(figure.subplots(len(chosen), 1, squeeze=False)[:, 0], chosen)
    ):
        style(axes, grid="y")
        at, where = _position(rows.iloc[window], spec, truth.shape[1])
        axes.fill_between(at, np.where(mask[window], truth[window], np.nan), step="mid", color=SHADE, label="measured")
        for (model, _, _), guess, (colour, line) in zip(models, guesses, colours(kind for _, kind, _ in models)):
            axes.plot(at, guess[window], color=colour, linestyle=line, linewidth=1.5, label=model)
        title = f"{percentile}th percentile, r = {each[1, window, 0]:.2f}: {where}"
        say(axes, y=name if place == 0 else "", title=title)
        axes.margins(x=0.005)
        if place == 0:
            legend(axes, loc="upper right", ncols=3, bbox_to_anchor=(1.0, 1.3))
    say(axes, x="position in the contig (kb)" if rows["start"].iloc[chosen[-1][1]] >= 0 else "bin", title=title)
    return figure, n


def _position(row: Any, spec: Any, bins: int) -> tuple[np.ndarray, str]:
    """Middle of each bin in kb, and the window in words; numbers of bins where the row has no place."""
    if row["start"] < 0 or not spec.bp_per_bin:
        return np.arange(bins), str(row["name"]) or f"row {row['source_row']}"
    start = row["start"] + spec.offset_bp
    at = start + (np.arange(bins) + 0.5) * spec.bp_per_bin
    return at / 1000, f"{row['contig']}:{start:,}–{start + bins * spec.bp_per_bin:,}"
