"""Datasets of genome windows: tiles and peaks. Rows are chosen here; values are in `inputs` and `targets`."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset, PeakWindows, TileWindows
from seqmill.examples.audit import check_extents
from seqmill.examples.content import composition, touches
from seqmill.examples.genomic_arrays import input_array, target_array
from seqmill.examples.labels import overlap_labels
from seqmill.examples.negatives import match_gc
from seqmill.examples.order import ordered_rows
from seqmill.examples.sources import Sources
from seqmill.examples.splits import BORDER, NOWHERE, Place, Plan, make_plan
from seqmill.examples.tally import Tally
from seqmill.examples.windows import (
    centred_offset,
    centred_starts,
    check_grid,
    inside,
    merge_peaks,
    snap,
    tile_starts,
)
from seqmill.formats.intervals import read_intervals
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import write_rows
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import upstream
from seqmill.stores.track import TrackReader

__all__ = ["build_rows", "input_array", "target_array"]
log = logging.getLogger("seqmill")
NEGATIVES = "negatives"


@dataclass
class _Build:
    """What the steps of one build share."""

    name: str
    dataset: Dataset
    sources: Sources
    genomes: dict[str, GenomeReader]
    tally: Tally
    pool: str

    @property
    def where(self) -> str:
        return f"datasets.{self.name}"

    @property
    def windows(self) -> TileWindows | PeakWindows:
        return self.dataset.windows

    @property
    def extent_bp(self) -> int:
        return self.windows.window_bp + 2 * self.dataset.margin_bp

    @property
    def label_bp(self) -> int:
        return self.windows.label_bp or self.windows.window_bp

    def sizes(self) -> dict[Place, int]:
        return {(asm, contig): size for asm, reader in self.genomes.items() for contig, size in reader.sizes.items()}


def grid_offset(dataset: Dataset, where: str) -> int:
    """Offset of the base that must begin a bin, against the window's start: that of the binned targets."""
    window_bp = dataset.windows.window_bp
    parts = [t.length_bp or window_bp for t in dataset.targets.values() if t.kind != "binary"]
    return centred_offset(window_bp, parts[0], where) if parts else 0


def _check_grid(build: _Build) -> None:
    grid, windows = build.sources.grid_bp, build.windows
    offsets = {
        centred_offset(windows.window_bp, t.length_bp or windows.window_bp, f"{build.where}.targets.{key}") % grid
        for key, t in build.dataset.targets.items()
        if t.kind != "binary"
    }
    if len(offsets) > 1:
        raise InputError(
            build.where,
            f"length_bp of the targets put them off each other's bins; choose lengths that differ by {2 * grid} bp",
        )
    centred_offset(windows.window_bp, build.label_bp, f"{build.where}.windows.label_bp")
    if isinstance(windows, TileWindows):
        check_grid(windows.stride_bp or windows.window_bp, grid, f"{build.where}.windows")


def build_rows(out: Path, *, name: str, dataset: Dataset, sources: Sources) -> None:
    """Choose, filter and split the windows of a dataset, add negatives, and write ``rows/``."""
    genomes = {assembly: GenomeReader(folder) for assembly, folder in sources.genomes.items()}
    build = _Build(name, dataset, sources, genomes, Tally(), dataset.windows.kind)
    _check_grid(build)
    members: dict[Place, list[str]] = {}
    found: dict[Place, np.ndarray] = {}
    for place in build.sizes():
        starts, tracks = _candidates(build, place)
        if len(starts):
            kept = _filter(build, place, starts, build.pool)
            found[place] = starts[kept]
            if tracks is not None:
                members[place] = [tracks[i] for i in np.flatnonzero(kept)]
    if not sum(map(len, found.values())):
        raise InputError(build.where, "no window is left; dropped: " + _reasons(build.tally))
    plan = make_plan(dataset.split, build.sizes(), found, build.extent_bp, dataset.margin_bp, build.where)
    rows = _place_rows(build, plan, found, members)
    if dataset.negatives:
        if dataset.negatives.kind != "gc_matched":
            raise InputError(f"{build.where}.negatives", "windows of a genome take kind 'gc_matched', found 'shuffled'")
        rows = pd.concat([rows, _negatives(build, plan, found)], ignore_index=True)
    rows = ordered_rows(rows, [build.pool, NEGATIVES], plan.folds, dataset.seed)
    check_extents(rows, dataset.margin_bp)
    _count_kept(build.tally, rows)
    attrs = {"merged_tracks": list(sources.tracks)} if members else {}
    write_rows(
        out,
        name=name,
        rows=rows,
        dropped=build.tally.frame(),
        runs=plan.runs,
        window_bp=build.windows.window_bp,
        margin_bp=dataset.margin_bp,
        reverse_complement=dataset.reverse_complement,
        bootstrap_unit="contig",
        inputs=upstream(*sources.genomes.values(), *sources.tracks.values()),
        parameters={"dataset": dataset.model_dump(mode="json")},
        attrs=attrs,
    )


def _reasons(tally: Tally) -> str:
    frame = tally.frame()
    frame = frame[(frame["stage"] != "found") & (frame["count"] > 0)]
    return (
        ", ".join(f"{row.count_} {row.reason}" for row in frame.rename(columns={"count": "count_"}).itertuples())
        or "none"
    )


def _count_kept(tally: Tally, rows: pd.DataFrame) -> None:
    for (pool, fold), part in rows.groupby(["pool", "fold"], sort=False, observed=True):
        tally.add("kept", "", pool, len(part), fold)


def _candidates(build: _Build, place: Place) -> tuple[np.ndarray, list[str] | None]:
    """Ascending starts on one contig; with merged peaks, the numbers of each window's tracks too."""
    windows, (assembly, contig) = build.windows, place
    size, grid = build.genomes[assembly].sizes[contig], build.sources.grid_bp
    offset = grid_offset(build.dataset, build.where)
    if isinstance(windows, TileWindows):
        stride = windows.stride_bp or windows.window_bp
        starts = tile_starts(size, windows.window_bp, stride, build.dataset.margin_bp, offset, grid)
        build.tally.add("found", "tiles", build.pool, len(starts))
        return starts, None
    if windows.bed is not None:
        peaks = read_intervals(
            windows.bed, "bed3", build.genomes[assembly].sizes, partial=build.genomes[assembly].partial
        )
        part = peaks[contig]
        centres = (part.start.astype(np.int64) + part.end) // 2
    elif windows.merge == "basset":
        return _merged(build, place, size, offset)
    else:
        parts = [_peaks(folder, contig) for folder in build.sources.of_role("windows", assembly).values()]
        centres = [p.summit if windows.centre == "summit" else (p.start.astype(np.int64) + p.end) // 2 for p in parts]
        centres = np.concatenate([np.zeros(0, np.int64), *centres])
    build.tally.add("found", "peaks", build.pool, len(centres))
    starts = np.sort(snap(centred_starts(centres, windows.window_bp), offset, grid))
    single = np.unique(starts)
    build.tally.add("windows", "same window as another peak", build.pool, len(starts) - len(single))
    return single, None


def _peaks(folder: Path, contig: str):
    reader = TrackReader(folder)
    if reader.kind != "intervals":
        raise InputError(folder, "holds signal; windows and labels need a track of peaks")
    return reader.intervals(contig)


def _merged(build: _Build, place: Place, size: int, offset: int) -> tuple[np.ndarray, list[str]]:
    """Basset's merged peaks; a window is told by the numbers of its tracks, as in Basset's own BED file."""
    numbers = {name: number for number, name in enumerate(build.sources.tracks)}
    windows = build.windows
    parts = {numbers[n]: _peaks(folder, place[1]) for n, folder in build.sources.of_role("windows", place[0]).items()}
    count = sum(len(part.start) for part in parts.values())
    build.tally.add("found", "peaks", build.pool, count)
    if not count:
        return np.zeros(0, np.int64), []
    starts, members = merge_peaks(
        np.concatenate([part.start for part in parts.values()]),
        np.concatenate([part.end for part in parts.values()]),
        np.concatenate([np.full(len(part.start), number) for number, part in parts.items()]),
        size,
        windows.window_bp,
        windows.merge_overlap_bp,
    )
    build.tally.add("windows", "merged into another peak's window", build.pool, count - len(starts))
    union: dict[int, int] = {}
    for start, bits in zip(snap(starts, offset, build.sources.grid_bp).tolist(), members):
        union[start] = union.get(start, 0) | bits
    ordered = sorted(union)
    text = [",".join(str(t) for t in range(union[s].bit_length()) if union[s] >> t & 1) for s in ordered]
    return np.array(ordered, dtype=np.int64), text


def _filter(build: _Build, place: Place, starts: np.ndarray, pool: str) -> np.ndarray:
    """Which candidates stay, before the split; bool (n,). Each filter counts what it drops of what is left."""
    assembly, contig = place
    reader, windows, margin = build.genomes[assembly], build.windows, build.dataset.margin_bp
    keep = np.ones(len(starts), dtype=bool)

    def drop(stage: str, reason: str, bad: np.ndarray) -> None:
        build.tally.add(stage, reason, pool, int(np.count_nonzero(bad & keep)))
        keep[bad] = False

    drop("windows", "extent passes the contig's end", ~inside(starts, windows.window_bp, margin, reader.sizes[contig]))
    if isinstance(windows, TileWindows) and windows.within and pool != NEGATIVES:
        drop("windows", "outside the regions of 'within'", ~_within(build, place, starts))
    blacklist = build.sources.blacklists.get(assembly)
    if build.dataset.blacklist == "drop" and blacklist:
        regions = read_intervals(blacklist, "bed3", reader.sizes, partial=reader.partial)[contig]
        drop(
            "filters",
            "touches the blacklist",
            touches(starts - margin, starts + windows.window_bp + margin, regions.start, regions.end),
        )
    unknown = np.zeros(len(starts), np.int64)
    unknown[keep] = composition(reader, contig, starts[keep], windows.window_bp)[0]
    drop("filters", "too many N", unknown > build.dataset.max_n_fraction * windows.window_bp)
    if isinstance(windows, TileWindows) and windows.keep == "labelled" and pool != NEGATIVES:
        drop("filters", "no label", ~_labelled(build, place, starts))
    return keep


def _within(build: _Build, place: Place, starts: np.ndarray) -> np.ndarray:
    """Which label regions lie wholly inside the regions of a BED file."""
    from seqmill.genome.coords import merge, overlap_bp

    reader = build.genomes[place[0]]
    regions = read_intervals(build.windows.within, "bed3", reader.sizes, partial=reader.partial)[place[1]]
    low = starts + centred_offset(build.windows.window_bp, build.label_bp, build.where)
    return overlap_bp(*merge(regions.start, regions.end), low, low + build.label_bp) == build.label_bp


def _labelled(build: _Build, place: Place, starts: np.ndarray) -> np.ndarray:
    low = starts + centred_offset(build.windows.window_bp, build.label_bp, build.where)
    positive = np.zeros(len(starts), dtype=bool)
    for key, target in build.dataset.targets.items():
        if target.kind == "binary":
            for folder in build.sources.of_role(f"targets/{key}", place[0]).values():
                peaks = _peaks(folder, place[1])
                positive |= overlap_labels(
                    low, build.label_bp, peaks.start, peaks.end, target.min_overlap, target.overlap_of
                )
    return positive


def _assign(build: _Build, plan: Plan, place: Place, starts: np.ndarray) -> np.ndarray:
    low = starts - build.dataset.margin_bp
    return plan.assign(place, low, low + build.extent_bp)


def _frame(
    place: Place, starts: np.ndarray, width: int, pool: str, folds: list[str], number: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "genome": pd.Categorical.from_codes(np.zeros(len(starts), np.int8), [place[0]]).astype("str"),
            "contig": pd.Categorical.from_codes(np.zeros(len(starts), np.int8), [place[1]]).astype("str"),
            "start": starts,
            "end": starts + width,
            "strand": np.ones(len(starts), np.int8),
            "pool": pd.Categorical.from_codes(np.zeros(len(starts), np.int8), [pool]).astype("str"),
            "fold": pd.Categorical.from_codes(number, folds).astype("str"),
            "group": "",
            "name": "",
            "source_row": np.full(len(starts), -1),
        }
    )


def _place_rows(
    build: _Build, plan: Plan, found: dict[Place, np.ndarray], members: dict[Place, list[str]]
) -> pd.DataFrame:
    frames = []
    for place, starts in found.items():
        number = _assign(build, plan, place, starts)
        build.tally.add("split", "crosses the border of a part", build.pool, int(np.count_nonzero(number == BORDER)))
        build.tally.add("split", "in no part of the split", build.pool, int(np.count_nonzero(number == NOWHERE)))
        kept = number >= 0
        frame = _frame(place, starts[kept], build.windows.window_bp, build.pool, plan.folds, number[kept])
        if place in members:
            frame["name"] = [members[place][i] for i in np.flatnonzero(kept)]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _negatives(build: _Build, plan: Plan, found: dict[Place, np.ndarray]) -> pd.DataFrame:
    """Windows that touch no peak to avoid, matched in GC content to the windows of the same genome and part."""
    settings, width = build.dataset.negatives, build.windows.window_bp
    wanted = [fold for fold in plan.folds if settings.folds is None or fold in settings.folds]
    for fold in settings.folds or []:
        if fold not in plan.folds:
            raise InputError(f"{build.where}.negatives.folds", f"part {fold!r} is none of {', '.join(plan.folds)}")
    frames = []
    for index, assembly in enumerate(build.genomes):
        offers = _offers(build, plan, assembly)
        positives = _gc_of(build, plan, {place: starts for place, starts in found.items() if place[0] == assembly})
        for fold in wanted:
            number = plan.folds.index(fold)
            gc_wanted = positives.loc[positives["number"] == number, "gc"].to_numpy()
            offer = offers[offers["number"] == number]
            seed = [build.dataset.seed, 4, index, number]
            chosen = match_gc(gc_wanted, offer["gc"].to_numpy(), settings.ratio, settings.gc_tolerance, seed)
            short = round(settings.ratio * len(gc_wanted)) - len(chosen)
            build.tally.add("negatives", "no free window of like GC content", NEGATIVES, short)
            if short:
                log.warning(
                    "%s: %d of %d negatives of part %s not found within GC ± %g",
                    build.where,
                    short,
                    short + len(chosen),
                    fold,
                    settings.gc_tolerance,
                )
            taken = offer.iloc[chosen]
            for contig, part in taken.groupby("contig", sort=False, observed=True):
                frames.append(
                    _frame(
                        (assembly, contig),
                        part["start"].to_numpy(),
                        width,
                        NEGATIVES,
                        plan.folds,
                        part["number"].to_numpy(),
                    )
                )
    if not frames:
        raise InputError(f"{build.where}.negatives", "no window of like GC content is free; raise gc_tolerance")
    return pd.concat(frames, ignore_index=True)


def _offers(build: _Build, plan: Plan, assembly: str) -> pd.DataFrame:
    """All windows at half steps that pass the filters and touch no peak to avoid."""
    reader, width, margin = build.genomes[assembly], build.windows.window_bp, build.dataset.margin_bp
    grid = build.sources.grid_bp
    stride = max(width // 2 // grid, 1) * grid
    offset = grid_offset(build.dataset, build.where)
    found = {}
    avoid = build.sources.of_role("avoid", assembly)
    for contig, size in reader.sizes.items():
        place = (assembly, contig)
        starts = tile_starts(size, width, stride, margin, offset, grid)
        if not len(starts):
            continue
        clear = np.ones(len(starts), dtype=bool)
        for folder in avoid.values():
            peaks = _peaks(folder, contig)
            clear &= ~touches(starts - margin, starts + width + margin, peaks.start, peaks.end)
        if isinstance(build.windows, PeakWindows) and build.windows.bed is not None:
            regions = read_intervals(build.windows.bed, "bed3", reader.sizes, partial=reader.partial)[contig]
            clear &= ~touches(starts - margin, starts + width + margin, regions.start, regions.end)
        build.tally.add("negatives", "touches a peak to avoid", NEGATIVES, int(np.count_nonzero(~clear)))
        starts = starts[clear]
        found[place] = starts[_filter(build, place, starts, NEGATIVES)]
    return _gc_of(build, plan, found)


def _gc_of(build: _Build, plan: Plan, found: dict[Place, np.ndarray]) -> pd.DataFrame:
    """Contig, start, fold number and GC fraction of windows; those in no part are left out."""
    frames = [
        pd.DataFrame(
            {
                "contig": pd.Series(dtype="str"),
                "start": np.zeros(0, np.int64),
                "number": np.zeros(0, np.int64),
                "gc": np.zeros(0),
            }
        )
    ]
    for place, starts in found.items():
        number = _assign(build, plan, place, starts)
        starts, number = starts[number >= 0], number[number >= 0]
        if not len(starts):
            continue
        width = build.windows.window_bp
        unknown, gc = composition(build.genomes[place[0]], place[1], starts, width)
        contig = pd.Categorical.from_codes(np.zeros(len(starts), np.int8), [place[1]]).astype("str")
        frames.append(
            pd.DataFrame(
                {"contig": contig, "start": starts, "number": number, "gc": gc / np.maximum(width - unknown, 1)}
            )
        )
    return pd.concat(frames, ignore_index=True)
