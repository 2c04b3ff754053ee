"""Scores of tracks in one number: of all tracks, of a group of tracks, and how each line of the table says it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from seqmill.evaluation.resample import intervals
from seqmill.evaluation.scores import Scores

COLUMNS = (
    *("model", "kind", "fold", "seed", "runs", "target", "target_kind", "over", "group", "track", "metric", "value"),
    *("n", "n_pos", "prevalence", "ci_low", "ci_high", "blocks", "note"),
)


def enough_blocks(scores: Scores) -> int:
    """Blocks to draw an interval from; 0 where a fold is a single block, which cannot vary."""
    return scores.blocks if scores.spread else 0


def parts_of(scores: Scores) -> Iterator[tuple[str, str, np.ndarray]]:
    """What is averaged, as ``over`` and ``group`` of the tables, and which tracks that is (bool).

    All tracks; each group, where there are several; or the target as a whole.
    """
    every = np.ones(len(scores.tracks), bool)
    if scores.whole:
        yield "target", "", every
        return
    yield "mean of tracks", "", every
    names = list(dict.fromkeys(scores.groups))
    if len(names) > 1:
        for name in names:
            yield "mean of group", name, np.array([group == name for group in scores.groups])


def summary(function: Callable[..., Any], values: np.ndarray) -> np.ndarray:
    """``function`` over the tracks that are defined (last axis); NaN if none is."""
    defined = ~np.isnan(values).all(axis=-1)
    out = np.full(values.shape[:-1], np.nan)
    if defined.any():
        out[defined] = function(values[defined], axis=-1)
    return out


def metric_rows(scores: Scores, run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of the metric table: all tracks and groups in one number, then each track.

    Parameters
    ----------
    run : model, kind, fold, seed, target.
    """
    for i, metric in enumerate(scores.metrics):
        common = {**run, "target_kind": scores.kind, "metric": metric, "blocks": scores.blocks, "runs": scores.runs}
        for over, group, chosen in parts_of(scores):
            if scores.whole:
                continue
            for name, function in (("median", np.nanmedian), ("mean", np.nanmean)):
                said = {"over": over.replace("mean", name), "group": group, "track": ""}
                yield {**common, **said, **_summarised(scores, i, chosen, function)}
        yield from ({**common, **line} for line in _each(scores, i))


def _summarised(scores: Scores, i: int, chosen: np.ndarray, function: Callable[..., Any]) -> dict[str, Any]:
    value = float(summary(function, scores.value[i][chosen][None])[0])
    again = summary(function, scores.resampled[i][:, chosen].astype(np.float64))
    (low,), (high,), (note,) = intervals(again[:, None], enough_blocks(scores))
    undefined = int(np.isnan(scores.value[i][chosen]).sum())
    if np.isnan(value):
        low, high, note = np.nan, np.nan, "undefined for every track"
    elif undefined:
        note = "; ".join(filter(None, [note, f"{undefined} of {int(chosen.sum())} tracks undefined"]))
    counts = _counts(int(scores.n[i][chosen].sum()), int(scores.positives[chosen].sum()), scores)
    return {"value": value, "ci_low": low, "ci_high": high, "note": note, **counts}


def _each(scores: Scores, i: int) -> Iterator[dict[str, Any]]:
    low, high, notes = intervals(scores.resampled[i], enough_blocks(scores))
    for j, track in enumerate(scores.tracks):
        note, gaps = notes[j], int(scores.gaps[i, j]) if scores.gaps is not None else 0
        if np.isnan(scores.value[i, j]):
            low[j] = high[j] = np.nan
            note = f"undefined: {scores.reasons.get((i, j), 'no value')}"
        elif gaps:
            note = "; ".join(filter(None, [note, f"undefined in {gaps} of {scores.runs} runs"]))
        yield {
            "over": "target" if scores.whole else "track",
            "group": scores.groups[j],
            "track": "" if scores.whole else track,
            "value": scores.value[i, j],
            "ci_low": low[j],
            "ci_high": high[j],
            "note": note,
            **_counts(int(scores.n[i, j]), int(scores.positives[j]), scores),
        }


def _counts(n: int, positives: int, scores: Scores) -> dict[str, Any]:
    if (scores.positives < 0).any():
        return {"n": n}
    return {"n": n, "n_pos": positives, "prevalence": positives / n if n else np.nan}
