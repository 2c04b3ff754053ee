"""Small stores for tests, each with known content."""

from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.stores.dataset import finish_dataset, write_array, write_rows
from seqmill.stores.layout import upstream
from seqmill.stores.specs import ArraySpec

PARTS = [("peaks", "train", 25), ("peaks", "test", 9), ("negatives", "train", 16)]
N = sum(size for *_, size in PARTS)


def toy_rows() -> pd.DataFrame:
    pools = [pool for pool, _, size in PARTS for _ in range(size)]
    folds = [fold for _, fold, size in PARTS for _ in range(size)]
    start = np.arange(N) * 100
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": ["chr1" if i % 2 else "chr2" for i in range(N)],
            "start": start,
            "end": start + 20,
            "strand": np.where(np.arange(N) % 3, 1, -1),
            "pool": pools,
            "fold": folds,
            "group": "",
            "name": [f"row{i}" for i in range(N)],
            "source_row": np.arange(N),
        }
    )


def toy_arrays(seed: int = 0) -> dict[str, tuple[ArraySpec, np.ndarray]]:
    rng = np.random.default_rng(seed)
    sequence = rng.integers(0, 5, (N, 24), dtype=np.uint8)
    labels = rng.integers(0, 2, (N, 3), dtype=np.uint8)
    more = rng.integers(0, 2, (N, 2), dtype=np.uint8)
    present = rng.random((N, 2)) < 0.8
    profile = rng.random((N, 5, 2)).astype(np.float32)
    profile[3, 2, 1] = np.nan
    scalar = {"axes": ("example", "tracks"), "kind": "binary"}
    return {
        "inputs/sequence": (
            ArraySpec(
                "input", "sequence", ("example", "bp"), "uint8", (24,), "sequence",
                bp_per_bin=1, margin_bp=2, rc="sequence", shift="moves",
            ),
            sequence,
        ),
        "targets/peaks/main": (
            ArraySpec(
                "target", "peaks", dtype="uint8", shape_per_example=(3,), group="main", tracks=("a", "b", "c"), **scalar
            ),
            labels,
        ),
        "targets/peaks/new": (
            ArraySpec(
                "target", "peaks", dtype="uint8", shape_per_example=(2,), group="new", rc="swap",
                tracks=("d+", "d-"), strand_pairs=("d-", "d+"), **scalar,
            ),
            more,
        ),
        "mask/peaks/new": (
            ArraySpec(
                "mask", "peaks", dtype="bool", shape_per_example=(2,), group="new", tracks=("d+", "d-"), **scalar
            ),
            present,
        ),
        "targets/coverage/main": (
            ArraySpec(
                "target", "coverage", ("example", "bins", "tracks"), "float32", (5, 2), "profile", group="main",
                bp_per_bin=4, rc="reverse", shift="moves", tracks=("e", "f"), units="reads",
            ),
            profile,
        ),
    }  # fmt: skip


def write_toy_parts(folder: Path, name: str = "toy", seed: int = 0, chunk: int = 4) -> list[str]:
    """Rows and arrays of the toy dataset; the caller finishes it."""
    dropped = pd.DataFrame({"stage": ["n"], "reason": ["N"], "pool": ["peaks"], "count": [2]})
    runs = {"0": {"train": ["train"], "valid": [], "test": ["test"]}}
    write_rows(
        folder / "rows", name=name, rows=toy_rows(), dropped=dropped, runs=runs,
        window_bp=20, margin_bp=2, reverse_complement=True, bootstrap_unit="contig",
    )  # fmt: skip
    for path, (spec, values) in toy_arrays(seed).items():
        blocks = (values[i : i + 7] for i in range(0, N, 7))
        write_array(
            folder / path, name=name, spec=spec, n=N, blocks=blocks,
            inputs=upstream(folder / "rows"), chunk_examples=chunk,
        )  # fmt: skip
    return [path for path in toy_arrays() if not path.startswith("mask")]


def write_toy_dataset(folder: Path, seed: int = 0) -> Path:
    """A whole dataset of 50 examples in ``folder``; returns ``folder``."""
    arrays = write_toy_parts(folder, seed=seed)
    finish_dataset(folder, name="toy", arrays=arrays)
    return folder
