"""The training loader against PyTorch DataLoaders: over bigWig and FASTA, and over random rows of HDF5.

Both sides give shuffled batches of the same examples and may use all cores; files are in the page cache. The DataLoader
runs in each of its variants (workers, examples one by one or batches at once, layout of the HDF5 file), the fastest of
which takes turns with ours. Before any timing, its examples are compared with those of the dataset. A last row is the
share of time that a training of Basset waits for its data.

PyTorch lives in an environment of its own (peers/requirements.txt), set up here at the first run.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import numpy as np
from bench_dataset import serve, turns
from bench_step import NETWORKS, PEERS, Worker, prepare_peers
from common import write_result
from simulated_datasets import PROFILE_BP, WINDOW_BP, basset_dataset, profile_dataset

from seqmill.runtime.job import HUGE_PAGES
from seqmill.stores.dataset import DatasetReader

GOAL_FILES, GOAL_ROWS, GOAL_WAITING = 10.0, 3.0, 0.02
TRIAL_S, TURN_S = 2.0, 4.0
COMPARED = 256
LAYOUTS: dict[str, dict[str, Any]] = {"contiguous": {}, "gzip": {"compression": "gzip", "compression_opts": 1}}
Variant = tuple[str, str, int]  # source, fetch, workers


def write_hdf5(path: Path, reader: Any, keys: Sequence[str], layout: str) -> Path:
    """The examples of a dataset in an HDF5 file, in its order; compressed ones in chunks of one row."""
    import h5py

    with h5py.File(path, "w") as out:
        out.attrs["keys"] = list(keys)
        for key in keys:
            first = reader.read(key, 0, 1)
            shape = (reader.n, *first.shape[1:])
            chunks = {"chunks": (1, *first.shape[1:])} if LAYOUTS[layout] else {}
            array = out.create_dataset(key, shape, first.dtype, **LAYOUTS[layout], **chunks)
            for at in range(0, reader.n, 8192):
                array[at : at + 8192] = reader.read(key, at, at + 8192)
    return path


def check_equal(peer: Worker, source: str, reader: Any, keys: Sequence[str], folder: Path) -> int:
    """Stop unless the peer's examples are those of the dataset; values compared."""
    rows = np.random.default_rng(0).permutation(reader.n)[:COMPARED].tolist()
    out, compared = folder / "peer.npz", 0
    peer.ask("examples", name=source, rows=rows, out=str(out))
    with np.load(out) as theirs:
        for key in keys:
            mine = np.concatenate([reader.read(key, row, row + 1) for row in rows])
            np.testing.assert_array_equal(theirs[key], mine)
            compared += mine.size
    return compared


def fastest(peer: Worker, sources: Sequence[str], workers: Sequence[int], batch_size: int) -> dict[Variant, float]:
    """Examples a second of each variant in a short trial, the fastest first."""
    rates = {}
    for source, fetch, count in product(sources, ("example", "batch"), workers):
        peer.ask("start", name=source, fetch=fetch, workers=count, batch_size=batch_size)
        one = peer.ask("serve", n=2 * max(1, count))
        again = peer.ask("serve", n=max(4, round(one["examples"] / batch_size * TRIAL_S / one["seconds"])))
        rates[source, fetch, count] = again["examples"] / again["seconds"]
    return dict(sorted(rates.items(), key=lambda item: -item[1]))


def compare(
    case: str, goal: float, dataset: Path, reader: Any, peer: Worker, sources: Sequence[str], batch_size: int,
    repeats: int, folder: Path,
) -> dict[str, Any]:  # fmt: skip
    """One row: ours beside the fastest variant of the DataLoader, in turns."""
    keys = [*(f"inputs/{name}" for name in reader.inputs), *(f"targets/{name}" for name in reader.targets)]
    compared = sum(check_equal(peer, source, reader, keys, folder) for source in sources)
    trial = fastest(peer, sources, (0, os.cpu_count() or 1), batch_size)
    source, fetch, workers = next(iter(trial))
    peer.ask("start", name=source, fetch=fetch, workers=workers, batch_size=batch_size)
    count = max(4, round(trial[source, fetch, workers] * TURN_S / batch_size))
    served = 2 * reader.n // batch_size * batch_size

    def theirs(_: int) -> float:
        found = peer.ask("serve", n=count)
        return found["examples"] / found["seconds"]

    sides: dict[str, Callable[[int], float]] = {
        "ours": lambda turn: serve(dataset, batch_size, served, turn), "torch": theirs,
    }  # fmt: skip
    rates = turns(sides, repeats)
    value = median(rates["ours"]) / median(rates["torch"])
    print(f"{case}: {value:.1f}x (goal {goal:g}x); torch best with {fetch}, {workers} workers, {source}", flush=True)
    return {
        "case": case, "value": value, "unit": "x", "goal": goal, "reached": value >= goal, "examples_per_s": rates,
        "torch_variant": {"source": source, "fetch": fetch, "workers": workers},
        "torch_trial_examples_per_s": {" / ".join(map(str, key)): rate for key, rate in trial.items()},
        "examples": reader.n, "batch_size": batch_size, "served_a_turn": served,
        "torch_served_a_turn": count * batch_size, "values_compared": compared,
    }  # fmt: skip


def waiting(dataset: Path, steps: int, repeats: int) -> dict[str, Any]:
    """Share of time that a training of Basset waits for its data."""
    batch_size, shape = NETWORKS["basset"]
    settings = {key: value for key, value in shape.items() if key not in ("bp", "tasks")}
    threads = os.cpu_count() or 1
    asked = {
        "what": "train", "dataset": str(dataset), "steps": steps, "batch_size": batch_size, "threads": threads,
        "network": {"architecture": "basset", "settings": settings},
    }  # fmt: skip
    call = [sys.executable, str(ROOT / "benchmarks/loader_ours.py"), json.dumps(asked)]
    runs = []
    for _ in range(repeats):
        environment = {**os.environ, "GLIBC_TUNABLES": HUGE_PAGES}
        done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    share = median(run["waiting_share"] for run in runs)
    print(f"Basset, batch {batch_size}: waits {100 * share:.2f} % of its time", flush=True)
    return {
        "case": f"training of Basset, share of time waiting for data, {steps} steps", "value": share, "unit": "share",
        "goal": GOAL_WAITING, "reached": share < GOAL_WAITING, "threads": threads, "runs": runs,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=40, help="megabases of the genome of the 2,114-bp windows")
    parser.add_argument("--examples", type=int, default=100_000, help="Basset-like examples")
    parser.add_argument("--steps", type=int, default=60, help="steps of the training that waits")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    prepare_peers()
    rows = []
    script = str(ROOT / "benchmarks/peers/loader_torch.py")
    packages = sysconfig.get_path("purelib", vars={"base": str(PEERS)})
    with tempfile.TemporaryDirectory(prefix="seqmill-loader-") as temporary:
        folder = Path(temporary).resolve()
        peer = Worker([sys.executable, script, packages], {})
        try:
            peer.ask("open")
            dataset, fasta, bigwig = profile_dataset(folder, options.mb * 1_000_000)
            reader = DatasetReader(dataset)
            np.save(folder / "starts.npy", reader.rows()["start"].to_numpy())
            files = {"fasta": str(fasta), "bigwig": str(bigwig), "starts": str(folder / "starts.npy")}
            peer.ask("windows", name="files", **files, window_bp=WINDOW_BP, profile_bp=PROFILE_BP)
            more = {"peer": peer, "repeats": options.repeats, "folder": folder, "batch_size": 64}
            keys = ("inputs/sequence", "targets/profile")
            for layout in LAYOUTS:
                path = write_hdf5(folder / f"windows_{layout}.h5", reader, keys, layout)
                peer.ask("rows", name=f"windows {layout}", path=str(path))
            case, hdf5 = "windows of 2,114 bp with profile", [f"windows {layout}" for layout in LAYOUTS]
            rows.append(
                compare(f"{case}, DataLoader over bigWig + FASTA", GOAL_FILES, dataset, reader, sources=["files"],
                        **more)
            )  # fmt: skip
            rows.append(
                compare(f"{case}, DataLoader over rows of HDF5", GOAL_ROWS, dataset, reader, sources=hdf5, **more)
            )  # fmt: skip
            dataset, _, _ = basset_dataset(folder, options.examples)
            reader = DatasetReader(dataset)
            for layout in LAYOUTS:
                path = write_hdf5(folder / f"basset_{layout}.h5", reader, ("inputs/sequence", "targets/peaks"), layout)
                peer.ask("rows", name=f"basset {layout}", path=str(path))
            hdf5 = [f"basset {layout}" for layout in LAYOUTS]
            rows.append(
                compare("Basset-like, DataLoader over rows of HDF5", GOAL_ROWS, dataset, reader, sources=hdf5,
                        **{**more, "batch_size": 128})
            )  # fmt: skip
        finally:
            peer.close()
        rows.append(waiting(dataset, options.steps, min(3, options.repeats)))
    worst = min(row["value"] / row["goal"] for row in rows if row["unit"] == "x")
    write_result(
        "loader", worst, "x of its goal, worst row of the comparisons",
        ">= 10x a DataLoader over bigWig + FASTA, >= 3x one over random rows of HDF5; waiting < 2 % of the time",
        options.repeats, rows, load=os.getloadavg(), cores=os.cpu_count(),
    )  # fmt: skip
    if not all(row["reached"] for row in rows):
        print("not reached: " + "; ".join(row["case"] for row in rows if not row["reached"]))


if __name__ == "__main__":
    main()
