"""Contact maps (.hic, .mcool, .cool) through hictkpy, always in a child process: it parses what strangers wrote.

Of a map only contacts within a contig are read, in strips of rows that end at a largest distance from the diagonal.
"""

import logging
import math
import os
import resource
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqmill.formats.contact_header import check_contact_file
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError
from seqmill.runtime.isolate import TIMEOUT_S, IsolatedWorker, address_space

STRIP_PIXELS = 2_000_000  # wanted of a strip
MOST_ROWS = 32  # times as many rows as a strip has if all its bins are in contact
MEMORY_BYTES = 4 << 30  # address space a reader may use beyond what it starts with
NONE = "none"


class Pixels(NamedTuple):
    """Contacts of one contig, each once: int64 bin1 <= bin2 (n,), sorted by both, and float64 value (n,) > 0."""

    bin1: np.ndarray
    bin2: np.ndarray
    value: np.ndarray


class ContactReader:
    """Contacts within contigs, at one resolution. Use it as a context manager; memory does not grow with the file.

    Parameters
    ----------
    path : .hic (versions 8 and 9), .mcool or .cool; told by content.
    genome_sizes : contig -> length in bp.
    bin_bp : resolution, one that the file has.
    normalization : name of the balancing as in the file ("weight", "KR", …), or "none".
    partial : the genome is a piece of an assembly: longer contigs are accepted, contacts past the end left out.
    timeout_s : longest time that the isolated reader may take for one strip.

    Attributes
    ----------
    contigs : contig of the genome -> its name in the file.
    counts : what was left out, and how often.

    Raises
    ------
    InputError : not such a file, no such resolution or normalisation (with those that there are), other contigs.
    WorkerError : the parser crashed or hung.
    """

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        bin_bp: int,
        normalization: str = NONE,
        partial: bool = False,
        timeout_s: float = TIMEOUT_S,
    ):
        check_contact_file(path)
        self.path, self.sizes, self.bin_bp = Path(path), dict(genome_sizes), bin_bp
        self.normalization = NONE if normalization.lower() == NONE else normalization
        self.counts: Counter[str] = Counter()
        self._densest = 1.0  # contacts of a row so far
        self._worker = IsolatedWorker(
            "seqmill.formats.contacts:_Worker",
            str(path),
            bin_bp,
            self.normalization,
            where=str(path),
            timeout_s=timeout_s,
            memory_bytes=MEMORY_BYTES + address_space(),
        )
        try:
            found = self._worker.call("sizes")
            mapping = harmonise(found, genome_sizes, str(path), sizes=found, partial=partial)
        except BaseException:
            self.close()
            raise
        names = {target: name for name, target in mapping.items()}
        self.contigs = {contig: names[contig] for contig in self.sizes if contig in names}
        if len(found) > len(mapping):
            self.counts["contigs not in the genome"] = len(found) - len(mapping)

    def n_bins(self, contig: str) -> int:
        """Number of bins of a contig of the genome; the last may be shorter."""
        return math.ceil(self.sizes[contig] / self.bin_bp)

    def weights(self, contig: str) -> np.ndarray:
        """Factors that balance: a balanced contact is ``value * weight[bin1] * weight[bin2]``.

        Returns
        -------
        float64 (n_bins,), NaN for bins that the normalisation masks; all 1 without one.
        """
        n = self.n_bins(contig)
        if self.normalization == NONE:
            return np.ones(n)
        factors = np.full(n, np.nan)
        found = self._worker.call("weights", self.contigs[contig])[:n]
        usable = np.isfinite(found) & (found > 0)
        factors[: len(found)][usable] = found[usable]
        return factors

    def strips(self, contig: str, max_distance_bp: int) -> Iterator[tuple[int, int, Pixels]]:
        """Contacts of bins that start at most ``max_distance_bp`` apart, strip after strip.

        Yields
        ------
        First and last (exclusive) bin1 of the strip, and its raw contacts. The strips cover the contig in order.

        Raises
        ------
        InputError : a value that is no count, a pixel that comes twice or lies outside.
        """
        n, name = self.n_bins(contig), self.contigs[contig]
        band = min(max_distance_bp // self.bin_bp, n - 1)
        # For a strip of a .cool the parser goes through all rows down to its last column: tall strips are quicker.
        # The first is no taller than a map without any zero allows, the next as tall as the densest so far allows.
        fewest = max(1, int(math.sqrt(band**2 + 2 * STRIP_PIXELS) - band))
        first, step = 0, fewest
        while first < n:
            last = min(first + step, n)
            pixels, read = self._worker.call("pixels", name, first, last, min(last + band, n), band)
            yield first, last, pixels
            self._densest = max(self._densest, read / (last - first))
            step = min(4 * step, MOST_ROWS * fewest, max(fewest, int(STRIP_PIXELS / self._densest)))
            first = last

    def close(self) -> None:
        """End the child process."""
        self._worker.close()

    def __enter__(self) -> "ContactReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """What runs in the child."""

    def __init__(self, path: str, bin_bp: int, normalization: str):
        import hictkpy
        import scipy.sparse  # noqa: F401 - nothing may be opened later, see `_shut`

        logging.disable(logging.CRITICAL)  # its messages are the errors
        self.path, self.bin_bp, self.normalization = path, bin_bp, normalization
        self._weights: np.ndarray | None = None
        before = _open_files()
        have = self._guarded(self._resolutions, hictkpy)
        if bin_bp not in have:
            raise InputError(
                path, f"has no resolution of {bin_bp:,} bp; it has {_listed(have)} bp: set bin_bp of the track to one"
            )
        self.file: Any = self._guarded(hictkpy.File, path, bin_bp)
        self.lengths: dict[str, int] = dict(self._guarded(self.file.chromosomes))
        attributes = self._guarded(self.file.attributes)
        if attributes.get("storage-mode", "symmetric-upper") != "symmetric-upper":
            raise InputError(path, f"storage-mode {attributes['storage-mode']!r}; a contact map is symmetric-upper")
        if normalization != NONE and not self._guarded(self.file.has_normalization, normalization):
            known = ", ".join(sorted(self._guarded(self.file.avail_normalizations))) or "no other"
            raise InputError(
                path, f"has no normalisation {normalization!r} at {bin_bp:,} bp; it has: {known} (or none: raw counts)"
            )
        self._shut(before)

    def _resolutions(self, hictkpy: Any) -> list[int]:
        if hictkpy.is_scool_file(self.path):
            raise InputError(self.path, "is a .scool of many cells, expected one map")
        if hictkpy.is_hic(self.path) or hictkpy.is_mcool_file(self.path):
            return sorted(int(value) for value in hictkpy.MultiResFile(self.path).resolutions())
        resolution = int(hictkpy.File(self.path).resolution())
        if not resolution:
            raise InputError(self.path, "has bins of unequal length; expected one resolution")
        return [resolution]

    def _shut(self, before: set[str]) -> None:
        """Refuse links to other files, and let no other be opened from here on: HDF5 would follow either."""
        others = sorted(_open_files() - before - {os.path.realpath(self.path)})
        if others:
            raise InputError(self.path, f"links to another file ({others[0]}); a map must hold its own data")
        lowest = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    def _guarded(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (InputError, MemoryError):
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise InputError(self.path, f"damaged or truncated contact map ({said})") from None

    def sizes(self) -> dict[str, int]:
        return self.lengths

    def weights(self, contig: str) -> np.ndarray:
        if self._weights is None:
            self._weights = np.asarray(self._guarded(self.file.weights, self.normalization, False), np.float64)
        first = 0
        for name, size in self.lengths.items():
            last = first + math.ceil(size / self.bin_bp)
            if name == contig:
                break
            first = last
        if last > len(self._weights):
            raise InputError(self.path, f"damaged contact map: {len(self._weights):,} weights for more bins")
        return self._weights[first:last].copy()

    def pixels(self, contig: str, first: int, last: int, end: int, band: int) -> tuple[Pixels, int]:
        """Contacts with bin1 in [first, last), bin2 below ``end`` and ``band`` bins away; number of all read."""
        length = self.lengths[contig]
        rows, columns = (f"{contig}\t{first * self.bin_bp}\t{min(stop * self.bin_bp, length)}" for stop in (last, end))
        how = {"count_type": "float64", "query_type": "BED"}
        matrix = self._guarded(lambda: self.file.fetch(rows, columns, **how).to_coo())
        bin1, bin2 = matrix.row.astype(np.int64) + first, matrix.col.astype(np.int64) + first
        value = np.asarray(matrix.data, np.float64)
        outside = (bin1 < first) | (bin1 >= last) | (bin2 < bin1) | (bin2 >= end)
        for wrong, what in ((outside, "was not asked for"), (~(np.isfinite(value) & (value >= 0)), "is no count")):
            if wrong.any():
                row = int(np.argmax(wrong))
                raise self._at(contig, bin1[row], bin2[row], f"{what} ({value[row]:g})")
        keep = np.flatnonzero((value > 0) & (bin2 - bin1 <= band))
        keep = keep[np.lexsort((bin2[keep], bin1[keep]))]
        found = Pixels(bin1[keep], bin2[keep], value[keep])
        twice = (np.diff(found.bin1) == 0) & (np.diff(found.bin2) == 0)
        if twice.any():
            row = int(np.argmax(twice))
            raise self._at(contig, found.bin1[row], found.bin2[row], "comes twice")
        return found, len(value)

    def _at(self, contig: str, bin1: int, bin2: int, what: str) -> InputError:
        place = f"{contig}:{bin1 * self.bin_bp} × {bin2 * self.bin_bp}"
        return InputError(self.path, f"damaged contact map: the contact at {place} (0-based) {what}", record=contig)


def _open_files() -> set[str]:
    """Paths of the regular files that this process holds open (on Linux)."""
    found = set()
    with suppress(OSError):
        for descriptor in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                path = os.readlink(f"/proc/self/fd/{descriptor}")
                if os.path.isfile(path):
                    found.add(path)
    return found


def _listed(values: list[int]) -> str:
    return ", ".join(f"{value:,}" for value in values) or "none"
