"""Windows of a background, and how active each run finds them: what `active_allele_quantile` ranks in."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqmill.config.variants import QuantileWindows
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.unseen import Unseen
from seqmill.effects.variants.alleles import by_contig
from seqmill.effects.variants.effects import QUANTILE, Ranks, reducer
from seqmill.effects.variants.plan import VariantPlan
from seqmill.formats.intervals import read_intervals
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import N_CODE, GenomeReader
from seqmill.training.seen import run_name

LEAST = 20
"""Windows of which a quantile is taken at least."""
BLOCK_BYTES = 32_000_000
_TRIES = 50
_LOG = logging.getLogger("seqmill")


def places_of(section: QuantileWindows, genome: GenomeReader, window_bp: int) -> pd.DataFrame:
    """Middles of the windows: columns contig and place (0-based), sorted; at most ``section.sampled``.

    Windows lie inside their contig; those of the whole genome hold no N, and are drawn with the same chance at every
    base.
    """
    before, behind = window_bp // 2, window_bp - window_bp // 2
    rng = np.random.default_rng([section.seed, 0x5EED])
    if section.regions is not None:
        found = read_intervals(section.regions, "bed3", genome.sizes, partial=genome.partial)
        parts = [
            pd.DataFrame({"contig": contig, "place": (found[contig].start.astype(np.int64) + found[contig].end) // 2})
            for contig in found
        ]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"contig": [], "place": []})
        size = table["contig"].map(genome.sizes)
        table = table[(table["place"] >= before) & (table["place"] + behind <= size)].drop_duplicates()
        if len(table) < LEAST:
            raise InputError(
                section.regions, f"{len(table)} windows of {window_bp} bp lie inside their contig; {LEAST} are needed"
            )
        if len(table) > section.sampled:
            table = table.iloc[np.sort(rng.choice(len(table), section.sampled, replace=False))]
        return table.reset_index(drop=True)
    drawn = draw_places(genome, section.sampled, before, behind, rng)
    if len(drawn) < LEAST:
        raise InputError(genome.folder, f"{len(drawn)} windows of {window_bp} bp without N found; {LEAST} are needed")
    return drawn


def draw_places(genome: GenomeReader, n: int, before: int, behind: int, rng: np.random.Generator) -> pd.DataFrame:
    """Different places whose windows hold no N, sorted: columns contig and place; fewer where there are too few."""
    names = [name for name, size in genome.sizes.items() if size >= before + behind]
    room = np.array([genome.sizes[name] - before - behind + 1 for name in names], np.int64)
    if not names:
        return pd.DataFrame({"contig": [], "place": []})
    ends = np.cumsum(room)
    kept: dict[int, None] = {}
    for _ in range(_TRIES):
        offered = rng.integers(0, ends[-1], 2 * (n - len(kept)) + 16)
        numbers = np.searchsorted(ends, offered, side="right")
        starts = offered - (ends - room)[numbers]
        clean = np.zeros(len(offered), bool)
        for index in np.unique(numbers).tolist():
            rows = np.flatnonzero(numbers == index)
            clean[rows] = ~(genome.many(names[index], starts[rows], before + behind) == N_CODE).any(axis=1)
        kept |= dict.fromkeys(offered[clean].tolist())
        if len(kept) >= n:
            break
    chosen = np.sort(np.array(list(kept)[:n], np.int64))
    numbers = np.searchsorted(ends, chosen, side="right")
    return pd.DataFrame(
        {"contig": [names[index] for index in numbers.tolist()], "place": chosen - (ends - room)[numbers] + before}
    )


def ranks_of(
    plan: VariantPlan, genome: GenomeReader, places: pd.DataFrame, unseen: Unseen | None, where: str
) -> list[Ranks]:
    """For each run the sorted values of the windows that it may score.

    Parameters
    ----------
    places : of `places_of`.

    Raises
    ------
    InputError : a run has seen nearly all of them in training.
    """
    ensemble = plan.ensemble
    may = np.ones((len(ensemble), len(places)), bool)
    if unseen is not None:
        before = ensemble.window_bp // 2 + ensemble.margin_bp
        behind = ensemble.window_bp - ensemble.window_bp // 2 + ensemble.margin_bp
        start = (places["place"] - before).clip(lower=0)
        may = unseen.of(places.assign(genome=genome.name, start=start, end=places["place"] + behind))
    names = [target for target, effect in plan.wanted if effect == QUANTILE]
    reduce = reducer(plan.specs, [(name, QUANTILE) for name in names])
    found = []
    for run, mine in enumerate(may):
        if int(mine.sum()) < LEAST:
            raise InputError(
                where,
                f"{int(mine.sum())} of {len(mine)} windows for active_allele_quantile were not seen in training by "
                f"{run_name(ensemble.infos[run])}; {LEAST} are needed: give others, or set runs: all",
            )
        found.append(_values(ensemble, reduce, genome, places[mine], names, run))
    _LOG.info("%s: active_allele_quantile ranks in %s windows", where, " and ".join(map(str, may.sum(axis=1).tolist())))
    return found


def _values(
    ensemble: Ensemble, reduce: Any, genome: GenomeReader, places: pd.DataFrame, names: Sequence[str], run: int
) -> Ranks:
    """Values of each target, sorted; float32 (tracks, windows)."""
    step = max(ensemble.batch_size, BLOCK_BYTES // ensemble.extent_bp)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for first in range(0, len(places), step):
        block = places.iloc[first : first + step]
        codes = np.empty((len(block), ensemble.extent_bp), np.uint8)
        for contig, rows in by_contig(block["contig"].tolist(), range(len(block))):
            starts = block["place"].to_numpy(np.int64)[rows] - ensemble.extent_bp // 2
            codes[rows] = genome.many(contig, starts, ensemble.extent_bp)
        (kept,) = ensemble.apply(codes, reduce, [run])
        for name in names:
            parts[name].append(kept[name]["value"])
    return {name: np.sort(np.concatenate(values).T, axis=1) for name, values in parts.items()}
