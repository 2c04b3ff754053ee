"""Candidate windows on one contig, and the filters that each must pass before the split."""

import numpy as np

from seqmill.config.datasets import PeakWindows, TileWindows
from seqmill.examples.choice import NEGATIVES, Choice
from seqmill.examples.content import composition, touches
from seqmill.examples.labels import overlap_labels
from seqmill.examples.territory import Place
from seqmill.examples.windows import centred_starts, inside, merge_peaks, snap, tile_starts
from seqmill.genome.coords import overlap_bp


def candidates(choice: Choice, place: Place) -> tuple[np.ndarray, list[str] | None]:
    """Ascending starts of windows; with merged peaks, the numbers of each window's tracks too ("0,3")."""
    windows = choice.windows
    if isinstance(windows, TileWindows):
        starts = tiles(choice, place, windows.stride_bp or windows.window_bp)
        choice.tally.add("found", "tiles", choice.pool, len(starts))
        return starts, None
    if windows.merge == "basset":
        return _merged(choice, windows, place)
    centres = _centres(choice, windows, place)
    choice.tally.add("found", "peaks", choice.pool, len(centres))
    starts = snap(centred_starts(centres, windows.window_bp), choice.grid_offset, choice.sources.grid_bp)
    single = np.unique(starts)
    choice.tally.add("windows", "same window as another peak", choice.pool, len(starts) - len(single))
    return single, None


def tiles(choice: Choice, place: Place, stride_bp: int) -> np.ndarray:
    """Starts at a regular step along a contig, on the grid of the bins."""
    size, margin = choice.genomes[place[0]].sizes[place[1]], choice.dataset.margin_bp
    return tile_starts(size, choice.windows.window_bp, stride_bp, margin, choice.grid_offset, choice.sources.grid_bp)


def _centres(choice: Choice, windows: PeakWindows, place: Place) -> np.ndarray:
    if windows.bed is not None:
        regions = choice.intervals(windows.bed, place)
        return (regions.start.astype(np.int64) + regions.end) // 2
    found = [np.zeros(0, np.int64)]
    for start, end, summit in choice.peaks("windows", place).values():
        found.append(summit if windows.centre == "summit" else (start.astype(np.int64) + end) // 2)
    return np.concatenate(found)


def _merged(choice: Choice, windows: PeakWindows, place: Place) -> tuple[np.ndarray, list[str]]:
    """Basset's merged peaks; a window is told by the numbers of its tracks, as in Basset's own BED file."""
    number = {name: index for index, name in enumerate(choice.sources.tracks)}
    peaks = choice.peaks("windows", place)
    count = sum(len(start) for start, _, _ in peaks.values())
    choice.tally.add("found", "peaks", choice.pool, count)
    if not count:
        return np.zeros(0, np.int64), []
    starts, members = merge_peaks(
        np.concatenate([start for start, _, _ in peaks.values()]),
        np.concatenate([end for _, end, _ in peaks.values()]),
        np.concatenate([np.full(len(start), number[name]) for name, (start, _, _) in peaks.items()]),
        choice.genomes[place[0]].sizes[place[1]],
        windows.window_bp,
        windows.merge_overlap_bp,
    )
    union: dict[int, int] = {}
    for start, bits in zip(snap(starts, choice.grid_offset, choice.sources.grid_bp).tolist(), members):
        union[start] = union.get(start, 0) | bits
    choice.tally.add("windows", "merged into another peak's window", choice.pool, count - len(union))
    ordered = sorted(union)
    text = [",".join(str(t) for t in range(union[s].bit_length()) if union[s] >> t & 1) for s in ordered]
    return np.array(ordered, dtype=np.int64), text


def passing(choice: Choice, place: Place, starts: np.ndarray, pool: str) -> np.ndarray:
    """Which windows pass all filters; bool (n,). Each filter counts what it drops of what the ones before left."""
    reader, windows, contig = choice.genomes[place[0]], choice.windows, place[1]
    keep = np.ones(len(starts), dtype=bool)

    def drop(stage: str, reason: str, bad: np.ndarray) -> None:
        choice.tally.add(stage, reason, pool, int(np.count_nonzero(bad & keep)))
        keep[bad] = False

    fits = inside(starts, windows.window_bp, choice.dataset.margin_bp, reader.sizes[contig])
    drop("windows", "extent passes the contig's end", ~fits)
    if isinstance(windows, TileWindows) and windows.within and pool != NEGATIVES:
        low = choice.label_starts(starts)
        covered = overlap_bp(*choice.regions(windows.within, place), low, low + choice.label_bp)
        drop("windows", "outside the regions of 'within'", covered < choice.label_bp)
    blacklist = choice.sources.blacklists.get(place[0])
    if blacklist and choice.dataset.blacklist == "drop":
        drop("filters", "touches the blacklist", touches(*choice.extents(starts), *choice.regions(blacklist, place)))
    unknown = np.zeros(len(starts), np.int64)
    unknown[keep] = composition(reader, contig, starts[keep], windows.window_bp)[0]
    drop("filters", "too many N", unknown > choice.dataset.max_n_fraction * windows.window_bp)
    if isinstance(windows, TileWindows) and windows.keep == "labelled" and pool != NEGATIVES:
        drop("filters", "no label", ~labelled(choice, place, starts))
    return keep


def labelled(choice: Choice, place: Place, starts: np.ndarray) -> np.ndarray:
    """Which windows have at least one positive label of a binary target."""
    low, positive = choice.label_starts(starts), np.zeros(len(starts), dtype=bool)
    for key, target in choice.dataset.targets.items():
        if target.kind == "binary":
            for start, end, _ in choice.peaks(f"targets/{key}", place).values():
                positive |= overlap_labels(low, choice.label_bp, start, end, target.min_overlap, target.overlap_of)
    return positive
