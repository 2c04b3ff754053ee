"""Filters of a network's first layer as motifs: what activates them.

A filter's motif is made of the stretches of test rows that activate it more than half as much as the strongest one does
(Kelley et al. (2016) Genome Research 26:990, Methods "Filter analysis"; so did Alipanahi et al. (2015) Nature
Biotechnology 33:831 with a threshold of their own). Activations are taken after the batch normalisation, where the
layer has one: it may turn a filter's sign.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from seqmill.formats.motifs import Motif
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.parts import folds_of
from seqmill.training.artefact import Network, load_network
from seqmill.training.objectives import network_inputs
from seqmill.training.predict import check_dataset
from seqmill.training.seen import rows_of

ROWS = 2048
"""Test rows that are looked at."""
HALF = 0.5
BATCH = 64


class Filter(NamedTuple):
    """A filter. ``motif`` is None where nothing activates it; ``sites`` stretches of ``rows`` test rows make it."""

    number: int
    motif: Motif | None
    sites: int
    largest: float


def filters_of(model: str | Path, dataset: str | Path, *, rows: int = ROWS) -> list[Filter]:
    """Filters of the first layer of one run.

    Parameters
    ----------
    model : folder of the run. dataset : that it was trained on; its test rows are shown to the network.
    rows : at most so many of them, the first.

    Raises
    ------
    InputError
        The first layer is no plain convolution over bases, or there are no test rows.
    """
    network, reader = load_network(model), DatasetReader(dataset)
    check_dataset(network.info, reader, Path(model))
    numbers = rows_of(reader, folds_of(reader, network.info["fold"], "test")).index.to_numpy()[:rows]
    if not len(numbers):
        raise InputError(model, f"dataset {reader.name} has no test rows of fold {network.info['fold']}")
    look = _looker(network, str(model))
    largest: Any = -np.inf
    for batch in _batches(reader, network, numbers):
        largest = np.maximum(largest, np.asarray(look(batch, None)[0]))
    counts: Any = 0
    for batch in _batches(reader, network, numbers):
        counts = counts + np.asarray(look(batch, HALF * largest)[1], np.float64)
    found = []
    for number, top in enumerate(largest.tolist()):
        columns = counts[number]  # (width, 4)
        sites = round(columns[0].sum())
        motif = Motif(f"filter_{number}", "", columns / sites) if top > 0 and sites else None
        found.append(Filter(number, motif, sites if motif else 0, max(top, 0.0)))
    return found


def _batches(reader: DatasetReader, network: Network, numbers: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Stored inputs of the rows; the last batch is filled up with its last row, which changes no maximum ..."""
    for start in range(0, len(numbers), BATCH):
        chosen = numbers[start : start + BATCH]
        batch = {}
        for name in network.view.inputs:
            values = np.concatenate([reader.read(f"inputs/{name}", int(i), int(i) + 1) for i in chosen])
            batch[f"inputs/{name}"] = np.concatenate([values, np.repeat(values[-1:], BATCH - len(chosen), axis=0)])
        batch["there"] = np.arange(BATCH) < len(chosen)  # ... and is not counted
        yield batch


def _looker(network: Network, where: str) -> Callable[[Mapping[str, Any], Any], tuple[Any, Any]]:
    """Compiled function: largest activation of each filter, and base counts (filter, width, 4) above thresholds."""

    @jax.jit
    def look(params: Any, rest: Any, batch: Mapping[str, Any], threshold: Any) -> tuple[Any, Any]:
        module = nnx.merge(network.graph, params, rest, copy=True)
        stored = {name: value for name, value in batch.items() if name != "there"}
        with _first_layer() as seen:
            module(network_inputs(network.view.at(stored, None)), train=False, key=None)
        if seen.layer is None:
            raise InputError(where, "its first layer is no convolution over bases: it has no filters to draw")
        x, active, width = _padded(seen, where), seen.output, seen.layer.kernel_size[0]
        places = active.shape[1]
        one_base = (x == 1).sum(axis=-1) == 1
        whole = jnp.stack([one_base[:, k : k + places] for k in range(width)]).all(axis=0) & batch["there"][:, None]
        largest = jnp.where(whole[..., None], active, -jnp.inf).max(axis=(0, 1))
        above = (active > (jnp.inf if threshold is None else threshold)) & whole[..., None]
        chosen = above.astype(jnp.float32)
        counts = [jnp.einsum("npf,npb->fb", chosen, x[:, k : k + places]) for k in range(width)]
        return largest, jnp.stack(counts, axis=1)

    return lambda batch, threshold: look(network.params, network.rest, batch, threshold)


class _Seen:
    """The first convolution over bases that is called: its input and its output, normalised if that follows."""

    layer: Any = None
    shown: Any = None
    output: Any = None
    closed = False


def _padded(seen: _Seen, where: str) -> Any:
    """What the convolution sees, so that output p is of positions p to p + width - 1."""
    layer, width = seen.layer, seen.layer.kernel_size[0]
    plain = {1, (1,), None}
    if layer.padding not in ("SAME", "VALID") or layer.strides not in plain or layer.kernel_dilation not in plain:
        raise InputError(where, "filters of a strided, dilated or otherwise padded first layer cannot be drawn")
    if layer.padding == "VALID":
        return seen.shown
    return jnp.pad(seen.shown, ((0, 0), ((width - 1) // 2, width // 2), (0, 0)))


@contextmanager
def _first_layer() -> Iterator[_Seen]:
    """While the block runs, note the first `nnx.Conv` with four channels, and a batch normalisation right behind it."""
    seen, convolve, normalise = _Seen(), nnx.Conv.__call__, nnx.BatchNorm.__call__

    def conv(self: nnx.Conv, x: Any, *args: Any, **more: Any) -> Any:
        y = convolve(self, x, *args, **more)
        if seen.layer is None and self.in_features == 4 and len(self.kernel_size) == 1:
            seen.layer, seen.shown, seen.output = self, x, y
        else:
            seen.closed = True
        return y

    def norm(self: nnx.BatchNorm, x: Any, *args: Any, **more: Any) -> Any:
        y = normalise(self, x, *args, **more)
        if seen.layer is not None and not seen.closed and x.shape == seen.output.shape:
            seen.output = y
        seen.closed = True
        return y

    nnx.Conv.__call__, nnx.BatchNorm.__call__ = conv, norm  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        nnx.Conv.__call__, nnx.BatchNorm.__call__ = convolve, normalise  # type: ignore[method-assign]
