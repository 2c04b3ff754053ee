"""How arrays of a dataset lie in the window: positional axes, margins, whether they may be reversed.

The rules stand in each array's spec (`seqmill.stores.specs`); they are read here, in one place, by the trainer, the
predictor and the baselines.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

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


def crop_margin(x: np.ndarray, spec: Any) -> np.ndarray:
    """Stored values (example, ...) without their margin."""
    margin = margin_bins(spec)
    index = [slice(None)] * x.ndim
    for axis in positional_axes(spec) if margin else ():
        index[axis] = slice(margin, x.shape[axis] - margin)
    return x[tuple(index)]


def present_values(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Which labels are there (bool, shape of ``values``): the mask, or not NaN, or all."""
    if mask is not None:
        return mask
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)


def reverse_complement_allowed(arrays: Mapping[str, Any]) -> bool:
    """True if no array forbids it and at least one is a sequence (there is nothing to reverse otherwise)."""
    rules = [spec.rc for spec in arrays.values()]
    return "forbidden" not in rules and "sequence" in rules
