"""Predictions of all runs on one dataset, judged, and joined over seeds and folds."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.evaluation.resample import Blocks, draw, make_blocks
from seqmill.evaluation.scores import Scores, mean_of, score_target
from seqmill.runtime.errors import InputError

SEED = 20_251
ALL = "all"
ENSEMBLE = "mean"
PLACE = ["genome", "contig", "start", "end", "strand", "name", "source_row"]
KIND_ORDER = ("network", "published", "baseline")


@dataclass
class Run:
    """One set of predictions: of one model on the test part of one fold, with one seed.

    Attributes
    ----------
    reader : its store. model, kind, fold, seed : as in the store's attrs, fold and seed as text.
    rows : digest of its test rows. blocks, draws : what intervals are drawn over, the same for all runs of a fold.
    """

    reader: Any
    model: str
    kind: str
    fold: str
    seed: str
    rows: str
    blocks: Blocks
    draws: np.ndarray
    _scored: dict[tuple[str, str], list[Scores]] = field(default_factory=dict, repr=False)

    def scores(self, target: str, also: "Run | None" = None) -> list[Scores]:
        """Scores of a target; of what ``also`` knows too, if it is given."""
        key = (target, str(also.reader.folder) if also else "")
        if key not in self._scored:
            other = also.reader if also else None
            self._scored[key] = score_target(self.reader, target, self.blocks, self.draws, other)
        return self._scored[key]

    def forget(self) -> None:
        """Free the scores."""
        self._scored.clear()


def open_run(folder: Path) -> Run:
    """Open one predictions store."""
    from seqmill.stores.predictions import PredictionsReader

    reader = PredictionsReader(folder)
    rows, attrs = reader.rows(), reader.attrs
    blocks = make_blocks(rows, attrs["bootstrap_unit"])
    fold = str(attrs["fold"])
    return Run(
        reader=reader,
        model=attrs["model"],
        kind=attrs["kind"],
        fold=fold,
        seed=str(attrs["seed"]),
        rows=_rows_digest(rows),
        blocks=blocks,
        draws=draw(blocks, SEED, fold),
    )


def _rows_digest(rows: pd.DataFrame) -> str:
    values = pd.util.hash_pandas_object(rows[PLACE], index=False).to_numpy()
    return hashlib.sha256(values.tobytes()).hexdigest()


def natural(text: str) -> tuple[bool, int, str]:
    """Sorts numbers by value, before words."""
    return (not text.isdecimal(), int(text) if text.isdecimal() else 0, text)


def open_runs(folders: Iterable[Path], name: str) -> list[Run]:
    """All runs: networks, published predictions, baselines, each by name, fold and seed.

    Raises InputError if they were made from different versions of the dataset.
    """
    runs = [open_run(Path(folder)) for folder in folders]
    runs.sort(key=lambda run: (KIND_ORDER.index(run.kind), run.model, natural(run.fold), natural(run.seed)))
    if len({run.reader.attrs["dataset_digest"] for run in runs}) > 1:
        which = ", ".join(f"{run.model} {run.fold}.{run.seed}" for run in runs)
        raise InputError(name, f"predictions ({which}) were made from different versions of the dataset; predict again")
    return runs


@dataclass(frozen=True)
class Line:
    """A model: its runs of all folds and seeds, or its ensembles of all folds.

    Attributes
    ----------
    seed : "all", or "mean" for ensembles.
    """

    model: str
    kind: str
    seed: str
    runs: tuple[Run, ...]

    def folds(self, target: str) -> dict[str, list[Run]]:
        """Its runs that predict ``target``, by fold."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            if target in run.reader.targets:
                found.setdefault(run.fold, []).append(run)
        return found


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """The models of ``runs`` in their order, ensembles apart."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        seed = ENSEMBLE if run.seed == ENSEMBLE else ALL
        found.setdefault((run.model, run.kind, seed), []).append(run)
    return [Line(*key, tuple(members)) for key, members in found.items()]


def pooled(line: Line, target: str) -> list[Scores]:
    """Scores of a model: the mean over the seeds of each fold, then over folds. Empty if it does not predict it."""
    folds = []
    for runs in line.folds(target).values():
        each = [run.scores(target) for run in runs]
        folds.append([mean_of(parts, folds=False) for parts in zip(*each)])
    return [mean_of(parts, folds=True) for parts in zip(*folds)]


def matched(first: Run, second: Run, target: str) -> tuple[list[Scores], list[Scores]] | str:
    """Scores of two runs of one fold on the same rows and values, or why there are none.

    Where their masks differ (published predictions lack rows), both are judged on what both know.
    """
    if first.rows != second.rows:
        return "not comparable: the predictions are of different rows"
    ours, theirs = first.scores(target), second.scores(target)
    if [(part.kind, part.tracks) for part in ours] != [(part.kind, part.tracks) for part in theirs]:
        return "not comparable: the predictions are of different tracks"
    if [part.mask for part in ours] != [part.mask for part in theirs]:
        ours, theirs = first.scores(target, second), second.scores(target, first)
    return ours, theirs


def _defined_for_both(ours: Scores, theirs: Scores) -> tuple[Scores, Scores]:
    """Both without what is undefined for either, so that means over runs are of the same ones."""
    value = np.isnan(ours.value) != np.isnan(theirs.value)
    again = np.isnan(ours.resampled) != np.isnan(theirs.resampled)
    if not value.any() and not again.any():
        return ours, theirs

    def without(scores: Scores) -> Scores:
        kept = np.where(again | value[:, None], np.float32(np.nan), scores.resampled)
        return replace(scores, value=np.where(value, np.nan, scores.value), resampled=kept)

    return without(ours), without(theirs)


def pooled_pair(ours: Line, theirs: Line, target: str, fold: str = ALL) -> tuple[list[Scores], list[Scores]] | str:
    """Scores of two models on the same rows, pooled over the folds that both have, or of one fold."""
    mine, other = ours.folds(target), theirs.folds(target)
    folds: list[list[list[Scores]]] = [[], []]
    for name in mine:
        if name not in other or fold not in (ALL, name):
            continue
        pairs: list[list[list[Scores]]] = [[], []]
        for first in mine[name]:
            for second in other[name]:
                found = matched(first, second, target)
                if isinstance(found, str):
                    return found
                both = [_defined_for_both(*parts) for parts in zip(*found)]
                for side, scores in zip(pairs, zip(*both)):
                    side.append(list(scores))
        for side, parts in zip(folds, pairs):
            side.append([mean_of(part, folds=False) for part in zip(*parts)])
    if not folds[0]:
        return "not comparable: no fold in common"
    first_side, second_side = ([mean_of(part, folds=True) for part in zip(*side)] for side in folds)
    runs = sum(len(mine[name]) for name in mine if name in other and fold in (ALL, name))
    return [replace(part, runs=runs) for part in first_side], second_side
