"""Numbers and terms in plain words."""

import math
from typing import Any

VERDICTS = {
    "better than": "good",
    "worse than": "bad",
    "no clear difference": "even",
    "too few blocks for an interval": "even",
}


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any, digits: int = 3) -> str:
    """0.81234 -> '0.812', 1234567 -> '1,234,567', 1.26e-5 -> '1.26 × 10⁻⁵'; an en dash for nothing."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        text = f"{int(value):,}"
    elif value and (abs(value) < 10**-digits or abs(value) >= 1e6):
        text = f"{value:.{digits}g}"
        mantissa, _, power = text.partition("e")
        text = f"{mantissa} × 10{str(int(power)).translate(_RAISED)}" if power else text
    else:
        text = f"{value:,.{digits}f}"
    return text.replace("-", "−")


def whole(value: Any) -> str:
    """26.0 -> '26': a count that a table with gaps holds as a float; an en dash for nothing."""
    return number(value if value is None or value != value else round(value))


def plural(count: Any, noun: str) -> str:
    """1 -> '1 track', 2 -> '2 tracks', '3 stretches', '2 passes'."""
    several = noun + ("es" if noun.endswith(("ch", "s")) else "s")
    if count is None or count != count:
        return f"– {several}"
    return f"{int(count):,} {noun if count == 1 else several}"


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


def human_bp(length: int) -> str:
    """640 -> '640 bp', 1980000 -> '1.98 Mb'."""
    for unit, size in (("Gb", 1e9), ("Mb", 1e6), ("kb", 1e3)):
        if length >= size:
            return f"{length / size:.3g} {unit}"
    return f"{length} bp"


def run(model: str, fold: str, seed: Any, runs: Any = 1) -> str:
    """Name of one run of a network or baseline, or of the mean of its runs.

    >>> run("basset", "0", 1), run("basset", "all", "all", 3), run("basset", "all", "all", 1)
    ('basset, fold 0, seed 1', 'basset, mean of 3 runs', 'basset')
    >>> run("basset", "0", "mean"), run("basset", "all", "mean", 5)
    ('basset, fold 0, seeds averaged', 'basset, seeds averaged, mean of 5 runs')
    """
    seeds = {"all": "", "mean": ", seeds averaged"}.get(str(seed), f", seed {seed}")
    if fold == "all":
        return f"{model}{seeds}" + (f", mean of {int(runs)} runs" if runs > 1 else "")
    return f"{model}, fold {fold}{seeds}"


# What readers count, where the key does not read well after a number.
COUNTED = {
    "no summit (middle used)": "without a summit (middle used)",
    "same interval again (kept)": "the same again (kept)",
    "score -1 (not available)": "with score −1 (not available)",
    "zero length": "of zero length",
}


def records(attrs: dict[str, Any], format: str) -> str:
    """What a reader took and left out of a file.

    Parameters
    ----------
    attrs : of a track's marker: kind, state, intervals, counts, absent.

    >>> records({"kind": "intervals", "intervals": 3636, "counts": {"past the end of the contig": 9360}}, "bed")
    '3,636 kept; 9,360 past the end of the contig'
    """
    if attrs.get("state", "ok") != "ok":
        return "–"
    # a bigWig's header names contigs; in other files it is records that lie on them
    on_contigs = {} if format == "bigwig" else {"contigs not in the genome": "on contigs not in the genome"}
    said = COUNTED | on_contigs
    kept = [f"{number(attrs['intervals'])} kept"] if attrs.get("kind") == "intervals" and "intervals" in attrs else []
    found = [f"{number(n)} {said.get(key, key)}" for key, n in sorted(attrs.get("counts", {}).items()) if n]
    found = found or ([] if kept else ["all used"])
    absent = len(attrs.get("absent", []))
    return "; ".join(kept + found + ([f"{plural(absent, 'contig')} without data"] if absent else []))
