"""bigWig through pybigtools, always in a child process: forged files make bigWig readers panic, hang or crash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.formats.bbi import check_bigwig
from seqmill.formats.binning import Aggregate, Missing, aggregate_bases
from seqmill.formats.signal import BLOCK_BP, SignalReader
from seqmill.genome.names import harmonise
from seqmill.runtime.errors import InputError
from seqmill.runtime.isolate import TIMEOUT_S, IsolatedWorker, address_space

CALL_BP = 1 << 26  # bases asked of the worker at once: well below its time limit
KEPT_BP = 1 << 24  # genome read before the file is opened anew, see `_Worker._renew`
MEMORY_BYTES = 8 << 30  # address space a reader may use beyond what it starts with


class BigWigReader(SignalReader):
    """Binned values of a bigWig.

    NaN values in the file are no data, counted in ``counts["bases with value NaN"]``. An infinite value is an
    InputError that names the first place.

    Parameters
    ----------
    path, genome_sizes, partial : see `open_signal`.
    timeout_s : longest time the isolated reader may take for 64 Mb of genome.
    """

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        partial: bool = False,
        timeout_s: float = TIMEOUT_S,
    ):
        check_bigwig(path)
        self._worker = IsolatedWorker(
            "seqmill.formats.bigwig:_Worker",
            str(path),
            where=str(path),
            timeout_s=timeout_s,
            memory_bytes=MEMORY_BYTES + address_space(),
        )
        try:
            sizes = self._worker.call("sizes")
            mapping = harmonise(sizes, genome_sizes, str(path), sizes=sizes, partial=partial)
            super().__init__(path, genome_sizes, {target: name for name, target in mapping.items()})
            if len(sizes) > len(mapping):
                self.counts["contigs not in the genome"] = len(sizes) - len(mapping)
            spans = [(name, min(sizes[name], genome_sizes[target])) for name, target in mapping.items()]
            if not self._worker.call("any_data", spans):
                raise InputError(path, f"no data: 0 covered bases on the {len(spans)} contig(s) shared with the genome")
        except BaseException:
            self._worker.close()
            raise

    def _bins(
        self, contig: str, start: int, end: int, bin_bp: int, aggregate: Aggregate, missing: Missing
    ) -> np.ndarray:
        step = max(CALL_BP // bin_bp, 1) * bin_bp
        parts = []
        for place in range(start, end, step):
            values, unknown = self._worker.call(
                "bins", self.contigs[contig], place, min(place + step, end), bin_bp, aggregate, missing
            )
            parts.append(values)
            if unknown:
                self.counts["bases with value NaN"] += unknown
        return np.concatenate(parts)

    def _bases(self, contig: str, start: int, end: int) -> np.ndarray:
        return self._worker.call("bases", self.contigs[contig], start, end)

    def close(self) -> None:
        self._worker.close()


class _Worker:
    """What runs in the child. Coordinates are checked here: pybigtools answers NaN, or panics, outside a contig."""

    def __init__(self, path: str):
        import pybigtools

        self.path, self._open, self._read_bp = path, pybigtools.open, 0
        # A handle, because pybigtools tells the format of a path by its ending.
        self.handle = open(path, "rb")  # noqa: SIM115 - open as long as it is read
        self.file = self._guarded(self._open, self.handle)
        self.lengths = self._guarded(self.file.chroms)

    def _renew(self, bases: int) -> None:
        """Open the file anew from time to time: pybigtools keeps all blocks it has ever read, about 0.4 MB a Mb."""
        if self._read_bp > KEPT_BP:
            self.file.close()
            self.handle.close()
            self.handle = open(self.path, "rb")  # noqa: SIM115
            self.file = self._guarded(self._open, self.handle)
            self._read_bp = 0
        self._read_bp += bases

    def _guarded(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise InputError(self.path, f"damaged or truncated bigWig ({error})") from None

    def _values(self, contig: str, start: int, end: int, **options: Any) -> np.ndarray:
        if not 0 <= start < end <= self.lengths[contig]:
            raise ValueError(f"{contig}:{start}-{end} outside the {self.lengths[contig]} bp that the file states")
        return self._guarded(self.file.values, contig, start, end, fillna=None, **options)

    def sizes(self) -> dict[str, int]:
        return dict(self.lengths)

    def any_data(self, spans: list[tuple[str, int]]) -> bool:
        return any(self._values(name, 0, end, bins=1, summary="bases_covered")[0] > 0 for name, end in spans)

    def bases(self, contig: str, start: int, end: int) -> np.ndarray:
        self._renew(end - start)
        return self._values(contig, start, end)

    def bins(
        self, contig: str, start: int, end: int, bin_bp: int, aggregate: Aggregate, missing: Missing
    ) -> tuple[np.ndarray, int]:
        """Bins of [start, end), and the number of bases whose value in the file is NaN."""
        self._renew(end - start)
        whole = start + (end - start) // bin_bp * bin_bp
        parts = [(start, whole, bin_bp)] if whole > start else []
        parts += [(whole, end, end - whole)] if end > whole else []
        values, unknown = [], 0
        for left, right, size in parts:
            part, count = self._equal_bins(contig, left, right, size, aggregate, missing)
            values.append(part)
            unknown += count
        return np.concatenate(values).astype(np.float32), unknown

    def _equal_bins(
        self, contig: str, start: int, end: int, size: int, aggregate: Aggregate, missing: Missing
    ) -> tuple[np.ndarray, int]:
        exact = {"bins": (end - start) // size, "exact": True}
        sums = self._values(contig, start, end, summary="sum", uncovered=0.0, **exact)
        odd = ~np.isfinite(sums)  # a NaN or an infinite value in the file shows in the sum, and only there
        if missing == "zero":
            if aggregate in ("max", "min"):
                out = self._values(contig, start, end, summary=aggregate, uncovered=0.0, **exact)
            else:
                out = sums / size if aggregate == "mean" else sums
        elif aggregate in ("max", "min"):
            out = self._values(contig, start, end, summary=aggregate, **exact)
        else:
            covered = self._values(contig, start, end, summary="bases_covered", **exact)
            with np.errstate(invalid="ignore", divide="ignore"):
                out = sums / covered if aggregate == "mean" else np.where(covered > 0, sums, np.nan)
        unknown = 0
        for first, last in _runs(odd, max(BLOCK_BP // size, 1)):
            left, right = start + first * size, start + last * size
            bases = self._values(contig, left, right)
            infinite = np.isinf(bases)
            if infinite.any():
                place = left + int(np.argmax(infinite))
                raise InputError(self.path, f"infinite value, first at {contig}:{place} (0-based)", record=contig)
            covered = self._values(contig, left, right, bins=1, summary="bases_covered", exact=True)
            unknown += int(covered[0]) - int(np.count_nonzero(~np.isnan(bases)))
            out[first:last] = aggregate_bases(bases, size, aggregate, missing)
        return out, unknown


def _runs(flags: np.ndarray, longest: int) -> list[tuple[int, int]]:
    """Runs of True as half-open index pairs, none longer than ``longest``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [
        (place, min(place + longest, last))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist())
        for place in range(first, last, longest)
    ]
