"""Tensors of a network, and how other programs lay them out.

Kernels of PyTorch are (out, in, position) and (out, in), ours (position, in, out) and (in, out), as those of Keras. A
dense layer behind a flattening reads channel by channel in PyTorch, position by position here and in Keras.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seqmill.config.imported import Tensor
from seqmill.runtime.errors import InputError

_KINDS = {nnx.Conv: "conv", nnx.Linear: "dense", nnx.BatchNorm: "norm"}


@dataclass(frozen=True)
class Slot:
    """A tensor of the network. ``epsilon`` is that of the batch normalisation it belongs to."""

    name: str
    layer: str
    part: str
    kind: str
    shape: tuple[int, ...]
    epsilon: float = 0.0


def slots_of(module: nnx.Module) -> list[Slot]:
    """All tensors of a network, in the order in which its layers are defined."""
    modules = dict(nnx.iter_modules(module))

    def place(path: tuple) -> list[int]:
        return [_place(modules[path[:i]], part) for i, part in enumerate(path)]

    found = []
    for path, variable in nnx.to_flat_state(nnx.state(module)):
        *above, part = path
        layer = modules[tuple(above)]
        kind = next((kind for cls, kind in _KINDS.items() if isinstance(layer, cls)), "other")
        prefix = "params" if isinstance(variable, nnx.Param) else "state"
        name, epsilon = ".".join(map(str, path)), float(getattr(layer, "epsilon", 0.0))
        slot = Slot(f"{prefix}.{name}", name.rpartition(".")[0], str(part), kind, variable[...].shape, epsilon)
        found.append((place(tuple(above)), slot))
    order = ("kernel", "scale", "bias", "mean", "var")
    found.sort(key=lambda item: (item[0], order.index(item[1].part) if item[1].part in order else len(order)))
    return [slot for _, slot in found]


def _place(module: nnx.Module, part: str | int) -> int:
    """Number of an attribute in the order in which they were set; of an element of a list its own."""
    return part if isinstance(part, int) else list(vars(module)).index(part)


def in_our_axes(array: np.ndarray, slot: Slot, framework: str) -> np.ndarray:
    """Axes as ours."""
    if slot.part != "kernel":
        return array
    if slot.kind == "conv" and array.ndim == 4:  # a convolution of images of height or width 1
        axes = (2, 3) if framework == "pytorch" else (0, 1)
        array = np.squeeze(array, next((axis for axis in axes if array.shape[axis] == 1), ()))
    return array.T if framework == "pytorch" and slot.kind in ("conv", "dense") else array


def arranged(
    array: np.ndarray, slot: Slot, source: Tensor, framework: str, flat: Mapping[int, Any], where: str
) -> tuple[np.ndarray, str]:
    """An array in our layout, and what was done in words."""
    shape, said = array.shape, ""
    if source.transpose is not None:
        if sorted(source.transpose) != list(range(array.ndim)):
            raise InputError(
                where, f"has {array.ndim} axes, transpose is {source.transpose}", record=f"tensors.{slot.name}"
            )
        array = array.transpose(source.transpose)
    else:
        array = in_our_axes(array, slot, framework)
    if array.shape != shape or (array.ndim > 1 and framework == "pytorch" and slot.kind != "other"):
        said = f" {list(shape)} to {list(array.shape)}"
    flatten = source.flatten
    if flatten is None and framework == "pytorch" and slot.kind == "dense" and slot.part == "kernel":
        flatten = flat.get(array.shape[0], "none")
        if flatten is None:
            raise InputError(
                where,
                f"may come behind a flattening or not; say for {slot.name} 'flatten: [channels, positions]' or 'none'",
                record=source.tensor,
            )
    if isinstance(flatten, list | tuple):
        channels, positions = flatten
        if array.ndim != 2 or channels * positions != array.shape[0]:
            raise InputError(
                where, f"flatten {channels} x {positions} does not fit {array.shape}", record=f"tensors.{slot.name}"
            )
        array = array.reshape(channels, positions, -1).transpose(1, 0, 2).reshape(array.shape)
        said += f", {channels} channels x {positions} positions turned"
    return array, said


def in_our_bases(array: np.ndarray, slot: Slot, bases: str, inputs: Mapping[str, Any], where: str) -> np.ndarray:
    """The kernel that reads the sequence, from another order of bases to ours."""
    order = [bases.index(base) for base in "ACGT"]
    lengths = [spec.shape_per_example[0] for spec in inputs.values() if spec.kind == "sequence"]
    if slot.kind == "conv" and array.shape[1] == 4:
        return array[:, order]
    if slot.kind == "dense" and array.shape[0] == 4 * lengths[0]:
        return array.reshape(-1, 4, array.shape[1])[:, order].reshape(array.shape)
    raise InputError(
        where, f"bases {bases}: {slot.name}, the first kernel, does not read one-hot bases", record="bases"
    )


def flattenings(module: nnx.Module, inputs: Mapping[str, Any]) -> dict[int, tuple[int, int] | None]:
    """Where a network flattens (position, channel): number of features to (channels, positions).

    None where several flattenings, or several dense layers, have that number.
    """
    example = {
        name: jax.ShapeDtypeStruct((2, *spec.shape_per_example, *([4] if spec.kind == "sequence" else [])), jnp.float32)
        for name, spec in inputs.items()
    }
    found: dict[int, set[tuple[int, int]]] = {}
    for before, after in _reshapes(jax.make_jaxpr(lambda x: module(x, train=False, key=None))(example).jaxpr):
        if len(before) == 3 and len(after) == 2 and after[0] == before[0] == 2 and before[1] > 1 and before[2] > 1:
            found.setdefault(after[1], set()).add((before[2], before[1]))
    wide = [slot.shape[0] for slot in slots_of(module) if slot.kind == "dense" and slot.part == "kernel"]
    clear = {width: len(ways) == 1 and wide.count(width) == 1 for width, ways in found.items()}
    return {width: min(ways) if clear[width] else None for width, ways in found.items()}


def _reshapes(jaxpr: Any) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for equation in jaxpr.eqns:
        if equation.primitive.name == "reshape":
            yield equation.invars[0].aval.shape, equation.outvars[0].aval.shape
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _reshapes(inner)
