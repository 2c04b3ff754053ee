"""Where numbers stopped being finite: the rows, and the first layer, of a training that diverged.

The step that failed is gone when its loss is read: its buffers were given to the next one. But a state is a pure
function of (seed, step), so it is computed again from the last saved one, and the failing step once more with a
watch on every layer. It costs at most what one interval between two saved states costs, and nothing before.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

NAMED_ROWS = 8
Batches = Callable[[int], Generator[Mapping[str, Any], None, None]]


def bad_rows(batch: Mapping[str, Any]) -> np.ndarray:
    """Which examples of a batch hold numbers that no step can take, bool (example,).

    Inputs must be finite; labels may be NaN (gaps). Of a batch that several processes share, those of this process.
    """
    bad = np.zeros(len(batch["row"]), bool)
    for name, array in batch.items():
        if name != "row" and np.dtype(array.dtype).kind == "f":
            for first, values in _pieces(array):
                wrong = ~np.isfinite(values) if name.startswith("inputs/") else np.isinf(values)
                bad[first : first + len(values)] |= wrong.reshape(len(values), -1).any(axis=1)
    return bad


def _pieces(array: Any) -> list[tuple[int, np.ndarray]]:
    """The array, or its pieces that lie on devices of this process, each with its first example among them."""
    if getattr(array, "is_fully_addressable", True):
        return [(0, np.asarray(array))]
    found = [(shard.index[0].start or 0, np.asarray(shard.data)) for shard in array.addressable_shards]
    lowest = min(start for start, _ in found)
    return [(start - lowest, values) for start, values in found]


def named(rows: np.ndarray) -> str:
    """The first of some dataset rows."""
    return ", ".join(str(row) for row in rows[:NAMED_ROWS])


def bad_arrays(tree: Any) -> list[str]:
    """Dotted names of the arrays of a state that hold NaN or infinity."""
    found = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not bool(jnp.isfinite(leaf).all()):
            parts = [str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path]
            found.append(".".join(part for part in parts if part != "value"))
    return found


class Seen(NamedTuple):
    """A layer whose output, or the gradient at its output, is not finite. ``rows`` are examples of the batch."""

    order: int
    layer: str
    rows: tuple[int, ...]


class Watch:
    """What the layers of one step give and get back.

    Parameters
    ----------
    examples : of the batch. everywhere : sharding of what all devices hold; None for a single one.
    """

    def __init__(self, examples: int, everywhere: NamedSharding | None = None):
        self.examples, self.everywhere = examples, everywhere
        self.outputs: dict[str, Seen] = {}
        self.gradients: dict[str, Seen] = {}
        self._orders: dict[str, int] = {}

    def see(self, layer: str, x: Any) -> Any:
        """``x`` itself; that it, or its gradient, is not finite is noted when the step runs."""
        if not (isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)):
            return x
        order = self._orders.setdefault(layer, len(self._orders))
        by_row = x.ndim > 0 and x.shape[0] == self.examples

        def note(found: dict[str, Seen]) -> Callable[[Any], None]:
            def add(bad: Any) -> None:
                bad = np.asarray(bad)
                if bad.any() and layer not in found:
                    found[layer] = Seen(order, layer, tuple(map(int, np.flatnonzero(bad))) if by_row else ())

            return add

        def bad(y: Any) -> Any:
            found = ~(jnp.isfinite(y).all(axis=tuple(range(1, y.ndim))) if by_row else jnp.isfinite(y).all())
            return found if self.everywhere is None else jax.lax.with_sharding_constraint(found, self.everywhere)

        def backwards(_: None, gradient: Any) -> tuple[Any]:
            jax.debug.callback(note(self.gradients), bad(gradient))
            return (gradient,)

        passed = jax.custom_vjp(lambda y: y)
        passed.defvjp(lambda y: (y, None), backwards)
        jax.debug.callback(note(self.outputs), bad(x))
        return passed(x)


@contextmanager
def watched_layers(watch: Watch) -> Iterator[None]:
    """While the block runs, every ``flax.nnx`` module that is called shows its outputs to ``watch``."""
    names: dict[int, str] = {}

    def shown(cls: type) -> Callable:
        call = vars(cls)["__call__"]

        def watching(self: Any, *args: Any, **kwargs: Any) -> Any:
            outermost = not names
            if outermost:
                names.update({id(part): ".".join(map(str, path)) for path, part in nnx.iter_modules(self)})
            try:
                outputs = call(self, *args, **kwargs)
            finally:
                layer = names.get(id(self)) or ""
                if outermost:
                    names.clear()
            title = f"{layer} ({type(self).__name__})" if layer else f"(output of {type(self).__name__})"
            return jax.tree.map(lambda x: watch.see(title, x), outputs)

        return watching

    before = {cls: vars(cls)["__call__"] for cls in _classes(nnx.Module) if "__call__" in vars(cls)}
    changed = {cls: shown(cls) for cls in before}
    try:
        for cls, call in changed.items():
            cls.__call__ = call  # type: ignore[method-assign, operator]
        yield
    finally:
        for cls, call in before.items():
            cls.__call__ = call  # type: ignore[method-assign, operator]


def _classes(cls: type) -> set[type]:
    return {cls}.union(*map(_classes, cls.__subclasses__()))


def watch_step(objective: Any, state: Any, batch: Mapping[str, Any], key: Any) -> Watch:
    """One step with every layer watched; its result is dropped."""
    arrays = {name: array for name, array in batch.items() if name != "row"}
    placed = [array.sharding for array in arrays.values() if isinstance(array, jax.Array)]
    meshes = [sharding.mesh for sharding in placed if isinstance(sharding, NamedSharding)]
    watch = Watch(len(batch["row"]), NamedSharding(meshes[0], PartitionSpec()) if meshes else None)
    with watched_layers(watch):
        result = jax.jit(lambda state, arrays, key: objective.step(state, arrays, key))(state, arrays, key)
    jax.block_until_ready(result)
    jax.effects_barrier()
    return watch


def where_first(
    objective: Any,
    advance: Callable[[Any, Any, Any], Any],
    state: Any,
    first: int,
    batches: Batches,
    step: int,
    key: Any,
) -> str:
    """In words, where numbers are first not finite in step ``step``.

    Parameters
    ----------
    advance : the compiled step, (state, arrays, step) to (loss, state, aux); it takes the buffers of its state.
    state, first : a state and the step it stands before. batches : see `loop.fit`. key : of the run.
    """
    before = None
    with closing(batches(first)) as source:
        for number in range(first, step):
            batch = next(source)
            if number == step - 1:
                before = batch, watch_step(objective, state, batch, jax.random.fold_in(key, number))
            _, state, _ = advance(state, {n: a for n, a in batch.items() if n != "row"}, np.uint32(number))
        batch = next(source)
    lost = bad_arrays(state.params)
    if lost:
        return f"{_some(lost)} {'is' if len(lost) == 1 else 'are'} not finite before this step{_gradient(before)}"
    watch = watch_step(objective, state, batch, jax.random.fold_in(key, step))
    if watch.outputs:
        return f"first not finite: the output of layer {_layer(min(watch.outputs.values()), batch)}"
    if watch.gradients:
        return f"every layer's output is finite; first not finite: {_back(watch, batch)}"
    return "every layer's output is finite, the loss of the labels is not"


def _layer(seen: Seen, batch: Mapping[str, Any]) -> str:
    rows = f", dataset rows {named(np.asarray(batch['row'])[list(seen.rows)])}" if seen.rows else ""
    return seen.layer + rows


def _back(watch: Watch, batch: Mapping[str, Any]) -> str:
    return f"the gradient at the output of layer {_layer(max(watch.gradients.values()), batch)}"


def _gradient(before: tuple[Mapping[str, Any], Watch] | None) -> str:
    """What the step before says of parameters that it lost."""
    if before is None or not before[1].gradients:
        return ""
    return f"; in the one before, first not finite: {_back(before[1], before[0])}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"parameter{'s' if len(names) > 1 else ''} {', '.join(names[:2])}{more}"


def locate(
    objective: Any,
    advance: Callable[[Any, Any, Any], Any],
    start: Callable[[], tuple[Any, int] | None],
    batches: Batches,
    step: int,
    key: Any,
    label: str,
) -> str:
    """`where_first`, from the state that ``start`` gives; "" where the step cannot be repeated.

    Whatever goes wrong here must not hide that the training diverged.
    """
    log = logging.getLogger("seqmill")
    if jax.process_count() > 1:  # the others may not take part
        return ""
    try:
        found = start()
        if found is None or found[1] > step:
            return ""
        log.info("%s: the loss is not finite; steps %d to %d are repeated to find the layer", label, found[1], step)
        return where_first(objective, advance, *found, batches, step, key)
    except Exception:
        log.debug("%s: the layer was not found", label, exc_info=True)
        return ""
