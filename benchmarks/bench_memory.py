"""Memory and speed of a training whose dataset is larger than the memory it may use.

Two datasets of the same kind, one ten times the other: windows of 2,114 bp with the signal of their central 1,000 bp.
Before each measurement all files of both are dropped from the page cache, and how much of them is still in memory is
asked of the kernel. A measurement is a fresh process: a training of so many steps by the stage of the workflow, or the
loader alone over as many examples as the large dataset has. Its peak is ``ru_maxrss``, jax and all libraries included;
the page cache is not part of it. Both sizes take turns.
"""

import argparse
import ctypes
import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import numpy as np
import pandas as pd
from common import write_result
from simulated_datasets import PROFILE_BP, WINDOW_BP

from seqmill.runtime.job import HUGE_PAGES

GOAL_BYTES, GOAL_CHANGE = 2_000_000_000, 0.10
BATCH, BLOCK, HELD_OUT = 256, 8192, 2048
BYTES_AN_EXAMPLE = 4_300  # on disk, about
# It costs so little that the loader has to keep up with thousands of examples a second.
NETWORK = {"architecture": "dense", "settings": {"hidden": [4]}}


def write_windows(folder: Path, n: int) -> Path:
    """``n`` training windows of random bases and signal, and `HELD_OUT` of each other part."""
    from seqmill.stores.dataset import finish_dataset, write_array, write_rows
    from seqmill.stores.layout import upstream
    from seqmill.stores.specs import ArraySpec

    name, total = folder.stem, n + 2 * HELD_OUT
    starts = np.arange(total, dtype=np.int64) * WINDOW_BP
    rows = pd.DataFrame(
        {"genome": "sim", "contig": "chr1", "start": starts, "end": starts + WINDOW_BP, "strand": 1, "pool": "all",
         "fold": np.repeat(["train", "valid", "test"], [n, HELD_OUT, HELD_OUT]), "group": "", "name": "",
         "source_row": -1}
    )  # fmt: skip
    write_rows(
        folder / "rows", name=name, rows=rows,
        dropped=pd.DataFrame(columns=["stage", "reason", "pool", "fold", "count"]),
        runs={"0": {part: [part] for part in ("train", "valid", "test")}}, window_bp=WINDOW_BP, margin_bp=0,
        reverse_complement=True, bootstrap_unit="contig",
    )  # fmt: skip
    offset = (WINDOW_BP - PROFILE_BP) // 2
    sequence = ArraySpec(
        "input", "sequence", ("example", "bp"), "uint8", (WINDOW_BP,), "sequence", bp_per_bin=1, rc="sequence",
        shift="moves",
    )  # fmt: skip
    profile = ArraySpec(
        "target", "profile", ("example", "bins", "tracks"), "float32", (PROFILE_BP, 1), "profile", group="main",
        bp_per_bin=1, offset_bp=offset, rc="reverse", shift="moves", tracks=("sim",),
    )  # fmt: skip
    rng = np.random.default_rng(0)

    def codes(count: int) -> np.ndarray:
        return rng.integers(0, 4, (count, WINDOW_BP), np.uint8)

    def signal(count: int) -> np.ndarray:
        return rng.random((count, PROFILE_BP, 1), np.float32)

    for path, spec, make in (("inputs/sequence", sequence, codes), ("targets/profile/main", profile, signal)):
        blocks = (make(min(BLOCK, total - at)) for at in range(0, total, BLOCK))
        write_array(folder / path, name=name, spec=spec, n=total, blocks=blocks, inputs=upstream(folder / "rows"))
    finish_dataset(folder, name=name, arrays=["inputs/sequence", "targets/profile/main"])
    return folder


def files_of(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def drop(folder: Path) -> None:
    """Take a folder's files out of the page cache."""
    for path in files_of(folder):
        with open(path, "rb") as handle:
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident_bytes(folder: Path) -> int:
    """Bytes of a folder's files that are in the page cache."""
    libc, pages = ctypes.CDLL(None, use_errno=True), 0
    for path in files_of(folder):
        size = path.stat().st_size
        with open(path, "rb") as handle, mmap.mmap(handle.fileno(), size, mmap.MAP_PRIVATE) as view:
            seen = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
            start = ctypes.c_char.from_buffer(view)
            failed = libc.mincore(
                ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), seen.ctypes.data_as(ctypes.c_void_p)
            )
            del start
            if failed:
                raise OSError(ctypes.get_errno(), "mincore")
        pages += int((seen & 1).sum())
    return pages * mmap.PAGESIZE


def measure(asked: dict[str, Any], datasets: dict[str, Path]) -> dict[str, Any]:
    """What a fresh process found, after all files were dropped from the page cache."""
    for folder in datasets.values():
        drop(folder)
    cached = sum(resident_bytes(folder) for folder in datasets.values())
    call = [sys.executable, str(ROOT / "benchmarks/loader_ours.py"), json.dumps(asked)]
    environment = {**os.environ, "GLIBC_TUNABLES": HUGE_PAGES}
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return {**json.loads(done.stdout.splitlines()[-1]), "cached_bytes_before": cached}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=6.3, help="size of the large dataset on disk")
    parser.add_argument("--steps", type=int, default=1500, help="steps of a training")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the datasets are written for the time of the run")
    options = parser.parse_args()
    many = round(options.gb * 1e9 / BYTES_AN_EXAMPLE)
    with tempfile.TemporaryDirectory(prefix="seqmill-memory-", dir=options.folder) as temporary:
        folder = Path(temporary).resolve()
        datasets = {
            "large": write_windows(folder / "datasets/large.zarr", many),
            "small": write_windows(folder / "datasets/small.zarr", many // 10),
        }
        size = {name: sum(path.stat().st_size for path in files_of(place)) for name, place in datasets.items()}
        kinds = {
            "training": {"what": "train", "steps": options.steps, "network": NETWORK, "threads": os.cpu_count() or 1},
            "loader alone": {"what": "serve", "examples": many},
        }
        runs: dict[tuple[str, str], list[dict[str, Any]]] = {(kind, name): [] for kind in kinds for name in datasets}
        for turn in range(options.repeats):
            for kind, asked in kinds.items():
                for name in datasets if turn % 2 == 0 else reversed(datasets):
                    call = {**asked, "dataset": str(datasets[name]), "batch_size": BATCH}
                    runs[kind, name].append(measure(call, datasets))
    rows = []
    for kind in kinds:
        rates = {name: median(run["examples_per_s"] for run in runs[kind, name]) for name in datasets}
        peak = max(run["peak_bytes"] for name in datasets for run in runs[kind, name])
        change = rates["large"] / rates["small"] - 1
        print(f"{kind}: {rates['large']:,.0f} examples/s ({change:+.1%}), peak {peak / 1e9:.2f} GB", flush=True)
        row = {"case": kind, "value": change, "peak_bytes": peak, "examples_per_s": rates}
        # The loader alone is as fast as the disk for the large dataset, as memory for the small one's later passes.
        row["reached"] = peak <= GOAL_BYTES and (kind != "training" or abs(change) <= GOAL_CHANGE)
        rows.append(row | {"runs": {name: runs[kind, name] for name in datasets}})
    write_result(
        "memory", max((row["value"] for row in rows), key=abs),
        "relative change of examples/s, large dataset against small, worst row",
        "a training's within 0.10; peak <= 2 GB", options.repeats, rows, dataset_bytes=size, batch_size=BATCH,
        network=NETWORK, load=os.getloadavg(),
    )  # fmt: skip
    if size["large"] < 6e9 or not all(row["reached"] for row in rows):
        print(f"not reached, or the dataset is small: {size['large'] / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
