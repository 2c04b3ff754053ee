"""Layers that stay as they are: their parameters are none any more, their batch statistics are not renewed.

A frozen parameter is a variable of the type `Fixed`, so `objectives.split_module` puts it into the rest of the state:
it has no gradient, no state of the optimiser and no weight decay, and does not count for clipping.
"""

import functools
from collections.abc import Callable
from typing import Any

from flax import nnx

from seqmill.runtime.errors import InputError


class Fixed(nnx.Variable):
    """A value of a network that training does not change."""


@functools.cache  # equal graphs have the same class
def fixed_statistics(norm: type) -> type:
    """Class of batch normalisations that always take the statistics that they have, as in prediction."""

    class FixedStatistics(norm):
        def __call__(self, x: Any, use_running_average: bool | None = None, **settings: Any) -> Any:
            return super().__call__(x, use_running_average=True, **settings)

    return FixedStatistics


def act_as(part: nnx.Module | nnx.Variable, cls: type) -> None:
    """Let a layer or a variable be of another class with the same parts, in place."""
    object.__setattr__(part, "__class__", cls)  # the assignment of nnx takes it for a part of the layer


def dotted(path: tuple[Any, ...]) -> str:
    """Name of a layer or a parameter: "convs.0.kernel", as in `seqmill.training.artefact.names_of`."""
    return ".".join(map(str, path))


def lies_in(name: str, places: list[str]) -> bool:
    """Whether a dotted name is one of ``places`` or inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def is_head(name: str) -> bool:
    """Whether a dotted name lies in the heads: in an attribute of the network whose name ends with "heads"."""
    return name.partition(".")[0].endswith("heads")


def listed(names: list[str], most: int = 8) -> str:
    """The first names, for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def variables(module: nnx.Module) -> list[tuple[str, nnx.Variable]]:
    """Dotted names and variables of a network."""
    return [(dotted(path), part) for path, part in nnx.iter_graph(module) if isinstance(part, nnx.Variable)]


def freeze(module: nnx.Module, chosen: Callable[[str], bool], where: str) -> None:
    """Fix the variables whose dotted names are ``chosen``, and the batch statistics of their layers.

    Raises
    ------
    InputError
        A layer keeps values of its own in training, and is no batch normalisation.
    """
    norms = {dotted(path): part for path, part in nnx.iter_modules(module) if isinstance(part, nnx.BatchNorm)}
    fixed: set[str] = set()
    for name, variable in variables(module):
        if not chosen(name):
            continue
        layer = norms.get(name.rpartition(".")[0])
        if isinstance(variable, nnx.Param):
            act_as(variable, Fixed)
        elif layer is None and not isinstance(variable, nnx.RngState):
            kind = type(variable).__name__
            raise InputError(
                where,
                f"{name} is a {kind} that its layer renews in training; only those of nnx.BatchNorm can stay fixed",
            )
        elif layer is not None:
            fixed.add(name.rpartition(".")[0])
    for name in fixed:
        act_as(norms[name], fixed_statistics(type(norms[name])))


def thaw(module: nnx.Module) -> None:
    """Make parameters of what is fixed, so that the state of the network has its ordinary parts."""
    for _, variable in variables(module):
        if isinstance(variable, Fixed):
            act_as(variable, nnx.Param)
