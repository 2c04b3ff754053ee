"""How arrays of a dataset move with the window: crop of margins, shift, reverse complement. NumPy-only facts.

The rules stand in each array's spec (`seqmill.stores.dataset.ArraySpec`, `TargetSpec`); this file reads them in one
place for training, prediction and mutagenesis.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from seqmill.runtime.errors import InputError

POSITIONS = ("bp", "bins")


def positional_axes(spec: Any) -> tuple[int, ...]:
    """Numbers of the axes that run along the window, counted with the example axis as 0."""
    return tuple(number for number, axis in enumerate(spec.axes) if axis in POSITIONS)


def margin_bins(spec: Any) -> int:
    """Margin on each side, in elements of the array's own positional axes."""
    if not spec.margin_bp or not positional_axes(spec):
        return 0
    if spec.margin_bp % spec.bp_per_bin:
        raise InputError(
            spec.name, f"margin of {spec.margin_bp} bp is not a multiple of its bin of {spec.bp_per_bin} bp"
        )
    return spec.margin_bp // spec.bp_per_bin


def cropped(spec: Any) -> Any:
    """The spec of the array after its margin is cut off: what a network sees."""
    margin = margin_bins(spec)
    if not margin:
        return replace(spec, margin_bp=0)
    moving = positional_axes(spec)
    shape = tuple(n - 2 * margin if axis + 1 in moving else n for axis, n in enumerate(spec.shape_per_example))
    return replace(spec, shape_per_example=shape, margin_bp=0)


@dataclass(frozen=True)
class Jitter:
    """Random shift: a multiple of ``step_bp`` up to ``max_bp`` to each side. 0 means none."""

    max_bp: int
    step_bp: int


def jitter_of(arrays: Iterable[Any], max_jitter_bp: int) -> Jitter:
    """Check that all arrays can be shifted by up to ``max_jitter_bp`` and find the step that keeps their bins whole.

    Raises
    ------
    InputError
        An array forbids shifts, or its margin is too small, or the largest shift is less than one step.
    """
    if not max_jitter_bp:
        return Jitter(0, 1)
    step = 1
    for spec in arrays:
        if spec.shift == "forbidden":
            raise InputError(
                "max_jitter_bp", f"array {spec.name!r} of the dataset forbids shifts; set max_jitter_bp: 0"
            )
        if spec.shift == "moves":
            step = math.lcm(step, spec.bp_per_bin or 1)
            if spec.margin_bp < max_jitter_bp:
                raise InputError(
                    "max_jitter_bp",
                    f"{max_jitter_bp} bp asked for, but array {spec.name!r} has a margin of {spec.margin_bp} bp; "
                    "raise margin_bp of the dataset",
                )
    if max_jitter_bp < step:
        raise InputError("max_jitter_bp", f"{max_jitter_bp} bp is less than one bin of {step} bp; use a multiple of it")
    return Jitter(max_jitter_bp // step * step, step)


def reverse_complement_allowed(arrays: Mapping[str, Any]) -> bool:
    """True if no array forbids it and at least one is a sequence (there is nothing to reverse otherwise)."""
    rules = [spec.rc for spec in arrays.values()]
    return "forbidden" not in rules and "sequence" in rules
