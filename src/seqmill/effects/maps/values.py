"""One value for each base of a map, and files of them: in memory that does not grow with the map.

A map of whole contigs has more bases than memory holds; what is per base and track then goes through a scratch file.
"""

import gzip
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.formats.bigwig_out import Piece, averaged
from seqmill.runtime.files import atomic_path
from seqmill.stores.map_values import contribution, weight
from seqmill.stores.maps import MapReader
from seqmill.stores.specs import track_names


def per_base(source: MapReader, path: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean |effect| and minus the mean effect of some regions, float32 (region, position, tracks)."""
    effects = source.read(path, start, stop)
    if path.startswith("substitutions/"):
        codes = source.read("sequence", start, stop)
        return weight(effects, codes, source.method), contribution(effects, codes, source.method)
    if path.startswith("insertions/"):
        return np.abs(effects).mean(axis=2), -effects.mean(axis=2)
    return np.abs(effects), -effects


def slabs(source: MapReader, tracks: int, most_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of regions whose effects fit in memory."""
    step = max(1, most_bytes // (16 * source.length * tracks))
    for start in range(0, source.n, step):
        yield start, min(start + step, source.n)


def by_track(
    source: MapReader, edit: str, target: str, scratch: Path, most_bytes: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Number of each track, and its mean |effect| and minus its mean effect, float32 (region, position).

    Parameters
    ----------
    scratch : folder for what does not fit in ``most_bytes``; deleted at the end.
    """
    tracks, each = len(track_names(source.targets[target])), 8 * source.n * source.length
    if each <= most_bytes:
        group = most_bytes // each
        for first in range(0, tracks, group):
            chosen = slice(first, first + group)
            pairs = [
                [side[..., chosen] for side in per_base(source, f"{edit}/{target}", *slab)]
                for slab in slabs(source, tracks, most_bytes)
            ]
            sizes, signed = (np.concatenate(parts) for parts in zip(*pairs))
            for place in range(sizes.shape[-1]):
                yield first + place, sizes[..., place], signed[..., place]
        return
    scratch.mkdir()
    try:
        shape = (tracks, 2, source.n, source.length)
        values = np.memmap(scratch / "values", np.float32, "w+", shape=shape)
        for start, stop in slabs(source, tracks, most_bytes):
            for side, found in enumerate(per_base(source, f"{edit}/{target}", start, stop)):
                values[:, side, start:stop] = np.moveaxis(found, -1, 0)
        for track in range(tracks):
            yield track, values[track, 0], values[track, 1]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def pieces(source: MapReader, sizes: Mapping[str, int], values: np.ndarray, most_bytes: int) -> Iterator[Piece]:
    """Values (region, position) by contig, in the order of the genome; the mean where regions overlap.

    Regions are taken in blocks of ``most_bytes`` that do not overlap each other.
    """
    starts, contigs = source.regions["start"].to_numpy(), source.regions["contig"].to_numpy()
    ends, block = source.regions["end"].to_numpy(), max(1, most_bytes // (16 * source.length))
    for contig in sizes:
        mine = np.flatnonzero(contigs == contig)
        if len(mine) > block:
            mine = mine[np.argsort(starts[mine], kind="stable")]
        for some in _apart(mine, starts, ends, block):
            at = (starts[some, None] + np.arange(source.length)).reshape(-1)
            yield (contig, *averaged(at, at + 1, values[some].reshape(-1)))


def _apart(rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, block: int) -> Iterator[np.ndarray]:
    """Regions in runs of at least ``block`` that do not overlap; one run where there are not more."""
    if len(rows) <= block:
        if len(rows):
            yield rows
        return
    reach = np.maximum.accumulate(ends[rows])
    free = np.flatnonzero(starts[rows[1:]] >= reach[:-1]) + 1
    first = 0
    while first < len(rows):
        later = free[free >= first + block]
        last = int(later[0]) if len(later) else len(rows)
        yield rows[first:last]
        first = last


def write_bedgraph(path: Path, found: Iterable[Piece]) -> None:
    """Values as gzipped bedGraph: contig, start, end (0-based, half-open), value. Same values give the same bytes."""
    with (
        atomic_path(path) as part,
        open(part, "wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as handle,
    ):
        for contig, starts, ends, values in found:
            rows = zip(starts.tolist(), ends.tolist(), values.tolist())
            handle.write("".join(f"{contig}\t{start}\t{end}\t{value:.6g}\n" for start, end, value in rows).encode())


@contextmanager
def npz_stream(path: Path, shape: Sequence[int], dtype: Any) -> Iterator[Callable[[np.ndarray], None]]:
    """Write the array ``arr_0`` of an npz file block by block along its first axis, as `numpy.savez_compressed` does.

    Parameters
    ----------
    shape : of the whole array.
    """
    kind = np.dtype(dtype)
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": tuple(shape)}
    with (
        atomic_path(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as handle,
    ):
        np.lib.format.write_array_header_1_0(handle, header)  # type: ignore[arg-type]

        def write(block: np.ndarray) -> None:
            handle.write(np.ascontiguousarray(block, kind).tobytes())

        yield write
