"""Averages over moved windows.

Binned predictions are brought back by whole bins, to the nearest one: what is predicted for a window moved by a piece
of a bin counts for the bin that it mostly covers (Basenji averages over shifts of a few bp in this way). Edges are
averages over the windows that cover them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import positional_axes

WHERE = "prediction.shifts_bp"


def moves(spec: Any) -> bool:
    """Whether an array has bins that follow the window."""
    return spec.shift == "moves" and bool(positional_axes(spec))


def check_shifts(inputs: Mapping[str, Any], targets: Mapping[str, Any], shifts_bp: Sequence[int]) -> None:
    """Check that windows can be moved by ``shifts_bp``; arrays are as stored, margins included.

    Raises
    ------
    InputError
        An input forbids shifts, its margin is too small, no input moves, or a shift is not a whole number of bins of
        an input.
    """
    furthest = max(abs(shift) for shift in shifts_bp)
    if not furthest:
        return
    for name, spec in inputs.items():
        if spec.shift == "forbidden":
            raise InputError(WHERE, f"input {name!r} of the dataset forbids shifts; leave shifts_bp out")
        if moves(spec) and spec.margin_bp < furthest:
            raise InputError(
                WHERE,
                f"{furthest} bp asked for, but input {name!r} has a margin of {spec.margin_bp} bp; "
                "raise margin_bp of the dataset",
            )
    if not any(map(moves, inputs.values())):
        raise InputError(WHERE, f"no input of the dataset moves with the window ({', '.join(inputs)})")
    named = [(f"input {name!r}", spec) for name, spec in inputs.items()]
    named += [(f"target {name!r}", spec) for name, spec in targets.items()]
    for label, spec in named:
        if spec.shift == "forbidden" and positional_axes(spec):
            raise InputError(WHERE, f"{label} of the dataset forbids shifts; leave shifts_bp out")
    for name, spec in inputs.items():
        wrong = [shift for shift in shifts_bp if moves(spec) and shift % spec.bp_per_bin]
        if wrong:
            bins = f"bins of input {name!r}, {spec.bp_per_bin} bp"
            raise InputError(WHERE, f"{wrong[0]} bp is not a whole number of {bins}")


def whole_bins(shift_bp: Any, bp_per_bin: int) -> Any:
    """The nearest whole number of bins of a shift (int or integer array); halves go up.

    >>> [whole_bins(shift, 128) for shift in (-64, -65, 63, 64, 300)]
    [0, -1, 0, 1, 2]
    """
    return (shift_bp + bp_per_bin // 2) // bp_per_bin


def moved_back(x: Array, spec: Any, shift_bp: Array | int) -> Array:
    """Predictions (example, ...) of windows moved by ``shift_bp`` (scalar), at the place of the unmoved ones.

    Bins that the moved window does not cover are 0. ``spec`` is the target as the network sees it.
    """
    if not moves(spec):
        return x
    bins = whole_bins(shift_bp, spec.bp_per_bin)
    for axis in positional_axes(spec):
        length = x.shape[axis]
        source = jnp.arange(length) - bins
        inside = ((source >= 0) & (source < length)).reshape(-1, *[1] * (x.ndim - axis - 1))
        x = jnp.where(inside, jnp.take(x, jnp.clip(source, 0, length - 1), axis=axis), 0)
    return x


def cover(spec: Any, shifts_bp: Sequence[int]) -> np.ndarray:
    """How many of the moved windows cover each bin: float32, of a shape that divides predictions (example, ...)."""
    if not moves(spec):
        return np.array(len(shifts_bp), np.float32)
    shape = [n if axis + 1 in positional_axes(spec) else 1 for axis, n in enumerate(spec.shape_per_example)]
    count = np.zeros(shape, np.float32)
    for shift in shifts_bp:
        inside = np.ones(shape, bool)
        for axis in positional_axes(spec):
            length = shape[axis - 1]
            source = np.arange(length) - whole_bins(shift, spec.bp_per_bin)
            within = (source >= 0) & (source < length)
            inside &= within.reshape([length if number == axis - 1 else 1 for number in range(len(shape))])
        count += inside
    return count
