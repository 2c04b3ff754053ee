"""Windows: the positions of an array that the edits of a batch change, each edit its own.

All edits of a batch share the width of a window, which compiled programs need to know; where it starts differs from
edit to edit and is known when the program runs. Starts are linear in a `Base`, so that the distance of two windows is
known, or bounded, beforehand.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax


@dataclass(frozen=True, eq=False)
class Base:
    """A number for each edit that starts of windows are counted from.

    Attributes
    ----------
    values : int32 (edits,). span : bound of the difference of the largest and the smallest.
    origin, factor, slack : where this base comes from another: ``factor * values`` is the start of ``origin`` minus
        something between ``slack[0]`` and ``slack[1]``.
    depth : how many bases it comes from.
    """

    values: Array
    span: int
    origin: "Window | None" = None
    factor: int = 1
    slack: tuple[int, int] = (0, 0)
    depth: int = 0


@dataclass(frozen=True)
class Window:
    """Positions ``scale * base + offset`` on, ``width`` of them, along one axis; may reach over the array's ends."""

    base: Base
    scale: int
    offset: int
    width: int

    @property
    def start(self) -> Array:
        """int32 (edits,), 0-based."""
        return self.base.values * self.scale + self.offset

    def moved(self, by: int, width: int | None = None) -> "Window":
        return Window(self.base, self.scale, self.offset + by, self.width if width is None else width)

    def times(self, factor: int) -> "Window":
        """The same window where each position has become ``factor`` positions."""
        return Window(self.base, self.scale * factor, self.offset * factor, self.width * factor)

    def inside(self, length: int, axis: int, ndim: int) -> Array:
        """bool (edits, 1, …, width, …, 1): which positions lie in an array of ``length`` positions."""
        at = self.start[:, None] + jnp.arange(self.width, dtype=jnp.int32)
        return _along((at >= 0) & (at < length), axis, ndim)


def _along(x: Array, axis: int, ndim: int) -> Array:
    """(edits, width) as an array whose axis ``axis + 1`` of ``ndim + 1`` is the width."""
    return x.reshape([x.shape[0], *[x.shape[1] if number == axis else 1 for number in range(ndim)]])


def divided(window: Window, divisor: int, known: dict) -> Base:
    """The base of positions that each hold ``divisor`` positions of ``window``; the same one when asked again."""
    key = window.base, window.scale, window.offset, divisor
    if key not in known:
        span = (abs(window.scale) * window.base.span + divisor - 1) // divisor
        values = window.start // divisor
        known[key] = Base(values, span, window, divisor, (0, divisor - 1), window.base.depth + 1)
    return known[key]


def common(window: Window) -> Window:
    """One window for all edits of the batch: the smallest that holds all of theirs."""
    base, scale = window.base, window.scale
    first, slack = (base.values.min(), (0, base.span)) if scale > 0 else (base.values.max(), (-base.span, 0))
    values = jnp.full_like(base.values, first)
    shared = Base(values, 0, Window(base, 1, 0, 1), 1, slack, base.depth + 1)
    return Window(shared, scale, window.offset, window.width + abs(scale) * base.span)


def difference(a: Window, b: Window) -> tuple[int, int] | None:
    """Smallest and largest value that ``a.start - b.start`` can have; None if nothing is known."""
    low = high = a.offset - b.offset
    terms = {a.base: a.scale}
    terms[b.base] = terms.get(b.base, 0) - b.scale
    while any(terms.values()):
        base = max((base for base, count in terms.items() if count), key=lambda base: base.depth)
        count = terms.pop(base)
        if base.origin is None or count % base.factor:
            return None
        times, origin = count // base.factor, base.origin
        terms[origin.base] = terms.get(origin.base, 0) + times * origin.scale
        ends = [-times * base.slack[0], -times * base.slack[1]]
        low, high = low + times * origin.offset + min(ends), high + times * origin.offset + max(ends)
    return low, high


def union(a: Window, b: Window) -> Window | None:
    """A window that holds both; None if their distance is not known."""
    if a.base.depth > b.base.depth:
        a, b = b, a
    far = difference(b, a)
    if far is None:
        return None
    first, last = min(0, far[0]), max(a.width, far[1] + b.width)
    return a.moved(first, last - first)


def cut(full: Array, rows: Array | None, window: Window, axis: int, padding: int) -> Array:
    """Windows of an array.

    Parameters
    ----------
    full : (row, *shape), longer by ``padding`` at both ends of ``axis``. rows : int32 (edits,), the row of each edit;
        None where there is but one.

    Returns
    -------
    (edits, *shape) with the window's width along ``axis``; what lies further out is some other position's value.
    """
    starts = window.start + padding

    def one(row: Array, start: Array) -> Array:
        return lax.dynamic_slice_in_dim(row, start, window.width, axis)

    if rows is None:
        return jax.vmap(one, in_axes=(None, 0))(full[0], starts)
    sizes = [1, *full.shape[1:]]
    sizes[axis + 1] = window.width

    def of(row: Array, start: Array) -> Array:
        begin = [jnp.int32(0)] * full.ndim
        begin[0], begin[axis + 1] = row, start
        return lax.dynamic_slice(full, begin, sizes)[0]

    return jax.vmap(of)(rows, starts)


def rewindow(x: Array, axis: int, old: Window, new: Window) -> Array:
    """Windows (edits, *shape) seen through other windows; 0 where the old ones have nothing."""
    if old == new:
        return x
    bounds, at = difference(old, new), axis + 1
    if bounds is None:
        # only as far apart as the arrays are long
        place = jnp.arange(new.width, dtype=jnp.int32) - (old.start - new.start)[:, None]
        inside = _along((place >= 0) & (place < old.width), axis, x.ndim - 1)
        index = jnp.clip(place, 0, old.width - 1)
        taken = jax.vmap(lambda row, where: jnp.take(row, where, axis=axis))(x, index)
        return jnp.where(inside, taken, jnp.zeros((), x.dtype))
    low, high = bounds
    free = high - low
    padding = [(0, 0, 0)] * x.ndim
    padding[at] = (free + low, new.width - low - old.width, 0)
    wide = lax.pad(x, jnp.zeros((), x.dtype), padding)
    if not free:
        return wide
    shift = free + low - (old.start - new.start)
    return jax.vmap(lambda row, start: lax.dynamic_slice_in_dim(row, start, new.width, axis))(wide, shift)
