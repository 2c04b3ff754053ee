"""What a motif does alone: put into random backgrounds, against the same backgrounds without it.

"Global importance analysis", Koo et al. (2021) PLoS Computational Biology 17:e1008925.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from seqmill.config.motifs import Marginal
from seqmill.effects.motifs.backgrounds import MARGINAL, Backgrounds, mean_interval, put, site_of
from seqmill.formats.motifs import Motif
from seqmill.runtime.errors import InputError

COLUMNS = ["motif", "strand", "target", "track", "backgrounds", "without", "effect", "ci_low", "ci_high"]


def marginal_effects(backgrounds: Backgrounds, motifs: Mapping[str, Motif], section: Marginal) -> pd.DataFrame:
    """Mean difference of the score with and without a motif in the middle, on either strand.

    Parameters
    ----------
    motifs : by the name that the table shall show.

    Returns
    -------
    `COLUMNS`: ``without``: mean score of the backgrounds; ``effect`` with its 95 % interval over the backgrounds.

    Raises
    ------
    InputError : a motif is wider than a background.
    """
    codes, middle = backgrounds.draw(section.backgrounds, MARGINAL)
    without = backgrounds.score(codes)
    lines = []
    for number, (name, motif) in enumerate(motifs.items()):
        width = len(motif.pwm)
        start = middle - width // 2
        if (start < 0).any() or (2 * middle < width).any():
            raise InputError(backgrounds.where, f"motif {name} ({width} bp) is wider than a background")
        rng = np.random.default_rng([backgrounds.seed, MARGINAL, len(codes), number])
        sites = [site_of(motif, section.site, rng) for _ in codes]
        for strand in (1, -1):
            changed = codes.copy()
            for row, site in enumerate(sites):
                put(changed, row, int(start[row]), site, strand)
            columns = mean_interval(backgrounds.score(changed) - without)
            for (target, track), base, *values in zip(backgrounds.tracks, without.mean(axis=0), *columns):
                lines.append([name, "+" if strand > 0 else "-", target, track, len(codes), base, *values])
    return pd.DataFrame(lines, columns=COLUMNS)
