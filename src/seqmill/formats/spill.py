"""Records too many for memory, sorted into node-local temporary files by place."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from seqmill.runtime.errors import SeqmillError

BLOCK_BP = 1 << 22
READ_RECORDS = 1 << 20
RECORD = np.dtype([("start", np.int32), ("end", np.int32), ("value", np.float32)])


class Spill:
    """Weighted intervals of a genome, in one file for each ``BLOCK_BP`` bases of all its contigs laid end to end.

    Records may come in any order and leave in the order they came. Memory holds ``READ_RECORDS`` records at most,
    however many lie at one place. The folder is in the system's temporary folder (``TMPDIR``) and is deleted by
    `close`.
    """

    def __init__(self, genome_sizes: Mapping[str, int]):
        lengths = np.array(list(genome_sizes.values()), dtype=np.int64)
        self._offset = np.concatenate([[0], np.cumsum(lengths)])
        self._index = {name: i for i, name in enumerate(genome_sizes)}
        self._folder = Path(tempfile.mkdtemp(prefix="seqmill-"))

    def add(self, contig: np.ndarray, start: np.ndarray, end: np.ndarray, value: np.ndarray) -> None:
        """Add records; what lies outside its contig is cut off.

        Parameters
        ----------
        contig : integer (n,), index of the contig in the genome's order.
        start, end : integer (n,), 0-based half-open.
        value : float (n,).
        """
        first = self._offset[contig]
        left = first + np.maximum(start, 0)
        right = np.minimum(first + end, self._offset[contig + 1])
        keep = right > left
        left, right, value = left[keep], right[keep], np.asarray(value)[keep]
        while left.size:
            block = left // BLOCK_BP
            stop = np.minimum(right, (block + 1) * BLOCK_BP)
            self._append(block, left - block * BLOCK_BP, stop - block * BLOCK_BP, value)
            more = stop < right  # the rest of a record that reaches into the next block
            left, right, value = stop[more], right[more], value[more]

    def _append(self, block: np.ndarray, start: np.ndarray, end: np.ndarray, value: np.ndarray) -> None:
        records = np.empty(len(block), dtype=RECORD)
        order = np.argsort(block, kind="stable")
        records["start"], records["end"], records["value"] = start[order], end[order], value[order]
        numbers, places = np.unique(block[order], return_index=True)
        for number, part in zip(numbers.tolist(), np.split(records, places[1:])):
            try:
                with open(self._folder / str(number), "ab") as handle:
                    handle.write(part.tobytes())  # ndarray.tofile does not report a full disk
            except OSError as error:
                raise SeqmillError(
                    f"{self._folder}: cannot write temporary file ({error}); set TMPDIR to a disk with more space"
                ) from None

    def read(self, contig: str, start: int, end: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield ``start, end, value`` of the records that overlap [start, end) of a contig, cut to it.

        Starts and ends are int64 and count from ``start``. A record that spans two blocks comes in two pieces.
        """
        first = int(self._offset[self._index[contig]])
        left, right = first + start, first + end
        for number in range(left // BLOCK_BP, -(-right // BLOCK_BP)):
            path = self._folder / str(number)
            if not path.exists():
                continue
            shift = number * BLOCK_BP - left
            with open(path, "rb") as handle:
                while (records := np.fromfile(handle, dtype=RECORD, count=READ_RECORDS)).size:
                    begin = np.maximum(records["start"].astype(np.int64) + shift, 0)
                    stop = np.minimum(records["end"].astype(np.int64) + shift, end - start)
                    inside = stop > begin
                    yield begin[inside], stop[inside], records["value"][inside]

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
