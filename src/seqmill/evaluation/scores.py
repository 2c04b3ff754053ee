"""Metrics of one target of one set of predictions: for every track, the value and its resampled values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.evaluation.resample import Blocks, Monotone, Ranked, Sums
from seqmill.metrics.ranking import auprc, auroc
from seqmill.metrics.regression import spearman
from seqmill.runtime.errors import InputError

METRICS = {
    "binary": ("auroc", "auprc"),
    "quantity": ("pearson", "spearman", "r2"),
    "fraction": ("pearson", "spearman", "r2"),
    "count": ("pearson", "spearman", "r2"),
    "profile": ("pearson",),
}
VALUES = {"auroc": auroc, "auprc": auprc, "spearman": spearman}
SLAB_BYTES = 256_000_000


@dataclass
class TargetScores:
    """Scores of one target.

    Attributes
    ----------
    kind, tracks, metrics : target kind, names of tracks, names of metrics.
    value : (metrics, tracks) float64, NaN where undefined.
    resampled : (metrics, resamples, tracks) float32, the metric on every resample of the blocks.
    n, positives : (tracks,) values present, and how many of them are 1 (-1 unless the target is binary).
    reasons : (metric, track) to why the value is undefined.
    """

    kind: str
    tracks: list[str]
    metrics: tuple[str, ...]
    value: np.ndarray
    resampled: np.ndarray
    n: np.ndarray
    positives: np.ndarray
    reasons: dict[tuple[int, int], str]


def track_names(spec: Any, target: str) -> list[str]:
    """Names of the tracks of a target; a target without named tracks is one of its own name, or is numbered."""
    width = spec.shape_per_example[-1] if spec.shape_per_example else 1
    return list(spec.tracks) or ([target] if width == 1 else [f"{target} {i}" for i in range(width)])


def _pieces(reader: Any, target: str, tracks: slice) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Row ranges with truth, prediction and mask of some tracks."""
    spec = reader.targets[target]
    width = int(np.prod(spec.shape_per_example, dtype=np.int64))
    step = max(1, min(8192, SLAB_BYTES // (24 * max(width, 1))))
    for start in range(0, reader.n, step):
        rows = slice(start, min(start + step, reader.n))
        arrays = (read(target, rows.start, rows.stop) for read in (reader.truth, reader.predicted, reader.mask))
        truth, predicted, mask = (array[..., tracks] if spec.shape_per_example else array[:, None] for array in arrays)
        if truth.dtype.kind == "f":
            mask = mask & ~np.isnan(truth)
        if np.isnan(predicted[mask]).any():
            raise InputError(reader.folder, f"predictions of target {target} hold NaN", record=f"rows from {start}")
        yield rows, truth, predicted, mask


def _track_slabs(reader: Any, target: str, profile: bool, blocks: int) -> Iterator[slice]:
    """Ranges of tracks whose columns (or sums for each block) fit into memory together."""
    tracks = len(track_names(reader.targets[target], target))
    each = (48 * blocks) if profile else (48 * blocks + 9 * reader.n)
    step = max(1, SLAB_BYTES // max(each, 1))
    for start in range(0, tracks, step):
        yield slice(start, min(start + step, tracks))


def _sums(reader: Any, target: str, tracks: slice, blocks: Blocks) -> Sums:
    sums = None
    for rows, truth, predicted, mask in _pieces(reader, target, tracks):
        if sums is None:
            inner = tuple(range(truth.ndim - 1))
            present = np.maximum(mask.sum(axis=inner), 1)
            sums = Sums(blocks.count, np.where(mask, truth, 0).sum(axis=inner, dtype=np.float64) / present)
        sums.add(truth, predicted, mask, blocks.index[rows])
    return sums if sums is not None else Sums(blocks.count, np.zeros(tracks.stop - tracks.start))


def _columns(reader: Any, target: str, tracks: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = (tracks.stop - tracks.start, reader.n)
    truth, predicted, mask = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, bool)
    for rows, *pieces in _pieces(reader, target, tracks):
        for column, piece in zip((truth, predicted, mask), pieces):
            column[:, rows] = piece.T
    return truth, predicted, mask


def score_target(reader: Any, target: str, blocks: Blocks, draws: np.ndarray) -> TargetScores:
    """Score every track of ``target``.

    Parameters
    ----------
    reader : a predictions store, opened.
    blocks : blocks of its rows. draws : (resamples, blocks) how often each block is drawn.

    Returns
    -------
    `TargetScores`. Binary: AUROC and average precision. Quantity, fraction, count: Pearson's r, Spearman's
    correlation and R² (1 - residual / total sum of squares). Profile: Pearson's r over all bins of all rows.
    """
    spec = reader.targets[target]
    metrics, tracks = METRICS[spec.kind], track_names(spec, target)
    shape = (len(metrics), len(draws), len(tracks))
    scores = TargetScores(
        kind=spec.kind,
        tracks=tracks,
        metrics=metrics,
        value=np.full((len(metrics), len(tracks)), np.nan),
        resampled=np.full(shape, np.nan, np.float32),
        n=np.zeros(len(tracks), np.int64),
        positives=np.full(len(tracks), -1, np.int64),
        reasons={},
    )
    profile = len(spec.shape_per_example) > 1
    for slab in _track_slabs(reader, target, profile, blocks.count):
        if spec.kind != "binary":
            _score_sums(scores, slab, _sums(reader, target, slab, blocks), draws)
        if not profile:
            for offset, (truth, predicted, mask) in enumerate(zip(*_columns(reader, target, slab))):
                _score_column(scores, slab.start + offset, truth[mask], predicted[mask], blocks.index[mask], draws)
    return scores


def _score_sums(scores: TargetScores, slab: slice, sums: Sums, draws: np.ndarray) -> None:
    """Fill in what follows from sums: Pearson's r and R², for scalars and profiles alike."""
    scores.n[slab] = sums.table[0].sum(axis=0)
    whole, again = sums.values(np.ones((1, draws.shape[1]))), sums.values(draws)
    for i, name in enumerate(sums.names):
        if name in scores.metrics:
            place = scores.metrics.index(name)
            scores.value[place, slab], scores.resampled[place, :, slab] = whole[i, 0], again[i]
            for track in range(slab.start, slab.stop):
                if np.isnan(scores.value[place, track]):
                    reason = "truth or prediction is constant" if scores.n[track] else "no values"
                    scores.reasons[place, track] = reason


def _score_column(
    scores: TargetScores, track: int, truth: np.ndarray, predicted: np.ndarray, block: np.ndarray, draws: np.ndarray
) -> None:
    """Fill in the metrics of one track that need its values ranked."""
    scores.n[track] = len(truth)
    if scores.kind == "binary":
        scores.positives[track] = int(truth.sum())
    for name in scores.metrics:
        if name in VALUES:
            place = scores.metrics.index(name)
            scores.value[place, track], reason = VALUES[name](truth, predicted)
            if reason:
                scores.reasons[place, track] = reason
    scorer = (Ranked if scores.kind == "binary" else Monotone)(truth, predicted, block)
    again = np.array([scorer.values(line) for line in draws]).reshape(len(draws), len(scorer.names))
    for i, name in enumerate(scorer.names):
        scores.resampled[scores.metrics.index(name), :, track] = again[:, i]
