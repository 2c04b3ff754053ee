"""What sets the predictions for two alleles apart: one number a track.

========  ============================================================================================================
score     difference of the scores (`seqmill.effects.measures`), ALT − REF
diff      ALT − REF of the prediction: the total over all bins (count, profile), else its mean over them
logfc     log2 of (ALT + c) / (REF + c) of the same values; c is 1 (count, profile) or 0.000001 (probabilities)
jsd       Jensen-Shannon divergence of the two profiles, each divided by its sum, in bits: 0 equal, 1 apart
          (Lin 1991, IEEE Trans Inf Theory 37:145); only for targets with bins of signal, NaN where a profile is all 0
active_   share of windows of a background whose value (as in diff) is below the larger of those of REF and ALT, by the
allele_   same run: where the more active allele stands, 0 to 1 (Pampari et al 2024, bioRxiv 2024.12.25.630221, "active
quantile  allele quantile", there of total coverage among peaks)
========  ============================================================================================================
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

from seqmill.effects.measures import LOG_TOTAL, PLAIN, SPACES, TINY, score, value
from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import positional_axes
from seqmill.stores.specs import track_names

SIGNAL_PSEUDOCOUNT = 1.0
QUANTILE = "active_allele_quantile"
SIGNED = ("diff", "logfc", "score")
"""Effects with a direction; those of several variants can be added up."""

# Of one run: target -> values of the background's windows, each track sorted; (tracks, windows).
Ranks = Mapping[str, np.ndarray]


def fits(effect: str, spec: Any) -> bool:
    """Whether an effect is defined for a target."""
    if effect == "jsd":
        return SPACES[spec.kind] == LOG_TOTAL and bool(positional_axes(spec))
    return effect != "logfc" or SPACES[spec.kind] != PLAIN


def check_effects(
    effects: Sequence[str], specs: Mapping[str, Any], names: Sequence[str], where: str
) -> list[tuple[str, str]]:
    """(target, effect) of all that are defined, in order. InputError for an effect that fits no target."""
    for effect in effects:
        if not any(fits(effect, specs[name]) for name in names):
            kinds = ", ".join(f"{name} ({specs[name].kind})" for name in names)
            needs = "bins of counts or profiles" if effect == "jsd" else "predictions that are never negative"
            raise InputError(where, f"effect '{effect}' needs {needs}; the targets are {kinds}")
    return [(name, effect) for name in names for effect in effects if fits(effect, specs[name])]


def reducer(
    specs: Mapping[str, Any], wanted: Sequence[tuple[str, str]]
) -> Callable[[Mapping[str, Array]], dict[str, dict[str, Array]]]:
    """Compiled function from the predictions of a batch to what `effects_of` needs of them."""

    @jax.jit
    def reduce(predicted: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
        kept: dict[str, dict[str, Array]] = {}
        for name, effect in wanted:
            x, spec = predicted[name], specs[name]
            parts = kept.setdefault(name, {})
            if effect == "score":
                parts["score"] = score(x, spec)
            elif effect == "jsd":
                parts["profile"] = x.reshape(x.shape[0], -1, len(track_names(spec)))
            else:
                parts["value"] = value(x, spec)
        return kept

    return reduce


def kept_bytes(specs: Mapping[str, Any], wanted: Sequence[tuple[str, str]]) -> int:
    """Bytes that `reducer` keeps of one sequence."""
    return sum(
        4 * (int(np.prod(specs[name].shape_per_example)) if effect == "jsd" else len(track_names(specs[name])))
        for name, effect in wanted
    )


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits of profiles (n, bins, tracks), which need not sum to 1; float64 (n, tracks)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = (np.maximum(x, 0, dtype=np.float64) for x in (p, q))
        p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
        middle = (p + q) / 2
        parts = [np.where(x > 0, x * np.log2(x / middle), np.where(np.isnan(x), np.nan, 0)) for x in (p, q)]
    return np.clip((parts[0].sum(axis=1) + parts[1].sum(axis=1)) / 2, 0, 1)


def quantiles(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Share of a background below each value, float64 (n, tracks); NaN for NaN.

    Parameters
    ----------
    values : (n, tracks). ranks : (tracks, windows), each track sorted.
    """
    below = [np.searchsorted(known, x, side="left") for known, x in zip(ranks, values.T)]
    return np.where(np.isnan(values), np.nan, np.stack(below, axis=1) / ranks.shape[1])


def effects_of(
    kept: Mapping[str, Mapping[str, np.ndarray]],
    specs: Mapping[str, Any],
    wanted: Sequence[tuple[str, str]],
    ref: np.ndarray,
    alt: np.ndarray,
    ranks: Ranks | None = None,
) -> np.ndarray:
    """Effects of alleles by one run.

    Parameters
    ----------
    kept : of `reducer`, arrays (windows, ...). ref, alt : int (n,), windows of each allele.
    ranks : of this run, for active_allele_quantile.

    Returns
    -------
    float64 (n, columns): the tracks of the first of ``wanted``, then those of the next.
    """
    columns = []
    for name, effect in wanted:
        parts = kept[name]
        if effect == "jsd":
            columns.append(divergence(parts["profile"][ref], parts["profile"][alt]))
            continue
        if effect == QUANTILE:
            assert ranks is not None
            columns.append(quantiles(np.maximum(parts["value"][ref], parts["value"][alt]), ranks[name]))
            continue
        x = parts["score" if effect == "score" else "value"].astype(np.float64)
        if effect == "logfc":
            c = SIGNAL_PSEUDOCOUNT if SPACES[specs[name].kind] == LOG_TOTAL else TINY
            x = np.log2(np.maximum(x, 0) + c)
        columns.append(x[alt] - x[ref])
    return np.concatenate(columns, axis=1)
