"""How the rows of a dataset are visited: contig by contig, in genome order, some tracks at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.sheet import Track
from seqmill.stores.track import TrackReader

TRACKS_AT_ONCE = 64


@dataclass(frozen=True)
class Source:
    """A track of a target with its store, closed: what must be known of all before some are opened at a time.

    ``bin_bp`` is 0 for peaks; ``content`` is the SHA-256 of the source file, '' if it could not be read.
    """

    track: Track
    folder: Path
    kind: str
    bin_bp: int
    state: str
    units: str
    content: str

    @staticmethod
    def of(track: Track, folder: Path) -> "Source":
        reader = TrackReader(folder)
        units, content = reader.attrs.get("units", ""), reader.attrs["source_sha256"] or ""
        return Source(track, folder, reader.kind, reader.bin_bp or 0, reader.state, units, content)

    def readable(self, genome: str) -> bool:
        """Whether the track has values on this genome."""
        return self.state == "ok" and self.track.assembly == genome


def contig_groups(rows: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Genome, contig, row numbers and starts of the rows of each contig, ascending by start."""
    starts = rows["start"].to_numpy()
    for (genome, contig), numbers in rows.groupby(["genome", "contig"], sort=False, observed=True).indices.items():
        order = numbers[np.argsort(starts[numbers], kind="stable")]
        yield genome, contig, order, starts[order]


def track_blocks(sources: list[Source]) -> Iterator[tuple[int, list[Source]]]:
    """Number of the first track, and some tracks."""
    for first in range(0, len(sources), TRACKS_AT_ONCE):
        yield first, sources[first : first + TRACKS_AT_ONCE]


def open_tracks(sources: list[Source], genome: str) -> list[TrackReader | None]:
    """Readers of the tracks that have values on ``genome``, None for the others."""
    return [TrackReader(source.folder) if source.readable(genome) else None for source in sources]
