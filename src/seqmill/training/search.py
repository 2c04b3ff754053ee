"""A search for the settings of a model in one fold: trials that never read the rows of its test part.

The trials of a fold are compared on parts of its training rows (`seqmill.stores.part_reader.inner_parts`); the reader
that a trial is given cannot read any other row. Only when the settings are chosen and written, a network that is
trained with them is scored on the test part (`part_loss`): nested cross-validation (Varma & Simon 2006, BMC
Bioinformatics 7:91). The value of the best trial, of which many were tried, is an optimistic one.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import optuna

from seqmill.config.models import Model, Objective
from seqmill.config.scope import run_scope
from seqmill.config.search import Search, lay, search_scope
from seqmill.runtime.errors import InputError, SeqmillError
from seqmill.runtime.marker import MARKER
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.stores.part_reader import inner_parts
from seqmill.stores.parts import folds_of, part_ranges
from seqmill.training.artefact import load_network
from seqmill.training.checkpoint import StoppedError
from seqmill.training.labels import label_statistics
from seqmill.training.loader import batch_keys, plain_batches
from seqmill.training.notes import mean_loss
from seqmill.training.objectives import Supervised, read_objective
from seqmill.training.study import Claim, Study
from seqmill.training.train import train_model


def trial_model(model: Model, settings: Mapping[str, Any], name: str) -> Model:
    """The section of one trial: the model's with its settings, in one process."""
    section = run_scope(lay(model, settings, f"searches.{name}"))
    return section.model_copy(update={"training": section.training.model_copy(update={"processes": 1})})


def study_folder(work: str | Path, model: Model, search: Search, dataset: str | Path, fold: str, seed: int) -> Path:
    """Where the trials of a fold are kept: other data, other settings or another space are another study.

    How many trials are wanted and who makes them is not part of it, so a search can be made longer.
    """
    key = {
        "model": run_scope(model).model_copy(update={"search": None}).model_dump(mode="json"),
        "search": search_scope(search).model_dump(mode="json", exclude={"model"}),
        "dataset": DatasetReader(dataset).digest,
        "fold": fold,
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return Path(work) / digest[:16]


def work_on(
    work: str | Path,
    *,
    name: str,
    model: Model,
    search: Search,
    dataset: str | Path,
    fold: str,
    seed: int,
) -> Study:
    """Take part in a search until no trial is left to take; returns the study.

    Several processes, on several machines, may do this at the same time with the same ``work``. A trial that is
    stopped or killed is taken up by the next worker and goes on where its last saved state is.

    Parameters
    ----------
    work : folder for the search of this fold. name : of the search.
    model, search : their sections. dataset : folder of the dataset. fold : run of the dataset. seed : of the trials.

    Raises
    ------
    InputError
        The run leaves too few folds for ``inner: folds``.
    StoppedError
        SIGTERM came; the same call continues.
    """
    parts = inner_parts(DatasetReader(dataset), fold, search.inner)
    if search.inner == "folds" and len(parts) < 2:
        raise InputError(
            f"searches.{name}", f"inner: folds needs two training folds, run {fold} has {len(parts)}; use inner: valid"
        )
    study = Study(study_folder(work, model, search, dataset, fold, seed), search)
    log = logging.getLogger("seqmill")
    while (claim := study.claim()) is not None:
        label = f"{name}/{fold}, trial {claim.number + 1} of {search.trials}"
        log.info("%s: %s", label, ", ".join(f"{key} {value}" for key, value in claim.settings.items()))
        with claim:
            try:
                value = _value(claim, parts, name=name, model=model, dataset=dataset, fold=fold, seed=seed)
            except optuna.TrialPruned:
                study.tell(claim, None, pruned=True)
                log.info("%s: stopped early", label)
            except StoppedError:
                raise
            except (SeqmillError, jax.errors.JaxRuntimeError) as error:  # these settings cannot be trained with
                study.tell(claim, None, reason=str(error))
                log.warning("%s: failed: %s", label, error)
            else:
                study.tell(claim, value)
                log.info("%s: %.6g", label, value)
            shutil.rmtree(claim.folder, ignore_errors=True)
    return study


def _value(
    claim: Claim,
    parts: Sequence[Mapping[str, Sequence[str]]],
    *,
    name: str,
    model: Model,
    dataset: str | Path,
    fold: str,
    seed: int,
) -> float:
    """Best validation loss of a trial, mean over the inner parts. Raises optuna.TrialPruned."""
    section, reached = trial_model(model, claim.settings, name), []
    for number, part in enumerate(parts):
        out = claim.folder / str(number) / f"{fold}.{seed}"
        best = float("inf")

        def follow(epoch: int, loss: float) -> None:
            nonlocal best
            best = min(best, loss)
            claim.report(epoch, best)

        if not (out / MARKER).exists():
            train_model(
                out,
                name=f"{name}, trial {claim.number}",
                model=section,
                dataset=dataset,
                fold=fold,
                seed=seed,
                parts=part,
                after_pass=follow if len(parts) == 1 else None,
            )
        reached.append(float(ModelReader(out).info["valid_loss"]))
        if len(parts) > 1:
            claim.report(number + 1, float(np.mean(reached)))
    return float(np.mean(reached))


def forget_others(study: Study) -> None:
    """Delete what is left of trials, and studies of the same fold that were of other data or another configuration."""
    shutil.rmtree(study.folder / "trials", ignore_errors=True)
    for other in study.folder.parent.iterdir():
        if other.is_dir() and other != study.folder:
            shutil.rmtree(other, ignore_errors=True)


def part_loss(
    model_folder: str | Path, dataset: str | Path, folds: Sequence[str], objective: Objective
) -> tuple[float, float | None]:
    """Loss of a trained network over all rows of some folds, and that of predicting the mean of its training labels.

    The second is None where that cannot be said (`seqmill.training.notes.mean_loss`).
    """
    network, reader = load_network(model_folder), DatasetReader(dataset)
    cls, settings = read_objective(objective.name, objective.settings)
    judge = cls(network.graph, network.view, network.heads, optax.identity(), settings)
    state = judge.init(network.params, network.rest)
    targets, size = list(network.view.targets), network.info["training"]["batch_size"]
    keys, ranges = batch_keys(reader, targets), part_ranges(reader.parts, folds)
    evaluate = jax.jit(judge.evaluate)
    sums = []
    for batch, count in plain_batches(reader, ranges, batch_size=size, keys=keys):
        shown = {key: array for key, array in batch.items() if key != "row"}
        sums.append(jax.device_get(evaluate(state, shown, np.arange(size) < count)))
    mean = None
    if cls is Supervised:
        train = part_ranges(reader.parts, folds_of(reader, network.info["fold"], "train"))
        statistics = {name: label_statistics(reader, name, train) for name in targets}
        labels = [key for key in keys if not key.startswith("inputs/")]
        batches = plain_batches(reader, ranges, batch_size=size, keys=labels)
        mean = mean_loss(network.view, network.heads, statistics, batches)
    return float(judge.combine(sums)), mean
