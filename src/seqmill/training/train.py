"""Train one network on one fold of a dataset with one seed, and write its model folder."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.config.models import Head, Model
from seqmill.models.blocks import count_parameters
from seqmill.models.registry import build, source_digest
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import reverse_complement_allowed
from seqmill.stores.layout import upstream
from seqmill.stores.model import write_model
from seqmill.stores.parts import chosen_targets, folds_of, part_ranges
from seqmill.training.artefact import describe, tensors_of
from seqmill.training.augment import View
from seqmill.training.devices import require_device
from seqmill.training.jitter import jitter_of
from seqmill.training.kinds import Scaling, Statistics, TargetKind, check_labels, fit_scaling, kind_of
from seqmill.training.loader import ahead, batch_keys, plain_batches, training_batches
from seqmill.training.loop import fit
from seqmill.training.objectives import Supervised, split_module
from seqmill.training.optimizers import make_optimizer
from seqmill.training.order import make_streams, steps_per_epoch

# Rows from which means and spreads of labels are taken: rows are shuffled inside each part, so a prefix is a sample.
STATISTICS_ROWS = 65_536
_STATISTICS_BATCH = 1024


def label_statistics(reader: Any, name: str, ranges: Sequence[tuple[int, int]]) -> Statistics:
    """Statistics of one target over (at most about `STATISTICS_ROWS` of) the training rows."""
    rows = sum(stop - start for start, stop in ranges)
    share = min(1.0, STATISTICS_ROWS / max(rows, 1))
    sample = [(start, start + max(1, round(share * (stop - start)))) for start, stop in ranges]
    statistics = Statistics(max(1, len(reader.targets[name].tracks)))
    keys = [key for key in batch_keys(reader, [name]) if not key.startswith("inputs/")]
    for batch, count in plain_batches(reader, sample, batch_size=_STATISTICS_BATCH, keys=keys):
        mask = batch.get(f"mask/{name}")
        statistics.add(batch[f"targets/{name}"][:count], None if mask is None else mask[:count])
    return statistics


def _fit_scalings(
    reader: Any, kinds: Mapping[str, TargetKind], ranges: Sequence[tuple[int, int]], label: str
) -> dict[str, Scaling]:
    """Check the training labels of all targets and take their scalings; constant tracks are told."""
    scalings = {}
    for name, kind in kinds.items():
        spec, statistics = reader.targets[name], label_statistics(reader, name, ranges)
        constant = check_labels(name, spec, kind, statistics, str(reader.folder))
        if constant:
            logging.getLogger("seqmill").warning(
                "%s: target %s: %d of %d tracks have one value in all training rows: %s",
                label, name, len(constant), len(spec.tracks), ", ".join(constant[:5]),
            )  # fmt: skip
        scalings[name] = fit_scaling(kind, statistics)
    return scalings


def _to_device(batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: array if name == "row" else jax.device_put(array) for name, array in batch.items()}


def _valid_batches(reader: Any, ranges: Sequence[tuple[int, int]], size: int, keys: Sequence[str]) -> Callable:
    def start() -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        for batch, count in plain_batches(reader, ranges, batch_size=size, keys=keys):
            yield {k: v for k, v in _to_device(batch).items() if k != "row"}, np.arange(size) < count

    return start


def train_model(out: str | Path, *, name: str, model: Model, dataset: str | Path, fold: str, seed: int) -> None:
    """Train and write ``out`` (a model folder, `seqmill.stores.model`).

    Parameters
    ----------
    name : of the model. model : its configuration. dataset : folder of the dataset.
    fold : run of the dataset, e.g. "0". seed : of parameters, order, augmentation and dropout.

    Raises
    ------
    InputError
        The dataset, its labels and the configuration do not fit.
    DivergedError
        The loss is not finite; the message names the step and its rows.
    """
    training = model.training
    kind = require_device(training.device, training.xla_threads)
    reader = DatasetReader(dataset)
    label = f"{name}/{fold}.{seed}"
    heads = {key: (model.targets or {}).get(key, Head()) for key in chosen_targets(reader, model.targets)}
    weights = {key: head.weight for key, head in heads.items()}
    arrays = {**reader.inputs, **{f"target {key}": reader.targets[key] for key in weights}}
    view = View(
        inputs=reader.inputs,
        targets={key: reader.targets[key] for key in weights},
        jitter=jitter_of(arrays.values(), training.max_jitter_bp),
        strands=training.reverse_complement and reader.reverse_complement and reverse_complement_allowed(arrays),
    )
    folds = {part: folds_of(reader, fold, part) for part in ("train", "valid")}
    pools = [(share.pool, share.ratio) for share in model.pools] if model.pools else None
    streams = make_streams(
        reader.parts,
        folds["train"],
        pools=pools,
        batch_size=training.batch_size,
        chunk=reader.chunk_examples,
        fraction=training.train_fraction,
    )
    pool_names = [pool for pool, _ in pools] if pools else None
    valid = part_ranges(reader.parts, folds["valid"], pool_names)
    if not valid:
        raise InputError(
            reader.name, f"run {fold} has no validation rows for early stopping; set split.valid or split.inner_valid"
        )
    ranges = [block for stream in streams for block in stream.blocks]
    profile_loss = training.profile_loss
    kinds = {key: kind_of(spec, profile_loss) for key, spec in view.targets.items()}
    scalings = _fit_scalings(reader, kinds, ranges, label)
    module = build(model.architecture, model.settings, view.network_inputs(), view.network_targets(), seed)
    graph, params, rest = split_module(module)
    epoch_steps = steps_per_epoch(streams)
    steps = min(training.max_epochs * epoch_steps, training.max_steps or training.max_epochs * epoch_steps)
    objective = Supervised(graph, view, kinds, scalings, weights, make_optimizer(training.optimizer, steps))
    parameters, batch_size = count_parameters(module), training.batch_size
    logging.getLogger("seqmill").info(
        "%s: %s, %s parameters, %s training rows, %d steps a pass",
        label, model.architecture, f"{parameters:,}", f"{sum(s.rows for s in streams):,}", epoch_steps,
    )  # fmt: skip
    keys = batch_keys(reader, list(weights))
    batches = ahead(training_batches(reader, streams, targets=list(weights), seed=seed), _to_device)
    try:
        result = fit(
            objective,
            objective.init(params, rest),
            batches,
            _valid_batches(reader, valid, batch_size, keys),
            seed=seed,
            steps_per_epoch=epoch_steps,
            max_epochs=training.max_epochs,
            max_steps=training.max_steps,
            patience=training.patience,
            batch_size=batch_size,
            label=label,
        )
    finally:
        batches.close()
    info = {
        "architecture": model.architecture,
        "settings": dict(model.settings),
        "source_sha256": source_digest(model.architecture),
        **describe(view, scalings, profile_loss),
        "target_weights": weights,
        "tracks": {key: list(spec.tracks) for key, spec in view.targets.items()},
        "training": training.model_dump(mode="json"),
        "pools": pools,
        "dataset": reader.name,
        "dataset_digest": reader.digest,
        "fold": fold,
        "seed": seed,
        "best_epoch": result.best_epoch,
        "valid_loss": result.valid_loss,
        "steps": result.steps,
        "device": kind,
        "xla_threads": training.xla_threads,
        "parameters": parameters,
    }
    write_model(
        out,
        name=name,
        tensors=tensors_of(result.params, result.rest),
        info=info,
        history=result.history,
        inputs=upstream(dataset),
        parameters={"model": model.model_dump(mode="json"), "fold": fold, "seed": seed},
        record={"device": kind, "training_seconds": round(result.seconds, 3), "examples": result.steps * batch_size},
    )
