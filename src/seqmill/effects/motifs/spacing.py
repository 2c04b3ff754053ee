"""Two motifs at distances and orientations: what they do together beyond what each does alone.

The co-operation is the effect of both, minus the effect of the one, minus that of the other, each against the same
backgrounds; in the scores' space, so that 0 is independence there. After Avsec et al. (2021) Nature Genetics 53:354,
Methods "In silico motif interaction analysis", with the difference in place of their ratio.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from seqmill.config.motifs import Spacing
from seqmill.effects.motifs.backgrounds import SPACING, Backgrounds, mean_interval, put, site_of
from seqmill.formats.motifs import Motif
from seqmill.runtime.errors import InputError

COLUMNS = ["motif_a", "motif_b", "orientation", "distance_bp", "target", "track", "backgrounds"]
COLUMNS += ["effect_a", "effect_b", "effect_both", "cooperation", "ci_low", "ci_high"]


def spacing_effects(backgrounds: Backgrounds, motifs: Mapping[str, Motif], section: Spacing) -> pd.DataFrame:
    """Co-operation of pairs, the first motif always left of the second; both by their consensus.

    Parameters
    ----------
    motifs : by name; pairs of which one is not there are left out.

    Returns
    -------
    `COLUMNS`: ``orientation``: strands of the first and the second motif (``-+``); ``distance_bp``: bases between
    them; effects against the backgrounds, and ``cooperation`` with its 95 % interval over the backgrounds.

    Raises
    ------
    InputError : a pair at its largest distance is longer than a background.
    """
    codes, middle = backgrounds.draw(section.backgrounds, SPACING)
    without = backgrounds.score(codes)
    lines: list[list] = []
    for a, b in section.pairs:
        if a in motifs and b in motifs:
            lines += _pair(backgrounds, codes, middle, without, (a, motifs[a]), (b, motifs[b]), section.distances_bp)
    return pd.DataFrame(lines, columns=COLUMNS)


def _pair(
    backgrounds: Backgrounds,
    codes: np.ndarray,
    middle: np.ndarray,
    without: np.ndarray,
    first: tuple[str, Motif],
    second: tuple[str, Motif],
    distances: Sequence[int],
) -> list[list]:
    rng = np.random.default_rng(0)  # a consensus draws nothing
    left, right = (site_of(motif, "consensus", rng) for _, motif in (first, second))
    longest = len(left) + max(distances) + len(right)
    start = middle - longest // 2
    if (start < 0).any() or (2 * middle < longest).any():
        raise InputError(
            backgrounds.where, f"spacing of {first[0]} and {second[0]}: {longest} bp are longer than a background"
        )

    def effect(*sites: tuple[np.ndarray, int, int]) -> np.ndarray:
        """Score with sites (codes, bp behind the start, strand), minus that without."""
        changed = codes.copy()
        for site, at, strand in sites:
            for row in range(len(codes)):
                put(changed, row, int(start[row]) + at, site, strand)
        return backgrounds.score(changed) - without

    alone = {strand: effect((left, 0, strand)) for strand in (1, -1)}
    lines = []
    for distance in distances:
        at = len(left) + distance
        other = {strand: effect((right, at, strand)) for strand in (1, -1)}
        for one, two in product((1, -1), repeat=2):
            both = effect((left, 0, one), (right, at, two))
            means = [values.mean(axis=0) for values in (alone[one], other[two], both)]
            columns = mean_interval(both - alone[one] - other[two])
            signs = "".join("+" if strand > 0 else "-" for strand in (one, two))
            for (target, track), *values in zip(backgrounds.tracks, *means, *columns):
                lines.append([first[0], second[0], signs, distance, target, track, len(codes), *values])
    return lines
