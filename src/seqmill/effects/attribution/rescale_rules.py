"""How a difference of the output of one operation is shared out over its inputs (see `rescale`).

=============================  ====================================================================================
linear operations              by their transpose: exact
products of moving values      by the derivative in the middle between input and reference: Δ(xy) = Δx·ȳ + Δy·x̄
functions of one number        rescale: Δoutput / Δinput, the derivative in the middle where Δinput is tiny
quotient of moving values      as a product with the reciprocal, which is rescaled
maximum, minimum, pooling      all goes to the input that is extreme: that of the side with the more extreme output
=============================  ====================================================================================

The last one is the rule of DeepLIFT's and SHAP's code for max pooling. There Δinput is at least as large as Δoutput and
of its sign, so that nothing is divided by less than what it is a part of.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import JaxprEqn

_MIDPOINT = {
    *("add", "sub", "neg", "add_any", "reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "slice"),
    *("pad", "concatenate", "rev", "reduce_sum", "cumsum", "convert_element_type", "copy", "copy_p", "select_n"),
    *("gather", "dynamic_slice", "dynamic_update_slice", "reduce_window_sum", "reduce_precision", "tile", "stack"),
    *("unstack", "split", "optimization_barrier", "sharding_constraint"),
    *("mul", "dot_general", "conv_general_dilated"),
}  # fmt: skip
"""Linear in the inputs that move, or in each of two; indices, predicates and kernels usually stay."""
_ELEMENTWISE = {
    *("exp", "exp2", "log", "log1p", "expm1", "tanh", "tan", "sin", "cos", "asin", "acos", "atan", "sinh", "cosh"),
    *("asinh", "acosh", "atanh", "logistic", "erf", "erfc", "erf_inv", "lgamma", "digamma", "sqrt", "rsqrt", "cbrt"),
    *("square", "integer_pow", "pow", "abs", "sign", "floor", "ceil", "round", "clamp", "max", "min", "div"),
}  # fmt: skip
_EXTREMES = {"max": 1, "min": -1, "reduce_max": 1, "reduce_min": -1, "reduce_window_max": 1, "reduce_window_min": -1}
_IN_ACTIVATIONS = _ELEMENTWISE | {
    *("add", "sub", "neg", "mul", "add_any", "select_n", "convert_element_type", "copy", "stop_gradient", "is_finite"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor"),
}  # fmt: skip

Function = Callable[..., list[Array]]
Rule = Callable[[Function, list[bool], list[list], list[list], list], list]
"""A rule: the operation, which inputs move, their values and those of the outputs on both sides (input, reference), and
the multipliers of the outputs (None for 0); gives those of the inputs, None for what does not move."""


class UnknownOperation(Exception):
    """An operation that has no rule. Attributes: ``operation``, its name; ``why``, may be empty."""

    def __init__(self, operation: str, why: str = ""):
        super().__init__(operation)
        self.operation, self.why = operation, why


def operation(equation: JaxprEqn) -> str:
    """Name of an equation's operation."""
    return equation.primitive.name


def carries(aval: Any) -> bool:
    """Whether differences can be shared out over numbers of this type: those that are no floats cannot have any."""
    return jnp.issubdtype(aval.dtype, jnp.floating)


def same_shape(atom: Any, other: Any) -> bool:
    return atom.aval.shape == other.aval.shape


def tiny(x: Array) -> float:
    """Differences up to this are divided by no more: the square root of the type's rounding."""
    return float(jnp.finfo(x.dtype).eps) ** 0.5


def _of_moving(function: Function, moves: Sequence[bool], inputs: Sequence[Any]) -> tuple[Function, list[Any]]:
    """``function`` of the inputs that move alone, and these."""
    places = [number for number, mine in enumerate(moves) if mine]

    def reduced(*given: Any) -> list[Array]:
        whole = list(inputs)
        for place, x in zip(places, given):
            whole[place] = x
        return function(*whole)

    return reduced, [inputs[place] for place in places]


def _spread(moves: Sequence[bool], found: Sequence[Array]) -> list[Array | None]:
    each = iter(found)
    return [next(each) if mine else None for mine in moves]


def _middle(sides: list[list], moves: Sequence[bool]) -> list[Any]:
    return [(x + r) / 2 if mine else x for x, r, mine in zip(*sides, moves)]


def pull_midpoint(function: Function, moves: list[bool], sides: list[list], outs: list, given: list) -> list:
    """By the derivative in the middle: exact for what is linear in each moving input, two of them at most."""
    reduced, moving = _of_moving(function, moves, _middle(sides, moves))
    found, back = jax.vjp(reduced, *moving)
    return _spread(moves, back([jnp.zeros_like(x) if m is None else m for x, m in zip(found, given)]))


def pull_elementwise(function: Function, moves: list[bool], sides: list[list], outs: list, given: list) -> list:
    """Rescale, of a function of one number that is applied to each."""
    reduced, (middle,) = _of_moving(function, moves, _middle(sides, moves))
    (place,) = [number for number, mine in enumerate(moves) if mine]
    moved, change = sides[0][place] - sides[1][place], outs[0][0] - outs[1][0]
    (slope,) = jax.vjp(reduced, middle)[1]([jnp.ones_like(change)])
    small = jnp.abs(moved) <= tiny(moved)
    ratio = change / jnp.where(small, 1, moved)
    slope = jnp.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
    return _spread(moves, [given[0] * jnp.where(small, slope, ratio)])


def pull_quotient(function: Function, moves: list[bool], sides: list[list], outs: list, given: list) -> list:
    """x / y, both moving: as x times 1 / y."""
    (x, y), (x_ref, y_ref) = sides
    back = jax.vjp(jnp.multiply, (x + x_ref) / 2, (1 / y + 1 / y_ref) / 2)[1]
    of_x, of_reciprocal = back(given[0])
    return [of_x, -of_reciprocal / (y * y_ref)]


def pull_extreme(sign: int) -> Rule:
    """The rule of a maximum (1) or a minimum (-1) of moving values."""

    def pull(function: Function, moves: list[bool], sides: list[list], outs: list, given: list) -> list:
        change = outs[0][0] - outs[1][0]
        by_input = sign * change >= 0
        at_input, at_reference = (_of_moving(function, moves, side) for side in sides)
        back, back_reference = (jax.vjp(reduced, *moving)[1] for reduced, moving in (at_input, at_reference))
        amount = given[0] * change
        shares = zip(
            at_input[1],
            at_reference[1],
            back([jnp.where(by_input, amount, 0)]),
            back_reference([jnp.where(by_input, 0, amount)]),
            back([given[0]]),
        )
        found = []
        for x, x_ref, share, share_ref, slope in shares:
            moved = x - x_ref
            small = jnp.abs(moved) <= tiny(moved)
            found.append(jnp.where(small, slope, (share + share_ref) / jnp.where(small, 1, moved)))
        return _spread(moves, found)

    return pull


def pull_larger(sign: int) -> Rule:
    """The rule of the larger (1) or smaller (-1) of two moving values, each by each; the first of equal ones counts."""

    def pull(function: Function, moves: list[bool], sides: list[list], outs: list, given: list) -> list:
        (x, y), (x_ref, y_ref) = sides
        change = outs[0][0] - outs[1][0]
        first, first_ref = sign * (x - y) >= 0, sign * (x_ref - y_ref) >= 0
        chosen = jnp.where(sign * change >= 0, first, first_ref)
        found = []
        for moved, wins, steepest in ((x - x_ref, chosen, first), (y - y_ref, ~chosen, ~first)):
            small = jnp.abs(moved) <= tiny(moved)
            ratio = jnp.where(wins, change / jnp.where(small, 1, moved), 0)
            found.append(given[0] * jnp.where(small, steepest, ratio))
        return found

    return pull


def pull_unchanged(function: Function, moves: list[bool], sides: list[list], outs: list, given: list) -> list:
    return list(given)


class _Rules:
    """Which rule an equation has."""

    def of(self, equation: JaxprEqn, moves: Sequence[bool]) -> Rule:
        """The rule of an equation. Raises UnknownOperation if there is none."""
        name = operation(equation)
        several = sum(moves) > 1
        if name == "stop_gradient":
            return pull_unchanged
        if name in _EXTREMES and several and self._whole(equation, moves):
            return pull_larger(_EXTREMES[name])
        if name in _EXTREMES and (several or len(moves) == 1):
            return pull_extreme(_EXTREMES[name])
        if name == "div" and moves[0]:
            return pull_quotient if moves[1] else pull_midpoint
        if name in _MIDPOINT:
            return pull_midpoint
        if name in _ELEMENTWISE and not several and self._whole(equation, moves):
            return pull_elementwise
        raise UnknownOperation(name, "of several values that depend on the sequence" if several else "")

    def pointwise(self, equation: JaxprEqn) -> bool:
        """Whether an operation may be a part of an activation."""
        return operation(equation) in _IN_ACTIVATIONS

    def _whole(self, equation: JaxprEqn, moves: Sequence[bool]) -> bool:
        return all(same_shape(atom, equation.outvars[0]) for atom, mine in zip(equation.invars, moves) if mine)


RULES = _Rules()
