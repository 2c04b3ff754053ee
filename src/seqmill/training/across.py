"""Predictions on any dataset: the average over the trained runs of a model, each row only by runs that never saw it."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.models import Prediction
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import MARKER, read_marker
from seqmill.runtime.progress import Progress
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.ensemble import MEAN, NOT_AVERAGED, RunningMean
from seqmill.stores.layout import upstream
from seqmill.stores.model import ModelReader
from seqmill.stores.parts import folds_of, part_ranges
from seqmill.stores.predictions import PredictionsWriter
from seqmill.training.artefact import load_network
from seqmill.training.devices import require_device
from seqmill.training.predict import check_dataset, loaded, predictor, truth_of
from seqmill.training.seen import first_place, rows_of, rows_seen, run_name, training_of

ALL = "all"


def _folds(reader: Any, part: str, runs: Sequence[str] | None) -> list[str]:
    """Folds of a part of some runs of a dataset (of all if None); all folds for the part "all"."""
    if part == ALL:
        return list(reader.folds)
    wanted = reader.runs if runs is None else runs
    return list(dict.fromkeys(fold for run in wanted for fold in folds_of(reader, run, part)))


def unseen_rows(
    reader: Any, rows: pd.DataFrame, infos: Sequence[Mapping[str, Any]], datasets: Sequence[str | Path]
) -> np.ndarray:
    """Rows that each model may predict, bool (model, row): never in its training or validation part.

    Raises
    ------
    InputError
        Some rows are known to all models.
    """
    name, readers = infos[0]["name"], {other.digest: other for other in map(DatasetReader, datasets)}
    known: dict[str, np.ndarray] = {}
    unseen = np.ones((len(infos), len(rows)), bool)
    for may, info in zip(unseen, infos):
        for link in training_of(info):
            key = json.dumps([link["dataset_digest"], link["fold"], link["pools"]])
            if key not in known:
                known[key] = rows_seen(reader, rows, link, readers, name)
            may &= ~known[key]
    none = ~unseen.any(axis=0)
    if none.any():
        folds = ", ".join(dict.fromkeys(info["fold"] for info in infos))
        raise InputError(
            reader.name,
            f"{none.sum():,} of {len(rows):,} rows (first: {first_place(rows[none])}) overlap training rows of every "
            f"run of model {name} (fold {folds}); choose another part, or add the fold that was tested on them",
        )
    return unseen


def check_alike(infos: Sequence[Mapping[str, Any]], folders: Sequence[Path]) -> None:
    for info, folder in zip(infos, folders):
        for key in ("name", "inputs", "predicted", "strands", "objective"):
            if info[key] != infos[0][key]:
                raise InputError(
                    folder, f"{key} differs from that of {folders[0]}; they cannot be averaged: train again"
                )
    if len(infos) > 1 and any(spec["kind"] == NOT_AVERAGED for spec in infos[0]["predicted"].values()):
        raise InputError(folders[0], "its predictions mean something else in each run; name one with --fold and --seed")


def _check_free(out: Path) -> None:
    """Only a predictions store may be replaced."""
    if out.exists() and not ((out / MARKER).is_file() and read_marker(out).noun == "predictions"):
        raise InputError(out, "exists and is no predictions store; name another folder")


def predict_across(
    out: str | Path,
    *,
    models: Sequence[str | Path],
    dataset: str | Path,
    trained_on: Sequence[str | Path],
    part: str = "test",
    runs: Sequence[str] | None = None,
    prediction: Prediction | None = None,
) -> None:
    """Write the mean prediction of several runs (folds and seeds) of a model for rows of any dataset, with its spread.

    Rows that a run was trained on, or was stopped by, are left to the other runs: for the dataset of the training that
    gives out-of-fold predictions.

    Parameters
    ----------
    out : folder to write. models : folders of the runs.
    dataset : folder of the dataset. It may lack targets; their predictions have no truth then.
    trained_on : folders of the datasets that the models, and those they started from, were trained on.
    part : "test", "valid", "train" of ``runs`` of the dataset (of all its runs if None), or "all" rows.
    prediction : strands, shifts and batch size.

    Raises
    ------
    InputError
        Rows that every run was trained on; runs or arrays that do not fit together; no rows; ``out`` is in use.
    """
    out, folders, prediction = Path(out), [Path(folder) for folder in models], prediction or Prediction()
    _check_free(out)
    infos = [ModelReader(folder).info for folder in folders]
    check_alike(infos, folders)
    training = infos[0]["training"]
    require_device(training["device"], training["xla_threads"])  # before the first array
    reader = DatasetReader(dataset)
    for info, folder in zip(infos, folders):
        check_dataset(info, reader, folder, labelled=False)
    folds = _folds(reader, part, runs)
    ranges = part_ranges(reader.parts, folds)
    if not ranges:
        raise InputError(reader.name, f"the {part} part has no rows")
    unseen = unseen_rows(reader, rows_of(reader, folds), infos, trained_on)
    for info, may in zip(infos, unseen):
        logging.getLogger("seqmill").info("%s: predicts %d of %d rows", run_name(info), may.sum(), len(may))
    used = np.flatnonzero(unseen.any(axis=1)).tolist()
    infos, folders, unseen = [infos[i] for i in used], [folders[i] for i in used], unseen[used]
    strands = infos[0]["strands"] and prediction.strands == "auto"
    attrs = _attrs(infos, unseen, reader) | {
        "part": part,
        "both_strands": strands,
        "shifts_bp": list(prediction.shifts_bp),
    }
    networks = [load_network(folder) for folder in folders]
    runners = [predictor(network, strands=strands, shifts_bp=prediction.shifts_bp) for network in networks]
    specs = networks[0].predicted
    targets = {name: reader.targets[name] for name in specs if name in reader.targets}
    table, label, done = reader.rows(), f"{infos[0]['name']} on {reader.name}", 0
    batch_size = prediction.batch_size or training["batch_size"]
    with (
        closing(loaded(reader, ranges, batch_size=batch_size, targets=list(targets))) as batches,
        PredictionsWriter(out, label, attrs, specs, inputs=upstream(dataset, *folders), spread=True) as writer,
        Progress(f"predict {label}", unseen.shape[1], "examples") as progress,
    ):
        for inputs, batch, count in batches:
            means = _average(runners, unseen[:, done : done + count], inputs, specs)
            known = truth_of(batch, targets, specs, count)
            block = {name: (mean.mean(), *known[name], mean.spread()) for name, mean in means.items()}
            writer.append(table.iloc[batch["row"][:count]], block)
            done += count
            progress.add(count)


def _average(
    runners: Sequence[Callable], unseen: np.ndarray, inputs: Mapping[str, Any], specs: Mapping[str, Any]
) -> dict[str, RunningMean]:
    """Mean over the models of one batch; ``unseen`` bool (model, example) says which may predict which."""
    count = unseen.shape[1]
    means = {name: RunningMean((count, *spec.shape_per_example)) for name, spec in specs.items()}
    for run, may in zip(runners, unseen):
        if may.any():
            for name, values in run(inputs).items():
                means[name].add(np.asarray(values, np.float32)[:count], may)
    return means


def _attrs(infos: Sequence[Mapping[str, Any]], unseen: np.ndarray, reader: Any) -> dict[str, Any]:
    """Whose predictions they are, and how many rows each run predicted."""
    return {
        "kind": "network",
        "model": infos[0]["name"],
        "dataset": reader.name,
        "dataset_digest": reader.digest,
        "fold": _one_of([info["fold"] for info in infos], ALL),
        "seed": _one_of([info["seed"] for info in infos], MEAN),
        "bootstrap_unit": reader.bootstrap_unit,
        "models": {run_name(info): int(may.sum()) for info, may in zip(infos, unseen)},
        "out_of_fold": not bool(unseen.all()),
    }


def _one_of(values: Sequence[Any], several: Any) -> Any:
    """The value that all have, else ``several``."""
    return values[0] if len(set(values)) == 1 else several
