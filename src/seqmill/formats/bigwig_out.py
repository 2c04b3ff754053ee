"""Write bigWig files: values along a genome, whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.runtime.files import atomic_path

Piece = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def averaged(starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean value at every base of one contig that some interval covers, as runs.

    Parameters
    ----------
    starts, ends : int (n,), 0-based half-open, in any order, overlapping as they like. values : float (n,); intervals
        whose value is NaN count as if they were not there.

    Returns
    -------
    starts, ends int64 and values float32 (m,) of runs that are sorted, disjoint and differ from the one they touch.
    """
    known = ~np.isnan(values) & (np.asarray(ends) > np.asarray(starts))
    starts, ends = np.asarray(starts, np.int64)[known], np.asarray(ends, np.int64)[known]
    values = np.asarray(values, np.float64)[known]
    edges = np.unique(np.concatenate([starts, ends]))
    if not len(edges):
        return edges, edges, np.zeros(0, np.float32)
    count, total = np.zeros(len(edges), np.int64), np.zeros(len(edges))
    first, last = np.searchsorted(edges, starts), np.searchsorted(edges, ends)
    for sign, at in ((1, first), (-1, last)):
        np.add.at(count, at, sign)
        np.add.at(total, at, sign * values)
    count, total = np.cumsum(count), np.cumsum(total)
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    covered = count[:-1] > 0
    begin, stop, mean = edges[:-1][covered], edges[1:][covered], mean[:-1][covered]
    new = np.ones(len(mean), bool)
    new[1:] = (begin[1:] != stop[:-1]) | (mean[1:] != mean[:-1])
    last_of_run = np.append(np.flatnonzero(new)[1:] - 1, len(mean) - 1)
    return begin[new], stop[last_of_run], mean[new]


def write_bigwig(path: str | Path, sizes: Mapping[str, int], pieces: Iterable[Piece]) -> None:
    """Write a bigWig file.

    Parameters
    ----------
    path : file to write. Its bytes depend only on the values (and on pybigtools' version).
    sizes : contig name -> length in bp; all contigs of the assembly.
    pieces : contig, starts, ends (0-based half-open), values (n,): sorted and disjoint within a contig, all pieces
        of a contig one after another. Not a number is left out.

    Raises
    ------
    InputError
        A piece is out of order or off its contig, a contig is unknown, or there is no value at all.
    """
    import pybigtools

    checked = _checked(Path(path), sizes, pieces)
    first = next(checked, None)
    if first is None:
        raise InputError(path, "a bigWig needs at least one value, found none")

    def runs() -> Iterator[tuple[str, int, int, float]]:
        yield first
        yield from checked

    # An error inside the iterator would reach the writing library, which hides it: it is kept and raised here.
    kept: list[BaseException] = []

    def guarded() -> Iterator[tuple[str, int, int, float]]:
        try:
            yield from runs()
        except BaseException as error:
            kept.append(error)

    with atomic_path(path) as part:
        # the library judges by the end of the name, which the temporary one does not have
        named = part.with_name(part.name + ".bw")
        try:
            pybigtools.open(str(named), "w").write(dict(sizes), guarded())
            if kept:
                raise kept[0]
            named.replace(part)
        finally:
            named.unlink(missing_ok=True)


def _checked(path: Path, sizes: Mapping[str, int], pieces: Iterable[Piece]) -> Iterator[tuple[str, int, int, float]]:
    """The runs of all pieces, one by one."""
    contig, at, done = None, 0, set()
    for name, starts, ends, values in pieces:
        if name not in sizes:
            raise InputError(path, f"contig {name!r} is not of this assembly")
        if name != contig:
            if name in done:
                raise InputError(path, f"contig {name} comes in two places")
            done.add(name)
            contig, at = name, 0
        keep = np.isfinite(values)
        starts, ends, values = np.asarray(starts)[keep], np.asarray(ends)[keep], np.asarray(values)[keep]
        if not len(values):
            continue
        edges = np.concatenate([[at], np.stack([starts, ends], axis=1).reshape(-1)])
        if (np.diff(edges) < 0).any() or (starts >= ends).any() or ends[-1] > sizes[name]:
            raise InputError(path, f"values on {name} are not sorted and disjoint inside its {sizes[name]:,} bp")
        at = int(ends[-1])
        for start, end, value in zip(starts.tolist(), ends.tolist(), values.tolist()):
            yield name, start, end, float(value)
