"""A baseline fitted anew on the folds of its dataset, and applied to any sequences: scores as networks give them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.baselines.logistic import softmax
from seqmill.baselines.rows import first_rows
from seqmill.baselines.tune import CLASSES, Chosen, fit_target, fits_kind
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import reverse_complement_allowed
from seqmill.stores.parts import folds_of, part_ranges

TINY = 1e-6
TOTALS = ("count", "profile")


class AppliedBaseline:
    """Fits of one baseline, one for each fold.

    Parameters
    ----------
    name : of the baseline. baseline : its section. dataset : folder of its dataset. folds : which to fit.
    targets : to score; those that the baseline can be fitted to are.

    Attributes
    ----------
    targets : names of the targets that are scored. folds : names, in their order.

    Raises
    ------
    InputError
        It reads more than one sequence, or fits none of the targets.
    """

    def __init__(
        self, name: str, baseline: Baseline, dataset: str | Path, folds: Sequence[str], targets: Sequence[str]
    ):
        from threadpoolctl import threadpool_limits

        reader = DatasetReader(dataset)
        wanted = [key for key in targets if baseline.targets is None or key in baseline.targets]
        self.targets = [key for key in wanted if fits_kind(reader.targets[key].kind, baseline)]
        if not self.targets:
            raise InputError(f"baseline {name}", f"can be fitted to none of the targets {', '.join(targets)}")
        arrays: Mapping[str, Any] = {**reader.inputs, **{f"target {key}": reader.targets[key] for key in self.targets}}
        both_strands = reader.reverse_complement and reverse_complement_allowed(arrays)
        self.folds, self._fits = list(folds), {}
        with threadpool_limits(1):
            for fold in self.folds:
                train = first_rows(part_ranges(reader.parts, folds_of(reader, fold, "train")), baseline.max_train_rows)
                valid = part_ranges(reader.parts, folds_of(reader, fold, "valid"))
                for key in self.targets:
                    chosen = fit_target(reader, key, baseline, both_strands, train, valid)
                    if len(chosen.rows.features.keys) != 1:
                        raise InputError(f"baseline {name}", "reads more than one sequence; it cannot be applied alone")
                    self._fits[fold, key] = chosen

    def scores(self, codes: np.ndarray, fold: str) -> dict[str, np.ndarray]:
        """Scores in the space of `seqmill.effects.measures`, float64 (n, tracks) for each target.

        Parameters
        ----------
        codes : uint8 (n, extent_bp), windows with the margin of the dataset.
        """
        return {key: _scores(self._fits[fold, key], codes) for key in self.targets}


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
