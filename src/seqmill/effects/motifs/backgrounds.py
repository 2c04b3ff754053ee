"""Random backgrounds to put motifs into, and what a network says of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from seqmill.effects.ensemble import Ensemble
from seqmill.effects.maps.regions import tested_sequences
from seqmill.effects.measures import check_targets, scores
from seqmill.formats.motifs import Motif
from seqmill.genome.sequence import dinucleotide_shuffle, reverse_complement
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.genome import N_CODE
from seqmill.stores.parts import folds_of
from seqmill.stores.specs import track_names
from seqmill.training.seen import rows_of

LEVEL = 0.95
MARGINAL, SPACING = 0, 1  # places in the stream of random numbers


class Backgrounds:
    """Test rows with their dinucleotides shuffled, each with a window of known bases around its middle.

    Parameters
    ----------
    ensemble : the runs of a network. reader : the dataset that they were trained on. seed : of everything drawn here.
    targets : to score; all if None.
    """

    def __init__(self, ensemble: Ensemble, reader: DatasetReader, seed: int, targets: Sequence[str] | None, where: str):
        self.ensemble, self.reader, self.seed, self.where = ensemble, reader, seed, where
        self.targets = check_targets(ensemble.targets, targets, where)
        self.tracks = [(name, track) for name in self.targets for track in track_names(ensemble.targets[name])]
        self._reduce = scores(ensemble.targets, self.targets)

    def draw(self, count: int, use: int) -> tuple[np.ndarray, np.ndarray]:
        """``count`` backgrounds, uint8 (count, extent_bp), and the middle of the known bases of each, int64 (count,).

        Where there are fewer rows they are shuffled again; each background has a seed of its own. Rows with N are
        taken only where all have some, which are then filled at random.
        """
        folds = dict.fromkeys(info["fold"] for info in self.ensemble.infos)
        there = sum(len(rows_of(self.reader, folds_of(self.reader, fold, "test"))) for fold in folds)
        _, sequences, _ = tested_sequences(self.reader, self.ensemble.infos, min(count, max(there, 1)), self.where)
        whole = [codes for codes in sequences if (codes < N_CODE).all()] or sequences
        found = np.full((count, self.ensemble.extent_bp), N_CODE, np.uint8)
        middle = np.empty(count, np.int64)
        for i in range(count):
            rng = np.random.default_rng([self.seed, use, i])
            codes = whole[i % len(whole)].copy()
            gaps = codes == N_CODE
            codes[gaps] = rng.integers(0, 4, gaps.sum())
            found[i, : len(codes)] = dinucleotide_shuffle(codes, rng)
            middle[i] = len(codes) // 2
        return found, middle

    def score(self, codes: np.ndarray) -> np.ndarray:
        """Scores, mean over the runs, float64 (n, tracks of all targets)."""
        runs = self.ensemble.apply(codes, self._reduce)
        joined = [np.concatenate([run[name] for name in self.targets], axis=1) for run in runs]
        return np.mean(np.stack(joined).astype(np.float64), axis=0)


def site_of(motif: Motif, how: str, rng: np.random.Generator) -> np.ndarray:
    """Codes of a site, uint8 (columns,): the ``consensus``, or ``sampled`` column by column."""
    if how == "consensus":
        return motif.pwm.argmax(axis=1).astype(np.uint8)
    steps = np.cumsum(motif.pwm, axis=1)[:, :3]
    return (rng.random((len(steps), 1)) >= steps).sum(axis=1).astype(np.uint8)


def put(codes: np.ndarray, row: int, start: int, site: np.ndarray, strand: int) -> None:
    """Write a site into one sequence; on strand -1 its reverse complement."""
    codes[row, start : start + len(site)] = site if strand > 0 else reverse_complement(site)


def mean_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis with Student's 95 % interval; backgrounds are drawn independently of one another."""
    n, mean = len(values), values.mean(axis=0)
    half = student.ppf((1 + LEVEL) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def resolve(names: Sequence[str], found: Sequence[Motif], database: Sequence[Motif]) -> dict[str, Motif]:
    """Motifs by the names that a section gives: of patterns, else ids or aliases of the database (any case).

    Names of patterns that were not found this time are left out; see `check_names` for the others.
    """
    known: Mapping[str, Motif] = {motif.name: motif for motif in found}
    chosen: dict[str, Any] = {name: known.get(name) or _of_database(name, database) for name in names}
    return {name: motif for name, motif in chosen.items() if motif is not None}


def check_names(names: Sequence[str], database: Sequence[Motif], where: str) -> None:
    """Raise InputError for a name that the database does not hold."""
    for name in names:
        if _of_database(name, database) is None:
            some = ", ".join(motif.alias or motif.name for motif in database[:8])
            raise InputError(where, f"motif {name!r} is not in the database of {len(database)}: {some}, …")


def _of_database(name: str, database: Sequence[Motif]) -> Motif | None:
    exact = [motif for motif in database if motif.name == name]
    return next(iter(exact or [motif for motif in database if motif.alias.upper() == name.upper()]), None)
