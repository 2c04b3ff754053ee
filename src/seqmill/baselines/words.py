"""Counts of short words: k-mers, and words with gaps, over whole windows or around each bin."""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

Pattern = tuple[int, ...]


@dataclass(frozen=True)
class Words:
    """Which words are counted, and the feature column of each.

    Attributes
    ----------
    patterns : offsets of the letters of a word from its first, e.g. (0, 1, 3) for two letters, a gap and a letter.
    columns : for each pattern int32 (4^letters,): the column of a word by its number (see `word_index`).
    width : number of columns.
    """

    patterns: tuple[Pattern, ...]
    columns: tuple[np.ndarray, ...]
    width: int


def kmer_patterns(min_k: int, k: int) -> tuple[Pattern, ...]:
    """Patterns of all words without gaps of ``min_k`` to ``k`` letters."""
    return tuple(tuple(range(letters)) for letters in range(min_k, k + 1))


def gapped_patterns(word_bp: int, k: int) -> tuple[Pattern, ...]:
    """Patterns of ``k`` letters and any gaps within ``word_bp``.

    The gapped k-mers of Ghandi et al. (2014) PLoS Computational Biology 10:e1003711, with l = ``word_bp``. Patterns
    that are shifts of each other count the same words but at the ends of a sequence, so one of them is kept:
    (word_bp − 1 choose k − 1) patterns.
    """
    return tuple((0, *rest) for rest in combinations(range(1, word_bp), k - 1))


@cache
def number_words(patterns: tuple[Pattern, ...], both_strands: bool) -> Words:
    """Give each word a column.

    With ``both_strands`` a word shares the column of its reverse complement, whose pattern is the reversed one and must
    be among ``patterns`` too. Columns are in the order of patterns and words.
    """
    starts, total = [], 0
    for pattern in patterns:
        starts.append(total)
        total += 4 ** len(pattern)
    place = dict(zip(patterns, starts))
    first = np.arange(total, dtype=np.int64)
    if both_strands:
        for pattern, start in place.items():
            rest = np.arange(4 ** len(pattern), dtype=np.int64)
            reverse = np.zeros_like(rest)
            for _ in pattern:
                reverse = reverse * 4 + (3 - rest % 4)
                rest //= 4
            partner = place[tuple(pattern[-1] - offset for offset in reversed(pattern))]
            part = slice(start, start + len(rest))
            first[part] = np.minimum(first[part], partner + reverse)
    _, columns = np.unique(first, return_inverse=True)
    ends = [*starts[1:], total]
    parts = tuple(columns[start:end].astype(np.int32) for start, end in zip(starts, ends))
    return Words(patterns, parts, int(columns.max()) + 1 if total else 0)


def word_index(codes: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Number of the word that starts at each base, its first letter most significant; -1 where a letter is N.

    Parameters
    ----------
    codes : uint8 (n, bp), A0 C1 G2 T3, 4 and above N.

    Returns
    -------
    int32 (n, bp − last offset of the pattern).
    """
    width = max(0, codes.shape[1] - pattern[-1])
    index = np.zeros((len(codes), width), np.int32)
    unknown = np.zeros(index.shape, bool)
    for offset in pattern:
        part = codes[:, offset : offset + width]
        index = index * 4 + part
        unknown |= part > 3
    index[unknown] = -1
    return index


def cell_counts(codes: np.ndarray, words: Words, cell: np.ndarray, cells: int) -> np.ndarray:
    """Counts of the words that start in each cell.

    Parameters
    ----------
    codes : as in `word_index`. cell : int (bp,), cell of each base, from 0 to ``cells`` - 1.

    Returns
    -------
    float32 (n, cells, columns).
    """
    n = len(codes)
    first = np.arange(n)[:, None] * cells
    places = []
    for pattern, columns in zip(words.patterns, words.columns):
        index = word_index(codes, pattern)
        known = index >= 0
        place = (first + cell[None, : index.shape[1]])[known]
        places.append(place * words.width + columns[index[known]])
    counts = np.bincount(np.concatenate(places), minlength=n * cells * words.width)
    return counts.astype(np.float32).reshape(n, cells, words.width)


@dataclass(frozen=True)
class Grid:
    """Cells of bin length that cover a window, so that the bins of a target are cells too.

    Attributes
    ----------
    cell : int64 (bp,), cell of each base. cells : how many. first : cell of the target's first bin. bins : how many.
    bin_bp : length of a cell; the outermost may be cut off by the window's ends.
    """

    cell: np.ndarray
    cells: int
    first: int
    bins: int
    bin_bp: int

    def around(self, context_bp: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last cell (exclusive) of each bin and of whole cells for at least ``context_bp`` on each side."""
        reach = -(-context_bp // self.bin_bp)
        bins = np.arange(self.first, self.first + self.bins)
        return np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, self.cells)


def bin_grid(spec: Any, bp: int) -> Grid:
    """Cells of a window of ``bp`` without margin, for a target without margin.

    ``spec`` has ``shape_per_example[0]`` bins of ``bp_per_bin`` from ``offset_bp`` on.
    """
    bins, bin_bp = spec.shape_per_example[0], spec.bp_per_bin
    first = -(-spec.offset_bp // bin_bp)  # cells left of the first bin, the outermost cut off
    cell = (np.arange(bp) - spec.offset_bp) // bin_bp + first
    return Grid(cell, max(int(cell[-1]) + 1, first + bins), first, bins, bin_bp)


def sums_around(values: np.ndarray, grid: Grid, context_bp: int) -> np.ndarray:
    """Sums of values (n, cells, columns) over each bin and its surroundings, (n, bins, columns)."""
    total = np.concatenate([np.zeros_like(values[:, :1]), np.cumsum(values, axis=1)], axis=1)
    low, high = grid.around(context_bp)
    return total[:, high] - total[:, low]
