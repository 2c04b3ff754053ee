"""What the steps that choose genome windows share: settings, stores, regions, and the count of what is dropped."""

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from seqmill.config.datasets import Dataset, PeakWindows, TileWindows
from seqmill.examples.sources import Sources, genomic_section
from seqmill.examples.tally import Tally
from seqmill.examples.territory import Place
from seqmill.examples.windows import centred_offset, check_grid
from seqmill.formats.intervals import Intervals, read_intervals
from seqmill.genome.coords import merge
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader
from seqmill.stores.track import TrackReader

NEGATIVES = "negatives"
log = logging.getLogger("seqmill")


@dataclass
class Choice:
    """One build of the rows of a dataset of genome windows."""

    name: str
    dataset: Dataset
    sources: Sources
    tally: Tally = field(default_factory=Tally)
    _regions: dict[tuple[Path, str], Intervals] = field(default_factory=dict)
    _contigs: dict[Path, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        windows, grid = self.windows, self.sources.grid_bp
        if len({offset % grid for offset in self._binned_offsets()}) > 1:
            raise InputError(
                self.where,
                f"length_bp of the targets put them off each other's bins; choose lengths that differ by {2 * grid} bp",
            )
        centred_offset(windows.window_bp, self.label_bp, f"{self.where}.windows.label_bp")
        if isinstance(windows, TileWindows):
            check_grid(windows.stride_bp or windows.window_bp, grid, f"{self.where}.windows")

    def _binned_offsets(self) -> list[int]:
        window_bp = self.windows.window_bp
        return [
            centred_offset(window_bp, target.length_bp or window_bp, f"{self.where}.targets.{key}")
            for key, target in self.dataset.targets.items()
            if target.kind != "binary"
        ]

    @property
    def where(self) -> str:
        return f"datasets.{self.name}"

    @property
    def pool(self) -> str:
        return self.windows.kind

    @property
    def pools(self) -> tuple[str, ...]:
        """Pools of the windows: their kind; or those with a positive label and the others."""
        by_label = isinstance(self.windows, TileWindows) and self.windows.keep == "pools"
        return ("labelled", "unlabelled") if by_label else (self.pool,)

    @property
    def windows(self) -> TileWindows | PeakWindows:
        return genomic_section(self.dataset)

    @property
    def extent_bp(self) -> int:
        return self.windows.window_bp + 2 * self.dataset.margin_bp

    @property
    def label_bp(self) -> int:
        return self.windows.label_bp or self.windows.window_bp

    @property
    def grid_offset(self) -> int:
        """Offset of the base that must begin a bin, against the window's start: that of the binned targets."""
        return next(iter(self._binned_offsets()), 0)

    @cached_property
    def genomes(self) -> dict[str, GenomeReader]:
        return {assembly: GenomeReader(folder) for assembly, folder in self.sources.genomes.items()}

    def sizes(self) -> dict[Place, int]:
        """Length of every contig of every genome."""
        return {
            (assembly, contig): size
            for assembly, reader in self.genomes.items()
            for contig, size in reader.sizes.items()
        }

    def label_starts(self, starts: np.ndarray) -> np.ndarray:
        """Starts of the central parts that carry labels."""
        return starts + centred_offset(self.windows.window_bp, self.label_bp, self.where)

    def extents(self, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of windows with their margins."""
        low = starts - self.dataset.margin_bp
        return low, low + self.extent_bp

    def regions(self, path: Path, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """Union of the regions of a BED file on one contig: sorted, disjoint starts and ends."""
        found = self.intervals(path, place)
        return merge(found.start, found.end)

    def intervals(self, path: Path, place: Place):
        """Regions of a BED file on one contig, as they are; the file is read once."""
        key = (Path(path), place[0])
        if key not in self._regions:
            genome = self.genomes[place[0]]
            self._regions[key] = read_intervals(path, "bed3", genome.sizes, partial=genome.partial)
        return self._regions[key][place[1]]

    def peaks(self, role: str, place: Place) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Track name -> starts, ends and summits of the peaks on one contig, for the tracks of a role."""
        found = {}
        for name, folder in self.sources.of_role(role, place[0]).items():
            if folder not in self._contigs:
                self._contigs[folder] = self._check(TrackReader(folder))
            if place[1] in self._contigs[folder]:
                part = TrackReader(folder).intervals(place[1])
                found[name] = (part.start, part.end, part.summit)
        return found

    def _check(self, reader: TrackReader) -> frozenset[str]:
        """Contigs with peaks of a track, whose store is then closed again: many tracks are not held open."""
        if reader.kind != "intervals":
            raise InputError(reader.folder, f"holds {reader.kind}; windows and labels need a track of peaks")
        if reader.state != "ok":
            text = "%s: track %s could not be read and is taken as without peaks (%s)"
            log.warning(text, self.where, reader.name, reader.attrs["reason"])
        return frozenset(reader.attrs["contigs"])
