"""Which row comes when: a pure function of (seed, pass, position), whatever the workers, the clock or a restart.

A pool's training rows are cut into blocks, each inside one chunk of the dataset. In each pass the blocks are put in a
seeded order, taken in groups of a few, and the rows of a group are permuted together. Passes follow each other
without a gap, so every batch is full and every row comes once in each pass. Rows were shuffled once inside each part
when the dataset was written; reading whole chunks in this way costs nothing in speed and mixes them again.

Where several pools share a stream, every group has each pool's rows in the same proportion. Pools differ in their
labels: groups of whole blocks would end a pass with batches of one class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.stores.parts import Block, cut_blocks, part_ranges

GROUP_BLOCKS = 8
GROUP_BYTES = 64_000_000


@dataclass(frozen=True)
class Stream:
    """Training rows of one pool (or of several, mixed by their sizes).

    Attributes
    ----------
    name : of the pool. pools : of each pool its row ranges, each inside one chunk. share : rows of each batch.
    """

    name: str
    pools: tuple[tuple[Block, ...], ...]
    share: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(block for blocks in self.pools for block in blocks)

    @property
    def rows(self) -> int:
        return sum(stop - start for start, stop in self.blocks)


def shares_of(ratios: Sequence[float], batch_size: int) -> list[int]:
    """Whole numbers of rows in the given ratios that add up to ``batch_size`` (largest remainders first)."""
    exact = np.asarray(ratios, float) / sum(ratios) * batch_size
    shares = np.floor(exact).astype(int)
    for index in np.argsort(shares - exact, kind="stable")[: batch_size - shares.sum()]:
        shares[index] += 1
    return shares.tolist()


def make_streams(
    parts: Sequence[dict[str, Any]],
    folds: Sequence[str],
    *,
    pools: Sequence[tuple[str, float]] | None,
    batch_size: int,
    chunk: int,
    fraction: float = 1.0,
    lanes: int = 1,
) -> list[Stream]:
    """Streams of a training run.

    Parameters
    ----------
    parts : ``{pool, fold, start, stop}`` of the dataset. folds : the training folds.
    pools : (name, ratio) of each pool; None mixes all pools by their sizes.
    fraction : prefix of each part, for learning curves.
    lanes : number of equal parts that the rows of each pool are dealt to. A batch is the lanes' parts of it, one after
        the other, so that a process that needs a part of each batch reads a part of the rows.

    Raises InputError for an unknown or empty pool, for a share below one row a batch and one that lanes do not divide.
    """
    known = sorted({part["pool"] for part in parts})

    def blocks_of(pool: str) -> tuple[Block, ...]:
        return tuple(cut_blocks(part_ranges(parts, folds, [pool], fraction), chunk))

    if pools is None:
        streams = [Stream("all", tuple(blocks for blocks in map(blocks_of, known) if blocks), batch_size)]
    else:
        for name, _ in pools:
            if name not in known:
                raise InputError("pools", f"pool {name!r} is not in the dataset: {', '.join(known)}")
        shares = shares_of([ratio for _, ratio in pools], batch_size)
        streams = [Stream(name, (blocks_of(name),), share) for (name, _), share in zip(pools, shares)]
    for stream in streams:
        if not stream.blocks:
            raise InputError(
                "training rows", f"pool {stream.name!r} has no rows in folds {', '.join(folds) or '(none)'}"
            )
        if not stream.share:
            raise InputError("pools", f"batch_size {batch_size} is too small to hold one row of pool {stream.name!r}")
    return streams if lanes == 1 else _in_lanes(streams, lanes)


def _in_lanes(streams: Sequence[Stream], lanes: int) -> list[Stream]:
    """Streams of each lane, lane after lane; each has its part of every pool."""
    for stream in streams:
        if stream.share % lanes or stream.rows < lanes:
            raise InputError(
                "training.lanes",
                f"{lanes} lanes do not divide the {stream.share} rows of pool {stream.name!r} in a batch, "
                f"or its {stream.rows} rows are fewer",
            )
    dealt = [[deal(blocks, lanes) for blocks in stream.pools] for stream in streams]
    return [
        Stream(stream.name, tuple(tuple(pool[lane]) for pool in pools if pool[lane]), stream.share // lanes)
        for lane in range(lanes)
        for stream, pools in zip(streams, dealt)
    ]


def validation_ranges(
    parts: Sequence[dict[str, Any]], folds: Sequence[str], pools: Sequence[tuple[str, float]] | None
) -> list[Block]:
    """Rows that a training is validated on: all of ``folds``, or as many of each pool as keeps the pools' ratios.

    A network that is shown pools in other proportions than the data's learns other frequencies of its labels; its
    loss in the data's own proportions would not tell how well it learned them. Rows are shuffled inside each part, so
    the first ones are a sample.
    """
    if pools is None:
        return part_ranges(parts, folds)
    rows = {name: sum(stop - start for start, stop in part_ranges(parts, folds, [name])) for name, _ in pools}
    scale = min((rows[name] / ratio for name, ratio in pools if rows[name]), default=0.0)
    found: list[Block] = []
    for name, ratio in pools:
        if rows[name]:
            found += part_ranges(parts, folds, [name], min(1.0, scale * ratio / rows[name]))
    return found


def group_size(bytes_per_example: int, chunk: int) -> int:
    """Blocks that are mixed together: at most 8, about 64 MB; it depends on the dataset alone."""
    return max(1, min(GROUP_BLOCKS, GROUP_BYTES // max(1, bytes_per_example * chunk)))


def steps_per_epoch(streams: Sequence[Stream]) -> int:
    """Steps in which the pool with the most rows is passed once."""
    largest = max(streams, key=lambda stream: stream.rows)
    return -(-largest.rows // largest.share)


def deal(blocks: Sequence[Block], groups: int) -> list[list[Block]]:
    """The rows of blocks, in their order, in groups of equal size (to one row); a block at an edge is cut."""
    edges = [sum(stop - start for start, stop in blocks) * group // groups for group in range(groups + 1)]
    dealt: list[list[Block]] = []
    for low, high in pairwise(edges):
        at, mine = 0, []
        for start, stop in blocks:
            first, last = max(start, start + low - at), min(stop, start + high - at)
            if first < last:
                mine.append((first, last))
            at += stop - start
        dealt.append(mine)
    return dealt


class Order:
    """The endless order of one stream.

    Parameters
    ----------
    number : of the stream in the run, so that pools of equal size have orders of their own.
    """

    def __init__(self, stream: Stream, *, seed: int, number: int, group: int):
        self.stream, self.seed, self.number, self.group = stream, seed, number, group
        self._groups_of = lru_cache(maxsize=4)(self._shuffled_blocks)

    def _random(self, pass_: int, what: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, self.number, pass_, what])))

    def _shuffled_blocks(self, pass_: int) -> list[list[Block]]:
        order = self._random(pass_, 0).permutation(len(self.stream.blocks))
        blocks = [self.stream.blocks[index] for index in order]
        if len(self.stream.pools) == 1:
            return [blocks[first : first + self.group] for first in range(0, len(blocks), self.group)]
        groups: list[list[Block]] = [[] for _ in range(-(-len(blocks) // self.group))]
        for pool in map(frozenset, self.stream.pools):
            for group, dealt in zip(groups, deal([block for block in blocks if block in pool], len(groups))):
                group += dealt
        return groups

    def groups(self, position: int) -> Iterator[tuple[list[Block], np.ndarray]]:
        """Groups from stream position ``position`` on, without end.

        Yields
        ------
        (blocks, picks): picks (n,) int64 index the rows of the joined blocks in the order of their coming; the first
        group starts at ``position``.
        """
        pass_, skip = divmod(position, self.stream.rows)
        while True:
            for number, blocks in enumerate(self._groups_of(pass_)):
                rows = sum(stop - start for start, stop in blocks)
                if skip >= rows:
                    skip -= rows
                    continue
                yield blocks, self._random(pass_, 1 + number).permutation(rows)[skip:]
                skip = 0
            pass_ += 1


def block_rows(blocks: Sequence[Block]) -> np.ndarray:
    """Row numbers of joined blocks, (n,) int64."""
    return np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in blocks])
