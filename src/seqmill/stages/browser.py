"""Signals of a project that browsers show, and the steps that make them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.along import ALONG, networks_along, prediction_places, spans_bp
from seqmill.config.effects import map_genome
from seqmill.config.names import slug
from seqmill.config.project import Project
from seqmill.config.sheet import Track
from seqmill.exports.browser import Signal
from seqmill.formats.bigwig_out import Piece, averaged
from seqmill.runtime.marker import MARKER
from seqmill.stages import effects as effects_steps
from seqmill.stages import predictions as prediction_steps
from seqmill.stages.sources import of_genome
from seqmill.stages.step import Step
from seqmill.stages.steps import Steps
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import open_noun
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import TargetSpec

SLAB_BYTES = 400_000_000


def predictions_of(steps: Steps, names: list[str]) -> list[Step]:
    """Predictions of networks on their test rows."""
    return [step for name in names for step in prediction_steps.of_run(steps, name, steps.project.folds(name))]


def needs_of(steps: Steps) -> list[Step]:
    """All that a hub or a session shows, made from the configuration."""
    maps = [effects_steps.of_map(steps, name)[1] for name in steps.project.config.maps]
    # measured tracks need the sizes of their genome (and the simulated world, whose files they may be)
    measured = {track.assembly for track in steps.project.tracks.values() if track.format == "bigwig"}
    genomes = [of_genome(steps, name) for name in steps.project.config.genomes if name in measured]
    return [*genomes, *predictions_of(steps, networks_along(steps.project)), *maps]


def signals_of(project: Project, results: Path) -> list[Signal]:
    """Measured bigWig tracks, predictions of networks, contributions of maps."""
    sizes = {}
    for name in project.config.genomes:
        if (results / f"genome/{slug(name)}.zarr" / MARKER).is_file():
            sizes[name] = GenomeReader(results / f"genome/{slug(name)}.zarr").sizes
    measured = [
        Signal(t.assembly, "measured", (name,), _measured(t), sizes[t.assembly], t.path)
        for name, t in project.tracks.items()
        if t.format == "bigwig" and t.assembly in sizes
    ]
    found = [*measured, *predicted(project, results, networks_along(project))]
    for name, section in project.config.maps.items():
        folder = results / f"maps/{slug(name)}.files"
        genome = map_genome(project.config, section, project.where)
        if genome is None:
            continue
        for target, names in open_noun(folder, "map-files").attrs["tracks"].items():
            for track in names:
                file = folder / slug(target) / "signed" / f"{slug(track)}.bw"
                text = f"{track}: contribution of each base to {target}, by {section.model} (map {name})"
                found.append(Signal(genome, "contribution", (name, target, track), text, sizes[genome], file))
    return found


def _measured(track: Track) -> str:
    """A measured track in words."""
    words = [track.assay, track.target, track.biosample]
    return f"{track.track}: measured" + "".join(f", {word}" for word in words if word)


def predicted(project: Project, results: Path, names: list[str]) -> list[Signal]:
    """Predictions of networks on their test rows, see `network_signals`."""
    found = []
    for name in names:
        section = project.config.datasets[project.config.models[name].dataset]
        stores = [results / place for place in prediction_places(project, name)]
        genomes = {genome: results / f"genome/{slug(genome)}.zarr" for genome in section.genomes}
        found += network_signals(name, stores, genomes, spans_bp(section))
    return found


def network_signals(
    name: str, stores: list[Path], genomes: dict[str, Path], spans: dict[str, int | None]
) -> list[Signal]:
    """Predictions of a network along genomes, one signal for each target and track.

    Parameters
    ----------
    stores : predictions of its folds and seeds; where they, or windows, overlap, the mean is taken.
    genomes : name -> genome store. spans : of targets in bp, see `seqmill.config.along.spans_bp`.
    """
    readers, found = [PredictionsReader(store) for store in stores], []
    sizes = {genome: GenomeReader(folder).sizes for genome, folder in genomes.items()}
    for target, spec in readers[0].targets.items():
        if spec.kind not in ALONG:
            continue
        columns = _Columns(readers, target, spec, spans.get(target))
        for genome in genomes:
            for number, track in enumerate(spec.tracks):
                pieces = partial(columns.pieces, number, genome, sizes[genome])
                text = f"{track}: {target} predicted by {name} for its test rows"
                parts, place = (name, target, track), columns.first_place(genome)
                found.append(Signal(genome, "predicted", parts, text, sizes[genome], pieces, place))
    return found


class _Columns:
    """Predictions of one target in blocks of tracks, each read once when its tracks are asked for in order."""

    def __init__(self, readers: list[PredictionsReader], target: str, spec: TargetSpec, span_bp: int | None):
        self.readers, self.target, self.spec, self.span_bp = readers, target, spec, span_bp
        self.rows = [reader.rows() for reader in readers]
        bins = int(np.prod(spec.shape_per_example[:-1], dtype=np.int64))
        self.step = max(1, SLAB_BYTES // (8 * max(1, bins * spec.shape_per_example[-1])))
        self.width = max(1, SLAB_BYTES // (8 * max(1, bins * sum(reader.n for reader in readers))))
        self._block, self._values = -1, [np.zeros(0)]

    def first_place(self, genome: str) -> str:
        """The first row on a genome, 1-based for browsers; empty without rows there."""
        rows = self.rows[0][self.rows[0]["genome"] == genome].head(1)
        return "".join(f"{row.contig}:{row.start + 1}-{row.end}" for row in rows.itertuples())

    def column(self, track: int) -> list[np.ndarray]:
        """For each store the predictions of one track, float32 (rows, bins)."""
        block, inside = divmod(track, self.width)
        if block != self._block:
            low, high = block * self.width, (block + 1) * self.width
            self._block, self._values = (
                block,
                [
                    np.concatenate(
                        [
                            reader.predicted(self.target, start, min(start + self.step, reader.n))[..., low:high]
                            for start in range(0, reader.n, self.step)
                        ]
                    )
                    for reader in self.readers
                ],
            )
        return [values[..., inside].reshape(len(values), -1) for values in self._values]

    def pieces(self, track: int, genome: str, sizes: dict[str, int]) -> Iterator[Piece]:
        """One track along one genome, contig by contig."""
        starts, ends, values, contigs = [], [], [], []
        for rows, found in zip(self.rows, self.column(track)):
            here = (rows["genome"] == genome).to_numpy()
            low, high = self._extents(rows[here], found.shape[1])
            starts.append(low.reshape(-1))
            ends.append(high.reshape(-1))
            values.append(found[here].reshape(-1))
            contigs.append(np.repeat(rows["contig"].to_numpy()[here], found.shape[1]))
        low, high, value, contig = (np.concatenate(part) for part in (starts, ends, values, contigs))
        for name, size in sizes.items():
            at = contig == name
            if at.any():
                yield name, *averaged(np.clip(low[at], 0, size), np.clip(high[at], 0, size), value[at])

    def _extents(self, rows: pd.DataFrame, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Start and end of every value, int64 (rows, bins)."""
        start, end = rows["start"].to_numpy(np.int64), rows["end"].to_numpy(np.int64)
        if self.spec.kind == "profile":
            bp = self.spec.bp_per_bin
            low = start[:, None] + self.spec.offset_bp + bp * np.arange(bins)
            return low, low + bp
        span = end - start if self.span_bp is None else np.full(len(rows), self.span_bp)
        low = start + (end - start - span) // 2
        return low[:, None], (low + span)[:, None]
