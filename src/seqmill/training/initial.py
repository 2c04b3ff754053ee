"""Start from a trained model: tensors that fit are copied, if that model has not seen what this run is tested on."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.stores.parts import folds_of
from seqmill.training.artefact import names_of
from seqmill.training.freeze import is_head
from seqmill.training.seen import first_place, not_at_hand, rows_of, rows_seen, training_of

_OUTSIDE = (
    "for a model from elsewhere name the folder of that dataset in initial.datasets, or accept with "
    "'initial.unchecked: true' that it may have seen test rows"
)


def copy_tensors(
    params: Any, rest: Any, tensors: Mapping[str, np.ndarray], *, heads: bool, trunk: bool = True
) -> tuple[Any, Any, list[str], list[str]]:
    """Put tensors of the same name and shape into a fresh network.

    Parameters
    ----------
    params, rest : of the fresh network. tensors : of the trained one, by name (`artefact.tensors_of`).
    heads : copy heads too: what lies in an attribute of the network whose name ends with "heads".
    trunk : copy what lies elsewhere.

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
            if fits and (heads if is_head(name) else trunk):
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
    trunk: bool = True,
    unchecked: bool = False,
    reader: Any,
    fold: str,
    label: str,
) -> tuple[Any, Any, dict[str, Any]]:
    """Parameters and state of a network that starts where another ended.

    Parameters
    ----------
    trained : folder of the model. datasets : those that it, and the models it started from itself, were trained on.
    params, rest : of the fresh network. heads, trunk : see `copy_tensors`.
    unchecked : see `check_unseen`.
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
    seen = check_unseen(reader, fold, training_of(model.info), datasets, label, unchecked=unchecked)
    params, rest, copied, fresh = copy_tensors(params, rest, model.tensors(), heads=heads, trunk=trunk)
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
    reader: Any,
    fold: str,
    seen: Sequence[Mapping[str, Any]],
    datasets: Sequence[str | Path],
    label: str,
    *,
    unchecked: bool = False,
) -> list[dict[str, Any]]:
    """Raise InputError if a row that this run is tested on was in the training or validation part of an earlier one.

    Windows are compared by their extents (margins included) on genomes of the same name, table rows by their
    sequences (both strands, where both datasets have them).

    Parameters
    ----------
    seen : as of `seqmill.training.seen.training_of`. datasets : folders of their datasets.
    unchecked : accept runs whose dataset is not among them.

    Returns
    -------
    ``seen``; what could not be checked has "unchecked", true.
    """
    test = rows_of(reader, folds_of(reader, fold, "test"))
    readers = {other.digest: other for other in map(DatasetReader, datasets)}
    checked: list[dict[str, Any]] = []
    for entry in seen:
        link = {key: value for key, value in entry.items() if key != "unchecked"}
        checked.append(link)
        if (link["dataset_digest"], link["fold"]) == (reader.digest, fold):
            continue  # the folds of one run are disjoint by the way the dataset was made
        if link["dataset_digest"] not in (reader.digest, *readers):
            if not unchecked:
                raise InputError(label, f"{not_at_hand(link)}; {_OUTSIDE}")
            link["unchecked"] = True
            continue
        shared = rows_seen(reader, test, link, readers, label)
        if shared.any():
            raise InputError(
                label,
                f"{shared.sum():,} of {len(test):,} test rows of run {fold} (first: {first_place(test[shared])}) "
                f"overlap rows that model {link['model']} was trained on (dataset {link['dataset']}); split both "
                "datasets alike",
            )
    return checked


def unchecked_notes(seen: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on the earlier models that could not be compared with the test part."""
    return [
        f"whether model {link['model']}, which this one started from, has seen test rows was not checked"
        for link in seen
        if link.get("unchecked")
    ]
