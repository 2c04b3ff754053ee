"""Binned signal of methylation calls: the fraction of methylated reads at each CpG, or counts of reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqmill.formats.methylation import CallFile, Calls, Context, Windows
from seqmill.formats.signal import SignalReader
from seqmill.runtime.errors import InputError

VALUES = ("fraction", "methylated", "total")


class MethylationReader(SignalReader):
    """Values at the cytosines of one context, no data at all other bases.

    With ``missing="nan"`` the mean of a bin is the mean over its CpGs, each of equal weight, and its sum that of their
    reads; a bin without a call is NaN. A contig without a call is missing.

    Parameters
    ----------
    path, genome_sizes, partial, layout, windows, context, strand, min_coverage : see `CallFile`.
    calls : fraction, methylated or total.

    Raises
    ------
    InputError : see `CallFile`; counts are wanted, and the file has none.
    """

    def __init__(
        self,
        path: str | Path,
        genome_sizes: Mapping[str, int],
        *,
        partial: bool = False,
        calls: Literal["fraction", "methylated", "total"] = "fraction",
        layout: str = "",
        windows: Windows | None = None,
        context: Context = "CG",
        strand: Literal["+", "-", "."] = ".",
        min_coverage: int = 1,
    ):
        if calls not in VALUES:
            raise ValueError(f"calls {calls!r} not in {VALUES}")
        super().__init__(path, genome_sizes, {})
        self._file = CallFile(
            path,
            genome_sizes,
            partial=partial,
            layout=layout,
            windows=windows,
            context=context,
            strand=strand,
            min_coverage=min_coverage,
        )
        if calls != "fraction" and not self._file.counted:
            self._file.close()
            raise InputError(path, f"has no counts ({self._file.layout}): only 'fraction' can be taken, not {calls!r}")
        self._calls, self._context, self._strand = calls, context, strand
        self.counts = self._file.counts
        self.contigs = {name: self._file.contigs[name] for name in self.sizes if name in self._file.contigs}
        self.missing_contigs = [name for name in self.sizes if name not in self.contigs]
        self._name, self._found = "", Calls(*(np.zeros(0) for _ in Calls._fields))
        self._seen: dict[str, tuple[int, int]] = {}

    def _load(self, contig: str) -> Calls:
        if contig != self._name:
            self._found, self._name = self._file.contig(contig), contig
            self._seen[contig] = len(self._found.total), int(self._found.total.sum(dtype=np.int64))
        return self._found

    def _bases(self, contig: str, start: int, end: int) -> np.ndarray:
        found = self._load(contig)
        low, high = np.searchsorted(found.position, [start, end])
        values = np.full(end - start, np.nan)
        values[found.position[low:high] - start] = getattr(found, self._calls)[low:high]
        return values

    @property
    def about(self) -> dict[str, Any]:
        """What the contigs read so far held: calls used, their mean coverage, and how they were made."""
        calls, reads = (sum(column) for column in zip((0, 0), *self._seen.values()))
        merged = self._strand == "." and self._context == "CG"
        return {
            "layout": self._file.layout,
            "context": self._context,
            "calls": self._calls,
            "strands_merged": merged,
            "n_calls": calls,
            "mean_coverage": round(reads / calls, 4) if calls and self._file.counted else None,
        }

    def close(self) -> None:
        self._file.close()
