"""Weights of other programs in a network of ours: which tensor is which, and in what layout.

Layers are paired as the file of the import says (`seqmill.config.imported`); what it leaves open by kind and shape
(convolution, dense, batch normalisation), and in the order of both where several have one shape.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from flax import nnx

from seqmill.config.imported import Imported, Tensor
from seqmill.formats.weights import Weights
from seqmill.models.tensor_layouts import Slot, arranged, flattenings, in_our_axes, in_our_bases, slots_of
from seqmill.runtime.errors import InputError

_PARTS = {
    "weight": "kernel", "kernel": "kernel", "bias": "bias", "gamma": "scale", "beta": "bias",
    "running_mean": "mean", "moving_mean": "mean", "running_var": "var", "moving_variance": "var",
}  # fmt: skip
_NUMBERED = {4: ("scale", "bias", "mean", "var"), 2: ("kernel", "bias"), 1: ("kernel",)}  # vars/0, ... of Keras 3
_EPSILON = {"pytorch": 1e-5, "keras": 1e-3}
_ALWAYS_IGNORED = "*.num_batches_tracked"


@dataclass
class Pairing:
    """Which tensor comes from where: by name of ours. ``by_order``: layers that only their order tells apart."""

    sources: dict[str, Tensor]
    by_order: list[tuple[str, str]] = field(default_factory=list)


def layers_of(weights: Weights) -> dict[str, dict[str, str]]:
    """Layers of a file: their parts, by our names, and which tensor each is. What is no known part is left out."""
    split = []
    for name in weights.tensors:
        layer, _, part = name.rpartition("/" if "/" in name else ".")
        split.append((layer, part, name))
    names = [layer for layer, *_ in split]
    found: dict[str, dict[str, str]] = {}
    for layer, part, name in split:
        parts: Mapping[str, str] = _PARTS
        if layer.endswith("/vars"):
            parts = dict(zip(map(str, range(4)), _NUMBERED.get(names.count(layer), ())))
        if part in parts:
            found.setdefault(layer.removesuffix("/vars"), {})[parts[part]] = name
    for known in found.values():
        if "kernel" in known and np.ndim(weights.tensors[known["kernel"]]) == 1:
            known["scale"] = known.pop("kernel")  # of PyTorch, where all is called weight
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def framework_of(file: Imported, weights: Weights) -> str:
    """Whose layout the tensors have."""
    return file.framework or ("keras" if weights.keras else "pytorch")


def _ignored(name: str, file: Imported) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in [*file.ignore, _ALWAYS_IGNORED])


def pair(slots: list[Slot], weights: Weights, file: Imported, where: str) -> Pairing:
    """Find the source of every tensor; those that have none are left out.

    Raises
    ------
    InputError
        The file of the import names what is not there.
    """
    theirs = layers_of(weights)
    by_layer: dict[str, list[Slot]] = {}
    for slot in slots:
        by_layer.setdefault(slot.layer, []).append(slot)
    _known("layers", file.layers, by_layer, "layer of the network", where)
    _known("layers", file.layers.values(), theirs, "layer of the weights", where)
    _known("tensors", file.tensors, [slot.name for slot in slots], "tensor of the network", where)
    given = [source.tensor for source in file.tensors.values() if source.tensor is not None]
    _known("tensors", given, weights.tensors, "tensor of the weights", where)
    pairing = Pairing(dict(file.tensors))
    for layer, other in file.layers.items():
        _take(pairing, by_layer[layer], theirs[other])
    used = {source.tensor for source in pairing.sources.values()}
    free = {
        name: parts
        for name, parts in theirs.items()
        if not any(tensor in used or _ignored(tensor, file) for tensor in parts.values())
    }
    order = list(free) if weights.keras and not any("/vars/" in name for name in weights.tensors) else None
    _derive(pairing, by_layer, free, order or sorted(free, key=_natural), weights, framework_of(file, weights))
    return pairing


def _known(key: str, names: Any, known: Any, what: str, where: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            tail = f"; did you mean {near[0]!r}?" if near else "; --show lists both sides"
            raise InputError(where, f"{name!r} is no {what}{tail}", record=key)


def _take(pairing: Pairing, slots: list[Slot], parts: Mapping[str, str]) -> None:
    for slot in slots:
        if slot.name not in pairing.sources and slot.part in parts:
            pairing.sources[slot.name] = Tensor(tensor=parts[slot.part])


def _derive(
    pairing: Pairing,
    by_layer: Mapping[str, list[Slot]],
    theirs: Mapping[str, Mapping[str, str]],
    order: list[str],
    weights: Weights,
    framework: str,
) -> None:
    """Pair layers of one kind and shape in the order of both, where both have as many of them."""
    groups: dict[tuple, tuple[list[str], list[str]]] = {}
    for layer, slots in by_layer.items():
        if slots[0].kind != "other" and not any(slot.name in pairing.sources for slot in slots):
            shapes = tuple(sorted((slot.part, slot.shape) for slot in slots))
            groups.setdefault((slots[0].kind, shapes), ([], []))[0].append(layer)
    for kind, shapes in groups:
        parts = [part for part, _ in shapes]
        for name in order:
            if sorted(theirs[name]) == parts:
                slots = [Slot("", "", part, kind, ()) for part in parts]
                found = [in_our_axes(weights.tensors[theirs[name][s.part]], s, framework).shape for s in slots]
                if found == [shape for _, shape in shapes]:
                    groups[kind, shapes][1].append(name)
    for ours, others in groups.values():
        if len(ours) == len(others):
            for layer, name in zip(ours, others):
                _take(pairing, by_layer[layer], theirs[name])
            if len(ours) > 1:
                pairing.by_order += zip(ours, others)


def fill(
    module: nnx.Module, inputs: Mapping[str, Any], weights: Weights, file: Imported, where: str, wanted: str
) -> dict[str, Any]:
    """Every tensor of a network from a file of weights.

    Parameters
    ----------
    module : the network. inputs : specs of its inputs. where, wanted : paths of ``weights`` and ``file``, for messages.

    Returns
    -------
    "tensors" : float32 arrays by name, "params." and "state.". "mapping" : by name of ours what it is made of.
    "by_order" : pairs of layers that only their order tells apart. "ignored" : tensors of theirs that are not used.
    "converted" : types that were converted to float32, with the number of tensors.

    Raises
    ------
    InputError
        A tensor has no source, a wrong shape or type or values that are not finite; one of theirs is left over.
    """
    slots, framework = slots_of(module), framework_of(file, weights)
    pairing = pair(slots, weights, file, wanted)
    _check_all_used(slots, pairing, weights, file, where)
    flat = flattenings(module, inputs)
    first = next((slot.name for slot in slots if slot.part == "kernel" and slot.kind in ("conv", "dense")), "")
    tensors: dict[str, np.ndarray] = {}
    mapping: dict[str, str] = {}
    converted: dict[str, int] = {}
    for slot in slots:
        source = pairing.sources[slot.name]
        if source.tensor is None:
            tensors[slot.name] = np.full(slot.shape, source.value, np.float32)
            mapping[slot.name] = f"{source.value:g}"
            continue
        name = source.tensor
        array = _checked(weights.tensors[name], name, where)
        if array.dtype != np.float32:
            converted[array.dtype.name] = converted.get(array.dtype.name, 0) + 1
        array, said = arranged(array, slot, source, framework, flat, wanted)
        if array.shape != slot.shape:
            raise InputError(
                where, f"has shape {weights.tensors[name].shape}, {slot.name} needs {slot.shape}", record=name
            )
        if slot.name == first and file.bases != "ACGT":
            array = in_our_bases(array, slot, file.bases, inputs, wanted)
            said += f", bases {file.bases}"
        if slot.kind == "norm" and slot.part == "var":
            theirs = file.epsilon or weights.epsilon.get(name.rpartition("/")[0]) or _EPSILON[framework]
            if theirs != slot.epsilon:  # the sum of both is all that counts
                array = array.astype(np.float64) + (theirs - slot.epsilon)
                said += f", + {theirs:g} - {slot.epsilon:g} (epsilon)"
        with np.errstate(over="ignore"):  # float64 beyond float32: said below
            tensors[slot.name] = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(tensors[slot.name]).all():
            raise InputError(where, "holds values that are not finite, or too large for float32", record=name)
        mapping[slot.name] = name + said
    used = {source.tensor for source in pairing.sources.values()}
    return {
        "tensors": tensors,
        "mapping": mapping,
        "by_order": pairing.by_order,
        "ignored": sorted(set(weights.tensors) - used),
        "converted": converted,
    }


def _check_all_used(slots: list[Slot], pairing: Pairing, weights: Weights, file: Imported, where: str) -> None:
    missing = [slot.name for slot in slots if slot.name not in pairing.sources]
    sources = [source.tensor for source in pairing.sources.values() if source.tensor is not None]
    left = [name for name in weights.tensors if name not in sources and not _ignored(name, file)]
    if missing:
        others = f"; left over of the weights: {_some(left)}" if left else "; no tensor of the weights is left over"
        raise InputError(
            where,
            f"what becomes {_some(missing)} of the network is not told by kinds and shapes{others}. Name it under "
            "'layers' or 'tensors' ('value: 0' where the other program has none); --show lists both sides",
        )
    if left:
        raise InputError(where, f"has tensors that the network has no place for: {_some(left)}; list them in 'ignore'")
    twice = [name for name in sources if sources.count(name) > 1]
    if twice:
        raise InputError(where, "is given to more than one tensor of the network", record=twice[0])


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _checked(array: np.ndarray, name: str, where: str) -> np.ndarray:
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise InputError(where, f"is of type {array.dtype.name}, expected floating point numbers", record=name)
    if not np.isfinite(array).all():
        raise InputError(where, f"holds {np.sum(~np.isfinite(array)):,} values that are not finite", record=name)
    return array


def side_by_side(slots: list[Slot], weights: Weights, file: Imported, where: str) -> list[str]:
    """Lines: each tensor of ours with its source, or none, and then what is left over of theirs."""
    pairing = pair(slots, weights, file, where)
    rows, used = [], set()
    for slot in slots:
        source = pairing.sources.get(slot.name)
        if source is None:
            right = "(none)"
        elif source.tensor is None:
            right = f"{source.value:g}"
        else:
            used.add(source.tensor)
            right = f"{source.tensor} {list(weights.tensors[source.tensor].shape)}"
        rows.append((f"{slot.name} {list(slot.shape)}", right))
    for name, array in weights.tensors.items():
        if name not in used:
            rows.append(("(ignored)" if _ignored(name, file) else "(left over)", f"{name} {list(array.shape)}"))
    width = max(len(left) for left, _ in rows)
    return [f"{left:<{width}}  {right}" for left, right in rows]
