"""Start from a trained model: tensors that fit are copied, if that model has not seen what this run is tested on."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from seqmill.examples.table import sequence_key
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.stores.parts import folds_of, part_ranges
from seqmill.training.artefact import names_of


def copy_tensors(
    params: Any, rest: Any, tensors: Mapping[str, np.ndarray], *, heads: bool
) -> tuple[Any, Any, list[str], list[str]]:
    """Put tensors of the same name and shape into a fresh network.

    Parameters
    ----------
    params, rest : of the fresh network. tensors : of the trained one, by name (`artefact.tensors_of`).
    heads : copy heads too: what lies in an attribute of the network whose name ends with "heads".

    Returns
    -------
    Both trees, names of the tensors that were copied, names of those that stay fresh.
    """
    copied: list[str] = []
    fresh: list[str] = []

    def fill(tree: Any, prefix: str) -> Any:
        names, leaves, structure = names_of(tree)
        filled = []
        for name, leaf in zip(names, leaves):
            full = f"{prefix}.{name}"
            fits = full in tensors and tensors[full].shape == leaf.shape and tensors[full].dtype == leaf.dtype
            if fits and (heads or not name.partition(".")[0].endswith("heads")):
                copied.append(full)
                filled.append(jnp.asarray(tensors[full]))
            else:
                fresh.append(full)
                filled.append(leaf)
        return jax.tree_util.tree_unflatten(structure, filled)

    return fill(params, "params"), fill(rest, "state"), copied, fresh


def start_from(
    trained: str | Path,
    datasets: Sequence[str | Path],
    params: Any,
    rest: Any,
    *,
    heads: bool,
    reader: Any,
    fold: str,
    label: str,
) -> tuple[Any, Any, dict[str, Any]]:
    """Parameters and state of a network that starts where another ended.

    Parameters
    ----------
    trained : folder of the model. datasets : those that it, and the models it started from itself, were trained on.
    params, rest : of the fresh network. heads : see `copy_tensors`.
    reader, fold : dataset and run of the training that starts. label : of it, for messages.

    Returns
    -------
    Both trees, and what is kept in ``model.json``.

    Raises
    ------
    InputError
        No parameter fits, or the model has seen test rows of this run.
    """
    model = ModelReader(trained)
    name = f"{model.info['name']}/{model.info['fold']}.{model.info['seed']}"
    seen = [
        {"model": name, **{key: model.info[key] for key in ("dataset", "dataset_digest", "fold", "pools")}},
        *(model.info.get("initial") or {}).get("seen", []),
    ]
    check_unseen(reader, fold, seen, datasets, label)
    params, rest, copied, fresh = copy_tensors(params, rest, model.tensors(), heads=heads)
    if not any(tensor.startswith("params.") for tensor in copied):
        raise InputError(
            label,
            f"no parameter of model {name} ({model.info['architecture']}) has the name and shape of one of this "
            "network, so it cannot start from it; use the same architecture and settings",
        )
    logging.getLogger("seqmill").info(
        "%s: starts from model %s: %d of %d tensors copied; fresh: %s",
        label, name, len(copied), len(copied) + len(fresh), ", ".join(fresh) or "none",
    )  # fmt: skip
    info = {"model": name, "digest": model.digest, "copied": copied, "fresh": fresh, "seen": seen}
    return params, rest, info


def check_unseen(
    reader: Any, fold: str, seen: Sequence[Mapping[str, Any]], datasets: Sequence[str | Path], label: str
) -> None:
    """Raise InputError if a row that this run is tested on was in the training or validation part of an earlier one.

    Windows are compared by their extents (margins included) on genomes of the same name, table rows by their
    sequences (both strands, where both datasets have them).
    """
    test = _chosen(reader, folds_of(reader, fold, "test"), None)
    readers = {other.digest: other for other in (DatasetReader(path) for path in datasets)}
    for link in seen:
        if (link["dataset_digest"], link["fold"]) == (reader.digest, fold):
            continue  # the folds of one run are disjoint by the way the dataset was made
        other = reader if link["dataset_digest"] == reader.digest else readers.get(link["dataset_digest"])
        if other is None:
            raise InputError(
                label,
                f"dataset {link['dataset']}, which model {link['model']} was trained on, was rebuilt; train it again",
            )
        folds = [*folds_of(other, link["fold"], "train"), *folds_of(other, link["fold"], "valid")]
        earlier = _chosen(other, folds, [pool for pool, _ in link["pools"]] if link["pools"] else None)
        shared = overlapping(test, earlier, reader.margin_bp, other.margin_bp) | _copies(reader, test, other, earlier)
        if shared.any():
            row = test[shared].iloc[0]
            place = f"{row['contig']}:{row['start']}-{row['end']}" if row["start"] >= 0 else row["name"]
            raise InputError(
                label,
                f"{shared.sum():,} of {len(test):,} test rows of run {fold} (first: {place}) overlap rows that model "
                f"{link['model']} was trained on (dataset {link['dataset']}); split both datasets alike",
            )


def _chosen(reader: Any, folds: Sequence[str], pools: Sequence[str] | None) -> pd.DataFrame:
    """Rows of some folds and pools; the index is their number in the dataset."""
    rows = reader.rows()
    keep = rows["fold"].isin(folds)
    return rows[keep if pools is None else keep & rows["pool"].isin(pools)]


def overlapping(rows: pd.DataFrame, others: pd.DataFrame, margin_bp: int, other_margin_bp: int) -> np.ndarray:
    """Which windows of ``rows`` share a base with one of ``others`` on the same genome and contig, bool (n,)."""
    shared = pd.Series(False, index=rows.index)
    placed = others[others["start"] >= 0]
    earlier = dict(iter(placed.groupby(["genome", "contig"], observed=True)))
    for place, part in rows[rows["start"] >= 0].groupby(["genome", "contig"], observed=True):
        if place in earlier:
            low = earlier[place]["start"].to_numpy() - other_margin_bp
            high = earlier[place]["end"].to_numpy() + other_margin_bp
            order = np.argsort(low, kind="stable")
            before = np.searchsorted(low[order], part["end"].to_numpy() + margin_bp)  # begin before this one's end
            furthest = np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(high[order])])
            shared[part.index] = furthest[before] > part["start"].to_numpy() - margin_bp
    return shared.to_numpy()


def _copies(reader: Any, rows: pd.DataFrame, other: Any, others: pd.DataFrame) -> np.ndarray:
    """Which table rows have the sequence of an earlier one, bool (n,); none where a dataset has no sequence."""
    name, other_name = _sequence(reader), _sequence(other)
    placed = rows["start"].to_numpy() >= 0
    if name is None or other_name is None or placed.all() or not len(others):
        return np.zeros(len(rows), bool)
    known = set(_keys(other, other_name, others))
    return np.fromiter((key in known for key in _keys(reader, name, rows)), bool, len(rows)) & ~placed


def _sequence(reader: Any) -> str | None:
    return next((name for name, spec in reader.inputs.items() if spec.kind == "sequence"), None)


def _keys(reader: Any, name: str, rows: pd.DataFrame) -> Iterator[bytes]:
    """A key for each row's sequence without its padding, equal for both strands."""
    folds, pools = rows["fold"].unique().tolist(), rows["pool"].unique().tolist()
    wanted = set(rows.index)
    for start, stop in part_ranges(reader.parts, folds, pools):
        for at in range(start, stop, reader.chunk_examples):
            end = min(stop, at + reader.chunk_examples)
            codes = reader.read(f"inputs/{name}", at, end)
            for row, sequence in zip(range(at, end), codes):
                if row in wanted:
                    known = np.flatnonzero(sequence < 4)
                    cut = sequence[known[0] : known[-1] + 1] if len(known) else sequence[:0]
                    yield sequence_key(np.ascontiguousarray(cut), True)
