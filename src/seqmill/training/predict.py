"""Predictions of a trained network on the rows of one part of its run."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array

from seqmill.config.models import Prediction
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import crop_margin, present_values
from seqmill.stores.layout import upstream
from seqmill.stores.model import ModelReader
from seqmill.stores.parts import Block, folds_of, part_ranges
from seqmill.stores.predictions import PredictionsWriter
from seqmill.training.artefact import Network, load_network
from seqmill.training.augment import reverse_complement
from seqmill.training.devices import require_device
from seqmill.training.loader import Batch, ahead, batch_keys, plain_batches
from seqmill.training.objectives import network_inputs
from seqmill.training.seen import run_name
from seqmill.training.shifts import check_shifts, cover, moved_back


def prediction(network: Network, *, strands: bool) -> Callable[..., dict[str, Array]]:
    """The function that `predictor` compiles, for one shift: of params, rest, a batch and a shift (None: not moved)."""
    specs, view = network.predicted, network.view

    def apply(params: Any, rest: Any, shown: Mapping[str, Array]) -> dict[str, Array]:
        module = nnx.merge(network.graph, params, rest, copy=True)
        outputs = module(network_inputs(shown), train=False, key=None)
        return network.objective.predictions(network.heads, outputs)

    def both(params: Any, rest: Any, batch: Mapping[str, Array], shift: Array | int | None) -> Any:
        forward = apply(params, rest, view.at(batch, shift))
        if not strands:
            return forward
        other = apply(params, rest, view.at(batch, shift, other_strand=True))
        return {name: (forward[name] + reverse_complement(other[name], specs[name])) / 2 for name in forward}

    return both


def averaged(network: Network, *, strands: bool, shifts_bp: Sequence[int] = (0,)) -> Callable[..., dict[str, Array]]:
    """What `predictor` computes, as one function of params, rest and a batch that is not compiled."""
    both, specs = prediction(network, strands=strands), network.predicted
    if tuple(shifts_bp) == (0,):
        return lambda params, rest, batch: both(params, rest, batch, None)

    def run(params: Any, rest: Any, batch: Mapping[str, Array]) -> dict[str, Array]:
        sums: dict[str, Any] = dict.fromkeys(specs, 0)
        for shift in shifts_bp:
            found = both(params, rest, batch, int(shift))
            sums = {name: moved_back(x, specs[name], int(shift)) + sums[name] for name, x in found.items()}
        return {name: x / cover(specs[name], shifts_bp) for name, x in sums.items()}

    return run


def predictor(
    network: Network, *, strands: bool, shifts_bp: Sequence[int] = (0,)
) -> Callable[[Mapping[str, Any]], dict[str, Array]]:
    """Compiled function from a batch of stored inputs ("inputs/<name>") to predictions by name.

    Parameters
    ----------
    strands : average the predictions of both strands; those of the other strand are turned back first.
    shifts_bp : average over windows moved by so many bp; binned predictions are moved back first.

    Raises
    ------
    InputError
        The arrays of the network's dataset cannot be moved by ``shifts_bp``.
    """
    check_shifts(network.view.inputs, network.predicted, shifts_bp)
    both = prediction(network, strands=strands)
    specs = network.predicted

    @jax.jit
    def unmoved(params: Any, rest: Any, batch: Mapping[str, Array]) -> dict[str, Array]:
        return both(params, rest, batch, None)

    @jax.jit
    def moved(params: Any, rest: Any, batch: Mapping[str, Array], shift: Array) -> dict[str, Array]:
        found = both(params, rest, batch, shift)
        return {name: moved_back(x, specs[name], shift) for name, x in found.items()}

    def run(batch: Mapping[str, Any]) -> dict[str, Array]:
        if tuple(shifts_bp) == (0,):
            return unmoved(network.params, network.rest, batch)
        sums: dict[str, Any] = dict.fromkeys(specs, 0)
        for shift in shifts_bp:
            found = moved(network.params, network.rest, batch, np.int32(shift))
            sums = {name: x + sums[name] for name, x in found.items()}
        return {name: x / cover(specs[name], shifts_bp) for name, x in sums.items()}

    return run


def check_dataset(info: Mapping[str, Any], reader: Any, folder: Path, *, labelled: bool = True) -> None:
    """Arrays must be as in training, and a dataset of the same name the very one: else its test rows may be known.

    Parameters
    ----------
    info : content of the ``model.json`` of ``folder``. reader : DatasetReader.
    labelled : every target must be there; else those that are there must be as in training.
    """
    if info["dataset"] == reader.name and info["dataset_digest"] != reader.digest:
        raise InputError(
            reader.name,
            f"was rebuilt after model {folder} was trained on it; rows of its parts may differ: train again",
        )
    for role, present in (("input", reader.inputs), ("target", reader.targets)):
        for name, trained in info[f"{role}s"].items():
            if name not in present and role == "target" and not labelled:
                continue
            if name not in present:
                raise InputError(reader.name, f"has no {role} {name!r}, which model {folder} was trained on")
            found = present[name]
            for what in ("shape_per_example", "tracks", "kind", "bp_per_bin", "offset_bp", "margin_bp"):
                mine, other = trained[what], getattr(found, what)
                mine = tuple(mine) if isinstance(other, tuple) else mine
                if mine != other:
                    value = other if what == "shape_per_example" else f"of {what} {other}"
                    raise InputError(reader.name, f"{role} {name!r} is {value}, model {folder} was trained on {mine}")


def truth_of(batch: Batch, targets: Mapping[str, Any], specs: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Truth and mask of each predicted array for the first ``count`` rows, margins cropped.

    Parameters
    ----------
    targets : of the dataset, as stored. specs : what is predicted; what is no target of the dataset has no truth.
    """
    found = {}
    for name, spec in specs.items():
        if name not in targets:
            shape, unknown = (count, *spec.shape_per_example), np.nan if np.dtype(spec.dtype).kind == "f" else 0
            found[name] = np.full(shape, unknown, spec.dtype), np.zeros(shape, bool)
            continue
        stored = batch[f"targets/{name}"][:count]
        mask = batch[f"mask/{name}"][:count] if f"mask/{name}" in batch else None
        present = present_values(stored, mask)
        found[name] = crop_margin(stored, targets[name]), crop_margin(present, targets[name])
    return found


def loaded(
    reader: Any, ranges: Sequence[Block], *, batch_size: int, targets: Sequence[str]
) -> Generator[tuple[dict[str, Array], Batch, int], None, None]:
    """Batches of all rows of ``ranges``, read and copied to the device by a thread ahead of their use.

    Yields
    ------
    Inputs on the device, the other arrays as `plain_batches` gives them, and the number of real rows.
    """

    def prepare(item: tuple[Batch, int]) -> tuple[dict[str, Array], Batch, int]:
        batch, count = item
        inputs = {key: jax.device_put(x) for key, x in batch.items() if key.startswith("inputs/")}
        return inputs, {key: x for key, x in batch.items() if key not in inputs}, count

    keys = batch_keys(reader, targets)
    batches = ahead(plain_batches(reader, ranges, batch_size=batch_size, keys=keys), prepare, depth=2)
    with closing(batches):
        yield from batches


def _one_behind(run: Callable, batches: Iterator[tuple[dict[str, Array], Batch, int]]) -> Iterator[tuple]:
    """(predictions, other arrays, count) of each batch; the device works on the next while one is written."""
    waiting = None
    for inputs, rest, count in batches:
        found = run(inputs), rest, count
        if waiting is not None:
            yield waiting
        waiting = found
    if waiting is not None:
        yield waiting


def predict(
    out: str | Path,
    *,
    model_folder: str | Path,
    dataset: str | Path,
    part: str = "test",
    prediction: Prediction | None = None,
) -> None:
    """Write predictions, truth and masks of all rows of a part.

    Parameters
    ----------
    out : ``…/predictions/{model}/{fold}.{seed}.zarr``. model_folder, dataset : folders of these nouns.
    part : "test", "valid" or "train" of the run the model was trained on.
    prediction : strands, shifts and batch size; the defaults of the configuration if None.

    Raises
    ------
    InputError
        The dataset is not the one of the training, the part has no rows, or windows cannot be shifted as asked.
    """
    out, model_folder, prediction = Path(out), Path(model_folder), prediction or Prediction()
    info = ModelReader(model_folder).info
    training = info["training"]
    require_device(training["device"], training["xla_threads"])  # before the first array
    network = load_network(model_folder)
    reader = DatasetReader(dataset)
    check_dataset(info, reader, model_folder)
    ranges = part_ranges(reader.parts, folds_of(reader, info["fold"], part))
    if not ranges:
        raise InputError(reader.name, f"the {part} part of run {info['fold']} has no rows")
    strands = info["strands"] and prediction.strands == "auto"
    attrs = {
        "kind": "network",
        "model": info["name"],
        "dataset": reader.name,
        "dataset_digest": reader.digest,
        "fold": info["fold"],
        "seed": info["seed"],
        "part": part,
        "both_strands": strands,
        "shifts_bp": list(prediction.shifts_bp),
        "bootstrap_unit": reader.bootstrap_unit,
    }
    label, targets = run_name(info), network.view.targets
    run = predictor(network, strands=strands, shifts_bp=prediction.shifts_bp)
    rows = reader.rows()
    batch_size = prediction.batch_size or training["batch_size"]
    with (
        closing(loaded(reader, ranges, batch_size=batch_size, targets=list(targets))) as batches,
        PredictionsWriter(
            out, name=label, attrs=attrs, specs=network.predicted, inputs=upstream(dataset, model_folder)
        ) as writer,
        Progress(f"predict {label}", sum(stop - start for start, stop in ranges), "examples") as progress,
    ):
        for predicted, batch, count in _one_behind(run, batches):
            known = truth_of(batch, targets, network.predicted, count)
            block = {name: (np.asarray(predicted[name], np.float32)[:count], *known[name]) for name in known}
            writer.append(rows.iloc[batch["row"][:count]], block)
            progress.add(count)
