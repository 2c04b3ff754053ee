"""A baseline that was fitted on folds, applied to any sequences: scores as networks give them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqmill.baselines.fitted import read_fits
from seqmill.baselines.logistic import softmax
from seqmill.baselines.tune import CLASSES, Chosen
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.predictions import PredictionsReader

TINY = 1e-6
TOTALS = ("count", "profile")


class AppliedBaseline:
    """Fits of one baseline, one for each fold.

    Parameters
    ----------
    name : of the baseline. baseline : its section. dataset : folder of its dataset.
    predictions : folders of its predictions, one for each fold. targets : to score; those that it was fitted to are.

    Attributes
    ----------
    targets : names of the targets that are scored. folds : names, in the order of ``predictions``.

    Raises
    ------
    InputError
        It reads more than one sequence, or is fitted to none of the targets.
    """

    def __init__(
        self,
        name: str,
        baseline: Baseline,
        dataset: str | Path,
        predictions: Sequence[str | Path],
        targets: Sequence[str],
    ):
        self._fits = {PredictionsReader(each).attrs["fold"]: read_fits(each, dataset, baseline) for each in predictions}
        self.folds = list(self._fits)
        fitted = self._fits[self.folds[0]]
        self.targets = [key for key in targets if key in fitted]
        if not self.targets:
            raise InputError(f"baseline {name}", f"is fitted to none of the targets {', '.join(targets)}")
        if len(fitted[self.targets[0]].rows.features.keys) != 1:
            raise InputError(f"baseline {name}", "reads more than one sequence; it cannot be applied alone")

    def scores(self, codes: np.ndarray, fold: str) -> dict[str, np.ndarray]:
        """Scores in the space of `seqmill.effects.measures`, float64 (n, tracks) for each target.

        Parameters
        ----------
        codes : uint8 (n, extent_bp), windows with the margin of the dataset.
        """
        return {key: _scores(self._fits[fold][key], codes) for key in self.targets}


def _scores(chosen: Chosen, codes: np.ndarray) -> np.ndarray:
    rows, found = chosen.rows, []
    (key,) = rows.features.keys
    for first in range(0, len(codes), rows.block):
        batch = {key: codes[first : first + rows.block]}
        n = len(batch[key])
        x = rows.features.binned(batch, rows.spec) if rows.binned else rows.features.whole(batch)
        raw = np.asarray(chosen.fit(x.reshape(-1, rows.features.width)), np.float64)
        found.append(raw.reshape(n, rows.per_example, -1))
    raw, kind = np.concatenate(found), rows.spec.kind
    if kind in TOTALS:
        return np.log1p(np.maximum(np.maximum(raw, 0).sum(axis=1), 0))
    if kind in CLASSES:
        return np.log(np.maximum(softmax(raw[:, 0]), TINY))
    return raw.mean(axis=1)  # labels and fractions are fitted on the logit, values as they are
