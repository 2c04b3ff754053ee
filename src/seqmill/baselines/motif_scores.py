"""How well motifs match a window or the surroundings of a bin."""

from collections.abc import Sequence

import numpy as np

from seqmill.baselines.words import Grid
from seqmill.formats.motifs import Motif

# Added to each probability, so that a letter that a matrix lacks is unlikely, not impossible.
PSEUDO = 0.001
PLACE_BYTES = 64_000_000


def log_odds(motif: Motif) -> np.ndarray:
    """Natural log of each letter's probability against 1/4, float64 (length, 5); N counts as the worst letter."""
    odds = np.log((motif.pwm + PSEUDO) / (1 + 4 * PSEUDO) / 0.25)
    return np.concatenate([odds, odds.min(axis=1, keepdims=True)], axis=1)


class MotifScores:
    """Scores of motifs at every base.

    Parameters
    ----------
    motifs : their matrices. both_strands : take the better (maximum) or both (sum) of a place's two orientations.

    Two features a motif: the score of the best place, a sum of log-odds, and the log of the mean over places of
    exp(score), which adds up weak sites as binding at equilibrium does. Where a motif does not fit into the sequence,
    both are the score of its worst word.
    """

    def __init__(self, motifs: Sequence[Motif], both_strands: bool):
        self.width = 2 * len(motifs)
        self.floor = np.array([log_odds(motif).min(axis=1).sum() for motif in motifs], np.float32)
        # Motifs of one length are scored by one product of matrices.
        self._lengths: dict[int, tuple[list[int], list[np.ndarray]]] = {}
        for number, motif in enumerate(motifs):
            matrix = log_odds(motif)
            numbers, tables = self._lengths.setdefault(len(matrix), ([], []))
            numbers.append(number)
            turned = matrix[::-1][:, [3, 2, 1, 0, 4]]
            tables.append(np.stack([matrix, turned] if both_strands else [matrix]))

    def cells(self, codes: np.ndarray, cell: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores of the places that start in each cell.

        Parameters
        ----------
        codes : uint8 (n, bp), A0 C1 G2 T3, 4 and above N. cell : int (bp,), cell of each base, ascending.

        Returns
        -------
        Best score and mean of exp(score - best) over places as float32 (n, cells, motif), and the number of places
        (cells, motif); a cell without a place has the score of the motif's worst word.
        """
        n, bp = codes.shape
        best = np.broadcast_to(self.floor, (n, cells, len(self.floor))).copy()
        total = np.zeros_like(best)
        places = np.zeros((cells, len(self.floor)))
        eye = np.eye(5, dtype=np.float32)
        letters = eye[np.minimum(codes, 4)].reshape(n, bp * 5)
        for length, (numbers, tables) in self._lengths.items():
            if bp < length:
                continue
            starts = cell[: bp - length + 1]
            edges = np.flatnonzero(np.diff(starts, prepend=-1))  # first place of each cell that has one
            filled = starts[edges]
            weights = np.stack(tables).astype(np.float32)  # (motif, strand, length, 5)
            weights = weights.reshape(-1, length * 5).T
            views = np.lib.stride_tricks.sliding_window_view(letters, length * 5, axis=1)[:, ::5]
            at_once = max(1, PLACE_BYTES // (4 * len(starts) * (length * 5 + 3 * weights.shape[1])))
            for first in range(0, n, at_once):
                part = views[first : first + at_once]
                scores = part.reshape(-1, length * 5) @ weights
                scores = scores.reshape(len(part), len(starts), len(numbers), -1)
                top = np.maximum.reduceat(scores.max(axis=3), edges, axis=1)
                each = np.exp(scores - np.repeat(top, np.diff(edges, append=len(starts)), axis=1)[..., None])
                rows = slice(first, first + at_once)
                best[rows, filled[:, None], numbers] = top
                total[rows, filled[:, None], numbers] = np.add.reduceat(each.sum(axis=3), edges, axis=1)
            count = np.diff(edges, append=len(starts)) * weights.shape[1] // len(numbers)
            places[filled[:, None], numbers] = count[:, None]
        return best, total, places

    def whole(self, codes: np.ndarray) -> np.ndarray:
        """Features of whole windows, float32 (n, 2 · motifs)."""
        best, total, places = self.cells(codes, np.zeros(codes.shape[1], int), 1)
        return _features(best[:, 0], total[:, 0], places[0])

    def around(self, codes: np.ndarray, grid: Grid, context_bp: int) -> np.ndarray:
        """Features of places that start in or near each bin, float32 (n, bins, 2 · motifs)."""
        best, total, places = self.cells(codes, grid.cell, grid.cells)
        parts = []
        for low, high in zip(*grid.around(context_bp)):
            top = best[:, low:high].max(axis=1)
            summed = (total[:, low:high] * np.exp(best[:, low:high] - top[:, None])).sum(axis=1)
            parts.append(_features(top, summed, places[low:high].sum(axis=0)))
        return np.stack(parts, axis=1)


def _features(best: np.ndarray, total: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Best score and log mean exp score, from sums relative to the best."""
    mean = np.where(total > 0, total, 1) / np.maximum(places, 1)
    return np.concatenate([best, best + np.where(places > 0, np.log(mean), 0)], axis=-1).astype(np.float32)
