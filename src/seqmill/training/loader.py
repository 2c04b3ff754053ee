"""Batches of a dataset: whole chunks, several reads in flight, mixed in memory, one batch ahead of the step.

Nothing here is done row by row in Python: a group of chunks is joined and a batch is taken from it by index.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np

from seqmill.stores.parts import Block, cut_blocks
from seqmill.training.order import Order, Stream, block_rows, group_size

GROUPS_AHEAD = 2
Batch = dict[str, np.ndarray]


def batch_keys(reader: Any, targets: Sequence[str]) -> list[str]:
    """Arrays that a step needs: inputs, targets, and the masks of integer targets with gaps.

    Gaps of float targets are their NaN.
    """
    keys = [f"inputs/{name}" for name in reader.inputs] + [f"targets/{name}" for name in targets]
    for name in targets:
        spec = reader.targets[name]
        if spec.masked and np.dtype(spec.dtype).kind != "f":
            keys.append(f"mask/{name}")
    return keys


def bytes_per_example(reader: Any, keys: Sequence[str]) -> int:
    """Bytes of one example in memory, all arrays together."""
    total = 0
    for key in keys:
        role, _, name = key.partition("/")
        spec = reader.inputs[name] if role == "inputs" else reader.targets[name]
        itemsize = 1 if role == "mask" else np.dtype(spec.dtype).itemsize
        total += int(np.prod(spec.shape_per_example, dtype=np.int64)) * itemsize
    return total


class _Reading:
    """Chunks of one group, being read."""

    def __init__(self, reader: Any, keys: Sequence[str], blocks: Sequence[Block], picks: np.ndarray):
        self.blocks, self.picks = blocks, picks
        self.reads = {key: [reader.read_async(key, start, stop) for start, stop in blocks] for key in keys}

    def arrays(self) -> Batch:
        joined = {}
        for key, reads in self.reads.items():
            pieces = [read.result() for read in reads]
            joined[key] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        joined["row"] = block_rows(self.blocks)
        return joined


class _StreamReader:
    """Runs of one stream's rows, in order, with `GROUPS_AHEAD` groups of chunks in flight."""

    def __init__(self, reader: Any, keys: Sequence[str], order: Order, position: int):
        self.reader, self.keys = reader, keys
        self.groups = order.groups(position)
        self.waiting: deque[_Reading] = deque()
        self.held: Batch = {}
        self.picks = np.empty(0, np.int64)
        self.used = 0

    def _next_group(self) -> None:
        while len(self.waiting) <= GROUPS_AHEAD:
            self.waiting.append(_Reading(self.reader, self.keys, *next(self.groups)))
        reading = self.waiting.popleft()
        self.held, self.picks, self.used = reading.arrays(), reading.picks, 0

    def skip(self, count: int) -> None:
        """Leave the next ``count`` rows out."""
        while count:
            if self.used == len(self.picks):
                self._next_group()
            left_out = min(count, len(self.picks) - self.used)
            self.used, count = self.used + left_out, count - left_out

    def fill(self, out: Batch, first: int, count: int) -> None:
        """Put the next ``count`` rows into ``out`` from row ``first`` on."""
        while count:
            if self.used == len(self.picks):
                self._next_group()
            picks = self.picks[self.used : self.used + count]
            for key, array in self.held.items():
                np.take(array, picks, axis=0, out=out[key][first : first + len(picks)], mode="clip")
            self.used += len(picks)
            first, count = first + len(picks), count - len(picks)


def _empty(reader: Any, keys: Sequence[str], rows: int) -> Batch:
    batch: Batch = {"row": np.empty(rows, np.int64)}
    for key in keys:
        role, _, name = key.partition("/")
        spec = reader.inputs[name] if role == "inputs" else reader.targets[name]
        dtype = np.dtype(bool) if role == "mask" else np.dtype(spec.dtype)
        batch[key] = np.empty((rows, *spec.shape_per_example), dtype)
    return batch


def training_batches(
    reader: Any,
    streams: Sequence[Stream],
    *,
    targets: Sequence[str],
    seed: int,
    first_step: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Endless full batches, from step ``first_step`` on.

    Parameters
    ----------
    reader : DatasetReader. streams : pools and their shares of a batch (`order.make_streams`).
    targets : names of the targets to load.
    part : (i, n): only the i-th (from 0) of n equal parts of each batch. Streams without a row in it are not read.

    Yields
    ------
    "inputs/<name>", "targets/<name>", "mask/<name>" arrays (batch, ...) in their stored dtypes and "row" (batch,)
    int64, the rows' numbers in the dataset. A batch depends on the dataset, the streams, the seed and its step alone.
    """
    keys = batch_keys(reader, targets)
    group = group_size(bytes_per_example(reader, keys), reader.chunk_examples)
    size = sum(stream.share for stream in streams) // part[1]
    sources, at = [], -part[0] * size
    for number, stream in enumerate(streams):
        begin, end = max(at, 0), min(at + stream.share, size)
        if begin < end:
            order = Order(stream, seed=seed, number=number, group=group)
            source = _StreamReader(reader, keys, order, first_step * stream.share + begin - at)
            sources.append((source, begin, end - begin, stream.share - (end - begin)))
        at += stream.share
    while True:
        batch = _empty(reader, keys, size)
        for source, first, count, others in sources:
            source.fill(batch, first, count)
            if others:
                source.skip(others)
        yield batch


def part_batches(
    reader: Any, ranges: Sequence[Block], *, batch_size: int, keys: Sequence[str], part: tuple[int, int]
) -> Iterator[tuple[Batch, int]]:
    """The ``part`` (i, n) of each batch of `plain_batches`, and how many of its rows are real; only they are read."""
    ends = np.cumsum([stop - start for start, stop in ranges])
    rows, size = int(ends[-1]), batch_size // part[1]
    waiting: deque[tuple[_Reading, int]] = deque()

    def read(batch: int) -> tuple[_Reading, int]:
        first = batch * batch_size + part[0] * size
        count = min(max(rows - first, 0), size)
        first = min(first, rows - 1)  # a part of padding alone is the last row
        blocks, last = [], max(first + count, first + 1)
        for (start, stop), end in zip(ranges, ends):
            low, high = max(first, end - (stop - start)), min(last, end)
            if low < high:
                blocks.append((int(start + low - (end - (stop - start))), int(start + high - (end - (stop - start)))))
        return _Reading(reader, keys, cut_blocks(blocks, reader.chunk_examples), np.empty(0, np.int64)), count

    batches = -(-rows // batch_size)
    for batch in range(batches + GROUPS_AHEAD):
        if batch < batches:
            waiting.append(read(batch))
        if batch >= GROUPS_AHEAD:
            reading, count = waiting.popleft()
            arrays = reading.arrays()
            take = np.minimum(np.arange(size), len(arrays["row"]) - 1)
            yield {key: array[take] for key, array in arrays.items()}, count


def plain_batches(
    reader: Any, ranges: Sequence[Block], *, batch_size: int, keys: Sequence[str]
) -> Iterator[tuple[Batch, int]]:
    """All rows of ``ranges`` once, in order, in batches of one shape.

    Yields
    ------
    (batch, count): the last batch is padded by repeating its last row; only the first ``count`` rows are real.
    """
    blocks = cut_blocks(ranges, reader.chunk_examples)
    waiting: deque[_Reading] = deque()
    blocks_left = iter(blocks)
    batch, used = _empty(reader, keys, batch_size), 0
    while True:
        while len(waiting) < 2 * GROUPS_AHEAD:
            block = next(blocks_left, None)
            if block is None:
                break
            waiting.append(_Reading(reader, keys, [block], np.empty(0, np.int64)))
        if not waiting:
            break
        arrays = waiting.popleft().arrays()
        done, rows = 0, len(arrays["row"])
        while done < rows:
            count = min(batch_size - used, rows - done)
            for key, array in arrays.items():
                batch[key][used : used + count] = array[done : done + count]
            used, done = used + count, done + count
            if used == batch_size:
                yield batch, used
                batch, used = _empty(reader, keys, batch_size), 0
    if used:
        for array in batch.values():
            array[used:] = array[used - 1]
        yield batch, used


def ahead(items: Iterator[Any], prepare: Callable[[Any], Any], depth: int = 1) -> Generator[Any, None, None]:
    """Run an iterator in a thread, ``depth`` items ahead; ``prepare`` (copy to the device) runs there too.

    An error of the thread is raised where the item is taken. Closing the generator ends the thread.
    """
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()
    end = object()

    def put(entry: tuple[Any, BaseException | None]) -> bool:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((prepare(item), None)):
                    return
            put((end, None))
        except BaseException as error:
            put((end, error))

    thread = threading.Thread(target=work, daemon=True, name="seqmill-loader")
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()
