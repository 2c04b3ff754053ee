"""How each operation carries windows of changed positions forward.

A rule gets the operation and its operands (`seqmill.effects.local.nodes`), some of them `Local`, and gives a node for
the output; None where positions cannot be told apart afterwards. Then, and where there is no rule, the operation is
applied to the whole sequence of each edit.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from seqmill.effects.local.nodes import Fixed, Local, Pointwise, Whole
from seqmill.effects.local.trace import Operation
from seqmill.effects.local.windows import Window, union

if TYPE_CHECKING:
    from seqmill.effects.local.program import Batch

Node = Fixed | Local | Whole
Rule = Callable[["Batch", Operation, Sequence[Any]], Node | None]
RULES: dict[str, Rule] = {}
ELEMENTWISE = {
    "abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc",
    "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p",
    "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "reduce_precision", "rem",
    "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin",
    "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
}  # fmt: skip
MIXING = {"reduce_sum", "reduce_max", "reduce_min", "dot_general"}
"""Operations that may join all positions and are still followed exactly, at the cost of the window."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for primitives of these names."""

    def decorate(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return decorate


def follow(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> list[Node]:
    """Nodes of the outputs of an operation, some of whose operands are changed by edits."""
    if any(isinstance(x, Local) for x in operands):
        name = operation.name
        if not any(isinstance(x, Whole) for x in operands):
            made = elementwise(batch, operation, operands) if name in ELEMENTWISE else None
            if made is None and name in RULES:
                made = RULES[name](batch, operation, operands)
            if made is not None:
                return [made]
    return list(apply_whole(batch, operation, operands))


def apply_whole(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> list[Whole]:
    """The operation on whole arrays, edit by edit."""
    arrays, axes = [], []
    for x in operands:
        if isinstance(x, Fixed):
            array, varies = x.whole()
        else:
            array, varies = (x.whole() if isinstance(x, Local) else x).value(), True
        arrays.append(array)
        axes.append(0 if varies else None)
    found = jax.vmap(lambda *xs: operation.apply(*xs), in_axes=tuple(axes))(*arrays)
    return [Whole(batch, var, value) for var, value in zip(operation.out, found)]


def together(operands: Sequence[Any]) -> tuple[int, Window] | None:
    """Axis and window that hold the changes of all local operands; None if they do not lie on one axis."""
    local = [x for x in operands if isinstance(x, Local)]
    window: Window | None = local[0].natural
    for x in local[1:]:
        if x.axis != local[0].axis or window is None:
            return None
        window = union(window, x.natural)
    if window is None or window.width > local[0].length:
        return None
    return local[0].axis, window


def elementwise(batch: "Batch", operation: Operation, operands: Sequence[Any]) -> Node | None:
    """A function of single numbers; sums and multiples are taken of the deltas alone."""
    if len(operation.out) != 1:
        return None
    found = together(operands)
    if found is None:
        return None
    axis, window = found
    return Pointwise(
        batch, operation.out[0], axis, window, [(x, axis) for x in operands],
        lambda width, *xs: operation.apply(*xs)[0], _linear(operation, operands),
    )  # fmt: skip


def _linear(operation: Operation, operands: Sequence[Any]) -> Callable[..., Array] | None:
    """How the deltas of the operands make that of the result; None if more than deltas is needed."""
    name, local = operation.name, [isinstance(x, Local) for x in operands]
    if not all(x.floating for x in operands if isinstance(x, Local)):
        return None
    if name in ("neg", "copy", "copy_p", "stop_gradient"):
        return lambda width, x: operation.apply(x)[0]
    if name == "convert_element_type" and jnp.issubdtype(operation.out[0].dtype, jnp.floating):
        return lambda width, x: operation.apply(x)[0]
    if name in ("add", "sub"):
        signs = (1, 1 if name == "add" else -1)
        if all(local):
            return lambda width, x, y: x + signs[1] * y
        return (lambda width, x, y: x) if local[0] else (lambda width, x, y: signs[1] * y)
    if (name == "mul" and not all(local)) or (name == "div" and not local[1]):
        return lambda width, x, y: operation.apply(x, y)[0]
    return None


def pointwise(
    batch: "Batch",
    operation: Operation,
    operand: Local,
    axis: int,
    apply: Callable[[int, Array], Array],
    *,
    linear: bool = True,
) -> Node:
    """An operation on other axes than that of positions, which becomes ``axis``."""
    return Pointwise(
        batch, operation.out[0], axis, operand.natural, [(operand, operand.axis)], apply,
        apply if linear and operand.floating else None,
    )  # fmt: skip


from seqmill.effects.local import rules_linear, rules_shape  # noqa: E402, F401  they register their rules
