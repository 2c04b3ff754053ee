"""Whether the cut sites of an ATAC library have been shifted already.

Tn5 inserts its two adapters nine bases apart and the gap is filled on both sides, so that an insertion duplicates
nine bases, and it prefers sequences that are nearly their own reverse complement around the middle of these nine
(Adey et al. 2010, Genome Biology 11:R119). Reads start at either end of the duplication: the middle lies 4 bp
downstream of the 5' base of a + read and 4 bp upstream of that of a - read. The usual shift of +4 and -5
(Buenrostro et al. 2013, Nat Methods 10:1213) moves + ends onto the middle and - ends one base past it, +4 and -4
moves both onto it. So the prior shift follows from where the middle of the preferred sequence lies now:

1. Composition: how often each base stands at each offset from the + ends, and from the - ends, less its frequency
   further away. For a pair of middles (one for the + ends, one for the - ends) the two matrices and their reverse
   complements are four views of one preference, if the middles are right. The best pair is that of the highest mean
   correlation among the four views. Every position counts once, so that amplified places do not lead.
2. Doubt: the ends are drawn again by stretches of the genome (bootstrap); the share of draws with the same pair.
3. Distance: + ends and - ends of neighbouring fragments, cut by one insertion, lie a fixed distance apart (+8 of
   unshifted ends, -1 after +4/-5, 0 after +4/-4). Where the depth makes one distance stand out, it must be that of
   the pair. It rests on no symmetry.

Nothing is said where any of the three is in doubt.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqmill.config.reads import Library
from seqmill.reads.fragments import FragmentTable
from seqmill.reads.signal import five_prime_ends
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader

MIN_ENDS, MIN_GROUPS = 1_000, 10
"""Positions of ends of one strand, and stretches of the genome that hold some, below which nothing is said."""
MIN_AGREEMENT, MIN_CORRELATION = 0.95, 0.6
FLANK_BP, AWAY_BP, HALF_BP, REACH_BP = 30, 24, 12, 8
"""Offsets counted; those that are background; half of the preferred sequence; farthest middle."""
STRETCH_BP, GROUPS, DRAWS = 10_000, 200, 200
MOST_ENDS = 2_000_000
"""More ends are thinned by taking whole stretches."""
LAG_BP, LAG_SIGMAS, LAG_PAIRS = 15, 5.0, 25
"""Distances looked at (less than any fragment is long); those stand out that chance, in standard deviations, and few
pairs do not explain."""
PRIOR_PLUS, PRIOR_MINUS = (3, 4, 5), (-6, -5, -4, -3)
"""Shifts in use: +4/-5, +4/-4, and deepTools' mixture of +4/-5 and +5/-4."""
_MIDDLE = 4  # of the nine duplicated bases
_LOG = logging.getLogger("seqmill")


class Shift(NamedTuple):
    """Prior shift of the 5' ends, in bp.

    Attributes
    ----------
    plus, minus : of + and - ends; None where it is not decided. words : why, for people. n : positions looked at.
    correlation : of the four views at the best pair. agreement : share of draws with that pair.
    lag : distance from + to - ends of one insertion, None where none stands out.
    """

    plus: int | None
    minus: int | None
    words: str
    n: int
    correlation: float = 0.0
    agreement: float = 0.0
    lag: int | None = None


def detect_shift(table: FragmentTable, genome: GenomeReader) -> Shift:
    """Find the shift that the ends of a library carry; for ATAC only (method: see the module).

    Parameters
    ----------
    table : fragments or single reads. genome : of the same contigs.
    """
    counts, lags, n = _collect(table, genome)
    used = counts[counts.sum(axis=(1, 2, 3)) > 0]
    if min(n) < MIN_ENDS or len(used) < MIN_GROUPS:
        words = f"not decided: {min(n):,} positions of ends of one strand in {len(used)} stretches of the genome, "
        return Shift(None, None, f"{words}at least {MIN_ENDS:,} in {MIN_GROUPS} are needed", sum(n))
    best, correlation = _best_middles(used.sum(axis=0, dtype=np.float64)[None])
    weights = np.random.default_rng(0).multinomial(len(used), np.full(len(used), 1 / len(used)), DRAWS)
    drawn, _ = _best_middles(np.tensordot(weights.astype(np.float64), used, axes=1))
    agreement = float((drawn == best).all(axis=1).mean())
    plus, minus = int(_MIDDLE - best[0, 0]), int(-_MIDDLE - best[0, 1])
    lag = _standing_out(lags)
    measured = float(correlation[0]), agreement, lag
    found = f"{plus:+d} and {minus:+d} (correlation {measured[0]:.2f}, {agreement:.0%} of {DRAWS} draws agree"
    found += f", distance of ends {lag})" if lag is not None else ")"
    if measured[0] < MIN_CORRELATION or agreement < MIN_AGREEMENT:
        return Shift(None, None, f"not decided: the best guess is {found}", sum(n), *measured)
    if lag is not None and lag != 2 * _MIDDLE - plus + minus:
        expected = 2 * _MIDDLE - plus + minus
        return Shift(None, None, f"not decided: {found}, expected {expected}", sum(n), *measured)
    return Shift(plus, minus, f"found {found}", sum(n), *measured)


def _collect(table: FragmentTable, genome: GenomeReader) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Bases around the ends by group of stretches, pairs of ends by distance, and the positions of + and - ends.

    Returns
    -------
    int64 (groups, 2, 2 * FLANK_BP + 1, 4); int64 (2 * LAG_BP + 1,); two numbers.
    """
    stretches = {contig: -(-size // STRETCH_BP) for contig, size in table.sizes.items()}
    total = sum(stretches.values())
    thin = -(-table.total * (1 + table.paired) // MOST_ENDS) or 1
    groups = min(GROUPS, max(total, 1))
    counts = np.zeros((groups, 2, 2 * FLANK_BP + 1, 4), np.int64)
    lags = np.zeros(2 * LAG_BP + 1, np.int64)
    n, before = [0, 0], 0
    for contig, fragments in table:
        offset, before = before, before + stretches[contig]
        if not len(fragments.start):
            continue
        codes, sides = genome.codes(contig, 0, table.sizes[contig]), []
        for side, places in enumerate(five_prime_ends(fragments, table.paired)):
            places = np.unique(places)
            places = places[(places >= FLANK_BP) & (places < len(codes) - FLANK_BP)]
            stretch = offset + places // STRETCH_BP
            places, stretch = places[stretch % thin == 0], stretch[stretch % thin == 0]
            n[side] += len(places)
            cell = stretch * groups // total * 5
            for row in range(2 * FLANK_BP + 1):
                here = np.bincount(cell + codes[places + (row - FLANK_BP)], minlength=groups * 5)
                counts[:, side, row] += here.reshape(groups, 5)[:, :4]
            sides.append(places)
        for row in range(2 * LAG_BP + 1):
            moved = np.searchsorted(sides[1], sides[0] + (row - LAG_BP))
            lags[row] += np.count_nonzero(np.append(sides[1], -1)[moved] == sides[0] + (row - LAG_BP))
    return counts, lags, (n[0], n[1])


def _best_middles(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair of middles with the highest mean correlation of the four views.

    Parameters
    ----------
    counts : float64 (draws, 2, 2 * FLANK_BP + 1, 4).

    Returns
    -------
    int64 (draws, 2), offsets of the middles from the + and the - ends; float64 (draws,), the correlation.
    """
    frequency = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    offsets = np.arange(-FLANK_BP, FLANK_BP + 1)
    excess = frequency - frequency[:, :, np.abs(offsets) >= AWAY_BP].mean(axis=2, keepdims=True)
    middles = np.arange(-REACH_BP, REACH_BP + 1)
    rows = FLANK_BP + middles[:, None] + np.arange(-HALF_BP, HALF_BP + 1)
    views = excess[:, :, rows]  # draws, strand, middle, offset, base
    power = (views**2).sum(axis=(3, 4))
    # The sum of a view and its reverse complement; those of the two strands are then added for each pair.
    both = views + views[:, :, :, ::-1, ::-1]
    square = (both**2).sum(axis=(3, 4))
    cross = np.einsum("dpkb,dmkb->dpm", both[:, 0], both[:, 1])
    four = square[:, 0, :, None] + square[:, 1, None, :] + 2 * cross
    alone = 2 * (power[:, 0, :, None] + power[:, 1, None, :])
    # |sum of four|^2 = the powers + all products of two different views; at best three times the powers more.
    score = ((four - alone) / np.maximum(3 * alone, 1e-300)).reshape(len(counts), -1)
    at = score.argmax(axis=1)
    return np.stack([middles[at // len(middles)], middles[at % len(middles)]], axis=1), score.max(axis=1)


def _standing_out(lags: np.ndarray) -> int | None:
    """The distance with far more pairs than any other: twice the excess of the next, and `LAG_SIGMAS` of chance."""
    usual = float(np.median(lags))
    first, second = np.argsort(lags)[::-1][:2]
    enough = max(LAG_PAIRS, LAG_SIGMAS * np.sqrt(usual), 2 * (lags[second] - usual))
    return int(first) - LAG_BP if lags[first] - usual >= enough else None


def prior_shift(rows: Sequence[Library], detected: Shift) -> dict[str, Any]:
    """The shift that the cut sites of a library carry, for its record.

    What the sheet states counts; else what was found; else there is none, with a warning.

    Parameters
    ----------
    rows : of the sheet, the runs of the library.

    Returns
    -------
    ``prior_plus``, ``prior_minus`` (bp); ``how``: stated, detected or assumed; ``detected_plus``, ``detected_minus``
    (None where not decided) and ``detected`` (words).

    Raises
    ------
    InputError : a shift was found that the sheet does not state, or rows state different ones.
    """
    where, first = rows[0].location, (rows[0].prior_plus_shift, rows[0].prior_minus_shift)
    for row in rows[1:]:
        if (row.prior_plus_shift, row.prior_minus_shift) != first:
            raise InputError(row.location, f"prior shift is not that of {where}, a run of the same library")
    about = {"detected_plus": detected.plus, "detected_minus": detected.minus, "detected": detected.words}
    found = None if detected.plus is None else (detected.plus, detected.minus)
    if first[0] is not None:
        if found not in (None, first):
            _LOG.warning("%s: the sheet states a prior shift of %+d and %+d; %s", where, *first, detected.words)
        return {"prior_plus": first[0], "prior_minus": first[1], "how": "stated", **about}
    if found not in (None, (0, 0)):
        known = found[0] in PRIOR_PLUS and found[1] in PRIOR_MINUS
        hint = "" if known else "; no usual shift: are its coordinates 1-based, or is it not from Tn5?"
        raise InputError(
            where,
            f"prior shift {found[0]:+d}/{found[1]:+d} detected ({detected.words}){hint}; set prior_plus_shift and "
            f"prior_minus_shift to {found[0]} and {found[1]} (only the rest is shifted), or to 0 and 0 if it is not so",
        )
    if found is None:
        _LOG.warning("%s: prior shift of cut sites %s; taken as 0 (state it in the sheet)", where, detected.words)
    return {"prior_plus": 0, "prior_minus": 0, "how": "assumed" if found is None else "detected", **about}
