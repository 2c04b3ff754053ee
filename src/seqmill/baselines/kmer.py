"""The k-mer baseline: ridge (quantity, profile, count) or logistic regression (binary, fraction) on k-mer counts.

It is fitted on the training rows of a run, the strength of its penalty is chosen for each track on the validation rows,
and predictions of the test rows are written in the form that networks use. On datasets without a sequence the
inputs themselves are the features, for example deleted genes.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.baselines.features import Features
from seqmill.baselines.linear import Linear, RidgeSums, choose, fit_logistic, sigmoid
from seqmill.config.baselines import Baseline
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import crop_margin, cropped, positional_axes, present_values, reverse_complement_allowed
from seqmill.stores.layout import upstream
from seqmill.stores.parts import Block, chosen_targets, cut_blocks, folds_of, part_ranges
from seqmill.stores.predictions import PredictionsWriter

BLOCK_BYTES = 64_000_000  # of features in memory at a time
LOGISTIC_BYTES = 512_000_000  # of features that a logistic fit holds; more rows than fit into it are left out
VALID_ROWS = 20_000  # for the choice of the penalty
BIN_ROWS = 400_000  # bins that a fit of a profile uses; each window then gives every second, third, ... bin
GRAM_BYTES = 1_000_000_000


class _Rows:
    """Features and labels of one target, block by block."""

    def __init__(self, reader: Any, features: Features, name: str):
        self.reader, self.features, self.name = reader, features, name
        self.stored = reader.targets[name]
        self.spec = cropped(self.stored)
        self.binned = bool(positional_axes(self.spec))
        if self.binned and len(self.spec.shape_per_example) != 2:
            raise InputError(
                "kmer baseline", f"target {name!r} has axes {self.spec.axes}; bins and tracks are expected"
            )
        self.tracks = max(1, len(self.spec.tracks))
        self.per_example = self.spec.shape_per_example[0] if self.binned else 1
        cells = 2 + reader.window_bp // self.spec.bp_per_bin if self.binned else 1
        self.block = max(1, min(1024, BLOCK_BYTES // (8 * features.width * cells)))

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels as stored and which are present, margins cropped."""
        values = self.reader.read(f"targets/{self.name}", start, stop)
        present = present_values(values, self.reader.read(f"mask/{self.name}", start, stop))
        return crop_margin(values, self.stored), crop_margin(present, self.stored)

    def matrices(self, start: int, stop: int, every: int = 1) -> Iterator[np.ndarray]:
        """Features of consecutive examples of one chunk, float32 (n, feature); one row a bin where binned."""
        chunk = {key: self.reader.read(key, start, stop) for key in self.features.keys}
        for first in range(0, stop - start, self.block):
            batch = {key: x[first : first + self.block] for key, x in chunk.items()}
            if self.binned:
                yield self.features.binned(batch, self.spec)[:, ::every].reshape(-1, self.features.width)
            else:
                yield self.features.whole(batch)

    def blocks(self, ranges: Sequence[Block], every: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(features as `matrices`, labels float32 (n, track), gaps as 0, and present bool (n, track))."""
        for start, stop in cut_blocks(ranges, self.reader.chunk_examples):
            values, present = self.labels(start, stop)
            if self.binned:
                values, present = values[:, ::every], present[:, ::every]
            present = present.reshape(-1, self.tracks)
            values = np.where(present, values.reshape(-1, self.tracks), 0).astype(np.float32)
            first = 0
            for x in self.matrices(start, stop, every):
                yield x, values[first : first + len(x)], present[first : first + len(x)]
                first += len(x)


def _first(ranges: Sequence[Block], most: int | None) -> list[Block]:
    """A prefix of each range so that about ``most`` rows remain; rows are shuffled inside each part."""
    total = sum(stop - start for start, stop in ranges)
    if most is None or total <= most:
        return list(ranges)
    return [(start, start + max(1, (stop - start) * most // total)) for start, stop in ranges]


def _fit_ridge(rows: _Rows, ranges: Sequence[Block], every: int, alphas: Sequence[float]) -> list[Linear]:
    width, tracks = rows.features.width, rows.tracks
    if not rows.spec.masked:
        sums = RidgeSums(width, tracks)
        for x, y, _ in rows.blocks(ranges, every):
            sums.add(x, y)
        return sums.solve(alphas)
    # With gaps each track has rows, and so sums, of its own; as many tracks a pass as memory allows.
    solved: list[list[Linear]] = []
    at_once = max(1, GRAM_BYTES // (8 * width * width))
    for first in range(0, tracks, at_once):
        each = [RidgeSums(width, 1) for _ in range(first, min(first + at_once, tracks))]
        for x, y, present in rows.blocks(ranges, every):
            for track, sums in enumerate(each, start=first):
                keep = present[:, track]
                sums.add(x[keep], y[keep, track : track + 1])
        solved += [sums.solve(alphas) for sums in each]
    joined = []
    for number in range(len(alphas)):
        weights = np.concatenate([fits[number].weights for fits in solved], axis=1)
        joined.append(Linear(weights, np.concatenate([fits[number].intercept for fits in solved])))
    return joined


def _fit_logistic(rows: _Rows, ranges: Sequence[Block], every: int, alphas: Sequence[float]) -> list[Linear]:
    parts = list(rows.blocks(ranges, every))
    x, y, present = (np.concatenate([part[index] for part in parts]) for index in range(3))
    del parts
    return fit_logistic(x, y, present, alphas)


def _losses(rows: _Rows, ranges: Sequence[Block], every: int, fits: Sequence[Linear], logistic: bool) -> np.ndarray:
    """Mean validation loss of each fit and track, float64 (fit, track)."""
    total, count = np.zeros((len(fits), rows.tracks)), np.zeros(rows.tracks)
    for x, y, present in rows.blocks(ranges, every):
        count += present.sum(axis=0)
        for number, fit in enumerate(fits):
            raw = fit(x).astype(np.float64)
            each = np.logaddexp(0, raw) - y * raw if logistic else np.square(raw - y)
            total[number] += np.where(present, each, 0.0).sum(axis=0)
    return total / np.maximum(count, 1)


def _fit_target(
    rows: _Rows, train: Sequence[Block], valid: Sequence[Block], baseline: Baseline
) -> tuple[Linear, list[float]]:
    """Fit with the best penalty of each track, and these penalties."""
    logistic = rows.spec.kind in ("binary", "fraction")
    most = LOGISTIC_BYTES // (4 * rows.features.width * rows.per_example) if logistic else None
    used = _first(train, most)
    left_out = sum(b - a for a, b in train) - sum(b - a for a, b in used)
    if left_out > 0:
        logging.getLogger("seqmill").warning(
            "kmer baseline: target %s: %d training rows left out to bound memory", rows.name, left_out
        )
    bins = sum(stop - start for start, stop in used) * rows.per_example
    every = -(-bins // BIN_ROWS) if rows.binned else 1
    fit = _fit_logistic if logistic else _fit_ridge
    fits = fit(rows, used, every, baseline.alphas)
    checked = _first(valid, max(1, VALID_ROWS // max(1, rows.per_example // every)))
    best, which = choose(fits, _losses(rows, checked, every, fits, logistic))
    return best, [baseline.alphas[index] for index in which]


def _predict(rows: _Rows, fit: Linear, start: int, stop: int) -> np.ndarray:
    raw = np.concatenate([fit(x) for x in rows.matrices(start, stop)])
    if rows.spec.kind in ("binary", "fraction"):
        raw = sigmoid(raw)
    elif rows.spec.kind == "count":
        raw = np.maximum(raw, 0)
    return raw.astype(np.float32).reshape(stop - start, *rows.spec.shape_per_example)


def run_baseline(out: str | Path, *, name: str, baseline: Baseline, dataset: str | Path, fold: str) -> None:
    """Fit a baseline on one run of a dataset and write its predictions of the test part.

    Parameters
    ----------
    out : ``…/predictions/{name}/{fold}.0.zarr``. name : of the baseline. baseline : its configuration.
    dataset : folder of the dataset. fold : run, e.g. "0".

    Linear algebra runs on one thread, so that the bits do not depend on the machine's cores. Predictions of counts
    are cut at 0; those of profiles are not, as signal may be below 0.

    Raises
    ------
    InputError
        A part of the run is empty, a target is unknown, or there would be too many features.
    """
    from threadpoolctl import threadpool_limits

    reader = DatasetReader(dataset)
    targets = chosen_targets(reader, baseline.targets)
    ranges: dict[str, list[Block]] = {}
    for part in ("train", "valid", "test"):
        ranges[part] = part_ranges(reader.parts, folds_of(reader, fold, part))
        if not ranges[part]:
            raise InputError(reader.name, f"the {part} part of run {fold} has no rows")
    train = _first(ranges["train"], baseline.max_train_rows)
    arrays: Mapping[str, Any] = {**reader.inputs, **{f"target {key}": reader.targets[key] for key in targets}}
    both_strands = reader.reverse_complement and reverse_complement_allowed(arrays)
    features = Features(reader.inputs, baseline.k, both_strands)
    each = {key: _Rows(reader, features, key) for key in targets}
    with threadpool_limits(1):
        fits, alphas = {}, {}
        for key, rows in each.items():
            fits[key], alphas[key] = _fit_target(rows, train, ranges["valid"], baseline)
        attrs = {
            "kind": "baseline",
            "model": name,
            "dataset": reader.name,
            "dataset_digest": reader.digest,
            "fold": fold,
            "seed": 0,
            "part": "test",
            "bootstrap_unit": reader.bootstrap_unit,
            "features": features.width,
            "alphas": alphas,
        }
        _write(Path(out), attrs, reader, each, fits, ranges["test"], baseline)


def _write(
    out: Path,
    attrs: dict[str, Any],
    reader: Any,
    each: Mapping[str, _Rows],
    fits: Mapping[str, Linear],
    ranges: Sequence[Block],
    baseline: Baseline,
) -> None:
    table = reader.rows()
    total = sum(stop - start for start, stop in ranges)
    with (
        PredictionsWriter(
            out,
            f"{attrs['model']}/{attrs['fold']}.0",
            attrs,
            {key: rows.spec for key, rows in each.items()},
            inputs=upstream(reader.folder),
            parameters=baseline.model_dump(mode="json"),
        ) as writer,
        Progress(f"baseline {attrs['model']}", total, "examples") as progress,
    ):
        for start, stop in cut_blocks(ranges, reader.chunk_examples):
            values = {}
            for key, rows in each.items():
                values[key] = (_predict(rows, fits[key], start, stop), *rows.labels(start, stop))
            writer.append(table.iloc[start:stop], values)
            progress.add(stop - start)
