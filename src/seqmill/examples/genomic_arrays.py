"""Inputs and targets of genome windows: sequence, peak labels, profiles and other values of signal tracks.

Rows are visited in genome order and their values scattered into a temporary file (`seqmill.examples.scatter`), some
tracks at a time, so that memory grows neither with the genome nor with the number of tracks.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset, Target
from seqmill.config.sheet import Track
from seqmill.examples.content import runs_of
from seqmill.examples.labels import overlap_labels
from seqmill.examples.scatter import RecordFile
from seqmill.examples.signal import Reduction, reduce_bins, transform
from seqmill.examples.sources import Array
from seqmill.examples.windows import centred_offset
from seqmill.runtime.errors import InputError
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import GenomeReader
from seqmill.stores.specs import ArraySpec
from seqmill.stores.track import TrackReader

log = logging.getLogger("seqmill")
TRACKS_AT_ONCE = 64
VALUES_AT_ONCE = 4 << 20
SPAN_BINS = 1 << 20
ROWS_AT_ONCE = 1 << 16


def contig_groups(rows: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Genome, contig, row numbers and starts of the rows of each contig, ascending by start."""
    starts = rows["start"].to_numpy()
    for (genome, contig), numbers in rows.groupby(["genome", "contig"], sort=False, observed=True).indices.items():
        order = numbers[np.argsort(starts[numbers], kind="stable")]
        yield genome, contig, order, starts[order]


def input_array(*, name: str, dataset: Dataset, input_name: str, rows: pd.DataFrame, genomes: dict[str, Path]) -> Array:
    """The sequence of each window and its margins: uint8 (example, bp), A0 C1 G2 T3 N4, + strand."""
    width = dataset.windows.window_bp + 2 * dataset.margin_bp
    spec = ArraySpec(
        role="input",
        name=input_name,
        axes=("example", "bp"),
        dtype="uint8",
        shape_per_example=(width,),
        kind="sequence",
        bp_per_bin=1,
        margin_bp=dataset.margin_bp,
        rc="sequence" if dataset.reverse_complement else "forbidden",
        shift="moves",
    )
    readers = {assembly: GenomeReader(folder) for assembly, folder in genomes.items()}
    blocks = sequence_blocks(rows, readers, width, dataset.margin_bp, f"dataset {name}, {input_name}")
    return Array(spec, blocks, made_from=list(genomes.values()))


def sequence_blocks(
    rows: pd.DataFrame, readers: dict[str, GenomeReader], width: int, margin_bp: int, what: str
) -> Iterator[np.ndarray]:
    """Codes of ``width`` bases from ``start - margin_bp`` of each row; N outside contigs. uint8 blocks in row order."""
    step = max(1, VALUES_AT_ONCE // width)
    with RecordFile(len(rows), (width,), "uint8") as records, Progress(what, len(rows), "examples") as progress:
        for genome, contig, numbers, starts in contig_groups(rows):
            for first in range(0, len(numbers), step):
                part = slice(first, first + step)
                records.put(numbers[part], readers[genome].many(contig, starts[part] - margin_bp, width))
                progress.add(len(numbers[part]))
        yield from records.blocks()


def target_array(
    *,
    name: str,
    dataset: Dataset,
    target_name: str,
    group: str,
    tracks: list[Track],
    rows: pd.DataFrame,
    rows_attrs: dict,
    track_stores: dict[str, Path],
    genomes: dict[str, Path],
) -> Array:
    """One group of tracks of a target. Tracks whose store says "dropped" are left out, "masked" ones are missing."""
    target, where = dataset.targets[target_name], f"datasets.{name}.targets.{target_name}"
    if target.column is not None or not tracks:
        raise InputError(where, "a target of genome windows needs 'tracks'")
    readers = {track.track: TrackReader(track_stores[track.track]) for track in tracks}
    tracks = _alive(tracks, readers, where)
    build = _binary if target.kind == "binary" else _signal
    array = build(name, dataset, target_name, group, tracks, rows, rows_attrs, readers, where)
    array.made_from = list(track_stores.values())
    return array


def _alive(tracks: list[Track], readers: dict[str, TrackReader], where: str) -> list[Track]:
    """Tracks that were not dropped; the partner of a dropped strand goes with it, or strands could not be swapped."""
    dropped = {track.track for track in tracks if readers[track.track].state == "dropped"}
    dropped |= {track.track for track in tracks if track.strand_pair in dropped}
    if dropped:
        log.warning("%s: left out, as their files were dropped: %s", where, ", ".join(sorted(dropped)))
    alive = [track for track in tracks if track.track not in dropped]
    if not alive:
        raise InputError(where, "all of its tracks were dropped")
    return alive


def _spec(
    target_name: str, group: str, target: Target, tracks: list[Track], readers: dict[str, TrackReader], **more
) -> ArraySpec:
    pairs = tuple(track.strand_pair or track.track for track in tracks)
    swap = any(pair != track.track for pair, track in zip(pairs, tracks))
    units = {readers[track.track].attrs.get("units", "") for track in tracks}
    missing = {track.missing for track in tracks}
    profile = target.kind == "profile"
    return ArraySpec(
        role="target",
        name=target_name,
        group=group,
        kind=target.kind,
        rc={(False, False): "none", (False, True): "swap", (True, False): "reverse", (True, True): "reverse_swap"}[
            profile, swap
        ],
        shift="moves" if profile else "fixed",
        tracks=tuple(track.track for track in tracks),
        strand_pairs=pairs,
        units=units.pop() if len(units) == 1 else "mixed",
        missing=missing.pop() if len(missing) == 1 else "mixed",
        **more,
    )


def _binary(name, dataset, target_name, group, tracks, rows, rows_attrs, readers, where) -> Array:
    target = dataset.targets[target_name]
    for track in tracks:
        if readers[track.track].kind != "intervals":
            raise InputError(where, f"track {track.track} holds signal; a binary target needs peaks")
    axes, shape = ("example", "tracks"), (len(tracks),)
    spec = _spec(target_name, group, target, tracks, readers, axes=axes, dtype="uint8", shape_per_example=shape)
    if target.rule == "merged":
        blocks = _merged_blocks(rows, tracks, rows_attrs, where)
    else:
        label_bp = dataset.windows.label_bp or dataset.windows.window_bp
        offset = centred_offset(dataset.windows.window_bp, label_bp, where)
        blocks = _label_blocks(target, tracks, rows, readers, label_bp, offset, f"dataset {name}, {target_name}")
    masked = np.array([readers[track.track].state == "masked" for track in tracks])
    elsewhere = any(genome != track.assembly for genome in pd.unique(rows["genome"]) for track in tracks)
    return Array(spec, blocks, _mask_blocks(rows, tracks, masked) if masked.any() or elsewhere else None)


def _label_blocks(target, tracks, rows, readers, label_bp: int, offset: int, what: str) -> Iterator[np.ndarray]:
    with (
        RecordFile(len(rows), (len(tracks),), "uint8") as records,
        Progress(what, len(rows) * len(tracks), "labels") as progress,
    ):
        for first in range(0, len(tracks), TRACKS_AT_ONCE):
            some = tracks[first : first + TRACKS_AT_ONCE]
            for genome, contig, numbers, starts in contig_groups(rows):
                peaks = [
                    readers[t.track].intervals(contig)
                    if readers[t.track].state == "ok" and t.assembly == genome
                    else None
                    for t in some
                ]
                for at in range(0, len(numbers), ROWS_AT_ONCE):
                    low = starts[at : at + ROWS_AT_ONCE] + offset
                    labels = np.zeros((len(low), len(some)), np.uint8)
                    for column, found in enumerate(peaks):
                        if found is not None and len(found.start):
                            labels[:, column] = overlap_labels(
                                low, label_bp, found.start, found.end, target.min_overlap, target.overlap_of
                            )
                    records.put(numbers[at : at + ROWS_AT_ONCE], labels, first)
                    progress.add(labels.size)
        yield from records.blocks()


def _merged_blocks(rows: pd.DataFrame, tracks: list[Track], rows_attrs: dict, where: str) -> Iterator[np.ndarray]:
    """Labels of Basset's merged windows: the tracks whose peaks were merged into each, by number in its ``name``."""
    known = rows_attrs.get("merged_tracks")
    if known is None:
        raise InputError(where, "rule 'merged' needs windows.merge: basset")
    for track in tracks:
        if track.track not in known:
            raise InputError(where, f"track {track.track} is none of the tracks that windows.tracks merged")
    column = {str(known.index(track.track)): i for i, track in enumerate(tracks)}
    names = rows["name"].to_numpy()
    for first in range(0, len(names), ROWS_AT_ONCE):
        part = names[first : first + ROWS_AT_ONCE]
        labels = np.zeros((len(part), len(tracks)), np.uint8)
        for row, text in enumerate(part):
            for number in text.split(",") if text else ():
                if number in column:
                    labels[row, column[number]] = 1
        yield labels


def _mask_blocks(rows: pd.DataFrame, tracks: list[Track], masked: np.ndarray) -> Iterator[np.ndarray]:
    """True where a row is of the track's own genome and the track could be read."""
    genomes = rows["genome"].to_numpy()
    names = np.array([track.assembly for track in tracks], dtype=object)
    for first in range(0, len(genomes), ROWS_AT_ONCE):
        yield (genomes[first : first + ROWS_AT_ONCE, None] == names) & ~masked


def _signal(name, dataset, target_name, group, tracks, rows, rows_attrs, readers, where) -> Array:
    """Profiles, and single values of a central part of the window, from binned signal.

    A profile's bins are made of whole bins of the track (`seqmill.examples.signal`) and reach ``margin_bp`` beyond
    the declared length on both sides, so that windows can be shifted; single values stay where they are.
    """
    target, windows = dataset.targets[target_name], dataset.windows
    length = target.length_bp or windows.window_bp
    offset = centred_offset(windows.window_bp, length, where)
    profile = target.kind == "profile"
    bin_bp = target.bin_bp or readers[tracks[0].track].bin_bp
    for track in tracks:
        own = readers[track.track].bin_bp
        if readers[track.track].kind != "signal":
            raise InputError(where, f"track {track.track} holds peaks; a {target.kind} target needs signal")
        if (profile and bin_bp % own) or length % own:
            raise InputError(
                where,
                f"bin_bp {bin_bp} and length_bp {length} must be multiples of the {own} bp of track {track.track}",
            )
        if target.kind == "count" and track.aggregate not in ("mean", "sum"):
            raise InputError(where, f"a count needs aggregate mean or sum, track {track.track} has {track.aggregate}")
    margin = dataset.margin_bp if profile else 0
    if profile and (length % bin_bp or margin % bin_bp):
        raise InputError(where, f"length_bp {length} and margin_bp {margin} must be multiples of bin_bp {bin_bp}")
    bins = (length + 2 * margin) // bin_bp if profile else 1
    spec = _spec(
        target_name, group, target, tracks, readers,
        axes=("example", "bins", "tracks") if profile else ("example", "tracks"),
        dtype="float32",
        shape_per_example=(bins, len(tracks)) if profile else (len(tracks),),
        bp_per_bin=bin_bp if profile else 0,
        offset_bp=offset,
        margin_bp=margin,
    )  # fmt: skip
    width = length + 2 * margin
    blocks = _signal_blocks(
        target, tracks, rows, readers, bins, width, offset - margin, f"dataset {name}, {target_name}", where
    )
    return Array(spec, blocks)


def _signal_blocks(
    target, tracks, rows, readers, bins: int, width: int, offset: int, what: str, where: str
) -> Iterator[np.ndarray]:
    """Blocks (rows, bins, tracks), or (rows, tracks) of single values; ``width`` bp from ``start + offset`` each."""
    total = len(rows) * len(tracks)
    with RecordFile(len(rows), (len(tracks), bins), "float32") as records, Progress(what, total, "windows") as progress:
        for first in range(0, len(tracks), TRACKS_AT_ONCE):
            some = tracks[first : first + TRACKS_AT_ONCE]
            step = max(1, VALUES_AT_ONCE // (len(some) * bins))
            span = SPAN_BINS * min(readers[track.track].bin_bp for track in some)
            for genome, contig, numbers, starts in contig_groups(rows):
                for a, b in runs_of(starts, width, span):
                    for at in range(a, b, step):
                        part = slice(at, min(at + step, b))
                        values = np.full((part.stop - at, len(some), bins), np.nan, np.float32)
                        for column, track in enumerate(some):
                            if track.assembly == genome and readers[track.track].state == "ok":
                                values[:, column] = _track_values(
                                    target,
                                    track,
                                    readers[track.track],
                                    contig,
                                    starts[part] + offset,
                                    width,
                                    bins,
                                    where,
                                )
                        records.put(numbers[part], values, first * bins)
                        progress.add(values.shape[0] * values.shape[1])
        for block in records.blocks():
            yield block.transpose(0, 2, 1) if target.kind == "profile" else block[:, :, 0]


def _track_values(
    target, track: Track, reader: TrackReader, contig: str, low: np.ndarray, width: int, bins: int, where: str
) -> np.ndarray:
    """Final values of one track in windows that start at ``low`` (ascending); float32 (n, bins)."""
    own = reader.bin_bp
    if np.any(low % own):
        raise InputError(
            where, f"windows do not start on the {own}-bp bins of track {track.track}; choose the rows again"
        )
    origin = int(low[0]) // own
    count = int(low[-1] + width) // own - origin
    raw = reader.bins(contig, origin, count)
    index = (low // own - origin)[:, None] + np.arange(width // own)
    pieces = raw[index].reshape(len(low), bins, -1)
    if track.sign == "flip":
        pieces = -pieces
    how = Reduction(track.aggregate, track.missing, own, total=target.kind == "count")
    return transform(reduce_bins(pieces, how), track, where)
