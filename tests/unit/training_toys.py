"""Small datasets to learn from, with known rules."""

from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.stores.dataset import finish_dataset, write_array, write_rows
from seqmill.stores.layout import upstream
from seqmill.stores.specs import ArraySpec

MOTIF = np.array([1, 0, 1, 2, 3, 2], np.uint8)  # CACGTG
RUNS = {"0": {"train": ["train"], "valid": ["valid"], "test": ["test"]}}


def toy_rows(parts: list[tuple[str, str, int]]) -> pd.DataFrame:
    """Rows of (pool, fold, size) parts on one contig."""
    n = sum(size for *_, size in parts)
    start = np.arange(n) * 1000
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": "chr1",
            "start": start,
            "end": start + 60,
            "strand": np.int8(1),
            "pool": [pool for pool, _, size in parts for _ in range(size)],
            "fold": [fold for _, fold, size in parts for _ in range(size)],
            "group": "",
            "name": [f"row{i}" for i in range(n)],
            "source_row": np.arange(n),
        }
    )


def write_dataset(
    folder: Path,
    parts: list[tuple[str, str, int]],
    arrays: dict[str, tuple[ArraySpec, np.ndarray]],
    *,
    chunk: int = 64,
    margin_bp: int = 0,
    reverse_complement: bool = True,
    runs: dict = RUNS,
    first_bp: int = 0,
) -> Path:
    """A dataset of given arrays ("inputs/x", "targets/y/group", "mask/y/group") in ``folder``."""
    name, rows = folder.name, toy_rows(parts)
    rows[["start", "end"]] += first_bp
    write_rows(
        folder / "rows",
        name=f"{name}/rows",
        rows=rows,
        dropped=pd.DataFrame({"reason": ["N"], "count": [0]}),
        runs=runs,
        window_bp=60,
        margin_bp=margin_bp,
        reverse_complement=reverse_complement,
        bootstrap_unit="row",
    )
    for path, (spec, values) in arrays.items():
        write_array(
            folder / path,
            name=f"{name}/{path}",
            spec=spec,
            n=len(values),
            blocks=[values],
            inputs=upstream(folder / "rows"),
            chunk_examples=chunk,
        )
    finish_dataset(folder, name=name, arrays=list(arrays))
    return folder


def sequence_spec(bp: int, margin_bp: int = 0, **changes) -> ArraySpec:
    settings = {"bp_per_bin": 1, "margin_bp": margin_bp, "rc": "sequence", "shift": "moves"} | changes
    shape = (bp + 2 * margin_bp,)
    return ArraySpec("input", "sequence", ("example", "bp"), "uint8", shape, "sequence", **settings)


def label_spec(name: str, tracks: list[str], kind: str = "binary", dtype: str = "uint8", **changes) -> ArraySpec:
    shape = (len(tracks),)
    return ArraySpec(
        "target", name, ("example", "tracks"), dtype, shape, kind, group="main", tracks=tuple(tracks), **changes
    )


def motif_arrays(n: int, bp: int = 60, seed: int = 0) -> dict[str, tuple[ArraySpec, np.ndarray]]:
    """Sequences of which half hold CACGTG; track "motif" says which, track "other" is its opposite."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (n, bp), dtype=np.uint8)
    has = rng.random(n) < 0.5
    places = rng.integers(5, bp - 11, n)
    for row in np.flatnonzero(has):
        codes[row, places[row] : places[row] + 6] = MOTIF
    labels = np.stack([has, ~has], axis=1).astype(np.uint8)
    return {
        "inputs/sequence": (sequence_spec(bp), codes),
        "targets/bound/main": (label_spec("bound", ["motif", "other"]), labels),
    }


PARTS = [("peaks", "train", 900), ("peaks", "valid", 200), ("peaks", "test", 200), ("negatives", "train", 300)]


def motif_dataset(folder: Path) -> Path:
    return write_dataset(folder, PARTS, motif_arrays(sum(size for *_, size in PARTS)))
