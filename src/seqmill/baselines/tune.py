"""Fit a baseline to one target and choose its settings on the validation rows."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.baselines.boosting import OBJECTIVES, Boosted, fit_boosting
from seqmill.baselines.features import Features
from seqmill.baselines.linear import Linear, RidgeSums, choose
from seqmill.baselines.logistic import cross_entropy, fit_logistic, fit_sparse_logistic, sigmoid, softmax
from seqmill.baselines.rows import Rows, first_rows
from seqmill.config.baselines import Baseline
from seqmill.stores.parts import Block

HELD_BYTES = 1_000_000_000  # of features that a fit holds at once; more rows than fit into it are left out
VALID_ROWS = 20_000  # for the choice of settings
BIN_ROWS = 400_000  # bins that a fit of a profile uses; each window then gives every second, third, ... bin
GRAM_BYTES = 1_000_000_000
LABELS, CLASSES, VALUES = ("binary", "fraction"), ("class", "distribution"), ("quantity", "profile", "count")

Fit = Linear | Boosted


@dataclass(frozen=True)
class Chosen:
    """A fitted baseline of one target.

    Attributes
    ----------
    rows : its features and labels. fit : gives raw scores of features. settings : what was chosen, for each track where
        tracks may differ.
    """

    rows: Rows
    fit: Fit
    settings: dict[str, Any]

    def predict(self, start: int, stop: int) -> np.ndarray:
        """Predictions of examples ``start`` to ``stop``, float32 of the target's shape without margin.

        Probabilities and fractions; counts cut at 0; other values as they are, as signal may be below 0.
        """
        raw = np.concatenate([self.fit(x) for x in self.rows.matrices(start, stop)])
        kind = self.rows.spec.kind
        if kind in CLASSES:
            raw = softmax(raw)
        elif kind in LABELS:
            raw = sigmoid(raw)
        elif kind == "count":
            raw = np.maximum(raw, 0)
        return raw.astype(np.float32).reshape(stop - start, *self.rows.spec.shape_per_example)


def fits_kind(kind: str, baseline: Baseline) -> bool:
    """Whether a baseline can be fitted to targets of a kind."""
    return kind in OBJECTIVES if baseline.fit == "boosting" else kind in LABELS + CLASSES + VALUES


def fit_target(
    reader: Any,
    name: str,
    baseline: Baseline,
    both_strands: bool,
    train: Sequence[Block],
    valid: Sequence[Block],
) -> Chosen:
    """Fit one target with each setting, and keep the best.

    Parameters
    ----------
    train, valid : row ranges to fit and to choose on; no other row is read.

    Penalty, share of l1 and leaves are chosen for each track by its validation loss (for classes together). The extent
    of the sequence is chosen for the target: by the mean over tracks of the loss as a part of the first extent's.
    Then linear models are fitted once more, to training and validation rows; trees are not, as they stop by the latter.
    """
    binned = "bins" in reader.targets[name].axes
    extents: Sequence[int | None] = baseline.context_bp if binned else (baseline.central_bp or [None])
    key = "context_bp" if binned else "central_bp"
    best: tuple[float, Rows, Fit, list[dict[str, float]]] | None = None
    reference = None
    for extent in extents:
        features = Features(reader.inputs, baseline, both_strands, **{key: extent})  # type: ignore[arg-type]
        rows = Rows(reader, features, name)
        fits, settings, losses = _fit_all(rows, train, valid, baseline)
        picks = choose(losses, joint=rows.spec.kind in CLASSES)
        reached = losses[picks, np.arange(rows.tracks)]
        reference = np.maximum(reached, 1e-30) if reference is None else reference
        score = float(np.mean(reached / reference))
        if best is None or score < best[0]:
            best = score, rows, fits[0].joined(fits, picks), [settings[pick] for pick in picks]
    assert best is not None  # there is at least one extent
    _, rows, fit, each = best
    told: dict[str, Any] = {"features": rows.features.width}
    told |= {label: [setting[label] for setting in each] for label in each[0]}
    extent = rows.features.context_bp if binned else rows.features.central_bp
    if extent is not None:
        told[key] = extent
    if isinstance(fit, Boosted):
        told["trees"] = fit.trees
    elif baseline.refit:
        fit = _fit_again(rows, [*train, *valid], baseline, each)
    return Chosen(rows, fit, told)


def _fit_all(
    rows: Rows, train: Sequence[Block], valid: Sequence[Block], baseline: Baseline
) -> tuple[list[Fit], list[dict[str, float]], np.ndarray]:
    """A fit for each setting, the settings, and the validation loss float64 (fit, track)."""
    used, every = _limited(rows, train, baseline)
    left_out = sum(b - a for a, b in train) - sum(b - a for a, b in used)
    if left_out > 0:
        logging.getLogger("seqmill").warning(
            "%s: target %s: %d training rows left out to bound memory", rows.features.where, rows.name, left_out
        )
    checked = first_rows(valid, max(1, VALID_ROWS // max(1, rows.per_example // every)))
    fits: list[Fit] = []
    settings: list[dict[str, float]] = []
    if baseline.fit == "boosting":
        fits += fit_boosting(rows.together(used, every), rows.together(checked, every), rows.spec.kind, baseline)
        settings += [{"leaves": leaves} for leaves in baseline.leaves]
    else:
        ratios = {"lasso": [1.0], "elastic_net": baseline.l1_ratios}.get(baseline.fit, [None])
        linear, settings = _fit_linear(rows, used, every, baseline.penalties, ratios)
        fits += linear
    return fits, settings, _losses(rows, checked, every, fits)


def _fit_again(rows: Rows, ranges: Sequence[Block], baseline: Baseline, chosen: Sequence[dict[str, float]]) -> Linear:
    """Linear fits of all rows that are no test rows, with the settings chosen for each track."""
    alphas = sorted({setting["alpha"] for setting in chosen})
    ratios = sorted({setting["l1_ratio"] for setting in chosen if "l1_ratio" in setting})
    used, every = _limited(rows, ranges, baseline)
    fits, settings = _fit_linear(rows, used, every, alphas, ratios or [None])
    return Linear.joined(fits, np.array([settings.index(setting) for setting in chosen]))


def _limited(rows: Rows, ranges: Sequence[Block], baseline: Baseline) -> tuple[list[Block], int]:
    """Rows that fit into memory, and 2, 3, ... if only every second, third, ... bin does."""
    sums = rows.spec.kind in VALUES and baseline.fit != "boosting"
    most = None if sums else max(1, HELD_BYTES // (4 * rows.features.width * rows.per_example))
    used = first_rows(ranges, most)
    bins = sum(stop - start for start, stop in used) * rows.per_example
    return used, max(1, -(-bins // BIN_ROWS)) if rows.binned else 1


def _fit_linear(
    rows: Rows, ranges: Sequence[Block], every: int, alphas: Sequence[float], ratios: Sequence[float | None]
) -> tuple[list[Linear], list[dict[str, float]]]:
    """A fit for each share of l1 (None: ridge) and penalty, and these settings."""
    values, classes = rows.spec.kind in VALUES, rows.spec.kind in CLASSES
    solve = _ridge_or_sparse(rows, ranges, every) if values else _logistic_or_sparse(rows, ranges, every, classes)
    fits: list[Linear] = []
    settings: list[dict[str, float]] = []
    for ratio in ratios:
        fits += solve(alphas, ratio)
        settings += [{"alpha": alpha, **({} if ratio is None else {"l1_ratio": ratio})} for alpha in alphas]
    return fits, settings


Solve = Callable[[Sequence[float], float | None], list[Linear]]


def _ridge_or_sparse(rows: Rows, ranges: Sequence[Block], every: int) -> Solve:
    width, tracks = rows.features.width, rows.tracks

    def fits(sums: RidgeSums, alphas: Sequence[float], ratio: float | None) -> list[Linear]:
        return sums.solve(alphas) if ratio is None else sums.solve_sparse(alphas, ratio)

    if not rows.spec.masked:
        joint = RidgeSums(width, tracks)
        for x, y, _ in rows.blocks(ranges, every):
            joint.add(x, y)
        return lambda alphas, ratio: fits(joint, alphas, ratio)

    def solve(alphas: Sequence[float], ratio: float | None) -> list[Linear]:
        # With gaps each track has rows, and so sums, of its own; as many tracks a pass as memory allows.
        solved: list[list[Linear]] = []
        at_once = max(1, GRAM_BYTES // (8 * width * width))
        for first in range(0, tracks, at_once):
            each = [RidgeSums(width, 1) for _ in range(first, min(first + at_once, tracks))]
            for x, y, present in rows.blocks(ranges, every):
                for track, sums in enumerate(each, start=first):
                    keep = present[:, track]
                    sums.add(x[keep], y[keep, track : track + 1])
            solved += [fits(sums, alphas, ratio) for sums in each]
        return [
            Linear(
                np.concatenate([track[number].weights for track in solved], axis=1),
                np.concatenate([track[number].intercept for track in solved]),
            )
            for number in range(len(alphas))
        ]

    return solve


def _logistic_or_sparse(rows: Rows, ranges: Sequence[Block], every: int, classes: bool) -> Solve:
    def solve(alphas: Sequence[float], ratio: float | None) -> list[Linear]:
        x, y, present = rows.together(ranges, every)
        if ratio is None:
            return fit_logistic(x, y, present, alphas, classes=classes)
        return fit_sparse_logistic(x, y, present, alphas, ratio, classes=classes)

    return solve


def _losses(rows: Rows, ranges: Sequence[Block], every: int, fits: Sequence[Fit]) -> np.ndarray:
    """Mean validation loss of each fit and track, float64 (fit, track)."""
    total, count = np.zeros((len(fits), rows.tracks)), np.zeros(rows.tracks)
    kind = rows.spec.kind
    for x, y, present in rows.blocks(ranges, every):
        if kind in CLASSES:
            present = np.repeat(present.all(axis=1, keepdims=True), rows.tracks, axis=1)
        count += present.sum(axis=0)
        for number, fit in enumerate(fits):
            raw = fit(x).astype(np.float64)
            each = np.square(raw - y) if kind in VALUES else cross_entropy(raw, y, kind in CLASSES)
            total[number] += np.where(present, each, 0.0).sum(axis=0)
    return total / np.maximum(count, 1)
