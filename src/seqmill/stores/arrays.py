"""Zarr arrays of all stores: written shard by shard with zarr, read with tensorstore, every read checked.

Inner chunks are zstd (level 1) followed by crc32c, the shard index carries a crc32c too, and chunks that hold only the
fill value are written: a flipped, truncated or lost shard is an error, never zeros. On labels and sequence codes
level 3 gives files of the same size; byte-shuffled Blosc made real coverage larger.
"""

import json
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seqmill.runtime.errors import DamageError, SeqmillError
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import Marker, canonical, file_digest
from seqmill.stores.layout import check_file
from seqmill.stores.remote import Place

SHARD_BYTES = 32_000_000
MAX_CHUNKS_PER_SHARD = 32


def chunks_per_shard(chunk_bytes: int) -> int:
    """Chunks in a full shard: about `SHARD_BYTES` before compression, at most `MAX_CHUNKS_PER_SHARD`."""
    return max(1, min(SHARD_BYTES // max(chunk_bytes, 1), MAX_CHUNKS_PER_SHARD))


def write_groups(folder: Path, arrays: Iterable[str], attributes: dict[str, Any]) -> None:
    """Write ``zarr.json`` of the root group, with ``attributes``, and of every group between it and ``arrays``."""
    parents = {str(parent) for path in arrays for parent in Path(path).parents if str(parent) != "."}
    for path in ["", *sorted(parents)]:
        body = {"zarr_format": 3, "node_type": "group", "attributes": {} if path else {"seqmill": attributes}}
        atomic_write(folder / path / "zarr.json", canonical(body))


def as_dtype(block: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    """``block`` as ``dtype`` if every value survives (float16 is range-checked); raises ValueError otherwise."""
    if block.dtype == dtype:
        return block
    with np.errstate(over="ignore", invalid="ignore"):
        out = block.astype(dtype)
        if dtype.kind in "iub":
            same = bool(np.array_equal(out, block))
        else:
            same = bool(np.array_equal(np.isfinite(out), np.isfinite(block)))
    if not same:
        raise ValueError(f"{where}: {block.dtype} values do not fit {dtype}; set clip or another dtype")
    return out


class ArrayWriter:
    """A new Zarr array (format 3), chunked and sharded along its first axis only and written one shard at a time.

    Parameters
    ----------
    folder : where the array goes.
    shape : of one row (of the first axis), e.g. (600,).
    chunk : rows of an inner chunk.
    axes : names of all axes. attributes : for ``zarr.json``.

    Rows come by `append`, any number at a time, and `close` writes what is left. Memory holds one shard, about
    `SHARD_BYTES` (or one chunk, if that is larger).
    """

    def __init__(
        self,
        folder: Path,
        shape: Sequence[int],
        dtype: str,
        chunk: int,
        *,
        axes: Sequence[str],
        attributes: dict[str, Any] | None = None,
    ):
        self.folder, self.shape, self.dtype, self.chunk = Path(folder), tuple(shape), np.dtype(dtype), chunk
        self.axes, self.attributes = list(axes), attributes or {}
        self.per_shard = chunks_per_shard(chunk * math.prod(self.shape) * self.dtype.itemsize)
        self.missing = 0
        """Number of NaN values so far."""
        self.n = 0
        """Rows so far."""
        self._buffer: np.ndarray | None = None
        self._held = self._done = 0
        self._array: Any = None

    def append(self, block: np.ndarray) -> None:
        """Add rows (n, *shape). Raises ValueError if they do not fit the shape or the dtype."""
        block = as_dtype(np.asarray(block), self.dtype, str(self.folder))
        if block.shape[1:] != self.shape:
            raise ValueError(f"{self.folder}: rows of shape {block.shape[1:]} for an array of {self.shape}")
        if self.dtype.kind == "f":
            self.missing += int(np.isnan(block).sum())
        self.n += len(block)
        if self._buffer is None:
            self._buffer = np.empty((self.chunk * self.per_shard, *self.shape), self.dtype)
        while len(block):
            take = min(len(self._buffer) - self._held, len(block))
            self._buffer[self._held : self._held + take] = block[:take]
            self._held, block = self._held + take, block[take:]
            if self._held == len(self._buffer):
                self._flush()

    def _flush(self) -> None:
        stop = self._done + self._held
        if self._array is None:
            self._create(stop)
        elif self._array.shape[0] < stop:
            self._array.resize((stop, *self.shape))
        if self._buffer is not None and self._held:
            self._array[self._done : stop] = self._buffer[: self._held]
        self._done, self._held = stop, 0

    def _create(self, n: int) -> None:
        """Make the array at the first write, when it is known whether it fills a shard."""
        import zarr
        from zarr.codecs import Crc32cCodec, ZstdCodec

        per_shard = min(self.per_shard, max(1, math.ceil(n / self.chunk)))
        self._array = zarr.create_array(
            zarr.storage.LocalStore(self.folder),
            shape=(n, *self.shape),
            dtype=self.dtype,
            chunks=(self.chunk, *self.shape),
            shards=(self.chunk * per_shard, *self.shape),
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            fill_value=np.nan if self.dtype.kind == "f" else self.dtype.type(0),
            dimension_names=self.axes,
            attributes=self.attributes,
            config={"write_empty_chunks": True},
        )

    def close(self) -> None:
        """Write the last, shorter shard (and the header of an array without rows)."""
        if self._held or self._array is None:
            self._flush()
        self._buffer = None


class Result(Protocol):
    """A read under way; ``result`` waits for it."""

    def result(self) -> np.ndarray: ...


class Done:
    """A read that needs no waiting."""

    def __init__(self, value: np.ndarray):
        self.value = value

    def result(self) -> np.ndarray:
        return self.value


@cache
def _context(cache_bytes: int):
    import tensorstore

    return tensorstore.Context({"cache_pool": {"total_bytes_limit": cache_bytes}})


class _Pending:
    def __init__(self, array: "StoredArray", future: Any, start: int, stop: int):
        self.array, self.future, self.start, self.stop = array, future, start, stop

    def result(self) -> np.ndarray:
        try:
            return self.future.result()
        except (ValueError, OSError, RuntimeError) as error:
            raise self.array.damage(self.start, self.stop, error) from None


class StoredArray:
    """A checked, read-only array of a store. Opened at the first read, so that listing a store stays quick.

    Parameters
    ----------
    folder, marker : the noun and its marker.
    path : the array's folder inside the noun, "" for the noun itself.
    cache_bytes : decoded chunks to keep, shared by all arrays with the same number; 0 for whole-chunk readers.
    place : where the array's folder lies, if only its header is in ``folder``.
    """

    def __init__(
        self, folder: str | Path, marker: Marker, path: str = "", *, cache_bytes: int = 0, place: Place | None = None
    ):
        self.folder, self.marker, self.place = Path(folder), marker, place
        self.prefix = path + "/" if path else ""
        self.cache_bytes = cache_bytes
        header = check_file(folder, marker, self.prefix + "zarr.json")
        meta = json.loads(header.read_bytes())
        self.shape: tuple[int, ...] = tuple(meta["shape"])
        self.dtype = np.dtype(meta["data_type"])
        self.shard = int(meta["chunk_grid"]["configuration"]["chunk_shape"][0])
        self.chunk = int(meta["codecs"][0]["configuration"]["chunk_shape"][0])
        self._array: Any = None

    def _open(self) -> Any:
        if self._array is None:
            import tensorstore

            local = {"driver": "file", "path": str((self.folder / self.prefix).resolve()) + "/"}
            spec = {
                "driver": "zarr3",
                "kvstore": local if self.place is None else (self.place / self.prefix.rstrip("/")).spec(),
                "recheck_cached_data": "open",
                "recheck_cached_metadata": "open",
                "fill_missing_data_reads": False,
            }
            try:
                context = _context(self.cache_bytes) if self.place is None else self.place.context
                self._array = tensorstore.open(spec, context=context, open=True).result()
            except (ValueError, OSError, RuntimeError) as error:
                raise self.damage(0, self.shape[0], error) from None
        return self._array

    def read_async(self, start: int, stop: int) -> Result:
        """Start to read rows ``start`` to ``stop`` (first axis, clipped to the array); see `Result`."""
        start, stop = max(0, start), min(stop, self.shape[0])
        if stop <= start:
            return Done(np.empty((0, *self.shape[1:]), self.dtype))
        return _Pending(self, self._open()[start:stop].read(), start, stop)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` of the first axis. Raises DamageError that names the damaged file."""
        return self.read_async(start, stop).result()

    def damage(self, start: int, stop: int, error: Exception) -> SeqmillError:
        """The error for a failed read of rows ``start`` to ``stop``: names the first file that is not as written."""
        if self.place is not None:
            return self.place.failure(error, f"{self.prefix}zarr.json, rows {start} to {stop}")
        tail = "/0" * (len(self.shape) - 1)
        shards = (f"{self.prefix}c/{i}{tail}" for i in range(start // self.shard, (stop - 1) // self.shard + 1))
        for path in (f"{self.prefix}zarr.json", *shards):
            full = self.folder / path
            size, digest = self.marker.files.get(path, (-1, ""))
            if not full.is_file():
                return DamageError(f"{full}: missing, {size} bytes expected by the marker")
            if full.stat().st_size != size:
                return DamageError(f"{full}: {full.stat().st_size} bytes, {size} expected by the marker")
            if file_digest(full) != digest:
                return DamageError(f"{full}: content changed (its checksum fails)")
        return DamageError(f"{self.folder / self.prefix}: cannot be read ({str(error).splitlines()[0][:300]})")
