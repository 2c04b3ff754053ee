"""From a track's bins to the values of a dataset: coarser bins, then the sheet's transform, clips and scale."""

from dataclasses import dataclass

import numpy as np

from seqmill.config.sheet import Track
from seqmill.runtime.errors import InputError


@dataclass(frozen=True)
class Reduction:
    """How bins of a track become one value.

    Attributes
    ----------
    aggregate : mean, sum, max or min, as the track's bins were made.
    missing : "zero" or "nan". bin_bp : bp of one bin of the track.
    total : the sum over all bases instead (a count): a bin of means is worth ``bin_bp`` times its value.
    """

    aggregate: str
    missing: str
    bin_bp: int
    total: bool = False


def reduce_bins(pieces: np.ndarray, how: Reduction) -> np.ndarray:
    """Reduce the last axis.

    With missing "zero" every bin counts. With "nan" bins without data are left out, and a value is NaN only if none
    of its bins has data; a mean is then the mean over bins with data, each of equal weight (how much of a bin was
    covered is not kept). Bins of a contig that the file does not have are NaN and stay so.

    float32 (..., bins of the track) -> float64 (...); sums are made in float64.
    """
    name = "sum" if how.total else how.aggregate
    present = ~np.isnan(pieces)
    if name in ("mean", "sum"):
        result = np.sum(np.where(present, pieces, np.float32(0)), axis=-1, dtype=np.float64)
        if name == "mean":
            result /= np.maximum(present.sum(axis=-1), 1)
        elif how.total and how.aggregate == "mean":
            result *= how.bin_bp
    else:
        fill, function = (-np.inf, np.max) if name == "max" else (np.inf, np.min)
        result = function(np.where(present, pieces, np.float32(fill)), axis=-1).astype(np.float64)
    known = present.any(axis=-1) if how.missing == "nan" else present.all(axis=-1)
    return np.where(known, result, np.nan)


def transform(values: np.ndarray, track: Track, where: str) -> np.ndarray:
    """Apply the sheet's constants, in this order; they are given, never fitted.

    1. ``transform``: sqrt is -1 + sqrt(1 + x), log1p is log(1 + x).
    2. ``clip_soft`` c: above it x becomes c - 1 + sqrt(x - c + 1).
    3. ``clip`` c: x is cut to [-c, c].
    4. ``scale``: x is multiplied by it.

    This is the order of Basenji's `basenji_data_read.py` (Kelley et al. 2018, Genome Res 28:739). ``sign: flip`` is
    applied before, when the track store is written. NaN stays NaN.

    float (...) -> float32 (...).
    """
    values = np.asarray(values, dtype=np.float64)
    if track.transform != "none":
        low = np.nanmin(values, initial=0.0)
        if low < -1 or (low == -1 and track.transform == "log1p"):
            raise InputError(
                where,
                f"track {track.track} has the value {low:g}, which transform '{track.transform}' cannot take (it needs "
                "x >= -1); a log ratio takes transform none, a minus strand stored as negative values sign: flip",
            )
        values = np.sqrt(1 + values) - 1 if track.transform == "sqrt" else np.log1p(values)
    if track.clip_soft is not None:
        c = track.clip_soft
        values = np.where(values > c, c - 1 + np.sqrt(np.maximum(values - c + 1, 0)), values)
    if track.clip is not None:
        values = np.clip(values, -track.clip, track.clip)
    return (values * track.scale).astype(np.float32)
