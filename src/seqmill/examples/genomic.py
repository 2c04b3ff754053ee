"""Datasets of genome windows: tiles and peaks. Rows are chosen here; values are in `genomic_arrays`."""

import logging

import numpy as np
import pandas as pd

from seqmill.config.datasets import Dataset
from seqmill.examples.audit import check_extents
from seqmill.examples.candidates import candidates, labelled, passing
from seqmill.examples.choice import NEGATIVES, Choice
from seqmill.examples.gc_negatives import gc_negatives
from seqmill.examples.genomic_arrays import control_array, input_array, target_array
from seqmill.examples.order import ordered_rows
from seqmill.examples.sources import Rows, Sources
from seqmill.examples.splits import make_plan
from seqmill.examples.territory import BORDER, NOWHERE, Place, Plan, Windows
from seqmill.runtime.errors import InputError

__all__ = ["choose_rows", "control_array", "input_array", "target_array"]

log = logging.getLogger("seqmill")


def choose_rows(*, name: str, dataset: Dataset, sources: Sources) -> Rows:
    """Choose, filter and split the windows of a dataset, add negatives."""
    choice = Choice(name, dataset, sources)
    found, members = _find(choice)
    windows = Windows(found, choice.extent_bp, dataset.margin_bp)
    plan = make_plan(dataset.split, choice.sizes(), windows, choice.where)
    frames = [_frame(choice, plan, place, starts, choice.pool, members.get(place)) for place, starts in found.items()]
    if dataset.negatives:
        if dataset.negatives.kind != "gc_matched":
            raise InputError(
                f"{choice.where}.negatives", "windows of a genome take kind 'gc_matched', found 'shuffled'"
            )
        chosen = gc_negatives(choice, dataset.negatives, plan, found)
        frames += [_frame(choice, plan, place, starts, NEGATIVES) for place, starts in chosen.items()]
    pools = [*choice.pools, NEGATIVES]
    rows = ordered_rows(pd.concat(frames, ignore_index=True), pools, plan.folds, dataset.seed)
    check_extents(rows, dataset.margin_bp)
    choice.tally.add_kept(rows)
    merged = {"merged_tracks": list(sources.tracks)} if members else {}
    return Rows(
        rows,
        choice.tally,
        plan.runs,
        window_bp=choice.windows.window_bp,
        bootstrap_unit="contig",
        margin_bp=dataset.margin_bp,
        reverse_complement=dataset.reverse_complement,
        made_from=[*sources.genomes.values(), *sources.tracks.values()],
        attrs=merged,
    )


def _find(choice: Choice) -> tuple[dict[Place, np.ndarray], dict[Place, list[str]]]:
    """Starts of the windows that pass the filters, by contig; with merged peaks, the tracks of each."""
    found: dict[Place, np.ndarray] = {}
    members: dict[Place, list[str]] = {}
    for place in choice.sizes():
        starts, tracks = candidates(choice, place)
        keep = passing(choice, place, starts, choice.pool)
        if keep.any():
            found[place] = starts[keep]
            if tracks is not None:
                members[place] = [tracks[i] for i in np.flatnonzero(keep)]
    if not found:
        raise InputError(choice.where, "no window is left; " + choice.tally.reasons())
    _warn_of_losses(choice)
    return found, members


def _warn_of_losses(choice: Choice) -> None:
    """More than half of the windows lost to the blacklist or to N is rarely meant."""
    table = choice.tally.frame()
    total = table.loc[table["stage"] == "found", "count"].sum()
    lost = table[(table["stage"] == "filters") & (table["reason"] != "no label") & (table["count"] > total / 2)]
    for reason, count in zip(lost["reason"], lost["count"]):
        log.warning("%s: %d of %d windows dropped: %s", choice.where, count, total, reason)


def _frame(
    choice: Choice, plan: Plan, place: Place, starts: np.ndarray, pool: str, names: list[str] | None = None
) -> pd.DataFrame:
    """Rows of one contig and pool in the parts of the split; what is in none is counted and left out."""
    number = plan.assign(place, *choice.extents(starts))
    if pool != NEGATIVES:
        choice.tally.add("split", "crosses the border of a part", pool, int(np.count_nonzero(number == BORDER)))
        choice.tally.add("split", "in no part of the split", pool, int(np.count_nonzero(number == NOWHERE)))
    kept = np.flatnonzero(number >= 0)
    pools: str | np.ndarray = pool
    if pool != NEGATIVES and len(choice.pools) > 1:
        pools = np.where(labelled(choice, place, starts[kept]), *choice.pools)
    return pd.DataFrame(
        {
            "genome": place[0],
            "contig": place[1],
            "start": starts[kept],
            "end": starts[kept] + choice.windows.window_bp,
            "strand": np.int8(1),
            "pool": pools,
            "fold": pd.Categorical.from_codes(number[kept], plan.folds).astype("str"),
            "group": "",
            "name": [names[i] for i in kept] if names else "",
            "source_row": -1,
        }
    )
