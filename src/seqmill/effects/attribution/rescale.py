"""DeepLIFT from a network's own program: an input and a reference side by side, differences shared out backwards.

Shrikumar, Greenside and Kundaje (ICML 2017), section 3.5.2: the rescale rule. A multiplier says how much of a
difference of an output one unit of a difference of an input carries. It goes backwards through the operations of the
network as jax traces them (a jaxpr), each by its rule of `rescale_rules`; every rule keeps the sum of multiplier times
difference, so that the contributions of all inputs add up to the difference of the outputs (completeness).

Nothing here knows an architecture. Recurrent networks are followed through their scan, a step at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from seqmill.effects.attribution.plain_convolution import as_products
from seqmill.effects.attribution.rescale_rules import (
    RULES,
    UnknownOperation,
    carries,
    operation,
    pull_elementwise,
    same_shape,
)

Values = Mapping[Var, Array]
_INNER = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
          "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "checkpoint": "jaxpr", "remat2": "jaxpr",
          "custom_vjp_call_jaxpr": "fun_jaxpr"}  # fmt: skip


def inner(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an equation calls once with its own inputs, None if it calls none."""
    found = equation.params.get(_INNER.get(equation.primitive.name, ""))
    return ClosedJaxpr(found, ()) if isinstance(found, Jaxpr) else found


def evaluate(program: ClosedJaxpr, inputs: Sequence[Any]) -> tuple[list[Any], dict[Var, Any]]:
    """Outputs of a program, and the value of every variable in it."""
    jaxpr = program.jaxpr
    values: dict[Var, Any] = dict(zip(jaxpr.constvars, program.consts)) | dict(zip(jaxpr.invars, inputs))
    for equation in jaxpr.eqns:
        found = apply(equation, [_value(values, atom) for atom in equation.invars])
        values |= dict(zip(equation.outvars, found))
    return [_value(values, atom) for atom in jaxpr.outvars], values


def apply(equation: JaxprEqn, inputs: Sequence[Any]) -> list[Any]:
    """Outputs of one equation. Calls are gone into, but for those that bring a derivative of their own."""
    primitive = equation.primitive
    program = inner(equation)
    if program is not None and not primitive.name.startswith("custom_"):
        return evaluate(program, inputs)[0]
    if primitive.name == "conv_general_dilated":
        found = as_products(*inputs, **equation.params)
        if found is not None:
            return [found]
    given = primitive.get_bind_params(equation.params)
    functions, params = given if isinstance(given, tuple) else ((), given)  # versions of jax differ
    found = primitive.bind(*functions, *inputs, **params)
    return list(found) if primitive.multiple_results else [found]


def moving(program: ClosedJaxpr, inputs: Sequence[bool]) -> set[Var]:
    """Variables that may differ between input and reference, given which inputs of the program do.

    Whether a number is finite, or not a number, is taken to be the same for both: they all are.
    """
    found = {var for var, moves in zip(program.jaxpr.invars, inputs, strict=True) if moves}
    for equation in program.jaxpr.eqns:
        if any(isinstance(atom, Var) and atom in found for atom in equation.invars) and not _of_finite(equation):
            found.update(equation.outvars)
    return found


def _of_finite(equation: JaxprEqn) -> bool:
    """Whether an equation asks nothing but whether numbers are finite, or not numbers (x != x)."""
    name, atoms = equation.primitive.name, equation.invars
    return name == "is_finite" or (name == "ne" and isinstance(atoms[0], Var) and atoms[0] is atoms[1])


def multipliers(
    program: ClosedJaxpr, moves: Sequence[bool], at_input: Values, at_reference: Values, out: Sequence[Array | None]
) -> list[Array | None]:
    """Multipliers of the inputs of a program, from those of its outputs.

    Parameters
    ----------
    moves : which inputs differ between input and reference. at_input, at_reference : values of `evaluate`.
    out : a multiplier for each output, of its shape; None for 0.

    Returns
    -------
    A multiplier for each input, of its shape; None for 0 and where an input does not move.

    Raises
    ------
    UnknownOperation
        An operation on the way has no rule.
    """
    jaxpr, live = program.jaxpr, moving(program, moves)
    found: dict[Var, Array] = {}

    def add(atom: Any, multiplier: Array | None) -> None:
        if multiplier is not None and isinstance(atom, Var) and atom in live:
            found[atom] = found[atom] + multiplier if atom in found else multiplier

    for atom, multiplier in zip(jaxpr.outvars, out, strict=True):
        add(atom, multiplier)
    for equation in reversed(jaxpr.eqns):
        given = [found.pop(var, None) for var in equation.outvars]
        if all(multiplier is None for multiplier in given):
            continue
        mine = [isinstance(atom, Var) and atom in live for atom in equation.invars]
        sides = [[_value(side, atom) for atom in equation.invars] for side in (at_input, at_reference)]
        outs = [[side[var] for var in equation.outvars] for side in (at_input, at_reference)]
        for atom, multiplier in zip(equation.invars, _pull(equation, mine, sides, outs, given), strict=True):
            add(atom, multiplier)
    return [found.get(var) if moves_ else None for var, moves_ in zip(jaxpr.invars, moves)]


def _pull(equation: JaxprEqn, moves: list[bool], sides: list[list], outs: list[list], given: list) -> list:
    """Multipliers of the inputs of one equation; None for those that do not move."""
    if operation(equation) == "scan":
        return _pull_scan(equation, moves, sides, given)
    program = inner(equation)
    if program is None:
        if not all(carries(atom.aval) for atom, mine in zip(equation.invars, moves) if mine):
            raise UnknownOperation(operation(equation), "a decision that depends on the sequence")
        return RULES.of(equation, moves)(lambda *xs: apply(equation, xs), moves, sides, outs, given)
    if one_function(program, moves):
        return pull_elementwise(lambda *xs: apply(equation, xs), moves, sides, outs, given)
    at_input, at_reference = (evaluate(program, side)[1] for side in sides)
    return multipliers(program, moves, at_input, at_reference, given)


def one_function(program: ClosedJaxpr, moves: Sequence[bool]) -> bool:
    """Whether a program is a function of single numbers: an activation, whatever it is made of."""
    if sum(moves) != 1 or len(program.jaxpr.outvars) != 1:
        return False
    live = moving(program, moves)
    (source,) = [var for var, mine in zip(program.jaxpr.invars, moves) if mine]
    (result,) = program.jaxpr.outvars
    if not (isinstance(result, Var) and result in live and carries(result.aval) and same_shape(result, source)):
        return False
    for equation in program.jaxpr.eqns:
        mine = [isinstance(atom, Var) and atom in live for atom in equation.invars]
        if not any(mine):
            continue
        if not all(same_shape(atom, source) for atom, m in zip(equation.invars, mine) if m):
            return False
        if not all(same_shape(var, source) for var in equation.outvars):
            return False
        called = inner(equation)
        if not (RULES.pointwise(equation) if called is None else _pointwise(called, mine)):
            return False
    return True


def _pointwise(program: ClosedJaxpr, moves: Sequence[bool]) -> bool:
    """As `one_function`, of a call inside one: several of its inputs may move."""
    live = moving(program, moves)
    for equation in program.jaxpr.eqns:
        mine = [isinstance(atom, Var) and atom in live for atom in equation.invars]
        called = inner(equation)
        if any(mine) and not (RULES.pointwise(equation) if called is None else _pointwise(called, mine)):
            return False
    return True


def _pull_scan(equation: JaxprEqn, moves: list[bool], sides: list[list], given: list) -> list:
    """Multipliers through a scan: its steps backwards, each with the values that went into it."""
    how = equation.params
    body: ClosedJaxpr = how["jaxpr"]
    n_consts, n_carry = _counts(how)
    reverse = how["reverse"]
    bounds = n_consts, n_consts + n_carry
    carries_move = _settled(body, moves, *bounds)
    inside = [*moves[: bounds[0]], *carries_move, *moves[bounds[1] :]]

    def entering(side: list) -> list[Any]:
        """The carry before each step, stacked over steps."""

        def step(carry: list, xs: list) -> tuple[list, list]:
            return evaluate(body, [*side[: bounds[0]], *carry, *xs])[0][:n_carry], carry

        return jax.lax.scan(step, side[bounds[0] : bounds[1]], side[bounds[1] :], how["length"], reverse)[1]

    before = [entering(side) for side in sides]
    moved = [number for number, mine in enumerate(inside) if mine]
    start = [_or_zeros(m, var.aval) for m, var in zip(given[:n_carry], equation.outvars)]
    stacked = [_or_zeros(m, var.aval) for m, var in zip(given[n_carry:], equation.outvars[n_carry:])]
    sums = [jnp.zeros(x.shape, x.dtype) if mine else None for x, mine in zip(sides[0][: bounds[0]], inside)]

    def back(state: tuple[list, list], step: tuple[list, list, list]) -> tuple[tuple[list, list], list]:
        (carried, total), (carries_in, xs, ys) = state, step
        ins = [[*side[: bounds[0]], *c, *x] for side, c, x in zip(sides, carries_in, xs)]
        at_input, at_reference = (evaluate(body, one)[1] for one in ins)
        pulled = multipliers(body, inside, at_input, at_reference, [*carried, *ys])
        whole = [_or_zeros(m, var.aval) if mine else None for m, var, mine in zip(pulled, body.jaxpr.invars, inside)]
        total = [None if t is None else t + m for t, m in zip(total, whole)]
        passed = [
            _or_zeros(m, var.aval) for m, var in zip(whole[bounds[0] : bounds[1]], body.jaxpr.invars[bounds[0] :])
        ]
        return (passed, total), whole[bounds[1] :]

    steps = before, [side[bounds[1] :] for side in sides], stacked
    (first, sums), rows = jax.lax.scan(back, (start, sums), steps, how["length"], not reverse)
    found = [*sums, *first, *rows]
    return [m if number in moved and moves[number] else None for number, m in enumerate(found)]


def _counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many operands of a scan are constants and carries; jax 0.12 has them as lengths of groups."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()
    return len(consts), len(carry)


def _settled(body: ClosedJaxpr, moves: list[bool], first: int, last: int) -> list[bool]:
    """Which carries of a scan come to differ at some step."""
    carried = list(moves[first:last])
    while True:
        live = moving(body, [*moves[:first], *carried, *moves[last:]])
        after = [
            old or (isinstance(atom, Var) and atom in live)
            for old, atom in zip(carried, body.jaxpr.outvars[: last - first])
        ]
        if after == carried:
            return carried
        carried = after


def _or_zeros(multiplier: Array | None, aval: Any) -> Array:
    return jnp.zeros(aval.shape, aval.dtype) if multiplier is None else multiplier


def _value(values: Values, atom: Any) -> Any:
    return atom.val if isinstance(atom, Literal) else values[atom]


def trace(function: Callable[..., Array], *arguments: Any) -> ClosedJaxpr:
    """The program of a function of arrays, from arrays or their shapes; constants stand in it."""
    return jax.make_jaxpr(function)(*arguments)
