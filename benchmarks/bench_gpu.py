"""A training step on a GPU, in float32 and bfloat16, against PyTorch on the same card.

For the networks of bench_step.py and one that reads 131,072 bp: examples/s; kernel time over wall time, where kernel
time is what the profiler saw of the device's work (kernels and copies, overlaps counted once) and wall time that of
steps without a profiler; and the share of the card's measured bfloat16 rate that the network's own operations reach,
whatever the compiler made of them. Float32 may use TF32 on both sides, as jax does by default. Ours runs with
repeatable kernels, as the jobs of seqmill do; PyTorch with the fastest that it finds.

Both sides take turns in processes of their own. PyTorch (its CUDA build) gets an environment of its own at the first
run. `--rehearse` runs all of it on a CPU with few examples and writes nothing.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import bench_step
import numpy as np
from bench_step import NETWORKS, Worker, prepare_peers
from common import ROOT, interleave, write_result

from seqmill.runtime.device import choose_device
from seqmill.runtime.errors import SeqmillError

HERE = ROOT / "benchmarks"
PEERS, LOCK = ROOT / ".venv-peers-cuda", HERE / "peers" / "requirements-cuda.txt"
VARIANTS = ("eager", "eager, channels last", "compiled", "compiled, channels last", "compiled, graphs")
PRECISIONS = ("float32", "bfloat16")
GOAL = 0.95
REPEATS, SECONDS, PROFILED = 5, 2.0, 20  # profiled: steps
MATRIX = 8192
LONG = (
    {"bp": 131_072, "bin_bp": 128, "tracks": 64, "channels": 256, "stem_width": 15, "tower_width": 5}
    | {"dilated_layers": 7, "dropout": 0.1}
)  # fmt: skip
SHAPES = {name: shape for name, (_, shape) in NETWORKS.items()} | {"profile_cnn": LONG}
BATCHES = {"basset": 1024, "bpnet": 256, "deepsea": 512, "danq": 512, "profile_cnn": 8}


def write_batch(folder: Path, name: str, examples: int, shape: dict[str, Any]) -> None:
    if name != "profile_cnn":
        bench_step.write_batch(folder, name, examples, shape)
        return
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (examples, shape["bp"]), dtype=np.uint8)
    counts = rng.poisson(1.0, (examples, shape["bp"] // shape["bin_bp"], shape["tracks"])).astype(np.float32)
    np.savez(folder / "batch.npz", **{"inputs/sequence": codes, "targets/profile": counts})


def steps_for(worker: Worker, seconds: float) -> int:
    """Steps that take about so long; warms up the worker."""
    worker.ask("steps", n=3)
    return max(1, round(seconds / (worker.ask("steps", n=3)["seconds"] / 3)))


def fastest_variant(peer: Worker, variants: tuple[str, ...], precision: str) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of a step of each variant, the fastest first, and why others do not run."""
    seconds, failed = {}, {}
    for variant in variants:
        peer.ask("build", variant=variant, dropout=True, precision=precision)
        first = peer.attempt("steps", n=3)  # compiles
        if "failed" in first:
            failed[variant] = first["failed"].partition("\n")[0]
        else:
            seconds[variant] = min(peer.ask("steps", n=5)["seconds"] for _ in range(2)) / 5
    return dict(sorted(seconds.items(), key=lambda item: item[1])), failed


def measure(name: str, options: argparse.Namespace, python: Path, scratch: str) -> list[dict[str, Any]]:
    """Two rows: this network in both precisions."""
    device, examples, shape = ("cpu", 2, SHAPES[name]) if options.rehearse else ("gpu", BATCHES[name], SHAPES[name])
    if options.rehearse and name == "profile_cnn":
        shape = {**shape, "bp": 4096, "channels": 16}
    repeats, seconds, profiled, variants = REPEATS, SECONDS, PROFILED, VARIANTS
    if options.rehearse:
        repeats, seconds, profiled, variants = 1, 0.0, 2, VARIANTS[:2]
    environment = {"TORCHINDUCTOR_CACHE_DIR": scratch, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # two share the card
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        write_batch(Path(temporary), name, examples, shape)
        ours = Worker([sys.executable, str(HERE / "gpu_ours.py"), "1", device], environment)
        torch_device = "cpu" if options.rehearse else "cuda"
        peer = Worker([str(python), str(HERE / "peers" / "gpu_torch.py"), torch_device], environment)
        try:
            facts = ours.ask("open", folder=temporary, network=name, shape=shape)
            facts |= peer.ask("open", folder=temporary, network=name, shape=shape, threads=1) | peer.ask("name")
            equality = bench_step.check_equal(Path(temporary), ours, peer)
            ceiling = ours.ask("ceiling", size=256 if options.rehearse else MATRIX)["flops_per_s"]
            for precision in PRECISIONS:
                trial, failed = fastest_variant(peer, variants, precision)
                best = next(iter(trial))
                peer.ask("build", variant=best, dropout=True, precision=precision)
                flops = ours.ask("build", precision=precision)["flops"]
                sides = {"seqmill": ours, "torch": peer}
                n = {side: steps_for(worker, seconds) for side, worker in sides.items()}
                turns = {side: partial(worker.ask, "steps", n=n[side]) for side, worker in sides.items()}
                raw = interleave(turns, repeats)
                row: dict[str, Any] = {"network": name, "precision": precision, "bp": shape["bp"], "batch": examples}
                for side, worker in sides.items():
                    step = median(raw[side]) / n[side]
                    kernels = worker.ask("profile", n=profiled)
                    if not kernels.get("busy_s"):
                        raise SystemExit(f"the profiler of {side} saw no work on the device: {kernels}")
                    row |= {
                        f"{side}_examples_per_s": examples / step,
                        f"{side}_kernel_over_wall": kernels["busy_s"] / profiled / step,
                        f"{side}_busy_under_profiler": kernels["busy_s"] / kernels["span_s"],
                        f"{side}_of_bf16_ceiling": flops / step / ceiling,
                    }
                row |= {
                    "value": row["seqmill_kernel_over_wall"],
                    "ratio": row["seqmill_examples_per_s"] / row["torch_examples_per_s"],
                    "torch_variant": best,
                    "torch_trial_s": trial,
                    "torch_failed": failed,
                    "flops_a_step": flops,
                    "bf16_ceiling_flops_per_s": ceiling,
                    "raw_s": raw,
                    "steps_a_measurement": n,
                    "equality": equality,
                    **facts,
                }
                print(
                    f"{name}, {precision}: {row['seqmill_examples_per_s']:.0f} examples/s, "
                    f"{row['ratio']:.2f} x torch ({best}), kernels {row['value']:.1%} of the time, "
                    f"{row['seqmill_of_bf16_ceiling']:.1%} of the bf16 ceiling",
                    flush=True,
                )
                rows.append(row)
        finally:
            ours.close()
            peer.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, tiny, without a result")
    options = parser.parse_args()
    python = PEERS
    if options.rehearse:
        python = bench_step.PEERS
        prepare_peers()
    else:
        try:
            choose_device("gpu", 1)  # both sides then use the card that is leased here
        except SeqmillError as error:
            print(f"bench-gpu is ready to run, but not on this machine, so nothing was measured: {error}")
            return
        prepare_peers(PEERS, LOCK)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.networks:
            rows += measure(name, options, python / "bin" / "python", scratch)
    if not options.rehearse and set(options.networks) == set(SHAPES):
        worst = min(row["value"] for row in rows)
        card = os.environ.get("CUDA_VISIBLE_DEVICES")
        write_result("gpu", worst, "kernel time over wall time, worst row", f">= {GOAL}", REPEATS, rows, visible=card)


if __name__ == "__main__":
    main()
