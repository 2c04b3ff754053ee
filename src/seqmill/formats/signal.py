"""One way to read binned signal from bigWig, bedGraph, BED, BAM, fragment files and methylation calls."""

import importlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.formats.binning import AGGREGATES, MISSING, Aggregate, Missing, aggregate_bases
from seqmill.formats.methylation_layouts import KINDS

BLOCK_BP = 1 << 21  # bases held in memory at once, whatever is asked for
READERS = {  # imported when wanted: each brings a parser of its own
    "bigwig": ("seqmill.formats.bigwig", "BigWigReader"),
    "bedgraph": ("seqmill.formats.pileup", "BedGraphReader"),
    "bed": ("seqmill.formats.pileup", "BedReader"),
    "bam": ("seqmill.formats.bam", "BamReader"),
    "fragments": ("seqmill.formats.pileup", "FragmentReader"),
    **dict.fromkeys(KINDS, ("seqmill.formats.methylation_signal", "MethylationReader")),
}


class SignalReader(ABC):
    """Binned values of one file. Use it as a context manager; memory does not grow with the file.

    Attributes
    ----------
    contigs : contig of the genome -> its name in the file.
    missing_contigs : contigs of the genome that the file does not hold.
    counts : what was skipped, clipped or odd, and how often.
    value_range : smallest and largest bin value returned so far, NaN left out; (NaN, NaN) before the first.
    about : what else a track should say of the file, of the contigs read so far.
    """

    absent_is_zero = False  # interval files: no record of a contig means none there

    @property
    def about(self) -> dict[str, Any]:
        return {}

    def __init__(self, path: str | Path, genome_sizes: Mapping[str, int], contigs: Mapping[str, str]):
        self.path = Path(path)
        self.sizes = dict(genome_sizes)
        self.contigs = {name: contigs[name] for name in self.sizes if name in contigs}
        self.missing_contigs = [name for name in self.sizes if name not in contigs]
        self.counts: Counter[str] = Counter()
        self.value_range = (float("nan"), float("nan"))

    def bins(
        self,
        contig: str,
        start_bin: int,
        n_bins: int,
        bin_bp: int,
        aggregate: Aggregate = "mean",
        missing: Missing = "zero",
    ) -> np.ndarray:
        """Values of ``n_bins`` bins from number ``start_bin`` on; bin i covers bases [i * bin_bp, (i + 1) * bin_bp).

        With ``missing="zero"`` bases without data count as 0 (a mean is the sum over the bases of the bin; the last
        bin of a contig may hold fewer than ``bin_bp``). With ``"nan"`` they are left out, and a bin without data is
        NaN. A contig that a signal file does not hold is NaN either way; in an interval file it is 0 or NaN as
        ``missing`` says.

        Returns
        -------
        float32 (n_bins,).

        Raises
        ------
        InputError, WorkerError : the file is damaged or holds what cannot be used.
        ValueError : bins outside the contig, or an unknown option.
        """
        if aggregate not in AGGREGATES or missing not in MISSING:
            raise ValueError(f"aggregate {aggregate!r} not in {AGGREGATES} or missing {missing!r} not in {MISSING}")
        size = self.sizes[contig]
        if bin_bp < 1 or start_bin < 0 or n_bins < 0 or (start_bin + n_bins - 1) * bin_bp >= max(size, 1):
            raise ValueError(f"bins {start_bin}-{start_bin + n_bins} of {bin_bp} bp lie outside {contig} ({size} bp)")
        if contig not in self.contigs:
            fill = 0.0 if self.absent_is_zero and missing == "zero" else np.nan
            return np.full(n_bins, fill, dtype=np.float32)
        if not n_bins:
            return np.zeros(0, dtype=np.float32)
        start, end = start_bin * bin_bp, min((start_bin + n_bins) * bin_bp, size)
        values = self._bins(contig, start, end, bin_bp, aggregate, missing).astype(np.float32)
        self._look_at(values)
        return values

    def _look_at(self, values: np.ndarray) -> None:
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        self.value_range = (float(np.fmin(self.value_range[0], low)), float(np.fmax(self.value_range[1], high)))
        if low < 0:
            self.counts["bins below zero"] += int(np.count_nonzero(values < 0))

    def _bins(
        self, contig: str, start: int, end: int, bin_bp: int, aggregate: Aggregate, missing: Missing
    ) -> np.ndarray:
        """Bins of the bases [start, end), which begin a bin; by default from values at bases, block after block."""
        step = max(BLOCK_BP // bin_bp, 1) * bin_bp
        parts = [
            aggregate_bases(self._bases(contig, place, min(place + step, end)), bin_bp, aggregate, missing)
            for place in range(start, end, step)
        ]
        return np.concatenate(parts)

    @abstractmethod
    def _bases(self, contig: str, start: int, end: int) -> np.ndarray:
        """float64 (end - start,): the value at each base of a contig in `contigs`, NaN where there is no data."""

    @abstractmethod
    def close(self) -> None:
        """Give back processes and temporary files."""

    def __enter__(self) -> "SignalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_signal(
    path: str | Path, kind: str, genome_sizes: Mapping[str, int], *, partial: bool = False, **options: Any
) -> SignalReader:
    """Open a file of binned signal and check it against the genome.

    Parameters
    ----------
    path : local file.
    kind : bigwig, bedgraph, bed (also narrowPeak, broadPeak by option ``table``), bam (also CRAM with a reference)
        or fragments (BEDPE and 3–5-column fragment files), or a layout of methylation calls (bismark, allc, ...).
    genome_sizes : contig -> length in bp.
    partial : the genome is a piece of an assembly: longer contigs in the file are accepted, and records past the end
        are dropped and counted.
    options : what the reader of the kind takes; see `BigWigReader`, `BedGraphReader`, `BedReader`, `BamReader`,
        `FragmentReader`, `MethylationReader`.

    Raises
    ------
    InputError : with file, place, what was found and what was expected.
    WorkerError : an isolated parser crashed or hung.
    """
    if kind not in READERS:
        raise ValueError(f"unknown kind of signal {kind!r}; expected one of {', '.join(READERS)}")
    if kind in KINDS:
        options["layout"] = kind
    module, name = READERS[kind]
    return getattr(importlib.import_module(module), name)(path, genome_sizes, partial=partial, **options)
