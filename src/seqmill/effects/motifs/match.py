"""Which known motif a motif is like, and how surprising that is.

Gupta et al. (2007) Genome Biology 8:R24, TOMTOM: the similarity of two columns is minus their Euclidean distance; each
query column has its own null distribution, its similarities with all columns of the database; the score of an alignment
is the sum over the columns of the query. Columns that hang over count the median of their null distribution ("complete
scores", Tanaka et al. (2011) Bioinformatics 27:1603), so that alignments of all lengths can be compared. The p-value is
that of the best alignment over all offsets and both strands, taken as independent. Scores are counted in hundredths of
their range, as there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqmill.formats.motifs import Motif

BINS = 100
RELIABLE = 50
"""Motifs that a database should hold: the null distributions are made of its columns (MEME's tomtom warns below 50)."""
COLUMNS = ["motif", "rank", "name", "alias", "p", "q", "offset", "overlap", "strand"]


class Match(NamedTuple):
    """Best alignment of one query with each motif of a database.

    Attributes
    ----------
    p : float64 (n,). offset : int64 (n,), column of the known motif, on ``strand``, at which the query begins; below 0
        where the query reaches over its start. overlap : int64 (n,) columns of both. strand : int64 (n,), 1, or -1
        where the query is like the known motif's reverse complement.
    """

    p: np.ndarray
    offset: np.ndarray
    overlap: np.ndarray
    strand: np.ndarray


def match(queries: Sequence[Motif], database: Sequence[Motif], keep: int) -> pd.DataFrame:
    """The ``keep`` nearest known motifs of each query.

    Parameters
    ----------
    queries, database : probabilities (columns, 4), order ACGT.

    Returns
    -------
    `COLUMNS`: rank from 1; ``q``: Benjamini and Hochberg (1995) JRSS B 57:289 over all pairs of a query and a known
    motif; offset, overlap and strand as of `Match`. Equal p-values stand in the order of the database.
    """
    if not queries or not database:
        return pd.DataFrame(columns=COLUMNS)
    found = [compare(query.pwm, [known.pwm for known in database]) for query in queries]
    q = adjusted(np.concatenate([one.p for one in found])).reshape(len(queries), -1)
    lines = []
    for query, one, qs in zip(queries, found, q):
        for rank, i in enumerate(np.argsort(one.p, kind="stable")[:keep].tolist(), 1):
            strand = "+" if one.strand[i] > 0 else "-"
            place = int(one.offset[i]), int(one.overlap[i]), strand
            lines.append([query.name, rank, database[i].name, database[i].alias, one.p[i], qs[i], *place])
    return pd.DataFrame(lines, columns=COLUMNS)


def adjusted(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg q-values of p-values, float64 (n,)."""
    order = np.argsort(p, kind="stable")
    raw = p[order] * len(p) / np.arange(1, len(p) + 1)
    out = np.empty(len(p))
    out[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1)
    return out


def compare(query: np.ndarray, database: Sequence[np.ndarray]) -> Match:
    """One motif with every motif of a database, see the module.

    Parameters
    ----------
    query : float (columns, 4). database : arrays of the same form.
    """
    width, ends = len(query), np.cumsum([0, *(len(known) for known in database)])
    columns = np.concatenate(list(database))
    both = np.concatenate([columns, columns[:, ::-1]])  # A and T, C and G lie opposite
    near = -np.sqrt(((query[:, None] - both[None]) ** 2).sum(axis=2))
    near -= np.median(near, axis=1, keepdims=True)
    low, high = near.min(), near.max()
    scale = BINS / max(high - low, 1e-12)
    units = np.round((near - low) * scale).astype(np.int64)
    hanging = round(-low * scale)  # a column without partner: the median, which is 0
    survival = _survival(units, hanging)
    size = len(database)
    p, offset, strand = np.ones(size), np.zeros(size, np.int64), np.ones(size, np.int64)
    lengths = np.diff(ends)
    for length in np.unique(lengths).tolist():
        here = np.flatnonzero(lengths == length)
        at = ends[here][:, None] + np.arange(length)
        forward, backward = units[:, at], units[:, len(columns) + at][:, :, ::-1]
        scores = np.stack([_alignments(forward, hanging), _alignments(backward, hanging)], axis=1)
        flat = scores.reshape(len(here), -1)
        best, count = flat.argmax(axis=1), length + width - 1
        offset[here], strand[here] = best % count - (width - 1), np.where(best < count, 1, -1)
        p[here] = _p_values(survival, width, length)[flat.max(axis=1)]
    overlap = np.minimum(width, lengths - offset) - np.maximum(0, -offset)
    return Match(p, offset, overlap, strand)


def _survival(units: np.ndarray, hanging: int) -> np.ndarray:
    """P(score of the query >= s) where only columns ``first`` to ``last`` have partners, (first, last, s)."""
    width = len(units)
    top = width * BINS + 1
    single = np.stack([np.bincount(row, minlength=BINS + 1) / len(row) for row in units])
    found = np.zeros((width, width, top))
    for first in range(width):
        density = np.ones(1)
        for last in range(first, width):
            density = np.convolve(density, single[last])
            rest = hanging * (width - (last - first + 1))
            whole = np.zeros(top)
            whole[rest : rest + len(density)] = density[: top - rest]
            found[first, last] = np.minimum(whole[::-1].cumsum()[::-1], 1)
    return found


def _alignments(units: np.ndarray, hanging: int) -> np.ndarray:
    """Scores of all offsets, int64 (motif, offset from -(width - 1) to length - 1), of units (width, motif, length)."""
    width, size, length = units.shape
    count = length + width - 1
    padded = np.full((width, size, length + 2 * (width - 1)), hanging)
    padded[:, :, width - 1 : width - 1 + length] = units
    return sum((padded[i, :, i : i + count] for i in range(width)), np.zeros((size, count), np.int64))


def _p_values(survival: np.ndarray, width: int, length: int) -> np.ndarray:
    """P(best score over all offsets and both strands >= s) for each s, float64 (s,)."""
    none = np.zeros(survival.shape[-1])  # log of the probability that no alignment comes so far
    for offset in range(-(width - 1), length):
        first, last = max(0, -offset), min(width, length - offset) - 1
        with np.errstate(divide="ignore"):
            none += 2 * np.log1p(-survival[first, last])
    return -np.expm1(none)
