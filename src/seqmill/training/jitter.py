"""Random shifts of windows that keep every array's bins whole."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from seqmill.runtime.errors import InputError


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
