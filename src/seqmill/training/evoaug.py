"""Random changes of sequences in training, on the device; labels stay as they are.

The kinds are those of EvoAug (Lee, Tang, Hochreiter & Koo 2023, Genome Biology 24:105, "Evolution-inspired data
augmentations"): deletion, insertion, translocation, inversion, mutation and noise, applied in this order, a random
subset of them to each example. Where ours differ:

- A window keeps its length. EvoAug shows the network windows that are longer by the largest insertion and fills them
  with random bases; here an insertion pushes bases out, half of them at each end, as a deletion takes in random
  bases at both ends.
- A mutation changes each base with a probability, to another base; EvoAug redraws a fixed number of bases.
- N stays N and gets no noise; padding behind the end of a short sequence stays where it is.
- The other strand is drawn by `training.reverse_complement`, whose rules every array knows.

Lengths and places are drawn uniformly; a length may be 0. Functions here take codes (example, bp) uint8, A0 C1 G2 T3
N4, with their padding at the end, and ``lengths`` (example,) int32, bases before the padding.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from seqmill.config.augment import Augment
from seqmill.runtime.errors import InputError

WHERE = "training.augment"
ROWS = "augmented"  # key of a batch: which examples are changed (example,) bool; all if it is not there
_N = 4
_OWN_KEY = 0x0E0A  # of this file's draws; shift and strand keep theirs


def _places(codes: Array) -> Array:
    return jnp.arange(codes.shape[1], dtype=jnp.int32)[None, :]


def _take(codes: Array, source: Array) -> Array:
    return jnp.take_along_axis(codes, jnp.clip(source, 0, codes.shape[1] - 1), axis=1)


def _whole(drawn: Array, largest: Array | int) -> Array:
    """Whole numbers from 0 to ``largest`` from uniform ones in [0, 1)."""
    return jnp.minimum(jnp.floor(drawn * (largest + 1)).astype(jnp.int32), largest)


def delete(codes: Array, lengths: Array, start: Array, count: Array, filling: Array) -> Array:
    """Take ``count`` bases out at ``start``; bases of ``filling`` (example, bp) come in, half of them at each end."""
    place, count, end = _places(codes), count[:, None], lengths[:, None]
    source = place - count // 2
    source += jnp.where(source >= start[:, None], count, 0)
    bases = jnp.where((source >= 0) & (source < end), _take(codes, source), filling)
    return jnp.where(place < end, bases, codes)


def insert(codes: Array, lengths: Array, start: Array, count: Array, filling: Array) -> Array:
    """Put ``count`` bases of ``filling`` (example, bp) before ``start``; half as many leave at each end."""
    place, count, end = _places(codes), count[:, None], lengths[:, None]
    source = place + count // 2
    new = (source >= start[:, None]) & (source < start[:, None] + count)
    bases = jnp.where(new, filling, _take(codes, jnp.where(source >= start[:, None], source - count, source)))
    return jnp.where(place < end, bases, codes)


def translocate(codes: Array, lengths: Array, shift: Array) -> Array:
    """Turn the sequence in a circle by ``shift`` places to the right (to the left if negative)."""
    place, end = _places(codes), lengths[:, None]
    return jnp.where(place < end, _take(codes, (place - shift[:, None]) % jnp.maximum(end, 1)), codes)


def invert(codes: Array, start: Array, count: Array) -> Array:
    """Replace ``count`` bases from ``start`` on by their reverse complement."""
    place, start, count = _places(codes), start[:, None], count[:, None]
    turned = _take(codes, 2 * start + count - 1 - place)
    turned = jnp.where(turned < _N, 3 - turned, turned)
    return jnp.where((place >= start) & (place < start + count), turned, codes)


def mutate(codes: Array, bits: Array, limit: Array) -> Array:
    """Change the known bases whose ``bits`` (example, bp) uint32 are below ``limit`` (example,) to another base.

    The remainder of the bits by 3 says to which of the three, in the order ACGT from the base on.
    """
    other = (codes + 1 + (bits % 3).astype(codes.dtype)) % 4
    return jnp.where((bits < limit[:, None]) & (codes < _N), other, codes)


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each example, by the settings of the section `Augment`."""

    settings: Augment

    def chosen(self, drawn: Array) -> Array:
        """Which kinds each example gets: (example, kind) bool, kinds in the order of ``settings.kinds()``.

        Parameters
        ----------
        drawn : (example, kind + 1) float32, uniform in [0, 1).
        """
        most = self.settings.most()
        rank = jnp.argsort(jnp.argsort(drawn[:, 1:], axis=1), axis=1)
        return rank < (most if self.settings.hard else 1 + _whole(drawn[:, :1], most - 1))

    def show(
        self,
        codes: Array,
        lengths: Array | None,
        rows: Array | None,
        key: Array,
        one_hot: Callable[[Array], Array],
    ) -> Array:
        """Sequences (example, bp, 4) float32 as a network is shown them, from their codes.

        Parameters
        ----------
        lengths : bases before the padding (example,); all if None.
        rows : which examples are changed (example,) bool; all if None.
        """
        change_key, noise_key = jax.random.split(key)
        codes, deviation = self.change(codes, lengths, rows, change_key)
        hot = one_hot(codes)
        if deviation is None:
            return hot
        drawn = jax.random.normal(noise_key, hot.shape, hot.dtype) * deviation[:, None, None]
        return jnp.where((codes < _N)[..., None], hot + drawn, hot)

    def change(self, codes: Array, lengths: Array | None, rows: Array | None, key: Array) -> tuple[Array, Array | None]:
        """Changed codes, and the standard deviation (example,) of the noise that is to be added, None without noise.

        Arguments as of `show`.
        """
        examples, bp = codes.shape
        ends = jnp.full(examples, bp) if lengths is None else lengths.reshape(-1)
        ends = jnp.clip(ends.astype(jnp.int32), 0, bp)
        row_key, filling_key, mutation_key = jax.random.split(key, 3)
        kinds = self.settings.kinds()
        drawn = jax.random.uniform(row_key, (examples, 3 * len(kinds) + 1))
        chosen = self.chosen(drawn[:, : len(kinds) + 1])
        if rows is not None:
            chosen &= rows[:, None]
        wanted = dict(zip(kinds, chosen.T))
        numbers = iter(drawn[:, len(kinds) + 1 :].T)
        fillings = jnp.zeros(codes.shape, jnp.uint8)
        if "deletion" in wanted or "insertion" in wanted:
            fillings = jax.random.bits(filling_key, codes.shape, jnp.uint8)

        def count(kind: str) -> Array:
            number = jnp.minimum(_whole(next(numbers), self.settings.largest_bp(kind)), ends)
            return jnp.where(wanted[kind], number, 0)

        if "deletion" in wanted:
            gone = count("deletion")
            codes = delete(codes, ends, _whole(next(numbers), ends - gone), gone, fillings & 3)
        if "insertion" in wanted:
            codes = insert(codes, ends, _whole(next(numbers), ends), count("insertion"), fillings >> 6)
        if "translocation" in wanted:
            side = jnp.where(next(numbers) < 0.5, 1, -1)
            codes = translocate(codes, ends, side * count("translocation"))
        if "inversion" in wanted:
            turned = count("inversion")
            codes = invert(codes, _whole(next(numbers), ends - turned), turned)
        if "mutation" in wanted:
            limit = jnp.uint32(round(self.settings.mutation_fraction * (2**32 - 1)))
            bits = jax.random.bits(mutation_key, codes.shape, jnp.uint32)
            codes = mutate(codes, bits, jnp.where(wanted["mutation"], limit, 0))
        return codes, jnp.where(wanted["noise"], self.settings.noise_std, 0.0) if "noise" in wanted else None


def own_key(key: Array, number: int) -> Array:
    """Key of the changes of sequence input ``number``, from the key of a view."""
    return jax.random.fold_in(jax.random.fold_in(key, _OWN_KEY), number)


def augmentation_of(
    section: Augment | None, arrays: Mapping[str, Any], *, reverse_complement: bool = True
) -> Augmentation | None:
    """Check that a dataset's ``arrays`` (name to spec, inputs and targets) can be changed as the section asks.

    ``reverse_complement`` says whether the dataset allows it at all.

    Raises
    ------
    InputError
        No array is a sequence, one forbids shifts or the reverse complement, or a window is too short.
    """
    if section is None:
        return None
    sequences = {name: spec for name, spec in arrays.items() if spec.kind == "sequence"}
    if not sequences:
        raise InputError(WHERE, f"the dataset has no sequence to change; its arrays: {', '.join(arrays)}")
    for name, spec in arrays.items():
        moving = [kind for kind in section.kinds() if kind in ("deletion", "insertion", "translocation")]
        if spec.shift == "forbidden" and moving:
            raise InputError(
                WHERE, f"array {name!r} of the dataset forbids shifts; leave max_{moving[0]}_bp out (mutation may stay)"
            )
        if (spec.rc == "forbidden" or not reverse_complement) and "inversion" in section.kinds():
            raise InputError(
                WHERE, f"array {name!r} of the dataset has no reverse complement; leave max_inversion_bp out"
            )
    for name, spec in sequences.items():
        bp = spec.shape_per_example[0] - 2 * spec.margin_bp
        for kind in section.kinds():
            if section.largest_bp(kind) >= bp:
                raise InputError(
                    WHERE, f"max_{kind}_bp is {section.largest_bp(kind)}, the window of {name!r} has {bp} bp"
                )
    return Augmentation(section)


def marked(batches: Iterator[dict[str, Any]], first_step: int, plain: int | None) -> Iterator[dict[str, Any]]:
    """Batches from step ``first_step`` on that say which examples are changed: all before step ``plain``, then none."""
    for step, batch in enumerate(batches, first_step):
        yield batch if plain is None else batch | {ROWS: np.full(len(batch["row"]), step < plain)}


def plain_from(section: Augment | None, *, steps: int, steps_per_epoch: int) -> int | None:
    """The step (from 0) at which the passes without changes begin; None if there are none.

    Raises InputError if no pass with changes is left.
    """
    if section is None or not section.plain_epochs:
        return None
    passes = -(-steps // steps_per_epoch)
    if section.plain_epochs >= passes:
        raise InputError(WHERE, f"plain_epochs is {section.plain_epochs}, but the training has {passes} pass(es)")
    return (passes - section.plain_epochs) * steps_per_epoch
