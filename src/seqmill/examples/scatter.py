"""Values are made in genome order and stored in row order; a temporary file of fixed-size records is in between.

The file is written with ``pwrite`` and read back in sequence. It is not mapped: mapped pages would count as memory
of the process.
"""

import os
import tempfile
from collections.abc import Iterator

import numpy as np

from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.progress import human_bytes

BLOCK_BYTES = 4 << 20


class RecordFile:
    """Records of ``shape`` and ``dtype`` for ``n`` rows, in a nameless file of the node's temporary folder.

    Parameters
    ----------
    n : number of rows.
    shape : shape of one record, () for a single value.
    """

    def __init__(self, n: int, shape: tuple[int, ...], dtype: str):
        self.n, self.shape, self.dtype = n, tuple(shape), np.dtype(dtype)
        self.bytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        self._file = tempfile.TemporaryFile(prefix="seqmill-")  # noqa: SIM115 - closed by close()
        self._file.truncate(n * self.bytes)

    def put(self, rows: np.ndarray, values: np.ndarray, at: int = 0) -> None:
        """Write pieces of records.

        Parameters
        ----------
        rows : integer (m,), row of each piece.
        values : (m, ...), contiguous pieces; their first value is value number ``at`` of the flattened record.
        """
        data = np.ascontiguousarray(values, dtype=self.dtype)
        if not data.size:
            return
        size = data.nbytes // len(data)
        view, fd = data.data.cast("B"), self._file.fileno()
        offset = at * self.dtype.itemsize
        rows = np.asarray(rows, dtype=np.int64)
        edges = np.flatnonzero(np.diff(rows) != 1) + 1 if size == self.bytes else np.arange(1, len(rows))
        for first, last in zip([0, *edges.tolist()], [*edges.tolist(), len(rows)]):
            piece = view[first * size : last * size]
            place = int(rows[first]) * self.bytes + offset
            while piece:
                try:
                    written = os.pwrite(fd, piece, place)
                except OSError as error:
                    raise SeqmillError(
                        f"{tempfile.gettempdir()}: cannot hold the {human_bytes(self.n * self.bytes)} of temporary "
                        f"values of this array ({error.strerror}); free some space or set TMPDIR to another folder"
                    ) from None
                piece, place = piece[written:], place + written

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[np.ndarray]:
        """All records in row order, as arrays (rows, *shape) of at most ``block_bytes`` (one row at least)."""
        step = max(1, block_bytes // max(self.bytes, 1))
        for start in range(0, self.n, step):
            count = min(step, self.n - start)
            data = bytearray(count * self.bytes)
            view, got = memoryview(data), 0
            while got < len(data):
                read = os.preadv(self._file.fileno(), [view[got:]], start * self.bytes + got)
                if not read:
                    raise OSError("temporary file is shorter than written")
                got += read
            yield np.frombuffer(data, dtype=self.dtype).reshape(count, *self.shape)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
