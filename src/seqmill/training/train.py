"""Train one network on one fold of a dataset with one seed, and write its model folder."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.config.heads import Head
from seqmill.config.models import Model, Training
from seqmill.models.blocks import count_parameters
from seqmill.models.registry import build, source_digest
from seqmill.runtime.errors import InputError
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.progress import human_bytes, human_seconds
from seqmill.runtime.record import peak_memory_bytes, versions
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.geometry import reverse_complement_allowed
from seqmill.stores.layout import upstream
from seqmill.stores.model import write_model
from seqmill.stores.part_reader import PartReader
from seqmill.stores.parts import chosen_targets, folds_of
from seqmill.training.artefact import describe, output_shapes, tensors_of
from seqmill.training.augment import View
from seqmill.training.batch_size import first_size, fitting_batch_size, kept_batch_size
from seqmill.training.checkpoint import Checkpoints, resume_folder
from seqmill.training.devices import device_peak_bytes, device_watch, require_device
from seqmill.training.distributed import is_first, join, only_first, others_may_die, placed, quiet_others
from seqmill.training.evoaug import augmentation_of, marked, plain_from
from seqmill.training.initial import start_from, unchecked_notes
from seqmill.training.jitter import jitter_of
from seqmill.training.labels import check_valid_labels, fit_heads
from seqmill.training.loader import ahead, batch_keys, part_batches, plain_batches, training_batches
from seqmill.training.loop import DivergedError, fit
from seqmill.training.notes import learning_notes, mean_loss
from seqmill.training.objectives import Supervised, read_objective, split_module
from seqmill.training.optimizers import make_optimizer, rate_of
from seqmill.training.order import make_streams, steps_per_epoch, validation_ranges
from seqmill.training.parallel import Layout, Parallel, make_layout
from seqmill.training.step import set_step
from seqmill.training.stepper import spike_note, with_rules
from seqmill.training.telemetry import Telemetry, progress_file
from seqmill.training.transfer import layer_rates, transfer

# Settings that change no bit of a trained model: a stopped training goes on when they change.
_NO_MATTER: Any = {
    "folds": True,
    "prediction": True,
    "training": {"seeds", "checkpoint_seconds"},
    "initial": {"folder", "datasets"},  # where it lies; its digest counts
}


def _to_device(batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: array if name == "row" else jax.device_put(array) for name, array in batch.items()}


def _valid_batches(
    reader: Any,
    ranges: Sequence[tuple[int, int]],
    size: int,
    keys: Sequence[str],
    layout: Layout | None,
    to_device: Callable,
) -> Callable:
    part = (jax.process_index(), jax.process_count())

    def prepare(item: tuple[Mapping[str, np.ndarray], int]) -> tuple[dict[str, Any], Any]:
        batch, count = item
        real = np.arange(size // part[1]) < count
        arrays = {k: v for k, v in to_device(batch).items() if k != "row"}
        return arrays, real if layout is None else layout.rows(real)

    if part[1] == 1:
        return lambda: ahead(plain_batches(reader, ranges, batch_size=size, keys=keys), prepare)
    return lambda: ahead(part_batches(reader, ranges, batch_size=size, keys=keys, part=part), prepare)


def _view(reader: Any, targets: Sequence[str], training: Training) -> View:
    """What a network is shown of a dataset in this training."""
    arrays = {**reader.inputs, **{f"target {key}": reader.targets[key] for key in targets}}
    return View(
        inputs=reader.inputs,
        targets={key: reader.targets[key] for key in targets},
        jitter=jitter_of(arrays.values(), training.max_jitter_bp),
        strands=training.reverse_complement and reader.reverse_complement and reverse_complement_allowed(arrays),
        changes=augmentation_of(training.augment, arrays, reverse_complement=reader.reverse_complement),
    )


def _initial_input(model: Model, folder: str | Path | None) -> dict[str, str]:
    """Label and digest of the initial model; one that is not of these results is not looked for among them."""
    if folder is None:
        return {}
    found = upstream(folder)
    return found if model.initial is None or model.initial.model else {f"outside/{k}": v for k, v in found.items()}


def run_key(model: Model, dataset: str, initial: str | None, fold: str, seed: int, device: str) -> dict[str, Any]:
    """Everything that decides the bits of a training; ``dataset`` and ``initial`` are digests."""
    return {
        "model": model.model_dump(mode="json", exclude=_NO_MATTER),
        "sources": {path: source_digest(path) for path in (model.architecture, model.objective.name)},
        "dataset": dataset,
        "initial": initial,
        "fold": fold,
        "seed": seed,
        "device": device,
        "versions": versions("jax", "jaxlib", "flax", "optax", "numpy"),  # numpy: the order of examples
    }


@others_may_die()
def train_model(
    out: str | Path,
    *,
    name: str,
    model: Model,
    dataset: str | Path,
    fold: str,
    seed: int,
    initial: str | Path | None = None,
    initial_datasets: Sequence[str | Path] = (),
    parts: Mapping[str, Sequence[str]] | None = None,
    after_pass: Callable[[int, float], None] | None = None,
) -> None:
    """Train and write ``out`` (a model folder, `seqmill.stores.model`).

    The state is saved beside ``out`` while the training goes on; when it was stopped, the same call goes on from
    there and ends with the same bits.

    Parameters
    ----------
    name : of the model. model : its configuration. dataset : folder of the dataset.
    fold : run of the dataset, e.g. "0". seed : of parameters, order, augmentation and dropout.
    initial : folder of the trained model to start from, where ``model.initial`` asks for one.
    initial_datasets : folders of the datasets that it, and the models before it, were trained on.
    parts : folds to train and to validate on instead of those of the run; then no other row can be read.
    after_pass : see `seqmill.training.loop.fit`.

    Raises
    ------
    InputError
        The dataset, its labels and the configuration do not fit, or the initial model has seen test rows.
    DivergedError
        The loss is not finite; the message names the step and its rows.
    StoppedError
        SIGTERM came; the state is saved.
    """
    training = model.training
    join(training)
    kind = require_device(training.device, training.xla_threads)
    quiet_others()
    part = (jax.process_index(), jax.process_count())
    reader = DatasetReader(dataset) if parts is None else PartReader(dataset, fold, parts)
    label = f"{name}/{fold}.{seed}"
    objective_class, objective_settings = read_objective(model.objective.name, model.objective.settings)
    learned = chosen_targets(reader, model.targets) if objective_class.learns_targets else []
    sections = {key: (model.targets or {}).get(key, Head()) for key in learned}
    targets = list(sections)
    view = _view(reader, targets, training)
    folds = {part: folds_of(reader, fold, part) for part in ("train", "valid")}
    pools = [(share.pool, share.ratio) for share in model.pools] if model.pools else None
    streams_of = partial(
        make_streams,
        reader.parts,
        folds["train"],
        pools=pools,
        chunk=reader.chunk_examples,
        fraction=training.train_fraction,
        lanes=training.lanes,
    )
    batch_size = first_size(training)
    streams = streams_of(batch_size=batch_size)
    valid = validation_ranges(reader.parts, folds["valid"], pools)
    if not valid:
        raise InputError(
            reader.name, f"run {fold} has no validation rows for early stopping; set split.valid or split.inner_valid"
        )
    ranges = [block for stream in streams for block in stream.blocks]
    heads, statistics, notes = fit_heads(reader, sections, ranges, label)
    check_valid_labels(reader, targets, valid, fold)
    module = build(model.architecture, model.settings, view.network_inputs(), view.network_targets(), seed)
    graph, params, rest = split_module(module)
    start: dict[str, Any] | None = None
    change = rates = None
    if model.initial is not None:
        if initial is None:
            raise ValueError(f"{label}: the folder of the model that it starts from is not given")
        params, rest, start = start_from(
            initial, initial_datasets, params, rest,
            heads=model.initial.parts != "trunk", trunk=model.initial.parts != "heads",
            unchecked=model.initial.unchecked, reader=reader, fold=fold, label=label,
        )  # fmt: skip
        notes += unchecked_notes(start["seen"])
        change = transfer(graph, params, rest, model.initial, copied=start["copied"], seed=seed, label=label)
        if change is not None:
            graph, params, rest = change.graph, change.params, change.rest
            start |= change.info
            rates = layer_rates(model.initial.learning_rates) if model.initial.learning_rates else None
    keys, resume = batch_keys(reader, targets), resume_folder(out)
    key = run_key(model, reader.digest, start["digest"] if start else None, fold, seed, kind)

    def make_objective(steps: int) -> Any:
        made = objective_class(graph, view, heads, make_optimizer(training.optimizer, steps, rates), objective_settings)
        set_step(made, training, model.objective.name)
        return made

    if training.batch_size == "auto":
        batch_size = kept_batch_size(
            resume,
            key,
            lambda: fitting_batch_size(
                with_rules(make_objective(2), training), params, rest,
                training=training, rows=sum(stream.rows for stream in streams), reader=reader, keys=keys, label=label,
            ),
        )  # fmt: skip
        training = training.model_copy(update={"batch_size": batch_size})
        key["batch_size"], streams = batch_size, streams_of(batch_size=batch_size)
    epoch_steps = training.epoch_steps or steps_per_epoch(streams)
    steps = min(training.max_epochs * epoch_steps, training.max_steps or training.max_epochs * epoch_steps)
    plain = plain_from(training.augment, steps=steps, steps_per_epoch=epoch_steps)
    predicted = objective_class.predicted(view.network_targets(), output_shapes(graph, params, rest, view))
    objective, parameters = make_objective(steps), count_parameters(module)
    log = logging.getLogger("seqmill")
    log.info(
        "%s: %s, %s parameters, %s training rows, %d steps a pass",
        label, model.architecture, f"{parameters:,}", f"{sum(s.rows for s in streams):,}", epoch_steps,
    )  # fmt: skip
    layout = make_layout(training, batch_size)
    trained = Parallel(objective, layout) if layout else objective
    trained = with_rules(trained, training, layout.place if layout else None)
    to_device = partial(layout.batch, view=view) if layout else _to_device
    telemetry = Telemetry(
        progress_file(out) if jax.process_index() == 0 else None,
        label=label,
        steps=steps,
        steps_per_epoch=epoch_steps,
        batch_size=batch_size,
        learning_rate=rate_of(training.optimizer, steps),
        device=device_watch(),
    )
    with only_first(artefact_lock(resume)):
        checkpoints = placed(Checkpoints(resume, key, label=label, every_s=training.checkpoint_seconds), layout)
        if reason := checkpoints.given_up():
            raise DivergedError(reason)
        try:
            result = fit(
                trained,
                trained.init(params, rest),
                lambda step: ahead(
                    marked(
                        training_batches(reader, streams, targets=targets, seed=seed, first_step=step, part=part),
                        step,
                        plain,
                    ),
                    to_device,
                ),
                _valid_batches(reader, valid, batch_size, keys, layout, to_device),
                seed=seed,
                steps_per_epoch=epoch_steps,
                max_epochs=training.max_epochs,
                max_steps=training.max_steps,
                patience=training.patience,
                patience_from=(plain or 0) // epoch_steps,
                batch_size=batch_size,
                label=label,
                checkpoints=checkpoints,
                telemetry=telemetry,
                after_pass=after_pass,
            )
        except DivergedError as error:
            checkpoints.give_up(str(error))
            raise
        best = result.params, result.rest
        if layout is not None:
            best = layout.gather(best)
        if not is_first():
            return  # it ends when the first has written the model
        mean = None
        if type(objective) is Supervised:  # others, also its descendants, have losses of their own
            labels = [key for key in keys if not key.startswith("inputs/")]
            batches = plain_batches(reader, valid, batch_size=batch_size, keys=labels)
            mean = mean_loss(view, heads, statistics, batches)
        odd = learning_notes(result.history, mean, training.optimizer.learning_rate)
        for note in odd + spike_note(result.history):
            log.warning("%s: %s", label, note)
            notes.append(note)
        info = {
            "architecture": model.architecture,
            "settings": dict(model.settings),
            "source_sha256": source_digest(model.architecture),
            **describe(view, heads, model.objective.name, predicted),
            "tracks": {key: list(spec.tracks) for key, spec in view.targets.items()},
            "training": training.model_dump(mode="json", exclude=_NO_MATTER["training"]),
            "initial": start,
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
            "note": "; ".join(notes),
        }
        write_model(
            out,
            name=name,
            tensors=change.tensors(*best) if change else tensors_of(*best),
            info=info,
            history=result.history,
            inputs=upstream(dataset) | _initial_input(model, initial),
            parameters={"model": model.model_dump(mode="json"), "fold": fold, "seed": seed},
            record={
                "device": kind,
                "training_seconds": round(result.seconds, 3),
                "examples": result.steps * batch_size,
                "device_peak_memory_bytes": device_peak_bytes(),
            },
        )
        checkpoints.delete()
    log.info("%s: %s", label, _cost(result.seconds, result.steps * batch_size))


def _cost(seconds: float, examples: int) -> str:
    """Time, rate and peak memory of a training, in words."""
    device = device_peak_bytes()
    text = f"trained in {human_seconds(seconds)}, {examples / max(seconds, 1e-9):,.0f} examples/s with validation; "
    text += f"peak memory {human_bytes(peak_memory_bytes())}"
    return text + (f", on the device {human_bytes(device)}" if device else "")
