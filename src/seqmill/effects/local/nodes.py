"""What a variable of the network is to a batch of edits.

=========  ==========================================================================================================
`Fixed`    no edit changes it: weights, constants, other inputs
`Local`    edits change a window of one of its axes; the rest is as in the unedited sequence, the *reference*
`Whole`    edits change all of it: one value for each edit
=========  ==========================================================================================================

A `Local` is asked for its values, for those of the reference and for their difference (delta) in any window. Deltas are
0 outside of the array and of the changed positions; other values outside of the array mean nothing, and are the same in
values and reference. Arrays are (edit, *shape of the variable) with the window's width along the axis of positions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from seqmill.effects.local.trace import Var
from seqmill.effects.local.windows import Window, rewindow

if TYPE_CHECKING:
    from seqmill.effects.local.program import Batch


class Fixed:
    """No edit changes it. ``var`` is a variable, or a constant."""

    def __init__(self, batch: "Batch", var: Any):
        self.batch, self.var = batch, var
        self.shape = var.shape if isinstance(var, Var) else np.shape(var)

    def window(self, win: Window, axis: int) -> tuple[Array, bool]:
        """The value in a window, and whether it has an axis of edits."""
        if not self.shape:
            return self.batch.fixed(self.var), self.batch.varies(self.var)
        narrow = self.batch.narrow(self.var, axis)
        if narrow is not None:
            shape = [win.width if number == axis else n for number, n in enumerate(self.shape)]
            return jnp.broadcast_to(narrow, shape), False
        return self.batch.cut(self.var, win, axis), True

    def whole(self) -> tuple[Array, bool]:
        return self.batch.fixed(self.var), self.batch.varies(self.var)


class Whole:
    """One value for each edit, (edit, *shape); given itself, or as difference from the reference."""

    def __init__(self, batch: "Batch", var: Var, value: Array | None = None, delta: Array | None = None):
        self.batch, self.var, self._value, self.delta = batch, var, value, delta
        self.shape = var.shape

    def value(self) -> Array:
        if self._value is None:
            assert self.delta is not None
            self._value = self.batch.rows(self.batch.reference(self.var)) + self.delta
        return self._value


class Local(ABC):
    """Windows along ``axis`` of a variable; `natural` holds all that edits change."""

    def __init__(self, batch: "Batch", var: Var, axis: int, natural: Window):
        self.batch, self.var, self.axis, self.natural = batch, var, axis, natural
        self.shape, self.length = var.shape, var.shape[axis]
        self.floating = jnp.issubdtype(var.dtype, jnp.floating)
        self._known: dict[tuple[str, Window], Array] = {}
        batch.seen(self)

    def value(self, win: Window) -> Array:
        return self._once("value", win, self._value)

    def ref(self, win: Window) -> Array:
        return self._once("ref", win, self._ref)

    def delta(self, win: Window | None = None) -> Array:
        return self._once("delta", win or self.natural, self._delta)

    def _once(self, what: str, win: Window, make: Callable[[Window], Array]) -> Array:
        key = what, win
        if key not in self._known:
            self._known[key] = make(win)
        return self._known[key]

    def settle(self) -> Array:
        """The delta in the natural window, computed once.

        XLA for CPUs lets each user compute anew what is cheap, and so in a residual network all layers before; it does
        not repeat divisions. The divisor is 1, which only the running program knows.
        """
        key = "delta", self.natural
        if key not in self._known:
            self._known[key] = self._delta(self.natural) / self.batch.one
        return self._known[key]

    def settled(self) -> bool:
        """Whether the delta is computed, so that other windows of it cost little."""
        return self.floating and ("delta", self.natural) in self._known

    def inside(self, win: Window) -> Array:
        return win.inside(self.length, self.axis, len(self.shape))

    def _ref(self, win: Window) -> Array:
        return self.batch.cut(self.var, win, self.axis)

    def _value(self, win: Window) -> Array:
        return self.batch.cut(self.var, win, self.axis) + self.delta(win)

    @abstractmethod
    def _delta(self, win: Window) -> Array: ...

    def whole(self) -> Whole:
        """One value for each edit."""
        full = self.batch.everything(self.length)
        reference = self.batch.rows(self.batch.reference(self.var))
        if self.floating:
            return Whole(self.batch, self.var, reference + rewindow(self.delta(), self.axis, self.natural, full))
        there = rewindow(jnp.ones_like(self.value(self.natural), bool), self.axis, self.natural, full)
        return Whole(
            self.batch,
            self.var,
            jnp.where(there, rewindow(self.value(self.natural), self.axis, self.natural, full), reference),
        )


class Given(Local):
    """The input: values (edit, width) at the windows, which lie inside of the array."""

    def __init__(self, batch: "Batch", var: Var, axis: int, natural: Window, values: Array):
        super().__init__(batch, var, axis, natural)
        self._known[("value", natural)] = values

    def _value(self, win: Window) -> Array:
        values = self.value(self.natural)
        there = rewindow(jnp.ones_like(values, bool), self.axis, self.natural, win)
        return jnp.where(there, rewindow(values, self.axis, self.natural, win), self.ref(win))

    def _delta(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return rewindow(self.delta(), self.axis, self.natural, win)
        return self.value(win) - self.ref(win)


class Source(Local):
    """Its delta in the natural window is computed when first asked for; positions outside of the array get 0."""

    def __init__(self, batch: "Batch", var: Var, axis: int, natural: Window, make: Callable[[], Array]):
        super().__init__(batch, var, axis, natural)
        self._make = make

    def _delta(self, win: Window) -> Array:
        if win != self.natural:
            return rewindow(self.delta(), self.axis, self.natural, win)
        found = self._make()
        return jnp.where(self.inside(win), found, jnp.zeros((), found.dtype))


class Pointwise(Local):
    """A function that takes each position by itself.

    ``apply(width, *arrays)`` gets a window of each operand. ``of_deltas`` does the same for deltas, where the function
    is linear in the local operands; None where it is not.
    """

    def __init__(
        self,
        batch: "Batch",
        var: Var,
        axis: int,
        natural: Window,
        operands: Sequence[tuple[Local | Fixed, int]],
        apply: Callable[..., Array],
        of_deltas: Callable[..., Array] | None = None,
    ):
        super().__init__(batch, var, axis, natural)
        self.operands, self._apply, self._of_deltas = operands, apply, of_deltas

    def _mapped(self, what: str, win: Window) -> Array:
        arrays, axes = [], []
        for operand, axis in self.operands:
            if isinstance(operand, Fixed):
                array, varies = operand.window(win, axis)
            else:
                array, varies = getattr(operand, what)(win), True
            arrays.append(array)
            axes.append(0 if varies else None)
        function = self._of_deltas if what == "delta" else self._apply
        assert function is not None
        return jax.vmap(lambda *xs: function(win.width, *xs), in_axes=tuple(axes))(*arrays)

    def _value(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return super()._value(win)
        return self._mapped("value", win)

    def _ref(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return super()._ref(win)
        return self._mapped("ref", win)

    def _delta(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return rewindow(self.delta(), self.axis, self.natural, win)
        if self._of_deltas is not None:
            return self._mapped("delta", win)
        return self._mapped("value", win) - self._mapped("ref", win)


class Moved(Local):
    """Positions in another place or grouping: ``below(win)`` is the window of the operand that a window needs, and
    ``apply(width, x)`` what it makes of one edit's window of it.

    ``outside`` is what stands at positions that the operand does not have, for padded arrays and windows.
    """

    def __init__(
        self,
        batch: "Batch",
        var: Var,
        axis: int,
        natural: Window,
        operand: Local,
        below: Callable[[Window], Window],
        apply: Callable[[int, Array], Array],
        *,
        outside: Any = None,
        linear: bool = True,
    ):
        super().__init__(batch, var, axis, natural)
        self._operand, self._below, self._apply = operand, below, apply
        self._outside, self._linear = outside, linear

    def _mapped(self, what: str, win: Window) -> Array:
        under = self._below(win)
        x = getattr(self._operand, what)(under)
        if self._outside is not None and what != "delta":
            x = jnp.where(self._operand.inside(under), x, jnp.asarray(self._outside, x.dtype))
        return jax.vmap(lambda row: self._apply(win.width, row))(x)

    def _value(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return super()._value(win)
        return jnp.where(self.inside(win), self._mapped("value", win), self.ref(win))

    def _ref(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return super()._ref(win)
        return self._mapped("ref", win)

    def _delta(self, win: Window) -> Array:
        if win != self.natural and self.settled():
            return rewindow(self.delta(), self.axis, self.natural, win)
        if not self._linear:
            found = self._mapped("value", win) - self._mapped("ref", win)
        else:
            found = self._mapped("delta", win) if self.floating else self.value(win) - self.ref(win)
        return jnp.where(self.inside(win), found, jnp.zeros((), found.dtype))
