"""Effects of alleles over the runs that may score each: their mean, and how far the runs are apart."""

from typing import Any, NamedTuple

import numpy as np

from seqmill.effects.variants.alleles import Sequences
from seqmill.effects.variants.effects import effects_of
from seqmill.effects.variants.plan import VariantPlan


class Effects(NamedTuple):
    """Over the runs, float64 (alleles, columns of means) each.

    ``deviation`` is the sample standard deviation (n - 1), NaN where one run scored the allele: it says nothing of how
    far another would be. None if it is not asked for.
    """

    mean: np.ndarray
    deviation: np.ndarray | None


class Predicted(NamedTuple):
    """What `VariantPlan.reduce` keeps of some windows by one run, and which of them are whose REF and ALT."""

    kept: Any
    ref: np.ndarray
    alt: np.ndarray


def predicted(plan: VariantPlan, windows: Sequences, mine: np.ndarray, run: int) -> Predicted:
    """What one run makes of REF and ALT of some alleles.

    This is the only place where alleles are predicted. ``windows.ref`` and ``windows.alt`` pair the windows up: the ALT
    window of a substitution differs from its REF window in the bases of the edit alone.

    Parameters
    ----------
    mine : bool (scored,), the alleles of ``windows.rows`` that are asked for. run : number of the run.

    Returns
    -------
    Arrays of the windows that were shown to the run, and int (n,) their numbers for each allele of ``mine``.
    """
    used = np.zeros(len(windows.codes), bool)
    used[windows.ref[mine]] = used[windows.alt[mine]] = True
    numbers = np.cumsum(used) - 1  # of the windows among those that this run is shown
    codes = windows.codes if used.all() else windows.codes[used]
    ref, alt = numbers[windows.ref[mine]], numbers[windows.alt[mine]]
    return Predicted(plan.pairs.predict(run, codes, ref, alt), ref, alt)


def over_runs(plan: VariantPlan, windows: Sequences, may: np.ndarray) -> Effects:
    """Effects of the scored alleles by the runs that may score them.

    Parameters
    ----------
    may : bool (runs, scored), at least one for each allele.
    """
    total: np.ndarray | None = None
    squares = middle = np.zeros(0)
    seen = np.zeros(may.shape[1], np.int64)
    for run, mine in enumerate(may):
        if not mine.any():
            continue
        shown = predicted(plan, windows, mine, run)
        ranks = plan.ranks[run] if plan.ranks is not None else None
        found = effects_of(shown.kept, plan.specs, plan.wanted, shown.ref, shown.alt, ranks)
        if total is None:
            total = np.zeros((len(mine), found.shape[1]))
            squares, middle = np.zeros_like(total), np.zeros_like(total)
        total[mine] += found
        seen[mine] += 1
        if plan.deviations:  # Welford 1962, Technometrics 4:419
            apart = found - middle[mine]
            middle[mine] += apart / seen[mine, None]
            squares[mine] += apart * (found - middle[mine])
    assert total is not None
    deviation = None
    if plan.deviations:
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = np.sqrt(np.where(seen[:, None] > 1, squares / (seen[:, None] - 1), np.nan))
    return Effects(total / may.sum(axis=0)[:, None], deviation)
