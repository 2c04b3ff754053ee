"""The order of rows: partitioned by (pool, fold), shuffled once inside each part."""

import numpy as np
import pandas as pd


def ordered_rows(rows: pd.DataFrame, pools: list[str], folds: list[str], seed: int) -> pd.DataFrame:
    """Rows by pool and fold, in the order of the two lists, shuffled inside each part.

    The shuffle of a part depends on the seed, the names of pool and fold and the rows of this part alone, so that a
    change elsewhere leaves it as it is.
    """
    pieces = []
    for pool in pools:
        for fold in folds:
            part = np.flatnonzero(((rows["pool"] == pool) & (rows["fold"] == fold)).to_numpy())
            words = list(f"{pool}\0{fold}".encode())
            pieces.append(part[np.random.default_rng([seed, 5, *words]).permutation(len(part))])
    order = np.concatenate(pieces)
    if len(order) != len(rows):
        raise ValueError("rows in a pool or fold that is not listed")
    return rows.iloc[order].reset_index(drop=True)
