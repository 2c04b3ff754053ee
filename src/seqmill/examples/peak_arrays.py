"""Binary labels of genome windows, uint8 (example, tracks), and their mask."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset
from seqmill.examples.labels import overlap_labels
from seqmill.examples.scatter import RecordFile
from seqmill.examples.sources import genomic_section
from seqmill.examples.visits import Source, contig_groups, open_tracks, track_blocks
from seqmill.examples.windows import centred_offset
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress

ROWS_AT_ONCE = 1 << 15


def label_blocks(
    dataset: Dataset, target_name: str, sources: list[Source], rows: pd.DataFrame, where: str
) -> Iterator[np.ndarray]:
    """Labels by overlap of the windows' label regions with peaks; blocks in row order."""
    target, windows = dataset.targets[target_name], genomic_section(dataset)
    label_bp = windows.label_bp or windows.window_bp
    offset = centred_offset(windows.window_bp, label_bp, where)
    with (
        RecordFile(len(rows), (len(sources),), "uint8") as records,
        Progress(where, len(rows) * len(sources), "labels") as progress,
    ):
        for first, some in track_blocks(sources):
            for genome, contig, numbers, starts in contig_groups(rows):
                peaks = [None if reader is None else reader.intervals(contig) for reader in open_tracks(some, genome)]
                for at in range(0, len(numbers), ROWS_AT_ONCE):
                    low = starts[at : at + ROWS_AT_ONCE] + offset
                    labels = np.zeros((len(low), len(some)), np.uint8)
                    for column, found in enumerate(peaks):
                        if found is not None:
                            labels[:, column] = overlap_labels(
                                low, label_bp, found.start, found.end, target.min_overlap, target.overlap_of
                            )
                    records.put(numbers[at : at + ROWS_AT_ONCE], labels, first)
                    progress.add(labels.size)
        yield from records.blocks()


def merged_blocks(
    sources: list[Source], rows: pd.DataFrame, rows_attrs: dict[str, Any], where: str
) -> Iterator[np.ndarray]:
    """Labels of Basset's merged windows: the tracks whose peaks were merged into each, by number in its ``name``."""
    known = rows_attrs.get("merged_tracks")
    if known is None:
        raise InputError(where, "rule 'merged' needs windows.merge: basset")
    for source in sources:
        if source.track.track not in known:
            raise InputError(where, f"track {source.track.track} is none of the tracks that windows.tracks merged")
    column = {str(known.index(source.track.track)): i for i, source in enumerate(sources)}
    return _merged(rows["name"].to_numpy(), column)


def _merged(names: np.ndarray, column: dict[str, int]) -> Iterator[np.ndarray]:
    for first in range(0, len(names), ROWS_AT_ONCE):
        part = names[first : first + ROWS_AT_ONCE]
        labels = np.zeros((len(part), len(column)), np.uint8)
        for row, text in enumerate(part):
            for number in text.split(",") if text else ():
                if number in column:
                    labels[row, column[number]] = 1
        yield labels


def needs_mask(sources: list[Source], rows: pd.DataFrame) -> bool:
    """Whether some label is missing: a masked track, or rows of a genome that a track is not of."""
    return any(not source.readable(genome) for genome in pd.unique(rows["genome"]) for source in sources)


def mask_blocks(sources: list[Source], rows: pd.DataFrame) -> Iterator[np.ndarray]:
    """bool (example, tracks) blocks: True where a row is of the track's own genome and the track could be read."""
    genomes = rows["genome"].to_numpy()
    present = {genome: np.array([source.readable(genome) for source in sources]) for genome in pd.unique(genomes)}
    for first in range(0, len(genomes), ROWS_AT_ONCE):
        yield np.array([present[genome] for genome in genomes[first : first + ROWS_AT_ONCE]])
