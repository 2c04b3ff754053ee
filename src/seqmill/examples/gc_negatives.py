"""Negatives of a genome: windows without peaks, with the GC content of the windows of their part."""

import logging

import numpy as np
import pandas as pd

from seqmill.config.datasets import Negatives, PeakWindows
from seqmill.examples.candidates import passing, tiles
from seqmill.examples.choice import NEGATIVES, Choice
from seqmill.examples.content import composition, touches
from seqmill.examples.negatives import match_gc
from seqmill.examples.territory import Place, Plan
from seqmill.runtime.errors import InputError

log = logging.getLogger("seqmill")


def gc_negatives(
    choice: Choice, settings: Negatives, plan: Plan, found: dict[Place, np.ndarray]
) -> dict[Place, np.ndarray]:
    """Starts of the negatives of each contig, ascending.

    Offered are windows at half steps that pass the filters and touch (with their margins) no peak to avoid; each part
    takes from its own territories those nearest in GC content to its own windows (`match_gc`).

    Parameters
    ----------
    found : starts of the windows of the dataset, before the split.
    """
    where = f"{choice.where}.negatives"
    for fold in settings.folds or []:
        if fold not in plan.folds:
            raise InputError(f"{where}.folds", f"part {fold!r} is none of {', '.join(plan.folds)}")
    peaks_known = isinstance(choice.windows, PeakWindows) or any(
        choice.sources.of_role("avoid", assembly) for assembly in choice.genomes
    )
    if not peaks_known:
        raise InputError(where, "nothing to avoid; name peak tracks in negatives.avoid")
    taken: dict[Place, list[np.ndarray]] = {}
    for index, assembly in enumerate(choice.genomes):
        wanted = _with_gc(choice, plan, {place: starts for place, starts in found.items() if place[0] == assembly})
        offered = _with_gc(choice, plan, _offers(choice, assembly))
        for number, fold in enumerate(plan.folds):
            if settings.folds is not None and fold not in settings.folds:
                continue
            like = wanted.loc[wanted["number"] == number, "gc"].to_numpy()
            offer = offered[offered["number"] == number]
            seed = [choice.dataset.seed, 4, index, number]
            chosen = match_gc(like, offer["gc"].to_numpy(), settings.ratio, settings.gc_tolerance, seed)
            asked = round(settings.ratio * len(like))
            choice.tally.add("negatives", "no free window of like GC content", NEGATIVES, asked - len(chosen), fold)
            if len(chosen) < asked:
                text = "%s: %d of %d negatives of part %s not found within GC ± %g"
                log.warning(text, where, asked - len(chosen), asked, fold, settings.gc_tolerance)
            for contig, part in offer.iloc[chosen].groupby("contig", sort=False):
                taken.setdefault((assembly, contig), []).append(part["start"].to_numpy())
    if not taken:
        raise InputError(where, "no window of like GC content is free; raise gc_tolerance or use a larger genome")
    return {place: np.sort(np.concatenate(parts)) for place, parts in taken.items()}


def _offers(choice: Choice, assembly: str) -> dict[Place, np.ndarray]:
    grid, windows, found = choice.sources.grid_bp, choice.windows, {}
    stride = max(windows.window_bp // 2 // grid, 1) * grid
    for contig in choice.genomes[assembly].sizes:
        place = (assembly, contig)
        starts = tiles(choice, place, stride)
        if not len(starts):
            continue
        low, high = choice.extents(starts)
        clear = np.ones(len(starts), dtype=bool)
        for start, end, _ in choice.peaks("avoid", place).values():
            clear &= ~touches(low, high, start, end)
        if isinstance(windows, PeakWindows) and windows.bed is not None:
            clear &= ~touches(low, high, *choice.regions(windows.bed, place))
        choice.tally.add("negatives", "touches a peak to avoid", NEGATIVES, int(np.count_nonzero(~clear)))
        starts = starts[clear]
        found[place] = starts[passing(choice, place, starts, NEGATIVES)]
    return found


def _with_gc(choice: Choice, plan: Plan, found: dict[Place, np.ndarray]) -> pd.DataFrame:
    """Contig, start, fold number and GC fraction of windows; those in no part are left out."""
    columns: dict[str, list] = {"contig": [], "start": [], "number": [], "gc": []}
    width = choice.windows.window_bp
    for place, starts in found.items():
        number = plan.assign(place, *choice.extents(starts))
        starts, number = starts[number >= 0], number[number >= 0]
        unknown, gc = composition(choice.genomes[place[0]], place[1], starts, width)
        columns["contig"].append(np.full(len(starts), place[1], dtype=object))
        columns["start"].append(starts)
        columns["number"].append(number)
        columns["gc"].append(gc / np.maximum(width - unknown, 1))
    return pd.DataFrame({key: np.concatenate([[], *parts]) if parts else [] for key, parts in columns.items()}).astype(
        {"contig": "str", "start": "int64", "number": "int64", "gc": "float64"}
    )
