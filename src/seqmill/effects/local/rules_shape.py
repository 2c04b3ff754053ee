"""Operations that move, group or cut positions, or that act on other axes alone."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from seqmill.effects.local.nodes import Fixed, Local, Moved, Pointwise, Source, Whole
from seqmill.effects.local.rules import Node, pointwise, rule, together
from seqmill.effects.local.trace import Operation
from seqmill.effects.local.windows import Window, divided

if TYPE_CHECKING:
    from seqmill.effects.local.program import Batch


def _sized(shape: Sequence[int], axis: int, width: int) -> tuple[int, ...]:
    return tuple(width if number == axis else n for number, n in enumerate(shape))


@rule("transpose")
def _transpose(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    axis = operation.params["permutation"].index(operands[0].axis)
    return pointwise(batch, operation, operands[0], axis, lambda width, x: operation.apply(x)[0])


@rule("squeeze")
def _squeeze(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    gone = operation.params["dimensions"]
    if operands[0].axis in gone:
        return None
    axis = operands[0].axis - sum(dim < operands[0].axis for dim in gone)
    return pointwise(batch, operation, operands[0], axis, lambda width, x: operation.apply(x)[0])


@rule("broadcast_in_dim")
def _broadcast(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    if len(operands) > 1:
        return None
    axis = operation.params["broadcast_dimensions"][operands[0].axis]
    shape = operation.params["shape"]
    if shape[axis] != operands[0].length:
        return None
    dims = operation.params["broadcast_dimensions"]
    return pointwise(
        batch, operation, operands[0], axis,
        lambda width, x: lax.broadcast_in_dim(x, _sized(shape, axis, width), dims),
    )  # fmt: skip


@rule("reshape")
def _reshape(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    (operand,), new = operands, tuple(operation.params["new_sizes"])
    old, at = operand.shape, operand.axis
    if operation.params.get("dimensions") is not None:
        return None
    before = int(np.prod(old[:at], dtype=np.int64))
    for axis in range(len(new)):
        if int(np.prod(new[:axis], dtype=np.int64)) != before or new[axis] == 1 != old[at]:
            continue
        sizes = new[:axis], new[axis + 1 :]

        def apply(width: int, x: Array, sizes=sizes) -> Array:
            return x.reshape(*sizes[0], width, *sizes[1])

        if new[axis] == old[at]:
            return pointwise(batch, operation, operand, axis, apply)
        if old[at] % new[axis] == 0:  # each position becomes several: runs of positions
            return _grouped(batch, operation, operand, axis, old[at] // new[axis], apply)
        if new[axis] % old[at] == 0 and before == 1:
            return _merged(batch, operation, operand, axis, new[axis] // old[at], apply)
    return None


def _grouped(batch: "Batch", operation: Operation, operand: Local, axis: int, group: int, apply: Any) -> Node:
    """Runs of ``group`` positions become one position each."""
    base = divided(operand.natural, group, batch.bases)
    count = (operand.natural.width + group - 2) // group + 1
    natural = Window(base, 1, 0, count)
    return Moved(batch, operation.out[0], axis, natural, operand, lambda win: win.times(group), apply)


def _merged(batch: "Batch", operation: Operation, operand: Local, axis: int, times: int, apply: Any) -> Node | None:
    """Each position becomes ``times`` positions."""
    if not operand.floating:
        return None
    return Merged(batch, operation.out[0], axis, operand, times, apply)


class Merged(Source):
    """Positions that are ``times`` as many as those of ``operand``, whose window they come from."""

    def __init__(self, batch: "Batch", var: Any, axis: int, operand: Local, times: int, apply: Any):
        self.operand, self.times, self._merge = operand, times, apply
        super().__init__(batch, var, axis, operand.natural.times(times), lambda: self.merged(operand.natural))

    def merged(self, below: Window) -> Array:
        """Delta in the window that ``below``, one of the operand, becomes."""
        return jax.vmap(lambda row: self._merge(below.width * self.times, row))(self.operand.delta(below))


@rule("rev")
def _rev(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    (operand,), axis = operands, operands[0].axis
    if axis not in operation.params["dimensions"]:
        return pointwise(batch, operation, operand, axis, lambda width, x: operation.apply(x)[0])

    def turned(win: Window) -> Window:
        return Window(win.base, -win.scale, operand.length - win.offset - win.width, win.width)

    return Moved(
        batch, operation.out[0], axis, turned(operand.natural), operand, turned,
        lambda width, x: operation.apply(x)[0],
    )  # fmt: skip


@rule("slice")
def _slice(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    (operand,), axis = operands, operands[0].axis
    strides = operation.params["strides"] or (1,) * len(operand.shape)
    if strides[axis] != 1:
        return None
    starts, limits = operation.params["start_indices"], operation.params["limit_indices"]
    return _part(batch, operation, operand, starts, limits, strides)


@rule("dynamic_slice")
def _dynamic_slice(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    operand, *rest = operands
    values = [batch.flat.value(x.var) if isinstance(x, Fixed) else None for x in rest]
    known = [int(x) for x in values if x is not None]
    if not isinstance(operand, Local) or len(known) < len(rest):
        return None
    sizes = operation.params["slice_sizes"]
    starts = [min(max(x, 0), n - size) for x, n, size in zip(known, operand.shape, sizes)]
    limits = [start + size for start, size in zip(starts, sizes)]
    return _part(batch, operation, operand, starts, limits, (1,) * len(sizes))


def _part(
    batch: "Batch", operation: Operation, operand: Local, starts: Any, limits: Any, strides: Sequence[int]
) -> Node:
    axis, first = operand.axis, starts[operand.axis]

    def apply(width: int, x: Array) -> Array:
        begin = [0 if number == axis else n for number, n in enumerate(starts)]
        end = [width if number == axis else n for number, n in enumerate(limits)]
        return lax.slice(x, begin, end, strides)

    if first == 0 and limits[axis] == operand.length:
        return pointwise(batch, operation, operand, axis, apply)
    natural = operand.natural.moved(-first)
    return Moved(batch, operation.out[0], axis, natural, operand, lambda win: win.moved(first), apply)


@rule("pad")
def _pad(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    operand, value = operands
    if not isinstance(operand, Local) or not isinstance(value, Fixed):
        return None
    axis, config = operand.axis, operation.params["padding_config"]
    first, last, between = config[axis]
    known = batch.flat.value(value.var)
    if known is None or between:
        return None
    rest = [(0, 0, 0) if number == axis else sides for number, sides in enumerate(config)]

    def apply(width: int, x: Array) -> Array:
        return lax.pad(x, jnp.asarray(known, x.dtype), rest)

    if any(sides != (0, 0, 0) for sides in rest) and known != 0:
        return None  # deltas are padded as values are
    if not first and not last:
        return pointwise(batch, operation, operand, axis, apply)
    natural = operand.natural.moved(first)
    return Moved(
        batch, operation.out[0], axis, natural, operand, lambda win: win.moved(-first), apply, outside=known
    )  # fmt: skip


@rule("concatenate")
def _concatenate(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    found, dim = together(operands), operation.params["dimension"]
    if found is None:
        return None
    axis, window = found
    if dim != axis:
        floating = all(x.floating for x in operands if isinstance(x, Local))
        local = [isinstance(x, Local) for x in operands]

        def of_deltas(width: int, *xs: Array) -> Array:
            return operation.apply(*[x if mine else jnp.zeros_like(x) for x, mine in zip(xs, local)])[0]

        return Pointwise(
            batch, operation.out[0], axis, window, [(x, axis) for x in operands],
            lambda width, *xs: operation.apply(*xs)[0], of_deltas if floating else None,
        )  # fmt: skip
    changed = [number for number, x in enumerate(operands) if isinstance(x, Local)]
    if len(changed) > 1 or not operands[changed[0]].floating:
        return None
    operand = operands[changed[0]]
    first = sum(x.shape[axis] for x in operands[: changed[0]])
    return Source(
        batch, operation.out[0], axis, operand.natural.moved(first),
        lambda: jnp.where(operand.inside(operand.natural), operand.delta(), 0),
    )  # fmt: skip


@rule("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or")
def _reduce(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    (operand,), axes = operands, tuple(operation.params["axes"])
    if operand.axis not in axes:
        axis = operand.axis - sum(dim < operand.axis for dim in axes)
        linear = operation.name == "reduce_sum"
        return pointwise(
            batch, operation, operand, axis, lambda width, x: operation.apply(x)[0], linear=linear
        )  # fmt: skip
    if not operand.floating:
        return None
    if operation.name == "reduce_sum":
        return Whole(batch, operation.out[0], delta=operand.settle().sum([axis + 1 for axis in axes]))
    if operation.name in ("reduce_max", "reduce_min"):
        return _extreme(batch, operation, operand, axes)
    return None


def _extreme(batch: "Batch", operation: Operation, operand: Local, axes: tuple[int, ...]) -> Node:
    """Largest or smallest value over positions: of those before the window, in it and behind it."""
    largest, axis = operation.name == "reduce_max", operand.axis
    worst = -jnp.inf if largest else jnp.inf
    pick, along = (jnp.maximum, lax.cummax) if largest else (jnp.minimum, lax.cummin)
    others = tuple(dim for dim in axes if dim != axis)
    reduce = jnp.max if largest else jnp.min

    def ends(x: Array, reverse: bool) -> Array:
        """Extreme of the first i positions (of the last ones if ``reverse``), i of 0 to all, (length + 1, …)."""
        x = jnp.moveaxis(reduce(x, axis=others, keepdims=True), axis, 0)
        none = jnp.full_like(x[:1], worst)
        return along(jnp.concatenate([x, none] if reverse else [none, x]), axis=0, reverse=reverse)

    win = operand.natural
    inside = jnp.where(operand.inside(win), operand.value(win), worst)
    middle = jnp.moveaxis(reduce(inside, axis=[dim + 1 for dim in others], keepdims=True), axis + 1, 1)
    found = reduce(middle, axis=1)
    for reverse, at in ((False, win.start), (True, win.start + win.width)):
        table = batch.derived((operation.name, reverse, axes), operand.var, partial(ends, reverse=reverse))
        index = jnp.clip(at, 0, operand.length)
        found = pick(found, batch.at(table, index))
    return Whole(batch, operation.out[0], found.reshape(found.shape[0], *operation.out[0].shape))


@rule("reduce_window_max", "reduce_window_min", "reduce_window_sum")
def _reduce_window(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    (operand,), params, axis = operands, operation.params, operands[0].axis
    sizes, strides, padding = params["window_dimensions"], params["window_strides"], params["padding"]
    spread = tuple(params["base_dilation"]) + tuple(params["window_dilation"])
    others = [dim for dim in range(len(operand.shape)) if dim != axis]
    if any(n != 1 for n in spread) or any(sizes[d] != 1 or tuple(padding[d]) != (0, 0) for d in others):
        return None
    if not operand.floating or any(strides[d] != 1 for d in others):
        return None
    linear = operation.name.endswith("sum")
    outside = 0.0 if linear else -jnp.inf if operation.name.endswith("max") else jnp.inf
    return windowed(
        batch, operation, operand, axis, sizes[axis], strides[axis], padding[axis][0],
        lambda width, x: operation.apply(x, padding=((0, 0),) * x.ndim)[0], outside=outside, linear=linear,
    )  # fmt: skip


def windowed(
    batch: "Batch",
    operation: Operation,
    operand: Local,
    axis: int,
    reach: int,
    stride: int,
    padding: int,
    apply: Any,
    *,
    outside: Any,
    linear: bool,
) -> Node:
    """An operation whose position t sees ``reach`` positions of the operand from t × ``stride`` - ``padding`` on."""
    first = operand.natural.moved(padding - reach + stride)  # its start, divided by the stride, is the first that sees
    base = divided(first, stride, batch.bases)
    count = (operand.natural.width + reach - 2) // stride + 1

    def below(win: Window) -> Window:
        scale, offset = win.scale * stride, win.offset * stride - padding
        return Window(win.base, scale, offset, (win.width - 1) * stride + reach)

    return Moved(
        batch, operation.out[0], axis, Window(base, 1, 0, count), operand, below, apply, outside=outside, linear=linear
    )  # fmt: skip
