"""A network to and from a model folder: named tensors and the description that rebuilds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from seqmill.models.registry import build, source_digest
from seqmill.runtime.errors import DamageError, InputError
from seqmill.stores.model import ModelReader
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.augment import View
from seqmill.training.heads import FittedHead
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import find_objective, split_module


def names_of(tree: Any) -> tuple[list[str], list[Any], Any]:
    """Dotted names and values of the leaves of a state, and its structure."""
    flat, structure = jax.tree_util.tree_flatten_with_path(tree)
    names = []
    for path, _ in flat:
        parts = [str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path]
        names.append(".".join(parts[:-1] if parts[-1] == "value" else parts))
    return names, [leaf for _, leaf in flat], structure


def tensors_of(params: Any, rest: Any) -> dict[str, np.ndarray]:
    """Arrays to store, by name: "params.<path>" for trained values, "state.<path>" for the rest."""
    tensors: dict[str, np.ndarray] = {}
    for prefix, tree in (("params", params), ("state", rest)):
        names, leaves, _ = names_of(tree)
        tensors |= {f"{prefix}.{name}": np.asarray(jax.device_get(leaf)) for name, leaf in zip(names, leaves)}
    return tensors


def _fill(tree: Any, prefix: str, tensors: Mapping[str, np.ndarray], where: Path) -> Any:
    names, leaves, structure = names_of(tree)
    expected = {f"{prefix}.{name}": leaf for name, leaf in zip(names, leaves)}
    found = {name for name in tensors if name.startswith(f"{prefix}.")}
    for name in sorted(found ^ set(expected)):
        raise DamageError(f"{where}: tensor {name} is {'not expected' if name in found else 'missing'}")
    for name, leaf in expected.items():
        if tensors[name].shape != leaf.shape:
            raise DamageError(f"{where}: tensor {name} has shape {tensors[name].shape}, the network needs {leaf.shape}")
    return jax.tree_util.tree_unflatten(structure, [jax.numpy.asarray(tensors[name]) for name in expected])


@dataclass(frozen=True)
class Network:
    """A trained network, ready to be applied.

    ``nnx.merge(graph, params, rest, copy=True)`` is the module; `view` shows it stored batches; its outputs become
    predictions by ``objective.predictions(heads, outputs)``, of the geometry ``predicted``.
    """

    info: dict[str, Any]
    digest: str
    graph: Any
    params: Any
    rest: Any
    view: View
    heads: dict[str, FittedHead]
    objective: Any
    predicted: dict[str, TargetSpec]


def output_shapes(graph: Any, params: Any, rest: Any, view: View) -> dict[str, Any]:
    """Shapes of a network's outputs for one example, by name; nothing is computed."""

    def apply(params: Any, rest: Any, inputs: dict[str, Any]) -> Any:
        return nnx.merge(graph, params, rest, copy=True)(inputs, train=False, key=None)

    inputs = {}
    for name, spec in view.network_inputs().items():
        sequence = spec.kind == "sequence"
        shape = (1, *spec.shape_per_example, 4) if sequence else (1, *spec.shape_per_example)
        inputs[name] = jax.ShapeDtypeStruct(shape, "float32" if sequence else spec.dtype)
    return jax.eval_shape(apply, params, rest, inputs)


def describe(
    view: View, heads: Mapping[str, FittedHead], objective: str, predicted: Mapping[str, TargetSpec]
) -> dict[str, Any]:
    """The part of ``model.json`` that `load_network` reads, beside architecture, settings and seed."""
    return {
        "inputs": {name: spec.to_json() for name, spec in view.inputs.items()},
        "targets": {name: spec.to_json() for name, spec in view.targets.items()},
        "heads": {name: head.to_json() for name, head in heads.items()},
        "strands": view.strands,
        "objective": objective,
        "objective_sha256": source_digest(objective),
        "predicted": {name: spec.to_json() for name, spec in predicted.items()},
    }


def load_network(folder: str | Path) -> Network:
    """Rebuild the network of a model folder.

    Raises
    ------
    DamageError
        The folder is damaged, or its tensors do not fit its description.
    InputError
        The user's own file of the architecture or the objective has changed since the training.
    """
    folder = Path(folder)
    reader = ModelReader(folder)
    info = reader.info
    for key, digest in (("architecture", "source_sha256"), ("objective", "objective_sha256")):
        if info[digest] != source_digest(info[key]):
            path = info[key].rpartition(":")[0]
            raise InputError(
                path, f"has changed since model {folder} was trained with it; train again or restore the file"
            )
    view = View(
        {name: ArraySpec.from_json(value) for name, value in info["inputs"].items()},
        {name: TargetSpec.from_json(value) for name, value in info["targets"].items()},
        Jitter(0, 1),
        info["strands"],
    )
    module = build(info["architecture"], info["settings"], view.network_inputs(), view.network_targets(), info["seed"])
    graph, params, rest = split_module(module)
    tensors = reader.tensors()
    return Network(
        info=info,
        digest=reader.digest,
        graph=graph,
        params=_fill(params, "params", tensors, folder),
        rest=_fill(rest, "state", tensors, folder),
        view=view,
        heads={name: FittedHead.from_json(value) for name, value in info["heads"].items()},
        objective=find_objective(info["objective"]),
        predicted={name: TargetSpec.from_json(value) for name, value in info["predicted"].items()},
    )
