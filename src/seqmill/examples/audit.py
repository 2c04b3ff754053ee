"""Independent checks that no part of a dataset has seen another, made on the final rows."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from seqmill.runtime.errors import SeqmillError


def check_extents(rows: pd.DataFrame, margin_bp: int) -> None:
    """Raise if extents (window and margins) of rows of different folds share a base.

    The bases that each fold covers are counted for each fold alone and for all together; the counts agree if and
    only if no base is in two folds. This knows nothing of how the split was made.
    """
    for (genome, contig), part in rows.groupby(["genome", "contig"], observed=True, sort=False):
        low, high = part["start"].to_numpy() - margin_bp, part["end"].to_numpy() + margin_bp
        folds = part["fold"].to_numpy()
        alone = sum(_union_bp(low[folds == fold], high[folds == fold]) for fold in pd.unique(folds))
        if alone != _union_bp(low, high):
            raise SeqmillError(f"windows of different folds overlap on {genome} {contig}: the split is not sound")


def _union_bp(starts: np.ndarray, ends: np.ndarray) -> int:
    """Bases covered by at least one interval, by a sweep over its ends."""
    place = np.concatenate([starts, ends])
    step = np.concatenate([np.ones(len(starts), np.int64), np.full(len(ends), -1)])
    order = np.lexsort((-step, place))
    depth = np.cumsum(step[order])
    return int(np.diff(place[order])[depth[:-1] > 0].sum())


def foreign_copies(keys: Iterable[bytes], ranks: np.ndarray) -> np.ndarray:
    """Rows whose sequence is also in a part of lower rank.

    Parameters
    ----------
    keys : one key a row, equal for copies.
    ranks : integer (n,), rank of each row's part; of copies those in the lowest part stay.

    Returns
    -------
    bool (n,), True for rows to drop.
    """
    keys = list(keys)
    best: dict[bytes, int] = {}
    for key, rank in zip(keys, ranks.tolist()):
        if rank < best.get(key, rank + 1):
            best[key] = rank
    return np.fromiter((best[key] < rank for key, rank in zip(keys, ranks.tolist())), dtype=bool, count=len(keys))
