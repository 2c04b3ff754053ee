"""Negatives with the base composition of the positives."""

import numpy as np


def match_gc(wanted: np.ndarray, offered: np.ndarray, ratio: float, tolerance: float, seed: list[int]) -> np.ndarray:
    """Choose offered windows whose GC fraction is nearest to that of the wanted ones, each at most once.

    Wanted windows are served in a random order, ``ratio`` times over (the part of a last, incomplete time by a
    random share of them); one without a free window within ``tolerance`` gets none.

    Parameters
    ----------
    wanted, offered : float (n,), (m,), GC fractions.
    tolerance : largest difference.
    seed : of the order.

    Returns
    -------
    int64 (k,), indices into ``offered``, ascending.
    """
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.permutation(len(offered)), offered))
    gc = offered[order]
    total = round(ratio * len(wanted))
    rounds = -(-total // len(wanted)) if len(wanted) else 0
    asked = np.concatenate([rng.permutation(wanted) for _ in range(rounds)])[:total] if rounds else np.zeros(0)
    # Free neighbours are found by two forests of jumps over what is taken; index i stands for the gap left of gc[i].
    count = len(gc)
    right = list(range(count + 1))  # nearest free index >= i, `count` for none
    left = list(range(count + 1))  # nearest free index <= i - 1, plus 1; 0 for none
    places = np.searchsorted(gc, asked)
    values, chosen = gc.tolist(), []
    for value, place in zip(asked.tolist(), places.tolist()):
        after, before = _find(right, place), _find(left, place) - 1
        up = values[after] - value if after < count else np.inf
        down = value - values[before] if before >= 0 else np.inf
        if min(up, down) > tolerance + 1e-12:
            continue
        taken = after if up <= down else before
        chosen.append(taken)
        right[taken] = taken + 1
        left[taken + 1] = taken
    return np.sort(order[np.array(chosen, dtype=np.int64)])


def _find(jump: list[int], at: int) -> int:
    """End of the chain of jumps from ``at``; the chain is shortened on the way."""
    end = at
    while jump[end] != end:
        end = jump[end]
    while jump[at] != end:
        jump[at], at = end, jump[at]
    return end
