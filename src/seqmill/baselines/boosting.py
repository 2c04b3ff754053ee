"""Boosted trees of LightGBM, a track at a time, or one model for classes that exclude each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError

PATIENCE = 50  # trees without a better validation loss before it stops
MIN_ROWS = 20  # training rows of a leaf
FEATURES_OF_A_TREE = 0.3  # of many: of few, at least this number
FEW_FEATURES = 30
OBJECTIVES = {
    "binary": "binary",
    "fraction": "cross_entropy",
    "quantity": "regression",
    "count": "regression",
    "profile": "regression",
    "class": "multiclass",
}
_METRICS = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2"}


class Boosted:
    """One booster a track, or a constant where a track cannot be learned; calling it gives raw scores."""

    def __init__(self, boosters: Sequence[Any]):
        self.boosters = list(boosters)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        parts = []
        for booster in self.boosters:
            if isinstance(booster, float):
                parts.append(np.full((len(features), 1), booster))
            else:
                raw = booster.predict(features, raw_score=True, num_threads=1)
                parts.append(np.asarray(raw).reshape(len(features), -1))
        return np.concatenate(parts, axis=1).astype(np.float32)

    @property
    def trees(self) -> list[int]:
        """Rounds of each booster, 0 for a constant."""
        return [0 if isinstance(booster, float) else booster.current_iteration() for booster in self.boosters]

    @staticmethod
    def joined(fits: Sequence[Any], best: np.ndarray) -> "Boosted":
        """The fit that has of each track its best booster; of classes the one booster of the best fit."""
        if len(fits[0].boosters) < len(best):
            return fits[best[0]]
        return Boosted([fits[f].boosters[t] for t, f in enumerate(best)])


def load() -> Any:
    """The library. Raises InputError where it does not load: its OpenMP runtime is a system library."""
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise InputError("fit: boosting", f"LightGBM does not load ({error}); it needs libgomp of the system") from None
    return lightgbm


def fit_boosting(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    valid: tuple[np.ndarray, np.ndarray, np.ndarray],
    kind: str,
    baseline: Baseline,
) -> list[Boosted]:
    """Boosted trees, one fit for each of ``baseline.leaves``; each stops early by its loss on the validation rows.

    Parameters
    ----------
    train, valid : features float32 (n, feature), labels (n, track), present bool (n, track).
    kind : of the target, a key of `OBJECTIVES`. baseline : its leaves, learning rate, trees and seed.

    Histograms, order and sampled features are fixed by the seed, on one thread. A track whose training labels are all
    the same, or that has no validation labels, is a constant: the mean of its training labels.
    """
    lightgbm = load()
    objective = OBJECTIVES[kind]
    x, y, present = train
    tracks: list[tuple[Any, ...]]
    if kind == "class":
        keep, check = present.all(axis=1), valid[2].all(axis=1)
        tracks = [(keep, y[keep].argmax(axis=1), check, valid[1][check].argmax(axis=1))]
    else:
        tracks = [
            (present[:, t], y[present[:, t], t], valid[2][:, t], valid[1][valid[2][:, t], t]) for t in range(y.shape[1])
        ]
    fits = []
    for leaves in baseline.leaves:
        settings = {
            "objective": objective,
            "metric": _METRICS.get(objective, objective),
            "num_leaves": leaves,
            "learning_rate": baseline.learning_rate,
            "min_data_in_leaf": MIN_ROWS,
            "feature_fraction": min(1.0, max(FEATURES_OF_A_TREE, FEW_FEATURES / max(1, x.shape[1]))),
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "seed": baseline.seed,
            "verbosity": -1,
        }
        if kind == "class":
            settings["num_class"] = y.shape[1]
        boosters: list[Any] = []
        for keep, labels, check, truth in tracks:
            if not len(labels) or np.ptp(labels) == 0 or not len(truth):
                boosters += _constants(labels, kind, y.shape[1])
                continue
            # without gaps the features are taken as they are, a copy would double the memory
            data = lightgbm.Dataset(x if keep.all() else x[keep], labels, free_raw_data=True)
            inner = lightgbm.Dataset(valid[0][check], truth, reference=data)
            stop = lightgbm.early_stopping(PATIENCE, verbose=False)
            booster = lightgbm.train(settings, data, baseline.max_trees, valid_sets=[inner], callbacks=[stop])
            text = booster.model_to_string(num_iteration=booster.best_iteration)
            boosters.append(lightgbm.Booster(model_str=text))
        fits.append(Boosted(boosters))
    return fits


def _constants(labels: np.ndarray, kind: str, classes: int) -> list[float]:
    """Raw scores that give the mean label, in labels moved half a count towards 1/2."""
    if kind == "class":
        counts = np.bincount(labels, minlength=classes) + 0.5
        return [float(value) for value in np.log(counts)]
    if kind in ("binary", "fraction"):
        prior = (labels.sum(dtype=np.float64) + 0.5) / (len(labels) + 1)
        return [float(np.log(prior / (1 - prior)))]
    return [float(labels.mean(dtype=np.float64)) if len(labels) else 0.0]
