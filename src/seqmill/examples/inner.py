"""The inner validation part: a share of training territory set aside for early stopping."""

import numpy as np

from seqmill.config.datasets import Split
from seqmill.examples.territory import Place, Plan, Windows
from seqmill.runtime.errors import InputError

MIN_CONTIGS = 10  # from here on the inner part is made of whole contigs


def carve_inner(plan: Plan, number: int, split: Split, windows: Windows, where: str, name: str = "") -> str:
    """Set a share of fold ``number`` aside as an inner validation part; return its name, '' if none is wanted.

    Whole contigs where at least ten hold windows of the fold and a set of them comes near the share; else one
    contiguous stretch of each contig. Never single windows: their neighbours would tell what they are.
    """
    if not split.inner_valid:
        return ""
    name = name or f"{plan.folds[number]}.valid"
    mine = {}
    for place, at in windows.starts.items():
        chosen = at[plan.assign(place, *windows.extents(place)) == number]
        if len(chosen):
            mine[place] = chosen
    total = sum(len(at) for at in mine.values())
    if name not in plan.folds:
        plan.folds.append(name)
    new = plan.folds.index(name)
    rng = np.random.default_rng([split.seed, 3, number])
    stretches = _whole_contigs(mine, total, split.inner_valid, rng)
    if not stretches:
        for place, at in mine.items():
            count = round(split.inner_valid * len(at))
            if count:
                first = int(rng.integers(0, len(at) - count + 1))
                low = int(at[first]) - windows.margin_bp
                last = int(at[first + count - 1]) - windows.margin_bp
                stretches.append((place, low, last + windows.extent_bp))
    for place, low, high in stretches:
        plan.territories[place] = plan.territories[place].carve(low, high, number, new)
    left = plan.counts(windows)
    if not left[number] or not left[new]:
        raise InputError(
            where,
            f"split.inner_valid {split.inner_valid} cannot set part of '{plan.folds[number]}' aside ({total} windows "
            f"of {windows.extent_bp:,} bp on {len(mine)} contig(s)); name contigs in split.valid",
        )
    return name


def _whole_contigs(mine, total: int, share: float, rng: np.random.Generator) -> list[tuple[Place, int, int]]:
    """Contigs, drawn at random, that together hold 0.5 to 1.5 of the share; none if fewer than ten have windows."""
    if len(mine) < MIN_CONTIGS:
        return []
    places, have, chosen = list(mine), 0, []
    for index in rng.permutation(len(places)).tolist():
        count = len(mine[places[index]])
        if have < share * total and have + count <= 1.5 * share * total:
            chosen.append((places[index], 0, 1 << 62))
            have += count
    return chosen if have >= 0.5 * share * total else []
