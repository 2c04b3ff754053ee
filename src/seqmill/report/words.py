"""Numbers and terms in plain words."""

import math
from typing import Any

METRICS = {
    "auroc": (
        "AUROC",
        "The chance that a window with the label gets a higher score than a window without it: 0.5 is guessing, 1 is "
        "perfect. It hides how rare the label is.",
    ),
    "auprc": (
        "AUPRC",
        "Average precision: how pure the calls are, averaged over all cut-offs. Guessing gives the share of positives, "
        "so compare it with that share, not with 0.5.",
    ),
    "pearson": (
        "Pearson r",
        "How well predicted and measured values lie on one straight line: 0 is no relation, 1 is a perfect line "
        "whatever its slope.",
    ),
    "spearman": (
        "Spearman ρ",
        "How well the prediction puts the measured values in order: 0 is no relation, 1 is the same order.",
    ),
    "r2": (
        "R²",
        "Share of the variance explained: 1 is perfect, 0 is no better than always saying the mean, below 0 is worse.",
    ),
}
VERDICTS = {
    "better than": "good",
    "worse than": "bad",
    "no clear difference": "even",
    "too few blocks for an interval": "even",
}


def number(value: Any, digits: int = 3) -> str:
    """0.81234 -> '0.812', 1234567 -> '1,234,567'; an en dash for nothing."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        text = f"{int(value):,}"
    elif value and (abs(value) < 10**-digits or abs(value) >= 1e6):
        text = f"{value:.{digits}g}"
    else:
        text = f"{value:.{digits}f}"
    return text.replace("-", "−")


def plural(count: Any, noun: str) -> str:
    """1 -> '1 track', 2 -> '2 tracks'."""
    if count is None or count != count:
        return f"– {noun}s"
    return f"{int(count):,} {noun}{'' if count == 1 else 's'}"


def interval(low: Any, high: Any) -> str:
    """Bounds in words, an en dash if there are none."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "–"
    return f"{number(float(low))} to {number(float(high))}"


def percent(value: Any) -> str:
    """0.0123 -> '1.2 %'."""
    if value is None or value != value:
        return "–"
    return "< 0.1 %" if 0 < value < 0.001 else f"{100 * value:.1f} %"


def short(digest: Any) -> str:
    """The first 12 characters of a digest."""
    return str(digest)[:12] if digest else "–"


def counts(values: dict[str, Any]) -> str:
    """{'past the end': 3, 'comments': 0} -> 'past the end: 3'; 'none' if all are zero."""
    some = [f"{str(key).replace('_', ' ')}: {number(value)}" for key, value in sorted(values.items()) if value]
    return "; ".join(some) or "none"
