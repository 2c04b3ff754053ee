"""The compiled program of a network that follows edits through its layers.

Three functions are compiled: what weights alone decide (once a run), the unedited sequences with what is needed of
their layers (once a sequence), and the edits (once a batch).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from seqmill.effects.local import rules
from seqmill.effects.local.nodes import Fixed, Given, Local, Source, Whole
from seqmill.effects.local.trace import Flat, Operation, Var
from seqmill.effects.local.windows import Base, Window, cut

Make = Callable[[Any], Any]


@dataclass
class Needs:
    """What the program of the edits uses of weights and references.

    Attributes
    ----------
    weights, references : key -> variable, function of its value. padding : (variable's number, axis) -> positions that
        it is longer at each end.
    """

    weights: dict[Any, tuple[Any, Make]] = field(default_factory=dict)
    references: dict[Any, tuple[Any, Make]] = field(default_factory=dict)
    padding: dict[tuple[int, int], int] = field(default_factory=dict)
    widest: int = 1  # numbers that the widest window of one edit holds
    followed: int = 0  # convolutions and products of which only windows are computed


class Batch:
    """Edits under way, as `seqmill.effects.local.rules` see them."""

    def __init__(self, flat: Flat, varying: set[int], needs: Needs, rows: Array | None, edits: int, *, found: Any):
        self.flat, self._varying, self.needs, self._rows, self.edits = flat, varying, needs, rows, edits
        self._found = found  # (weights, references) by key; None while what is needed is being listed
        self.bases: dict[Any, Base] = {}
        self.one: Array = jnp.ones(())
        self._zero = Base(jnp.zeros(edits, jnp.int32), 0)

    def varies(self, operand: Any) -> bool:
        """Whether a value differs from sequence to sequence."""
        return isinstance(operand, Var) and operand.number in self._varying

    def seen(self, local: Local) -> None:
        size = int(np.prod(local.shape, dtype=np.int64)) // max(local.length, 1)
        self.needs.followed += isinstance(local, Source)
        self.needs.widest = max(self.needs.widest, size * local.natural.width)

    def everything(self, length: int) -> Window:
        return Window(self._zero, 1, 0, length)

    def rows(self, x: Array) -> Array:
        """Values of sequences (row, ...) as values of edits (edit, ...)."""
        return jnp.broadcast_to(x, (self.edits, *x.shape[1:])) if self._rows is None else x[self._rows]

    def at(self, table: Array, index: Array) -> Array:
        """Entry ``index`` (edit,) of the table (row, entry, ...) of each edit's sequence."""
        return table[0][index] if self._rows is None else table[self._rows, index]

    def derived(self, key: Any, operand: Any, make: Make) -> Array:
        """``make`` of a value that no edit changes; computed beforehand. (row, ...) if it varies with the sequence."""
        if not isinstance(operand, Var):
            return make(jnp.asarray(operand))
        varies = operand.number in self._varying
        key = (operand.number, key)
        if self._found is not None:
            return self._found[1 if varies else 0][key]
        (self.needs.references if varies else self.needs.weights)[key] = operand, make
        shape = jax.ShapeDtypeStruct(operand.shape, operand.dtype)
        aval = jax.eval_shape(make, shape)
        return jnp.zeros((1, *aval.shape) if varies else aval.shape, aval.dtype)

    def reference(self, operand: Any) -> Array:
        """Value in the unedited sequences (row, *shape)."""
        return self.derived("value", operand, lambda x: x)

    def fixed(self, operand: Any) -> Array:
        """Value of what no edit changes; (edit, *shape) if it varies with the sequence."""
        found = self.reference(operand)
        return self.rows(found) if self.varies(operand) else found

    def cut(self, operand: Any, win: Window, axis: int) -> Array:
        """Windows (edit, ...) of the unedited value."""
        varies = self.varies(operand)
        if not isinstance(operand, Var):
            full = jnp.pad(jnp.asarray(operand), _pads(np.ndim(operand), axis, win.width), mode="edge")
            return cut(full[None], None, win, axis, win.width)
        key = (operand.number, axis)
        if self._found is None:
            self.needs.padding[key] = max(self.needs.padding.get(key, 0), win.width)
        by = self.needs.padding[key]
        full = self.derived(
            ("padded", axis), operand, lambda x: jnp.pad(x, _pads(x.ndim, axis, self.needs.padding[key]), mode="edge")
        )
        return cut(full if varies else full[None], self._rows if varies else None, win, axis, by)

    def narrow(self, operand: Any, axis: int) -> Array | None:
        """A value that is the same at all positions, with a length of 1 along ``axis``; None if it is not."""
        if self.varies(operand) or not _narrow_size(self.flat, operand, axis):
            return None
        return self.derived(("narrow", axis), operand, lambda x: jax.lax.slice_in_dim(x, 0, 1, axis=axis))


def _pads(ndim: int, axis: int, by: int) -> list[tuple[int, int]]:
    return [(by, by) if number == axis else (0, 0) for number in range(ndim)]


def _narrow_size(flat: Flat, operand: Any, axis: int) -> bool:
    """Whether the value is known to be the same at all positions of ``axis``."""
    if not isinstance(operand, Var):
        x = np.asarray(operand)
        return x.ndim == 0 or bool((x == x.take([0], axis=axis)).all())
    if not operand.shape or operand.shape[axis] == 1:
        return True
    if operand.number in flat.known:
        x = flat.known[operand.number]
        return bool((x == x.take([0], axis=axis)).all())
    made = flat.maker.get(operand.number)
    if made is None:
        return False
    if made.name == "broadcast_in_dim":
        dims = made.params["broadcast_dimensions"]
        source = np.shape(made.operands[0]) if not isinstance(made.operands[0], Var) else made.operands[0].shape
        return axis not in dims or source[dims.index(axis)] == 1
    if made.name in rules.ELEMENTWISE:
        same = [x for x in made.operands if not isinstance(x, Var) or x.shape]
        return all(_narrow_size(flat, x, axis) for x in same)
    return False


class LocalProgram:
    """Follows edits through a function of some weights and of sequences.

    Parameters
    ----------
    traced : `seqmill.effects.local.trace.trace` of a function of weights (a pytree) and of inputs (name -> array
        (1, ...)) that gives a pytree of arrays (1, ...). The program is for all weights of these shapes.
    names : of the inputs. sequence : the one that edits change, along axis 1.
    width : of the changed window. span : bound of the distance of the edits of a batch. edits : of a batch.
    many : whether a batch has edits of several sequences.
    """

    def __init__(
        self,
        traced: tuple[Flat, Any],
        names: Sequence[str] = ("sequence",),
        sequence: str = "sequence",
        *,
        width: int,
        span: int,
        edits: int,
        many: bool = False,
    ):
        self.width, self.span, self.edits, self.many = width, span, edits, many
        self.flat, self._structure = traced
        count = len(self.flat.inputs) - len(names)
        self._input = self.flat.inputs[count + sorted(names).index(sequence)]
        self._varying = self._depends(self.flat.inputs[count:])
        self._edited = self._depends([self._input])
        self.needs, self.whole_from = Needs(), ""
        starts = jax.ShapeDtypeStruct((edits,), "int32")
        values = jax.ShapeDtypeStruct((edits, width), self._input.dtype)
        jax.eval_shape(lambda s, v: self._follow(None, None, s, v), starts, values)
        self.weights = jax.jit(self._weights)
        self.reference = jax.jit(self._reference)
        self.effects = jax.jit(self._effects)

    def _depends(self, sources: Sequence[Var]) -> set[int]:
        found = {var.number for var in sources}
        for operation in self.flat.operations:
            if any(isinstance(x, Var) and x.number in found for x in operation.operands):
                found |= {var.number for var in operation.out}
        return found

    def _weights(self, variables: Any) -> dict[str, Array]:
        """What is needed of the weights, by key."""
        values = dict(zip((v.number for v in self.flat.inputs), jax.tree.leaves(variables)))
        values |= self._evaluate(values, [x for x in self.flat.operations if x.out[0].number not in self._varying])
        return {_key(key): make(values[var.number]) for key, (var, make) in self.needs.weights.items()}

    def _reference(self, variables: Any, inputs: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        """Results (row, ...) of unedited sequences, and what is needed of them, by key."""

        def one(inputs: Mapping[str, Array]) -> tuple[list[Any], dict[str, Array]]:
            arguments = [*jax.tree.leaves(variables), *(inputs[name][None] for name in sorted(inputs))]
            values = dict(zip((v.number for v in self.flat.inputs), arguments))
            values |= self._evaluate(values, self.flat.operations)
            outputs = [values[x.number] if isinstance(x, Var) else jnp.asarray(x) for x in self.flat.outputs]
            kept = {_key(key): make(values[var.number]) for key, (var, make) in self.needs.references.items()}
            return [x[0] for x in outputs], kept

        outputs, kept = jax.vmap(one)(dict(inputs))
        return jax.tree.unflatten(self._structure, outputs), kept

    def _evaluate(self, values: dict[int, Any], operations: Sequence[Operation]) -> dict[int, Any]:
        values = dict(values) | {number: jnp.asarray(x) for number, x in self.flat.known.items()}
        for operation in operations:
            if all(var.number in self.flat.known for var in operation.out):
                continue
            found = operation.apply(*(values[x.number] if isinstance(x, Var) else x for x in operation.operands))
            values |= {var.number: x for var, x in zip(operation.out, found)}
        return values

    def _effects(self, weights: Any, references: Any, rows: Array | None, starts: Array, values: Array) -> Any:
        """Changes (edit, ...) of the results.

        Parameters
        ----------
        weights, references : of the functions of these names. rows : int32 (edit,), the sequence of each edit; None if
            all are of the only one.
        starts : int32 (edit,), first changed position, 0-based. values : (edit, width), what stands there then.
        """
        by_key = {_key(key): key for key in [*self.needs.weights, *self.needs.references]}
        found = [{by_key[text]: x for text, x in part.items()} for part in (weights, references)]
        return self._follow(found, rows, starts, values)

    def _follow(self, found: Any, rows: Array | None, starts: Array, values: Array) -> Any:
        if found is None and self.many:
            rows = jnp.zeros(self.edits, jnp.int32)
        batch = Batch(self.flat, self._varying, self.needs, rows, self.edits, found=found)
        batch.one = jnp.where(starts[0] < -1, 2.0, 1.0)  # no edit starts there
        window = Window(Base(starts, self.span), 1, 0, self.width)
        nodes: dict[int, Any] = {self._input.number: Given(batch, self._input, 1, window, values[:, None])}
        for operation in self.flat.operations:
            if operation.out[0].number not in self._edited:
                continue
            operands = [
                nodes[x.number] if isinstance(x, Var) and x.number in nodes else Fixed(batch, x)
                for x in operation.operands
            ]
            made = rules.follow(batch, operation, operands)
            lost = any(isinstance(x, Local) for x in operands) and isinstance(made[0], Whole)
            if lost and not self.whole_from and operation.name not in rules.MIXING:
                self.whole_from = f"{operation.name} {operation.where}".strip()
            nodes |= {var.number: node for var, node in zip(operation.out, made)}
        return jax.tree.unflatten(self._structure, [self._change(batch, nodes, x) for x in self.flat.outputs])

    def _change(self, batch: Batch, nodes: Mapping[int, Any], output: Any) -> Array:
        node = nodes.get(output.number) if isinstance(output, Var) else None
        if node is None:  # no edit changes it
            shape = output.shape if isinstance(output, Var) else np.shape(output)
            return jnp.zeros((self.edits, *shape[1:]))
        whole = node.whole() if isinstance(node, Local) else node
        found = whole.delta
        if found is None:
            found = whole.value() - batch.rows(batch.reference(output))
        return found[:, 0]


def _key(key: Any) -> str:
    return "|".join(map(str, key))
