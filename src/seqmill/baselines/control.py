"""The control of a dataset as features: a baseline sees what a network sees, or the control would be its lead."""

from typing import Any

import numpy as np


def control_totals(x: np.ndarray) -> np.ndarray:
    """log(1 + sum over the window) of each track, gaps as 0; (n, bins, track) to float32 (n, track)."""
    total = np.nan_to_num(x).sum(axis=1, dtype=np.float64)
    return np.log1p(np.maximum(total, 0)).astype(np.float32)


def control_at_bins(x: np.ndarray, control: Any, target: Any) -> np.ndarray:
    """log(1 + mean over the control's bins that touch each bin of a target), 0 beyond the control's ends.

    Parameters
    ----------
    x : (n, bins of the control, track), gaps as NaN, read as 0. control, target : specs without margin.

    Returns
    -------
    float32 (n, bins of the target, track).
    """
    starts = target.offset_bp + np.arange(target.shape_per_example[0]) * target.bp_per_bin - control.offset_bp
    first = np.clip(starts // control.bp_per_bin, 0, x.shape[1])
    last = np.clip(-(-(starts + target.bp_per_bin) // control.bp_per_bin), 0, x.shape[1])
    total = np.zeros((len(x), x.shape[1] + 1, x.shape[2]))
    np.cumsum(np.nan_to_num(x), axis=1, out=total[:, 1:])
    mean = (total[:, last] - total[:, first]) / np.maximum(last - first, 1)[:, None]
    return np.log1p(np.maximum(mean, 0)).astype(np.float32)
