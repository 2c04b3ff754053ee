"""Stretches of a map that matter: neighbouring bases whose effects stand out of their region."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqmill.runtime.files import atomic_write

DEVIATIONS = 5.0
"""How far above the median of its region a base stands out, in robust standard deviations (1.4826 times the median
absolute deviation, Rousseeuw and Croux 1993, section 1)."""
GAP_BP, LEAST_BP = 3, 3
"""Bases that may lie between two that stand out, and the shortest stretch."""


class Line(NamedTuple):
    """A stretch: place (0-based, half-open), what it matters to, and its largest and mean values."""

    contig: str
    start: int
    end: int
    label: str
    largest: float
    signed: float
    deviations: float


def stretches(regions: pd.DataFrame, sizes: np.ndarray, signed: np.ndarray, label: str) -> list[Line]:
    """Stretches of some regions for one track.

    Parameters
    ----------
    regions : columns contig, start. sizes : mean |effect|, float (region, position), NaN where not known.
    signed : minus the mean effect, of the same shape. label : of the track.

    Returns
    -------
    Of each stretch the ``largest`` mean |effect|, the mean of ``signed`` (above 0 where bases raise the score), and how
    many robust standard deviations the largest lies above the median of the region. None where all bases are alike.
    """
    found = []
    for row, size, sign in zip(regions.itertuples(), sizes, signed):
        known = size[~np.isnan(size)]
        if not len(known):
            continue
        middle = float(np.median(known))
        spread = 1.4826 * float(np.median(np.abs(known - middle)))
        if not spread:
            continue
        above = np.flatnonzero(np.nan_to_num(size, nan=-np.inf) >= middle + DEVIATIONS * spread)
        for run in np.split(above, np.flatnonzero(np.diff(above) > GAP_BP + 1) + 1):
            if len(run) and run[-1] - run[0] + 1 >= LEAST_BP:
                first, last = int(run[0]), int(run[-1]) + 1
                top = float(np.nanmax(size[first:last]))
                mean, far = float(np.nanmean(sign[first:last])), (top - middle) / spread
                found.append(Line(row.contig, row.start + first, row.start + last, label, top, mean, far))
    return found


def write_stretches(path: Path, lines: Sequence[Line], contigs: Sequence[str]) -> None:
    """Write BED6 (score: the largest value, the strongest is 1000), then ``largest``, ``signed`` and ``deviations``.

    Sorted by place. A stretch that lies in two regions stands there twice.
    """
    order = {name: number for number, name in enumerate(contigs)}
    top = max((line.largest for line in lines), default=1.0)
    rows = sorted(lines, key=lambda line: (order[line.contig], line.start, line.end, line.label))
    text = []
    for line in rows:
        name = " ".join(line.label.split())
        numbers = f"{line.largest:.6g}\t{line.signed:.6g}\t{line.deviations:.4g}"
        place = f"{line.contig}\t{line.start}\t{line.end}"
        text.append(f"{place}\t{name}\t{round(1000 * line.largest / top)}\t.\t{numbers}\n")
    atomic_write(path, "".join(text))
