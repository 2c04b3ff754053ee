"""Metrics of one target of one set of predictions: for every track, the value and its resampled values."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqmill.evaluation.kinds import KINDS, Kind, metrics_of
from seqmill.evaluation.ranked import Monotone, Ranked
from seqmill.evaluation.resample import Blocks
from seqmill.evaluation.sums import BlockSums
from seqmill.metrics.ranking import auprc, auroc
from seqmill.metrics.regression import spearman
from seqmill.runtime.errors import InputError
from seqmill.stores.specs import track_names

VALUES = {"auroc": auroc, "auprc": auprc, "spearman": spearman}
SLAB_BYTES = 256_000_000
FEWEST_BLOCKS = 2


@dataclass
class Scores:
    """Scores of one target, of each track or of the target as a whole.

    Attributes
    ----------
    kind, metrics : target kind, names of metrics. tracks, groups : names of tracks and their groups.
    whole : whether the only "track" is the target itself.
    value : (metrics, tracks) float64, NaN where undefined.
    resampled : (metrics, resamples, tracks) float32, the metric on every resample of the blocks.
    n : (metrics, tracks) values judged. positives : (tracks,) how many of them are 1, -1 where that means nothing.
    blocks : how many there are; ``spread`` is False where a fold has too few of them to say how a metric varies.
    reasons : (metric, track) to why the value is undefined. runs : how many runs these are the mean of.
    gaps : (metrics, tracks) how many of these have no value; None for a single run. mask : digest of what was judged.
    """

    kind: str
    metrics: tuple[str, ...]
    tracks: list[str]
    groups: list[str]
    whole: bool
    value: np.ndarray
    resampled: np.ndarray
    n: np.ndarray
    positives: np.ndarray
    blocks: int
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    spread: bool = True
    gaps: np.ndarray | None = None
    runs: int = 1
    mask: str = ""


def track_groups(spec: Any, tracks: Sequence[str]) -> list[str]:
    """Group of each track; empty where the store does not tell."""
    return list(spec.track_groups) if len(spec.track_groups) == len(tracks) else [""] * len(tracks)


def pieces(
    reader: Any, target: str, tracks: slice | list[int], also: Any = None
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Row ranges with truth, prediction and mask (rows, ..., tracks) of some tracks.

    Parameters
    ----------
    reader : a predictions store, opened. also : another one, whose mask limits what is known.
    """
    spec = reader.targets[target]
    width = int(np.prod(spec.shape_per_example, dtype=np.int64))
    step = max(1, min(8192, SLAB_BYTES // (64 * max(width, 1))))
    for start in range(0, reader.n, step):
        rows = slice(start, min(start + step, reader.n))
        reads = [reader.truth, reader.predicted, reader.mask, *([also.mask] if also else [])]
        arrays = [read(target, rows.start, rows.stop) for read in reads]
        truth, predicted, mask, *limit = (x[..., tracks] if spec.shape_per_example else x[:, None] for x in arrays)
        for other in limit:
            mask = mask & other
        if truth.dtype.kind == "f":
            mask = mask & ~np.isnan(truth)
        if np.isnan(predicted[mask]).any():
            raise InputError(reader.folder, f"predictions of target {target} hold NaN", record=f"rows from {start}")
        yield rows, truth, predicted, mask


def _slabs(tracks: int, each: int) -> Iterator[slice]:
    """Ranges of tracks that fit into memory together, given bytes of one."""
    step = max(1, SLAB_BYTES // max(each, 1))
    for start in range(0, tracks, step):
        yield slice(start, min(start + step, tracks))


def score_target(reader: Any, target: str, blocks: Blocks, draws: np.ndarray, also: Any = None) -> list[Scores]:
    """Score one target by the entry of its kind in `seqmill.evaluation.kinds.KINDS`.

    Parameters
    ----------
    reader : a predictions store, opened. also : another one; only what both know is judged.
    blocks : blocks of its rows. draws : (resamples, blocks) how often each block is drawn.

    Returns
    -------
    Scores of the tracks, then of the target as a whole, whichever the kind has; none for a kind that is not judged.
    """
    spec = reader.targets[target]
    kind = KINDS.get(spec.kind)
    if kind is None:
        return []
    tracks, found = track_names(spec), []
    if kind.ranked or kind.summed():
        scores = _empty(spec.kind, metrics_of(kind), tracks, track_groups(spec, tracks), False, draws, blocks)
        _score_tracks(scores, kind, reader, target, blocks, draws, also)
        found.append(scores)
    if kind.whole():
        metrics = tuple(name for statistic in kind.whole() for name in statistic.names)
        whole = _empty(spec.kind, metrics, [target], [""], True, draws, blocks)
        sums = [BlockSums(statistic, blocks.count) for statistic in kind.whole()]
        for rows, truth, predicted, mask in pieces(reader, target, slice(None), also):
            for one in sums:
                one.add(truth, predicted, mask, blocks.index[rows])
        _fill(whole, slice(0, 1), sums, draws)
        found.append(whole)
    return found


def _empty(
    kind: str,
    metrics: tuple[str, ...],
    tracks: list[str],
    groups: list[str],
    whole: bool,
    draws: np.ndarray,
    blocks: Blocks,
) -> Scores:
    shape = (len(metrics), len(tracks))
    return Scores(
        kind=kind,
        metrics=metrics,
        tracks=tracks,
        groups=groups,
        whole=whole,
        value=np.full(shape, np.nan),
        resampled=np.full((len(metrics), len(draws), len(tracks)), np.nan, np.float32),
        n=np.zeros(shape, np.int64),
        positives=np.full(len(tracks), -1, np.int64),
        blocks=blocks.count,
        spread=blocks.count >= FEWEST_BLOCKS,
    )


def _score_tracks(
    scores: Scores, kind: Kind, reader: Any, target: str, blocks: Blocks, draws: np.ndarray, also: Any
) -> None:
    columns = 9 * reader.n if kind.ranked else 0
    digest = hashlib.sha256()
    for slab in _slabs(len(scores.tracks), columns + 64 * blocks.count):
        sums = [BlockSums(statistic, blocks.count) for statistic in kind.summed()]
        shape = (slab.stop - slab.start, reader.n if kind.ranked else 0)
        held = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, bool)
        for rows, truth, predicted, mask in pieces(reader, target, slab, also):
            digest.update(np.packbits(mask).tobytes())
            for one in sums:
                one.add(truth, predicted, mask, blocks.index[rows])
            if kind.ranked:
                for column, piece in zip(held, kind.view(truth, predicted, mask)):
                    column[:, rows] = piece.T
        _fill(scores, slab, sums, draws)
        if kind.ranked is not None:
            for track, (truth, predicted, mask) in enumerate(zip(*held), start=slab.start):
                if kind.positives:
                    scores.positives[track] = int(truth[mask].sum())
                scorer = kind.ranked(truth[mask], predicted[mask], blocks.index[mask])
                _rank(scores, track, scorer, truth[mask], predicted[mask], draws)
    scores.mask = digest.hexdigest()


def _fill(scores: Scores, slab: slice, sums: list[BlockSums], draws: np.ndarray) -> None:
    """Fill in the metrics that follow from sums."""
    for one in sums:
        names, places = one.statistic.names, [scores.metrics.index(name) for name in one.statistic.names]
        if one.table is None:  # no rows at all
            scores.reasons |= {(place, j): "no values" for place in places for j in range(slab.start, slab.stop)}
            continue
        whole, again = one.values(np.ones((1, draws.shape[1]))), one.values(draws)
        for i, place in enumerate(places[: len(names)]):
            scores.n[place, slab] = one.judged
            scores.value[place, slab], scores.resampled[place, :, slab] = whole[i, 0], again[i]
            for j in range(slab.start, slab.stop):
                if np.isnan(scores.value[place, j]):
                    scores.reasons[place, j] = one.statistic.undefined if scores.n[place, j] else one.statistic.empty


def _rank(
    scores: Scores,
    track: int,
    scorer: Ranked | Monotone,
    truth: np.ndarray,
    predicted: np.ndarray,
    draws: np.ndarray,
) -> None:
    """Fill in the metrics of one track that need its values in order."""
    again = scorer.resampled(draws)
    for i, name in enumerate(scorer.names):
        place = scores.metrics.index(name)
        scores.n[place, track] = len(truth)
        scores.value[place, track], reason = VALUES[name](truth, predicted)
        scores.resampled[place, :, track] = again[:, i]
        if reason:
            scores.reasons[place, track] = reason


def mean_of(parts: Sequence[Scores], *, folds: bool) -> Scores:
    """The mean of scores of the same tracks.

    Parameters
    ----------
    folds : the parts are of different test rows, whose values and blocks add up; else they are of the same rows.

    A part in which a track is undefined is left out of its mean; so is one that is undefined in a resample. Resamples
    of parts must have been drawn together (same rows) or independently (folds).
    """
    first = parts[0]
    for part in parts:
        if (part.tracks, part.metrics) != (first.tracks, first.metrics):
            raise ValueError("scores of different tracks or metrics have no mean")
    if len(parts) == 1:
        return first
    gaps = [np.isnan(part.value).astype(np.int64) if part.gaps is None else part.gaps for part in parts]
    value = _nanmean([part.value for part in parts])
    positives = first.positives
    if folds:
        positives = np.where(positives >= 0, np.sum([part.positives for part in parts], axis=0), -1)
    return Scores(
        kind=first.kind,
        metrics=first.metrics,
        tracks=first.tracks,
        groups=first.groups,
        whole=first.whole,
        value=value,
        resampled=_nanmean([part.resampled for part in parts]).astype(np.float32),
        n=np.sum([part.n for part in parts], axis=0) if folds else first.n,
        positives=positives,
        blocks=sum(part.blocks for part in parts) if folds else first.blocks,
        reasons={key: reason for key, reason in first.reasons.items() if np.isnan(value[key])},
        spread=all(part.spread for part in parts),
        gaps=np.sum(gaps, axis=0),
        runs=sum(part.runs for part in parts),
        mask=first.mask,
    )


def _nanmean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of arrays of one shape, float64, NaN left out; NaN where all are."""
    total, count = np.zeros(arrays[0].shape), np.zeros(arrays[0].shape, np.int32)
    for array in arrays:
        known = ~np.isnan(array)
        total += np.where(known, array, 0.0)
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
