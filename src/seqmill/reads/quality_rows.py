"""Rows of the quality table: one number, of what it was counted, and an interval where it is a proportion."""

import math
from typing import TypedDict

Z95 = 1.959963984540054  # of the standard normal distribution, two-sided 95 %
POOLED = "pooled"


class Row(TypedDict):
    """One metric of one replicate ("1", "2", ... or "pooled"); ``n``: what it was counted of, None if nothing."""

    metric: str
    replicate: str
    value: float
    n: int | None
    lower: float | None
    upper: float | None


def short(value: float) -> float:
    """Rounded to eight significant digits: last bits differ between machines, quality does not."""
    return float(f"{value:.8g}")


def row(
    metric: str,
    replicate: str,
    value: float,
    n: int | None = None,
    interval: tuple[float | None, float | None] = (None, None),
) -> Row:
    """A row with plain numbers."""
    lower, upper = (None if bound is None or not math.isfinite(bound) else short(float(bound)) for bound in interval)
    return Row(
        metric=metric,
        replicate=replicate,
        value=short(float(value)),
        n=None if n is None else int(n),
        lower=lower,
        upper=upper,
    )


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % score interval of the proportion k of n, n > 0.

    Wilson (1927) J Am Stat Assoc 22:209. Fragments count as independent, which makes it narrow at real depths.

    >>> [round(bound, 4) for bound in wilson(5, 10)]
    [0.2366, 0.7634]
    """
    share, square = k / n, Z95 * Z95
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def proportion(metric: str, replicate: str, k: int, n: int) -> Row:
    """Row of k of n with its interval."""
    return row(metric, replicate, k / n, n, wilson(k, n))
