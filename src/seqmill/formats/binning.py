"""From values at bases to values of bins, with both meanings of a gap."""

from typing import Literal

import numpy as np

Aggregate = Literal["mean", "sum", "max", "min"]
Missing = Literal["zero", "nan"]
AGGREGATES = ("mean", "sum", "max", "min")
MISSING = ("zero", "nan")


def aggregate_bases(values: np.ndarray, bin_bp: int, aggregate: Aggregate, missing: Missing) -> np.ndarray:
    """Bin values of consecutive bases.

    Parameters
    ----------
    values : float64 (bases,), NaN where there is no data; the first base opens a bin.
    bin_bp : bases a bin; the last bin may hold fewer (the end of a contig).
    aggregate : mean, sum, max or min.
    missing : ``zero``: a base without data counts as 0, so that a mean is the sum over the number of bases of the
        bin; ``nan``: bases without data are left out, and a bin without any is NaN.

    Returns
    -------
    float64 (ceil(bases / bin_bp),).
    """
    edges = np.arange(0, len(values), bin_bp)
    size = np.diff(np.append(edges, len(values)))
    covered = ~np.isnan(values)
    if missing == "zero":
        filled = np.where(covered, values, 0.0)
        if aggregate == "max":
            return np.maximum.reduceat(filled, edges)
        if aggregate == "min":
            return np.minimum.reduceat(filled, edges)
        sums = np.add.reduceat(filled, edges)
        return sums / size if aggregate == "mean" else sums
    count = np.add.reduceat(covered.astype(np.int64), edges)
    if aggregate == "max":
        out = np.maximum.reduceat(np.where(covered, values, -np.inf), edges)
    elif aggregate == "min":
        out = np.minimum.reduceat(np.where(covered, values, np.inf), edges)
    else:
        out = np.add.reduceat(np.where(covered, values, 0.0), edges)
        if aggregate == "mean":
            out = out / np.maximum(count, 1)
    out[count == 0] = np.nan
    return out
