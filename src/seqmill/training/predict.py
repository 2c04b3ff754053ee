"""Predictions of a trained network on the rows of one part of its run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import crop_margin, present_values
from seqmill.stores.layout import upstream
from seqmill.stores.model import ModelReader
from seqmill.stores.parts import folds_of, part_ranges
from seqmill.stores.predictions import PredictionsWriter
from seqmill.training.artefact import Network, load_network
from seqmill.training.augment import reverse_complement
from seqmill.training.devices import require_device
from seqmill.training.loader import batch_keys, plain_batches
from seqmill.training.objectives import network_inputs


def predictor(network: Network, *, strands: bool) -> Callable[[Mapping[str, Any]], dict[str, Array]]:
    """Compiled function from a batch of stored inputs ("inputs/<name>") to predictions by target.

    Parameters
    ----------
    strands : average the predictions of both strands; those of the other strand are turned back first.
    """
    targets = network.view.network_targets()

    def apply(params: Any, rest: Any, shown: Mapping[str, Array]) -> dict[str, Array]:
        module = nnx.merge(network.graph, params, rest, copy=True)
        outputs = module(network_inputs(shown), train=False, key=None)
        predictions = {}
        for name, kind in network.kinds.items():
            scaling, raw = network.scalings[name], outputs[name]
            centre, scale = jnp.asarray(scaling.centre), jnp.asarray(scaling.scale)
            if raw.ndim == 1:
                centre, scale = centre[0], scale[0]
            predictions[name] = kind.predict(raw, centre, scale)
        return predictions

    @jax.jit
    def run(params: Any, rest: Any, batch: Mapping[str, Array]) -> dict[str, Array]:
        forward = apply(params, rest, network.view.show(batch))
        if not strands:
            return forward
        other = apply(params, rest, network.view.other_strand(batch))
        return {name: (forward[name] + reverse_complement(other[name], targets[name])) / 2 for name in forward}

    return lambda batch: run(network.params, network.rest, batch)


def _check_dataset(network: Network, reader: Any, folder: Path) -> None:
    """Arrays must be as in training, and a dataset of the same name the very one: else its test rows may be known."""
    info = network.info
    if info["dataset"] == reader.name and info["dataset_digest"] != reader.digest:
        raise InputError(
            reader.name,
            f"was rebuilt after model {folder} was trained on it; rows of its parts may differ: train again",
        )
    for role, trained, present in (
        ("input", network.view.inputs, reader.inputs),
        ("target", network.view.targets, reader.targets),
    ):
        for name, spec in trained.items():
            if name not in present:
                raise InputError(reader.name, f"has no {role} {name!r}, which model {folder} was trained on")
            mine, other = spec.shape_per_example, present[name].shape_per_example
            if tuple(mine) != tuple(other) or tuple(spec.tracks) != tuple(present[name].tracks):
                raise InputError(reader.name, f"{role} {name!r} is {other}, model {folder} was trained on {mine}")


def predict(out: str | Path, *, model_folder: str | Path, dataset: str | Path, part: str = "test") -> None:
    """Write predictions, truth and masks of all rows of a part.

    Parameters
    ----------
    out : ``…/predictions/{model}/{fold}.{seed}.zarr``. model_folder, dataset : folders of these nouns.
    part : "test", "valid" or "train" of the run the model was trained on.

    Both strands are averaged where the model was trained on both.
    """
    out, model_folder = Path(out), Path(model_folder)
    info = ModelReader(model_folder).info
    training = info["training"]
    require_device(training["device"], training["xla_threads"])  # before the first array
    network = load_network(model_folder)
    reader = DatasetReader(dataset)
    _check_dataset(network, reader, model_folder)
    folds = folds_of(reader, info["fold"], part)
    ranges = part_ranges(reader.parts, folds)
    if not ranges:
        raise InputError(reader.name, f"the {part} part of run {info['fold']} has no rows")
    attrs = {
        "kind": "network",
        "model": info["name"],
        "dataset": reader.name,
        "dataset_digest": reader.digest,
        "fold": info["fold"],
        "seed": info["seed"],
        "part": part,
        "both_strands": info["strands"],
        "bootstrap_unit": reader.bootstrap_unit,
    }
    targets = network.view.targets
    run = predictor(network, strands=info["strands"])
    rows = reader.rows()
    total = sum(stop - start for start, stop in ranges)
    batches = plain_batches(reader, ranges, batch_size=training["batch_size"], keys=batch_keys(reader, list(targets)))
    with (
        PredictionsWriter(
            out,
            name=f"{info['name']}/{info['fold']}.{info['seed']}",
            attrs=attrs,
            specs=network.view.network_targets(),
            inputs=upstream(dataset, model_folder),
        ) as writer,
        Progress(f"predict {info['name']}/{info['fold']}.{info['seed']}", total, "examples") as progress,
    ):
        for batch, count in batches:
            inputs = {key: x for key, x in batch.items() if key.startswith("inputs/")}
            predicted = jax.device_get(run(inputs))
            block = {}
            for name, spec in targets.items():
                stored = batch[f"targets/{name}"]
                mask = crop_margin(present_values(stored, batch.get(f"mask/{name}")), spec)
                truth = crop_margin(stored, spec)
                block[name] = (np.asarray(predicted[name][:count], np.float32), truth[:count], mask[:count])
            writer.append(rows.iloc[batch["row"][:count]], block)
            progress.add(count)
