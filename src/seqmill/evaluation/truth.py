"""A mutagenesis map beside the truth of the simulated world: does it find the bases that matter?

A base's importance is the mean of |effect| over its three substitutions (the magnitude of in-silico mutagenesis), or
the size of its contribution where the map is one of attribution, of the track where that is largest. Positives are
bases of functional motif instances whose matrix column holds at least 1 bit; everything else is a negative, also the
same motifs in arrangements that do nothing (decoys).
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.names import slug
from seqmill.metrics.bootstrap import MIN_BLOCKS, TOO_FEW
from seqmill.metrics.ranking import auroc
from seqmill.runtime.errors import DamageError
from seqmill.runtime.marker import read_marker
from seqmill.stores.layout import check_file
from seqmill.stores.map_values import MUTAGENESIS, weight
from seqmill.stores.maps import MapReader
from seqmill.stores.specs import track_names

RESAMPLES = 1000
MIN_BITS = 1.0
FUNCTIONAL, DECOY = 1, 2
OTHERS = "all other bases"
DECOYS = "decoy motif bases of at least 1 bit"
ALL = "all motifs"
COLUMNS = ["map", "target", "motif", "against", "n_pos", "n_neg", "auroc", "ci_low", "ci_high", "blocks", "note"]
_READ_BYTES = 32_000_000


def world_of(reader: MapReader) -> Path | None:
    """Folder of the simulated world that a map's genome was read from, if it lies beside the map in the results."""
    if not reader.attrs["genome"]:  # sequences of a table
        return None
    results = reader.folder.parent.parent
    world, genome = results / "simulation", results / "genome" / f"{slug(reader.attrs['genome'])}.zarr"
    try:
        made, used = read_marker(world, noun="world"), read_marker(genome, noun="genome")
    except DamageError:
        return None
    of_map = reader.attrs.get("inputs", {}).get(f"genome/{genome.name}")
    same = made.files.get("genome.fa.gz", [0, ""])[1] == used.attrs.get("source_sha256") and of_map == used.digest
    return world if same else None


def importance(effects: np.ndarray, codes: np.ndarray, method: str = MUTAGENESIS) -> np.ndarray:
    """Mean of |effect| over the three substitutions of each base, or size of its contribution, of the track where it is
    largest.

    Parameters
    ----------
    effects : float (region, position, base ACGT, track), 0 at the base that is there, NaN where there is none.
    codes : uint8 (region, position), A0 C1 G2 T3 N4. method : of the map.

    Returns
    -------
    float64 (region, position), NaN at N and beyond a shorter region.
    """
    each = weight(effects.astype(np.float64), codes, method)
    return np.where(codes < 4, each.max(axis=-1), np.nan)


def judge_map(reader: MapReader, world: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """AUROC of a map's importance for the functional motif bases of the simulated world.

    Parameters
    ----------
    reader : a map with substitutions. world : folder of the simulated world, see `world_of`.
    resamples : of the map's windows, for 95 % intervals; windows that overlap are drawn together.

    Returns
    -------
    `COLUMNS`, for each target: all motifs against all other bases, all motifs against decoys, and each motif against
    all bases that are not positive; empty for a map without substitutions.
    """
    if "substitutions" not in reader.edits:
        return pd.DataFrame(columns=COLUMNS)
    marker = read_marker(world, noun="world")
    known = np.load(check_file(world, marker, "truth.npz"))
    names = _motif_names(check_file(world, marker, "truth.bed.gz"), known)
    places = reader.regions
    block = np.repeat(_blocks(places), reader.length)
    truth = {key: _along(places, known, key, reader.length) for key in ("class", "bits", "motif")}
    positive = (truth["class"] == FUNCTIONAL) & (truth["bits"] >= MIN_BITS)
    decoy = (truth["class"] == DECOY) & (truth["bits"] >= MIN_BITS)
    lines = []
    for target in reader.targets:
        found = np.concatenate([_importance(reader, target, *bounds) for bounds in read_bounds(reader)]).ravel()
        cases = [(ALL, OTHERS, positive, ~positive), (ALL, DECOYS, positive, decoy)]
        cases += [(name, OTHERS, positive & (truth["motif"] == n), ~positive) for n, name in names.items()]
        for motif, against, ones, zeros in cases:
            used = (ones | zeros) & ~np.isnan(found)
            value = auroc(ones[used], found[used])
            low, high, blocks, note = _interval(ones[used], found[used], block[used], resamples, seed)
            counts = int(ones[used].sum()), int(zeros[used].sum())
            row = [reader.attrs["name"], target, motif, against, *counts, float(value), low, high, blocks]
            lines.append([*row, getattr(value, "reason", "") or note])
    return pd.DataFrame(lines, columns=COLUMNS)


def read_bounds(reader: MapReader) -> Iterator[tuple[int, int]]:
    """Bounds of runs of regions whose substitutions, of all targets together, fit into a few hundred megabytes."""
    tracks = sum(len(track_names(spec)) for spec in reader.targets.values())
    step = max(1, min(64, _READ_BYTES // (16 * reader.length * tracks)))
    for start in range(0, reader.n, step):
        yield start, min(start + step, reader.n)


def _importance(reader: MapReader, target: str, start: int, stop: int) -> np.ndarray:
    codes = reader.read("sequence", start, stop)
    return importance(reader.read(f"substitutions/{target}", start, stop), codes, reader.method)


def _motif_names(path: Path, known: dict[str, np.ndarray]) -> dict[int, str]:
    """Numbers of ``.motif`` and the names that ``truth.bed.gz`` gives the same places."""
    names: dict[int, str] = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if not line.startswith("#"):
                contig, start, _, motif, *_ = line.split("\t")
                if motif not in names.values():
                    names[int(known[f"{contig}.motif"][int(start)])] = motif
    return dict(sorted(names.items()))


def _along(places: pd.DataFrame, known: dict[str, np.ndarray], key: str, length: int) -> np.ndarray:
    """Truth at every base of the regions, one after another, float64 (region * length,); 0 beyond a region."""
    found = np.zeros((len(places), length))
    for i, place in enumerate(places.itertuples()):
        values = known[f"{place.contig}.{key}"][place.start : place.end]
        found[i, : len(values)] = values
    return found.ravel()


def _blocks(places: pd.DataFrame) -> np.ndarray:
    """Number of each region's block: regions that overlap, directly or through others, share one."""
    order = places.sort_values(["contig", "start"], kind="stable")
    furthest = order.groupby("contig", sort=False)["end"].cummax().shift(fill_value=-1)
    fresh = (order["contig"] != order["contig"].shift()) | (order["start"] >= furthest)
    found = np.empty(len(places), np.int64)
    found[order.index.to_numpy()] = fresh.cumsum().to_numpy() - 1
    return found


def _interval(
    truth: np.ndarray, score: np.ndarray, block: np.ndarray, resamples: int, seed: int
) -> tuple[float, float, int, str]:
    """Percentile interval of the AUROC over resampled blocks; sorts once, a draw only changes the weights.

    Efron & Tibshirani (1993) An Introduction to the Bootstrap, chapter 13.
    """
    ids, number = np.unique(block, return_inverse=True)
    if len(ids) < MIN_BLOCKS:
        return np.nan, np.nan, len(ids), TOO_FEW
    order = np.argsort(score, kind="stable")
    ones, number = truth[order].astype(np.float64), number.reshape(-1)[order]
    first = np.flatnonzero(np.append(True, np.diff(score[order]) > 0))  # of each run of equal scores
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(0, len(ids), len(ids)), minlength=len(ids))[number]
        pos = np.add.reduceat(weight * ones, first)
        neg = np.add.reduceat(weight * (1 - ones), first)
        pairs = pos.sum() * neg.sum()
        if pairs:
            found.append(float((pos * (np.cumsum(neg) - neg / 2)).sum() / pairs))
    if len(found) < resamples / 2:
        return np.nan, np.nan, len(ids), "the metric is undefined in most resamples"
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high), len(ids), ""
