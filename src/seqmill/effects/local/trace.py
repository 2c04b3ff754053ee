"""A function as a flat list of operations, sorted by what each depends on.

Nested functions are written out, but for those that are kept as one operation (`KEPT`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend import core

KEPT = ("fast_convolve",)
"""Compiled functions that have a rule of their own."""
_NESTED = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint", "core_call"}
_LARGEST_KNOWN = 1 << 20


@dataclass(frozen=True, eq=False)
class Var:
    """A value of the function: its number, shape and dtype."""

    number: int
    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True, eq=False)
class Operation:
    """One primitive: ``out = primitive(*operands, **params)``; operands that are no variable are constants."""

    primitive: Any
    params: dict[str, Any]
    operands: tuple[Any, ...]
    out: tuple[Var, ...]
    where: str = ""

    @property
    def name(self) -> str:
        return kept_name(self.primitive, self.params) or self.primitive.name

    def apply(self, *values: Any, **changed: Any) -> list[Any]:
        """Values of the outputs; ``changed`` replaces parameters of the primitive."""
        found = self.primitive.bind(*values, **self.primitive.get_bind_params({**self.params, **changed}))
        return list(found) if self.primitive.multiple_results else [found]


@dataclass
class Flat:
    """A traced function.

    Attributes
    ----------
    inputs : variables of the leaves of its arguments. outputs : variables, or constants, of its result's leaves.
    operations : in order. known : numbers of variables whose values are known from the text alone -> NumPy array.
    maker : number of a variable -> the operation it comes from.
    """

    inputs: list[Var]
    outputs: list[Any]
    operations: list[Operation]
    known: dict[int, np.ndarray]
    maker: dict[int, Operation] = field(default_factory=dict)

    def value(self, operand: Any) -> np.ndarray | None:
        """Value of an operand that is a constant or known."""
        return self.known.get(operand.number) if isinstance(operand, Var) else np.asarray(operand)


def kept_name(primitive: Any, params: Mapping[str, Any]) -> str | None:
    if primitive.name in ("jit", "pjit") and params.get("name") in KEPT:
        return params["name"]
    return None


def trace(function: Callable, *arguments: Any) -> tuple[Flat, Any]:
    """List the operations of a function of these arguments (arrays or `jax.ShapeDtypeStruct`).

    Returns
    -------
    The list, and the structure of the result as of `jax.tree`.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    writer = _Writer()
    inputs = [writer.new(var.aval) for var in closed.jaxpr.invars]
    outputs = writer.write(closed.jaxpr, closed.consts, inputs)
    flat = Flat(inputs, outputs, writer.operations, writer.known)
    flat.maker = {var.number: operation for operation in flat.operations for var in operation.out}
    return flat, jax.tree.structure(shape)


class _Writer:
    def __init__(self) -> None:
        self.count, self.operations, self.known = 0, [], {}  # type: int, list[Operation], dict[int, np.ndarray]

    def new(self, aval: Any) -> Var:
        self.count += 1
        return Var(self.count, tuple(aval.shape), aval.dtype)

    def write(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts)) | dict(zip(jaxpr.invars, arguments))

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, core.Literal) else values[atom]

        for eqn in jaxpr.eqns:
            operands = tuple(read(atom) for atom in eqn.invars)
            name, inner = eqn.primitive.name, _inner(eqn.params)
            if name in _NESTED and inner is not None and kept_name(eqn.primitive, eqn.params) is None:
                found = self.write(inner.jaxpr, inner.consts, operands)
            else:
                found = self._operation(eqn, operands)
            values |= dict(zip(eqn.outvars, found))
        return [read(atom) for atom in jaxpr.outvars]

    def _operation(self, eqn: Any, operands: tuple[Any, ...]) -> list[Any]:
        if eqn.primitive.name == "select_n":  # a choice that is made already, as which strand is looked at
            which = self.known.get(operands[0].number) if isinstance(operands[0], Var) else np.asarray(operands[0])
            if which is not None and which.size and (which == which.flat[0]).all():
                return [operands[1 + int(which.flat[0])]]
        out = tuple(self.new(var.aval) for var in eqn.outvars)
        where = str(eqn.source_info.name_stack) if eqn.source_info else ""
        operation = Operation(eqn.primitive, dict(eqn.params), operands, out, where)
        self.operations.append(operation)
        values = [self.known.get(x.number) if isinstance(x, Var) else x for x in operands]
        small = all(np.prod(var.shape) <= _LARGEST_KNOWN for var in out)
        if small and all(isinstance(x, np.ndarray | np.generic | int | float | bool) for x in values):
            with jax.ensure_compile_time_eval():
                self.known |= {var.number: np.asarray(x) for var, x in zip(out, operation.apply(*values))}
        return list(out)


def _inner(params: Mapping[str, Any]) -> Any:
    """The function that a call holds, closed."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if key in params:
            inner = params[key]
            return inner if hasattr(inner, "consts") else core.ClosedJaxpr(inner, ())
    return None
