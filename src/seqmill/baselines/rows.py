"""Features and labels of the rows of a dataset, block by block."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqmill.baselines.features import Features
from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import crop_margin, cropped, positional_axes, present_values
from seqmill.stores.parts import Block, cut_blocks

BLOCK_BYTES = 64_000_000  # of features in memory at a time
Part = tuple[np.ndarray, np.ndarray, np.ndarray]


class Rows:
    """Features and labels of one target.

    Attributes
    ----------
    spec : of the target, margin cut off. binned : whether it has bins. tracks : number of tracks.
    per_example : rows of an example: its bins, or 1.
    """

    def __init__(self, reader: Any, features: Features, name: str):
        self.reader, self.features, self.name = reader, features, name
        self.stored = reader.targets[name]
        self.spec = cropped(self.stored)
        self.binned = bool(positional_axes(self.spec))
        axes = len(self.spec.shape_per_example)
        if axes > (2 if self.binned else 1):
            raise InputError(
                features.where, f"target {name!r} has axes {self.spec.axes}; bins and tracks, or tracks, are expected"
            )
        self.tracks = max(1, len(self.spec.tracks))
        self.per_example = self.spec.shape_per_example[0] if self.binned else 1
        cells = 2 + reader.window_bp // self.spec.bp_per_bin if self.binned else 1
        self.block = features.block_examples(reader.window_bp, cells, BLOCK_BYTES)

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels as stored and which are present, margins cropped."""
        values = self.reader.read(f"targets/{self.name}", start, stop)
        present = present_values(values, self.reader.read(f"mask/{self.name}", start, stop))
        return crop_margin(values, self.stored), crop_margin(present, self.stored)

    def matrices(self, start: int, stop: int, every: int = 1) -> Iterator[np.ndarray]:
        """Features of consecutive examples of one chunk, float32 (n, feature); one row a bin where binned."""
        chunk = {key: self.reader.read(key, start, stop) for key in self.features.keys}
        for first in range(0, stop - start, self.block):
            batch = {key: x[first : first + self.block] for key, x in chunk.items()}
            if self.binned:
                yield self.features.binned(batch, self.spec)[:, ::every].reshape(-1, self.features.width)
            else:
                yield self.features.whole(batch)

    def blocks(self, ranges: Sequence[Block], every: int = 1) -> Iterator[Part]:
        """(features as `matrices`, labels float32 (n, track), gaps as 0, and present bool (n, track))."""
        for start, stop in cut_blocks(ranges, self.reader.chunk_examples):
            values, present = self.labels(start, stop)
            if self.binned:
                values, present = values[:, ::every], present[:, ::every]
            present = present.reshape(-1, self.tracks)
            values = np.where(present, values.reshape(-1, self.tracks), 0).astype(np.float32)
            first = 0
            for x in self.matrices(start, stop, every):
                yield x, values[first : first + len(x)], present[first : first + len(x)]
                first += len(x)

    def together(self, ranges: Sequence[Block], every: int = 1) -> Part:
        """All of `blocks` as three arrays, filled in place: the features are the most of the memory."""
        rows = sum(-(-self.per_example // every) * (stop - start) for start, stop in ranges)
        x = np.empty((rows, self.features.width), np.float32)
        y, present = np.empty((rows, self.tracks), np.float32), np.empty((rows, self.tracks), bool)
        first = 0
        for features, values, known in self.blocks(ranges, every):
            part = slice(first, first + len(features))
            x[part], y[part], present[part] = features, values, known
            first += len(features)
        return x, y, present


def first_rows(ranges: Sequence[Block], most: int | None) -> list[Block]:
    """A prefix of each range so that about ``most`` rows remain; rows are shuffled inside each part."""
    total = sum(stop - start for start, stop in ranges)
    if most is None or total <= most:
        return list(ranges)
    return [(start, start + max(1, (stop - start) * most // total)) for start, stop in ranges]
