"""How long a device was busy, from a profiler's intervals."""

from collections.abc import Iterable


def busy(intervals: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Time covered by at least one interval (start, end), and time from the first start to the last end."""
    covered, first, last = 0.0, None, 0.0
    for start, end in sorted(intervals):
        if first is None:
            first = last = start
        covered += max(0.0, end - max(start, last))
        last = max(last, end)
    return covered, 0.0 if first is None else last - first
