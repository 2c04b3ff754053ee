"""Values of signal tracks in genome windows: profiles, and single values of a central part.

A profile's bins are made of whole bins of the track (`seqmill.examples.values`) and reach ``margin_bp`` beyond the
declared length on both sides, so that windows can be shifted; single values stay where they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqmill.config.datasets import Control, Dataset, Target
from seqmill.examples.content import runs_of
from seqmill.examples.scatter import RecordFile
from seqmill.examples.sources import genomic_section
from seqmill.examples.values import Reduction, reduce_bins, transform
from seqmill.examples.visits import Source, contig_groups, open_tracks, track_blocks
from seqmill.examples.windows import centred_offset
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.track import TrackReader

VALUES_AT_ONCE = 1 << 19
SPAN_BINS = 1 << 20
TOTALS = ("count", "beta_binomial")  # kinds that are sums over the window


@dataclass(frozen=True)
class Geometry:
    """Where the values of a window are.

    Attributes
    ----------
    kind : of the target, "profile" for a control. where : for messages.
    bins : values of one track and window. bin_bp : bp of each, 0 for a single value.
    offset_bp : first base against the window's start, margin excluded. margin_bp : margin on both sides.
    width_bp : bases that the values cover, margins included.
    """

    kind: str
    where: str
    bins: int
    bin_bp: int
    offset_bp: int
    margin_bp: int
    width_bp: int

    @staticmethod
    def of(dataset: Dataset, part: Target | Control, sources: list[Source], where: str) -> "Geometry":
        """Geometry of a target or control. Raises InputError where lengths, margins and bins do not fit together."""
        window_bp = genomic_section(dataset).window_bp
        length, kind = part.length_bp or window_bp, part.kind if isinstance(part, Target) else "profile"
        offset = centred_offset(window_bp, length, where)
        for source in sources:
            _check(kind, source, length, where)
        if kind != "profile":
            return Geometry(kind, where, 1, 0, offset, 0, length)
        bin_bp, margin = part.bin_bp or sources[0].bin_bp, dataset.margin_bp
        for source in sources:
            if bin_bp % source.bin_bp:
                raise InputError(
                    where, f"bin_bp {bin_bp} is not a multiple of the {source.bin_bp} bp of track {source.track.track}"
                )
        if length % bin_bp or margin % bin_bp:
            raise InputError(where, f"length_bp {length} and margin_bp {margin} must be multiples of bin_bp {bin_bp}")
        width = length + 2 * margin
        return Geometry(kind, where, width // bin_bp, bin_bp, offset, margin, width)


def _check(kind: str, source: Source, length: int, where: str) -> None:
    name = source.track.track
    if source.kind != "signal":
        raise InputError(where, f"track {name} holds peaks, expected signal")
    if length % source.bin_bp:
        raise InputError(where, f"length_bp {length} is not a multiple of the {source.bin_bp} bp of track {name}")
    if kind in TOTALS and source.track.aggregate not in ("mean", "sum"):
        raise InputError(where, f"a count needs aggregate mean or sum, track {name} has {source.track.aggregate}")


def signal_blocks(geometry: Geometry, sources: list[Source], rows: pd.DataFrame) -> Iterator[np.ndarray]:
    """float32 blocks in row order: (rows, bins, tracks) of profiles, (rows, tracks) of single values."""
    n, count, bins = len(rows), len(sources), geometry.bins
    with (
        RecordFile(n, (count, bins), "float32") as records,
        Progress(geometry.where, n * count, "windows") as progress,
    ):
        for first, some in track_blocks(sources):
            finest = min(source.bin_bp for source in some)
            step = max(1, VALUES_AT_ONCE // max(len(some) * bins, geometry.width_bp // finest))
            for genome, contig, numbers, starts in contig_groups(rows):
                readers = open_tracks(some, genome)
                low = starts + geometry.offset_bp - geometry.margin_bp
                for run, stop in runs_of(low, geometry.width_bp, SPAN_BINS * finest):
                    for at in range(run, stop, step):
                        part = slice(at, min(at + step, stop))
                        values = np.full((part.stop - at, len(some), bins), np.nan, np.float32)
                        for column, (source, reader) in enumerate(zip(some, readers)):
                            if reader is not None:
                                values[:, column] = _values(geometry, source, reader, contig, low[part])
                        records.put(numbers[part], values, first * bins)
                        progress.add(values.shape[0] * values.shape[1])
        for block in records.blocks():
            yield block.transpose(0, 2, 1) if geometry.kind == "profile" else block[:, :, 0]


def _values(geometry: Geometry, source: Source, reader: TrackReader, contig: str, low: np.ndarray) -> np.ndarray:
    """Final values of one track in windows that begin at ``low`` (ascending, on bins); float32 (n, bins)."""
    own, name = source.bin_bp, source.track.track
    if np.any(low % own):
        raise InputError(geometry.where, f"windows do not begin on the {own}-bp bins of track {name}: choose rows anew")
    origin = int(low[0]) // own
    raw = reader.bins(contig, origin, (int(low[-1]) + geometry.width_bp) // own - origin)
    index = (low // own - origin)[:, None] + np.arange(geometry.width_bp // own)
    pieces = raw[index].reshape(len(low), geometry.bins, -1)
    how = Reduction(source.track.aggregate, source.track.missing, own, total=geometry.kind in TOTALS)
    return transform(reduce_bins(pieces, how), source.track, geometry.where)
