"""Which rows and targets of a dataset a run uses."""

from collections.abc import Iterable, Sequence
from typing import Any

from seqmill.runtime.errors import InputError

Block = tuple[int, int]


def folds_of(reader: Any, fold: str, part: str) -> list[str]:
    """Fold labels of one part ("train", "valid", "test") of a run. Raises InputError for an unknown run."""
    if fold not in reader.runs:
        raise InputError(reader.name, f"has no run {fold!r}; it has {', '.join(reader.runs)}")
    return list(reader.runs[fold][part])


def chosen_targets(reader: Any, wanted: Iterable[str] | None) -> list[str]:
    """Targets of a model or baseline; all that can be learned if none are named. InputError for an unknown one."""
    names = [name for name, spec in reader.targets.items() if spec.kind != "none"] if wanted is None else list(wanted)
    for name in names:
        if name not in reader.targets:
            raise InputError(reader.name, f"has no target {name!r}; it has {', '.join(reader.targets)}")
    return names


def cut_blocks(ranges: Sequence[Block], chunk: int) -> tuple[Block, ...]:
    """Cut row ranges at chunk borders.

    >>> cut_blocks([(3, 9)], 4)
    ((3, 4), (4, 8), (8, 9))
    """
    blocks = []
    for start, stop in ranges:
        while start < stop:
            end = min(stop, (start // chunk + 1) * chunk)
            blocks.append((start, end))
            start = end
    return tuple(blocks)


def part_ranges(
    parts: Sequence[dict[str, Any]], folds: Sequence[str], pools: Sequence[str] | None = None, fraction: float = 1.0
) -> list[Block]:
    """Row ranges of some folds and pools; of each part its first ``fraction`` (at least one row)."""
    ranges = []
    for part in parts:
        if part["fold"] in folds and (pools is None or part["pool"] in pools) and part["stop"] > part["start"]:
            rows = part["stop"] - part["start"]
            ranges.append((part["start"], part["start"] + max(1, round(fraction * rows))))
    return ranges
