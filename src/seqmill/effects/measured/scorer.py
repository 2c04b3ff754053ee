"""What a network, and a k-mer baseline on the same windows, make of one sequence less another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqmill.baselines.applied import AppliedBaseline
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.measures import scores
from seqmill.genome.sequence import dinucleotide_shuffle
from seqmill.stores.measured import KMER, NETWORK, Column, track_column
from seqmill.stores.specs import track_names

BLOCK_BYTES = 64_000_000


class Scorer:
    """Scores windows, and differences of scores.

    Parameters
    ----------
    ensemble : runs of the network. targets : to score. kmer : the baseline, or None.

    Attributes
    ----------
    columns : of the network, then of the baseline; all arrays of scores have this order.
    width : columns of the network. folds : fold of each run.
    """

    def __init__(self, ensemble: Ensemble, targets: Sequence[str], kmer: AppliedBaseline | None):
        self.ensemble, self.targets, self.kmer = ensemble, list(targets), kmer
        self.folds = [info["fold"] for info in ensemble.infos]
        self._reduce = scores(ensemble.targets, self.targets)
        tracks = {name: track_names(ensemble.targets[name]) for name in self.targets}
        self.columns: list[Column] = [track_column(NETWORK, t, track) for t, names in tracks.items() for track in names]
        self.width = len(self.columns)
        if kmer is not None:
            self.columns += [track_column(KMER, t, track) for t in kmer.targets for track in tracks[t]]

    def differences(
        self, ref: np.ndarray | None, alt: np.ndarray, allowed: np.ndarray, *, kmer: bool = True
    ) -> np.ndarray:
        """Scores of ``alt`` less those of ``ref``, the mean over the runs, or folds, that may score each window.

        Parameters
        ----------
        ref, alt : uint8 (n, extent_bp); without ``ref`` the scores of ``alt``. allowed : bool (runs, n), at least one
            for each window. kmer : whether the baseline scores too, else its columns are 0.

        Returns
        -------
        float64 (n, columns).
        """
        out = np.zeros((len(alt), len(self.columns)))
        step = max(1, BLOCK_BYTES // (2 * self.ensemble.extent_bp))
        for first in range(0, len(alt), step):
            rows = slice(first, first + step)
            out[rows, : self.width] = self._network(None if ref is None else ref[rows], alt[rows], allowed[:, rows])
            if self.kmer is not None and kmer:
                part = self.baseline(None if ref is None else ref[rows], alt[rows], self.by_fold(allowed[:, rows]))
                out[rows, self.width :] = part
        return out

    def by_fold(self, allowed: np.ndarray) -> np.ndarray:
        """Which fold's fit may score which window, from which runs may: bool (folds, n)."""
        assert self.kmer is not None
        return np.stack([allowed[[own == fold for own in self.folds]].any(axis=0) for fold in self.kmer.folds])

    def _network(self, ref: np.ndarray | None, alt: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        total = np.zeros((len(alt), self.width))
        for run, rows in enumerate(allowed):
            if rows.any():
                total[rows] += self._applied(alt[rows], run)
                if ref is not None:
                    total[rows] -= self._applied(ref[rows], run)
        return total / allowed.sum(axis=0)[:, None]

    def _applied(self, codes: np.ndarray, run: int) -> np.ndarray:
        (found,) = self.ensemble.apply(codes, self._reduce, [run])
        return np.concatenate([found[name] for name in self.targets], axis=1).astype(np.float64)

    def baseline(self, ref: np.ndarray | None, alt: np.ndarray, by_fold: np.ndarray) -> np.ndarray:
        """Scores of the baseline by the fits that may, float64 (n, its columns); see `differences`."""
        assert self.kmer is not None
        total = np.zeros((len(alt), len(self.columns) - self.width))
        for fold, rows in zip(self.kmer.folds, by_fold):
            if rows.any():
                total[rows] += self._fitted(alt[rows], fold)
                if ref is not None:
                    total[rows] -= self._fitted(ref[rows], fold)
        return total / np.maximum(by_fold.sum(axis=0), 1)[:, None]

    def _fitted(self, codes: np.ndarray, fold: str) -> np.ndarray:
        assert self.kmer is not None
        found = self.kmer.scores(codes, fold)
        return np.concatenate([found[name] for name in self.kmer.targets], axis=1)


class Windows:
    """Windows for the versions of one sequence that has no place on a genome.

    A sequence as long as the window is shown as it is, to all runs. A shorter one is filled up with N where the network
    reads lengths; else it is put in the middle of ``count`` backgrounds (its own dinucleotides, shuffled), each
    scored by one run, the next one in turn.
    """

    def __init__(self, ensemble: Ensemble, bp: int, rng: np.random.Generator, count: int):
        self.extent, self.bp, self.rng, self.runs = ensemble.extent_bp, bp, rng, len(ensemble)
        self.padded = ensemble.reads_length  # of tables: shorter sequences are filled up with N at their end
        self.count = 1 if bp == self.extent or self.padded else count

    def view(self, number: int, versions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """One background for all versions of a sequence, and the runs that score it.

        Returns
        -------
        uint8 (versions, extent_bp) and bool (runs,).
        """
        codes = np.full((len(versions), self.extent), 4, np.uint8)
        allowed = np.ones(self.runs, bool)
        first = 0
        if self.count > 1 or not (self.bp == self.extent or self.padded):
            first = (self.extent - self.bp) // 2
            codes[:] = dinucleotide_shuffle(np.resize(versions[0], self.extent), self.rng)
            allowed = np.arange(self.runs) == number % self.runs
        for row, version in enumerate(versions):
            codes[row, first : first + len(version)] = version
        return codes, allowed


def frame_of(values: np.ndarray, columns: Sequence[Column]) -> dict[str, Any]:
    """Scores (n, columns) as columns of a data frame, float32."""
    return {column.name: values[:, i].astype(np.float32) for i, column in enumerate(columns)}
