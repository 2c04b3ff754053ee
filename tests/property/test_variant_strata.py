"""Strata and p-values for any background: against counts made by loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.effects.variants.strata import Strata, standing

BOUNDS = ([0.01, 0.1], [1000.0], [0.4, 0.5, 0.6])
axis = st.tuples(
    st.sampled_from([np.nan, 0.0, 0.01, 0.05, 0.1, 0.5]),
    st.sampled_from([np.nan, 0.0, 999.0, 1000.0, np.inf]),
    st.sampled_from([0.2, 0.4, 0.45, 0.55, 0.6, 0.9]),
)
numbers = st.floats(-3, 3, width=32).map(lambda x: round(x, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(axis, min_size=1, max_size=40), axis, st.integers(1, 45))
def test_a_stratum_holds_enough_and_no_more_than_it_must(background, variant, least):
    values = np.array(background, float)
    strata = Strata(BOUNDS, values, least)
    bins = strata.bins_of(np.array([variant], float))[0]
    box = strata.box(bins)
    members = strata.members(box)
    assert strata.count(box) == len(members) == strata.count(strata.box(bins))
    assert len(members) >= min(least, len(background))
    used = (~np.isnan(values)).any(axis=0)
    for number, (place, bounds) in enumerate(zip(variant, BOUNDS)):
        whole = box.first[number] == 0
        assert whole or (used[number] and not np.isnan(place))  # what is not known divides nothing
        if whole:
            continue
        edges = [-np.inf, *bounds, np.inf]
        low, high = edges[box.first[number] - 1], edges[box.last[number]]
        assert low <= place and (place < high or high == np.inf)
        inside = values[members, number]
        assert ((inside >= low) & ((inside < high) | (high == np.inf))).all()
    if (np.array(box.last) - box.first > 0).any() and not np.isnan(variant).any() and used.all():
        own = strata.bins == bins
        assert own.all(axis=1).sum() < least  # it was widened because it had to be


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, max_size=30), st.lists(numbers | st.just(float("nan")), min_size=1, max_size=5))
def test_percentile_and_p(background, values):
    known, n = np.sort(np.array(background, np.float64)), len(background)
    percentile, above, upto = standing(np.array(values), known)
    for i, x in enumerate(values):
        if np.isnan(x) or not n:
            assert np.isnan([percentile[i], above[i], upto[i]]).all()
            continue
        assert above[i] == (1 + sum(b >= x for b in background)) / (1 + n)
        assert upto[i] == (1 + sum(b <= x for b in background)) / (1 + n)
        expected = 100 * np.mean([1.0 if b < x else 0.5 if b == x else 0.0 for b in background])
        assert abs(percentile[i] - expected) < 1e-9
        assert 0 < above[i] <= 1 and 0 <= percentile[i] <= 100


def test_p_of_the_background_itself_is_no_smaller_than_chance():
    """Each p is reached by at most its share of the background: the p-values are valid."""
    known = np.sort(np.random.default_rng(0).normal(size=999))
    _, p, _ = standing(known, known)
    for alpha in (0.01, 0.05, 0.5):
        assert (p <= alpha).mean() <= alpha


def test_strata_are_widened_in_the_stated_order():
    """GC first, then distance, then frequency; the words say what was taken."""
    row = {"own": (0.05, 500, 0.45), "gc": (0.05, 500, 0.55), "tss": (0.05, 5000, 0.45), "maf": (0.3, 500, 0.45)}
    strata = [Strata(BOUNDS, np.array([row[name] for name in row]), least) for least in (1, 2, 3, 4)]
    found = [one.words(one.box(one.bins_of(np.array([row["own"]]))[0])) for one in strata]
    assert found == [
        "maf 0.01-0.1 tss_bp <1000 gc 0.4-0.5",
        "maf 0.01-0.1 tss_bp <1000 gc <0.6",
        "maf 0.01-0.1 gc <0.6",
        "gc <0.6",
    ]
    everything = Strata(BOUNDS, np.array(list(row.values())), 5)
    assert everything.words(everything.box(everything.bins_of(np.array([row["own"]]))[0])) == "all"
