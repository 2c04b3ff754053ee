"""On the device: shift, reverse complement and one-hot coding of a batch, each array by its own rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from seqmill.stores.geometry import cropped, margin_bins, positional_axes
from seqmill.training import evoaug
from seqmill.training.jitter import Jitter

N_CODE = 4


def one_hot(codes: Array) -> Array:
    """Codes (…, bp) uint8, A0 C1 G2 T3, to float32 (…, bp, 4); N (4 and above) is all zeros."""
    return (codes[..., None] == jnp.arange(4, dtype=codes.dtype)).astype(jnp.float32)


def crop(x: Array, spec: Any, shift_bp: Array | int | None = None) -> Array:
    """Cut the margin off, around a window that is moved by ``shift_bp`` (example,) int32, or a number for all; not
    moved if None.

    Only arrays whose shift rule is "moves" follow the shift.
    """
    margin = margin_bins(spec)
    if not margin:
        return x
    axes = positional_axes(spec)
    if shift_bp is None or isinstance(shift_bp, int) or spec.shift != "moves":
        by = shift_bp // spec.bp_per_bin if isinstance(shift_bp, int) and spec.shift == "moves" else 0
        for axis in axes:
            x = lax.slice_in_dim(x, margin + by, x.shape[axis] - margin + by, axis=axis)
        return x
    starts = margin + shift_bp // spec.bp_per_bin

    def one(row: Array, start: Array) -> Array:
        for axis in axes:
            row = lax.dynamic_slice_in_dim(row, start, row.shape[axis - 1] - 2 * margin, axis=axis - 1)
        return row

    return jax.vmap(one)(x, starts)


def reverse_complement(x: Array, spec: Any, lengths: Array | None = None) -> Array:
    """The array as seen from the other strand, by the rule in ``spec.rc``; margins must be cropped or symmetric.

    Sequences are codes (not one-hot). With ``lengths`` (example,) bases before the padding, a padded sequence is
    reversed within its length, so that padding stays at its end.
    """
    if spec.rc == "none":
        return x
    if spec.rc == "sequence":
        complement = jnp.where(x < N_CODE, 3 - x, x)
        if lengths is None:
            return jnp.flip(complement, axis=1)
        positions = jnp.arange(x.shape[1], dtype=jnp.int32)[None, :]
        source = (lengths.astype(jnp.int32).reshape(-1, 1) - 1 - positions) % x.shape[1]
        return jnp.take_along_axis(complement, source, axis=1)
    if spec.rc in ("reverse", "reverse_swap"):
        x = jnp.flip(x, axis=positional_axes(spec))
    if spec.rc in ("swap", "reverse_swap"):
        x = jnp.take(x, np.asarray(strand_permutation(spec)), axis=-1)
    if spec.rc not in ("reverse", "swap", "reverse_swap"):
        raise ValueError(f"array {spec.name!r} has the reverse-complement rule {spec.rc!r}")
    return x


def strand_permutation(spec: Any) -> list[int]:
    """Index of the partner of each track; a track without partner is its own."""
    pairs = spec.strand_pairs
    if pairs is None or len(pairs) == 0:
        return list(range(len(spec.tracks)))
    if isinstance(pairs[0], str):
        return [list(spec.tracks).index(partner or own) for partner, own in zip(pairs, spec.tracks)]
    return [int(index) for index in pairs]


@dataclass(frozen=True)
class View:
    """Which window of the stored arrays a network is shown.

    Attributes
    ----------
    inputs, targets : name to spec, margins included as stored.
    jitter : random shift in training.
    strands : draw a random strand in training.
    changes : random changes of sequences in training, after shift and strand; none if None.
    """

    inputs: Mapping[str, Any]
    targets: Mapping[str, Any]
    jitter: Jitter
    strands: bool
    changes: evoaug.Augmentation | None = None

    def network_inputs(self) -> dict[str, Any]:
        return {name: cropped(spec) for name, spec in self.inputs.items()}

    def network_targets(self) -> dict[str, Any]:
        return {name: cropped(spec) for name, spec in self.targets.items()}

    def _lengths(self, batch: Mapping[str, Array]) -> Array | None:
        names = [name for name, spec in self.inputs.items() if spec.kind == "length"]
        return batch[f"inputs/{names[0]}"] if names else None

    def show(self, batch: Mapping[str, Array], key: Array | None = None) -> dict[str, Array]:
        """Batch of stored arrays (keys as the loader's) to one of cropped arrays; random with a key, plain without.

        Sequences come out one-hot. "mask/<target>" follows its target. `evoaug.ROWS` says which examples get changes.
        """
        shift, flip = None, None
        size = batch[next(iter(f"inputs/{name}" for name in self.inputs))].shape[0]
        if key is not None:
            shift_key, strand_key = jax.random.split(key)
            if self.jitter.max_bp:
                steps = self.jitter.max_bp // self.jitter.step_bp
                shift = jax.random.randint(shift_key, (size,), -steps, steps + 1) * self.jitter.step_bp
            if self.strands:
                flip = jax.random.bernoulli(strand_key, 0.5, (size,))
        return self._view(batch, shift, flip, key)

    def at(
        self, batch: Mapping[str, Array], shift_bp: Array | int | None = None, *, other_strand: bool = False
    ) -> dict[str, Array]:
        """Like `show` without a key, every window moved by ``shift_bp`` (scalar) and then seen from one strand."""
        size = batch[next(iter(f"inputs/{name}" for name in self.inputs))].shape[0]
        shift = shift_bp if shift_bp is None or isinstance(shift_bp, int) else jnp.full(size, shift_bp)
        return self._view(batch, shift, jnp.ones(size, bool) if other_strand else None)

    def _view(
        self,
        batch: Mapping[str, Array],
        shift: Array | int | None,
        flip: Array | None,
        key: Array | None = None,
    ) -> dict[str, Array]:
        lengths = self._lengths(batch)
        sequences = [name for name, spec in self.inputs.items() if spec.kind == "sequence"]
        shown = {}
        for path, x in batch.items():
            role, _, name = path.partition("/")
            if role not in ("inputs", "targets", "mask"):
                continue
            spec = self.inputs[name] if role == "inputs" else self.targets[name]
            x = crop(x, spec, shift)
            if flip is not None:
                turned = reverse_complement(x, spec, lengths)
                x = jnp.where(flip.reshape(-1, *[1] * (x.ndim - 1)), turned, x)
            if spec.kind == "sequence" and self.changes is not None and key is not None:
                own_key = evoaug.own_key(key, sequences.index(name))
                x = self.changes.show(x, lengths, batch.get(evoaug.ROWS), own_key, one_hot)
            elif spec.kind == "sequence":
                x = one_hot(x)
            shown[path] = x
        return shown
