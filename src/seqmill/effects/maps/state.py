"""Finished groups of a map's regions, kept beside the output until it is whole, so that a killed run goes on.

Regions are scored in groups whose bounds depend on their lengths alone. Batches never reach over a group's end, so that
what a region gets depends neither on where a run was interrupted nor on how the regions were divided among jobs.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.effects.variants.state import ChunkStore

GROUP_BATCHES = 16
"""Full batches that a group has at least (but the last one): so much work a kill can cost."""
Arrays = dict[str, np.ndarray]


def groups_of(edits: Sequence[int], batch_size: int) -> list[tuple[int, int]]:
    """Bounds of groups of neighbouring regions, 0-based and half-open.

    Parameters
    ----------
    edits : of each region, at most. batch_size : sequences of a batch.
    """
    bounds, start, total = [], 0, 0
    for number, count in enumerate(edits):
        total += count
        if total >= GROUP_BATCHES * batch_size:
            bounds.append((start, number + 1))
            start, total = number + 1, 0
    return bounds + [(start, len(edits))] * (start < len(edits))


def part_of(groups: Sequence[Any], part: int, parts: int) -> range:
    """Numbers of the groups of one of several jobs, ``part`` from 0; none where there are more jobs than groups."""
    return range(part * len(groups) // parts, (part + 1) * len(groups) // parts)


class GroupStore(ChunkStore):
    """Groups in a folder: of each region its arrays by their path, see `seqmill.stores.maps`."""

    ENDING = "npz"

    def _save(self, path: Path, table: Iterable[Arrays]) -> None:
        found = list(table)
        paths = sorted(found[0])
        # numbers for names: what targets are called is no matter of file names
        arrays: dict[str, Any] = {
            f"{region}.{place}": one[key] for region, one in enumerate(found) for place, key in enumerate(paths)
        }
        with open(path, "wb") as handle:
            np.savez(handle, paths=np.array(paths), **arrays)

    def _load(self, path: Path) -> list[Arrays]:
        with np.load(path) as stored:
            paths = stored["paths"].tolist()
            count = (len(stored.files) - 1) // len(paths)
            return [{key: stored[f"{region}.{place}"] for place, key in enumerate(paths)} for region in range(count)]
