"""Long regions and whole contigs as tiles: each base is edited once, in a window with the tile at its middle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqmill.runtime.errors import InputError
from seqmill.stores.genome import N_CODE, GenomeReader

BLOCK_BP = 4_000_000


def contig_regions(genome: GenomeReader, contigs: Sequence[str] | str, where: str) -> pd.DataFrame:
    """Whole contigs as a table of regions (`seqmill.effects.maps.regions`), in the order of the genome.

    Parameters
    ----------
    contigs : names, or "all".

    Raises
    ------
    InputError
        The genome lacks one of them.
    """
    unknown = [] if contigs == "all" else [name for name in contigs if name not in genome.sizes]
    if unknown:
        known = ", ".join(list(genome.sizes)[:8])
        raise InputError(where, f"contigs: genome {genome.name} has no {', '.join(unknown)}; it has {known}")
    chosen = [name for name in genome.sizes if contigs == "all" or name in contigs]
    sizes = [genome.sizes[name] for name in chosen]
    return pd.DataFrame(
        {"name": chosen, "genome": genome.name, "contig": chosen, "start": 0, "end": sizes, "strand": 0, "record": 0}
    )


def cut(regions: pd.DataFrame, genome: GenomeReader, tile_bp: int, window_bp: int, where: str) -> pd.DataFrame:
    """Tiles of regions, sorted by place; those of nothing but N are left out.

    Regions that overlap are joined first, so that each base lies in one tile. A tile lies in the middle of its window;
    near the end of a contig the window stays inside the contig, if it is long enough for one.

    Parameters
    ----------
    regions : see `seqmill.effects.maps.regions`; ``window_start`` is not needed.
    tile_bp : length of a tile; the last one of a region may be shorter. window_bp : bases that the network sees.

    Raises
    ------
    InputError
        Tiles are longer than the window, or nothing is left.
    """
    if tile_bp > window_bp:
        raise InputError(where, f"tile_bp {tile_bp:,} is more than the {window_bp:,} bp that the network sees")
    parts = [_tiles(row, genome, tile_bp) for row in _joined(regions, genome).itertuples()]
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if not len(table):
        raise InputError(where, "all tiles are N, there is nothing to edit")
    size = table["contig"].map(genome.sizes).to_numpy(np.int64)
    return table.assign(genome=genome.name, window_start=window_starts(table["start"], table["end"], size, window_bp))


def window_starts(start: np.ndarray, end: np.ndarray, size: np.ndarray, window_bp: int) -> np.ndarray:
    """First base of the window of each tile, int64 (n,): below 0 only on contigs shorter than a window."""
    centred = (np.asarray(start, np.int64) + np.asarray(end, np.int64)) // 2 - window_bp // 2
    inside = np.clip(centred, 0, np.maximum(size - window_bp, 0))
    return np.where(size < window_bp, (size - window_bp) // 2, inside)


def _joined(regions: pd.DataFrame, genome: GenomeReader) -> pd.DataFrame:
    """Overlapping regions as one, with the first line of the file; only one that stands alone keeps name and strand."""
    order = {name: number for number, name in enumerate(genome.sizes)}
    rows = regions.assign(order=regions["contig"].map(order)).sort_values(["order", "start", "end"], kind="stable")
    reach = rows.groupby("order")["end"].cummax()
    fresh = rows["order"].ne(rows["order"].shift()) | (rows["start"] >= reach.shift(fill_value=0))
    groups = rows.groupby(fresh.cumsum().to_numpy())
    alone = groups.size() == 1
    first = dict.fromkeys(["contig", "name", "strand"], "first")
    found = groups.agg({**first, "start": "min", "end": "max", "record": "min"})
    found["strand"] = found["strand"].where(alone, 0)
    found["name"] = found["name"].where(alone, "")
    return found


def _tiles(row: Any, genome: GenomeReader, tile_bp: int) -> pd.DataFrame:
    """Tiles of one region that hold a known base; only one tile keeps the region's own name."""
    starts = np.arange(row.start, row.end, tile_bp, dtype=np.int64)
    step = max(1, BLOCK_BP // tile_bp)
    known = np.zeros(len(starts), bool)
    for first in range(0, len(starts), step):
        some = starts[first : first + step]
        codes = genome.codes(row.contig, int(some[0]), min(int(some[-1]) + tile_bp, row.end))
        known[first : first + step] = np.logical_or.reduceat(codes < N_CODE, some - some[0])
    low, high = starts[known], np.minimum(starts + tile_bp, row.end)[known]
    whole = row.name if len(starts) == 1 else ""
    names = [whole or f"{row.contig}:{start}-{end}" for start, end in zip(low.tolist(), high.tolist())]
    return pd.DataFrame(
        {"name": names, "contig": row.contig, "start": low, "end": high, "strand": row.strand, "record": row.record}
    )
