"""Convolutions and matrix products: only changed positions are multiplied."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from seqmill.effects.local.nodes import Fixed, Local, Source, Whole
from seqmill.effects.local.rules import Node, rule
from seqmill.effects.local.rules_shape import Merged, windowed
from seqmill.effects.local.trace import Operation
from seqmill.effects.local.windows import common

if TYPE_CHECKING:
    from seqmill.effects.local.program import Batch

_LEVELS = 2  # nine sixteenths of the products
_MIN_SPLIT = 7  # positions and weights: with fewer, the products are too small to be fast
_MIN_CHANNELS = 64  # with fewer, the sums take what the levels save


@rule("conv_general_dilated")
def _convolution(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    operand, kernel = operands
    params = operation.params
    numbers = params["dimension_numbers"]
    lhs, rhs, out = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    plain = params["feature_group_count"] == params["batch_group_count"] == 1 and params["lhs_dilation"] == (1,)
    if not isinstance(operand, Local) or len(lhs) != 3 or operand.axis != lhs[2] or not operand.floating or not plain:
        return None
    if not isinstance(kernel, Fixed) or batch.varies(kernel.var) or operand.shape[lhs[0]] != 1:
        return None
    (stride,), (dilation,), ((before, _),) = params["window_strides"], params["rhs_dilation"], params["padding"]
    reach = (kernel.shape[rhs[2]] - 1) * dilation + 1
    if stride > 1:
        return _strided(batch, operation, operand, kernel, reach, stride, before)
    weights = batch.derived(
        "taps", kernel.var, lambda x: jnp.transpose(x, (rhs[2], rhs[1], rhs[0]))
    )  # (width, inputs, outputs)
    natural = operand.natural.moved(before - reach + 1, operand.natural.width + reach - 1)
    whole = natural.width > operation.out[0].shape[out[2]]
    if whole:
        if not _few(weights):
            return None
        natural = batch.everything(operation.out[0].shape[out[2]])
    operand.settle()

    def make() -> Array:
        delta = operand.delta(natural.moved(-before, natural.width + reach - 1) if whole else None)
        x = jnp.transpose(delta, (0, *(dim + 1 for dim in (lhs[0], lhs[2], lhs[1]))))[:, 0]
        found = few_outputs(x, weights, dilation, 0) if whole else spread(x, weights, dilation)
        return jnp.transpose(found[:, None], (0, *(1 + (0, 2, 1)[out.index(dim)] for dim in range(3))))

    return Source(batch, operation.out[0], out[2], natural, make)


def _strided(
    batch: "Batch", operation: Operation, operand: Local, kernel: Fixed, reach: int, stride: int, before: int
) -> Node | None:
    array, _ = kernel.whole()
    out = operation.params["dimension_numbers"].out_spec
    return windowed(
        batch, operation, operand, out[2], reach, stride, before,
        lambda width, x: operation.apply(x, array, padding=((0, 0),))[0], outside=0.0, linear=True,
    )  # fmt: skip


@rule("fast_convolve")
def _fast_convolve(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    operand, kernel = operands
    if not isinstance(operand, Local) or operand.axis != 1 or not isinstance(kernel, Fixed):
        return None
    reach = kernel.shape[0]
    if operand.natural.width + reach - 1 > operation.out[0].shape[1] or batch.varies(kernel.var):
        return None
    weights, _ = kernel.whole()
    operand.settle()
    natural = operand.natural.moved(1 - reach, operand.natural.width + reach - 1)
    return Source(
        batch, operation.out[0], 1, natural, lambda: spread(operand.delta()[:, 0], weights, 1)[:, None]
    )  # fmt: skip


def spread(x: Array, weights: Array, dilation: int) -> Array:
    """Convolution of windows that are zero outside, at all positions that see them.

    Parameters
    ----------
    x : (edit, position, input). weights : (width, input, output).

    Returns
    -------
    (edit, position + (width - 1) * dilation, output), the first of which sees only the first position, by the last
    weight.
    """
    positions, (width, inputs, outputs) = x.shape[1], weights.shape
    if _few(weights):
        return few_outputs(x, weights, dilation, (width - 1) * dilation)
    if dilation == 1 and min(positions, width) >= _MIN_SPLIT and min(inputs, outputs) >= _MIN_CHANNELS:
        return _in_phases(x, weights, _LEVELS)
    return _all_products(x, weights, dilation)


def _in_phases(x: Array, weights: Array, levels: int) -> Array:
    """`spread` with three quarters of the products at each level, as in `seqmill.models.convolution`."""
    positions, width = x.shape[1], weights.shape[0]
    if levels == 0 or min(positions, width) < 2:
        return _all_products(x, weights, 1)
    even, odd = x[:, 0::2], x[:, 1::2]
    last, other = weights[(width - 1) % 2 :: 2], weights[width % 2 :: 2]  # the last weight sees first
    own = _in_phases(even, last, levels - 1)
    others = _in_phases(odd, other, levels - 1)
    added = even + _longer(odd, 0, positions % 2), last + jnp.pad(other, ((width % 2, 0), (0, 0), (0, 0)))
    mixed = _in_phases(*added, levels - 1) - own - _longer(others, 0, own.shape[1] - others.shape[1])
    length = positions + width - 1
    first = _longer(own, 0, 1) + _longer(others, 1, own.shape[1] - others.shape[1])
    second = _longer(mixed, 0, 1)
    return jnp.stack([first, second], axis=2).reshape(x.shape[0], -1, weights.shape[2])[:, :length]


def _longer(x: Array, before: int, after: int) -> Array:
    """With zeros around its positions."""
    return jnp.pad(x, ((0, 0), (before, after), (0, 0)))


def _all_products(x: Array, weights: Array, dilation: int) -> Array:
    edits, positions, inputs = x.shape
    width, _, outputs = weights.shape
    if positions < width and dilation == 1:
        taps = weights[::-1].transpose(1, 0, 2).reshape(inputs, width * outputs)
        each = (x.reshape(-1, inputs) @ taps).reshape(edits, positions, width, outputs)
        parts = [jnp.pad(each[:, p], ((0, 0), (p, positions - 1 - p), (0, 0))) for p in range(positions)]
    else:
        taps = weights.transpose(1, 0, 2).reshape(inputs, width * outputs)
        each = (x.reshape(-1, inputs) @ taps).reshape(edits, positions, width, outputs)
        ends = [((width - 1 - t) * dilation, t * dilation) for t in range(width)]
        parts = [jnp.pad(each[:, :, t], ((0, 0), end, (0, 0))) for t, end in enumerate(ends)]
    return sum(parts[1:], parts[0])


def _few(weights: Array) -> bool:
    return weights.shape[2] * 4 <= weights.shape[0]


def few_outputs(x: Array, weights: Array, dilation: int, padding: int) -> Array:
    """Convolution of (edit, position, input) to a few outputs, with zeros at both ends: all products at once, then
    sums of shifted rows. XLA's own way is several times slower on CPUs."""
    edits, positions, inputs = x.shape
    width, _, outputs = weights.shape
    reach, length = (width - 1) * dilation, positions + padding
    rows = lax.dot_general(
        weights, x.reshape(-1, inputs), (((1,), (1,)), ((), ()))
    )  # (width, outputs, edit × position)
    rows = rows.reshape(width, outputs, edits, positions)
    if padding:  # in front; what the last positions see behind are the zeros in front of the next edit
        rows = jnp.pad(rows, ((0, 0), (0, 0), (0, 0), (padding, 0)))
    rows = jnp.pad(rows.reshape(width, outputs, -1), ((0, 0), (0, 0), (0, reach)))
    size = edits * length
    found = sum(lax.slice_in_dim(rows[tap], tap * dilation, tap * dilation + size, axis=1) for tap in range(width))
    found = jnp.asarray(found).reshape(outputs, edits, length).transpose(1, 2, 0)
    return found if padding else found[:, : positions - reach]


@rule("dot_general")
def _dot(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    (contracted, batched) = operation.params["dimension_numbers"]
    mine = 0 if isinstance(operands[0], Local) else 1
    operand, other = operands[mine], operands[1 - mine]
    if not isinstance(other, Fixed) or not operand.floating or operand.axis in batched[mine]:
        return None
    if batch.varies(other.var):
        return None

    operand.settle()

    def product(x: Array, weights: Array) -> Array:
        pair = (x, weights) if mine == 0 else (weights, x)
        return operation.apply(*pair)[0]

    if operand.axis not in contracted[mine]:
        weights, _ = other.whole()
        kept = [d for d in range(len(operand.shape)) if d not in contracted[mine] and d not in batched[mine]]
        rest = len(other.shape) - len(contracted[1 - mine]) - len(batched[1 - mine])
        axis = len(batched[0]) + (0 if mine == 0 else rest) + kept.index(operand.axis)
        return Source(
            batch, operation.out[0], axis, operand.natural,
            lambda: jax.vmap(lambda x: product(x, weights))(operand.delta()),
        )  # fmt: skip
    axis = contracted[1 - mine][contracted[mine].index(operand.axis)]
    delta, weights = _joined(batch, operand, other, axis)
    return Whole(batch, operation.out[0], delta=jax.vmap(lambda x: product(x, weights))(delta))


def _joined(batch: "Batch", operand: Local, other: Fixed, axis: int) -> tuple[Array, Array]:
    """Delta in one window of all edits of the batch, and the weights of its positions."""
    times = operand.times if isinstance(operand, Merged) else 1
    below = common(operand.operand.natural if isinstance(operand, Merged) else operand.natural)
    shared = below.times(times)
    if shared.width >= operand.length:
        shared = batch.everything(operand.length)
        weights, _ = other.whole()
        below = batch.everything(operand.length // times)
    else:
        by = shared.width

        def longer(x: Array) -> Array:
            return jnp.pad(x, [(by, by) if number == axis else (0, 0) for number in range(x.ndim)])

        padded = batch.derived(("longer", axis, by), other.var, longer)
        weights = lax.dynamic_slice_in_dim(padded, shared.start[0] + by, by, axis)
    delta = operand.merged(below) if isinstance(operand, Merged) else operand.delta(shared)
    return delta, weights
