"""A training step on the CPU against PyTorch: the same network, shapes, batch and threads, float32 on both sides.

A step is one-hot coding, forward pass, loss, gradient and Adam, on a batch of base codes that lies in memory. PyTorch
runs in each of the variants below, the fastest counts; both sides take turns in processes of their own and both get
their memory in huge pages, as the jobs of seqmill do. Before any timing, loss and gradients of both networks with the
same weights must agree (dropout off, batch statistics of the batch).

PyTorch lives in an environment of its own (peers/requirements.txt), set up here at the first run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import ROOT, interleave, write_result

from seqmill.runtime.device import KEEP_MEMORY
from seqmill.runtime.job import HUGE_PAGES

PEERS = ROOT / ".venv-peers"
LOCK = ROOT / "benchmarks" / "peers" / "requirements.txt"
VARIANTS = ("eager", "eager, channels last", "compiled", "compiled, channels last")
REPEATS = 5
SECONDS = 2.0  # a measurement is as many steps as take about so long
TRIALS = 2  # of each variant, to find the fastest
LOSS_TOLERANCE = 1e-5
# Relative to a parameter's own gradient: where rounding turns a ReLU or another maximum, single gradients change.
GRADIENT_TOLERANCE = 0.02

# name -> examples a batch, and the network: bp, tasks, the settings of the published one
NETWORKS: dict[str, tuple[int, dict[str, Any]]] = {
    "basset": (
        128,
        {"bp": 600, "tasks": 164, "filters": [300, 200, 200], "widths": [19, 11, 7], "pools": [3, 4, 4]}
        | {"hidden": [1000, 1000], "dropout": 0.3},
    ),
    "bpnet": (
        64,
        {"bp": 2114, "offset_bp": 557, "filters": 64, "width": 21, "dilated_layers": 8, "profile_width": 75},
    ),
    "deepsea": (
        100,
        {"bp": 1000, "tasks": 919, "filters": [320, 480, 960], "width": 8, "pools": [4, 4, 1]}
        | {"dropout": [0.2, 0.2, 0.5], "hidden": 925},
    ),
    "danq": (
        100,
        {"bp": 1000, "tasks": 919, "filters": 320, "width": 26, "pool": 13, "pool_dropout": 0.2, "lstm": 320}
        | {"lstm_dropout": 0.5, "hidden": 925},
    ),
}


class Worker:
    """A process that answers one JSON line to each command."""

    def __init__(self, call: list[str], environment: dict[str, str]):
        self.process = subprocess.Popen(
            call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer; ends the benchmark if there is none."""
        found = self.attempt(do, **arguments)
        if "failed" in found:
            raise SystemExit(f"{self.process.args[1]}, {do}: {found['failed']}")
        return found

    def attempt(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer, which may be that it ``failed``."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[1]} ended at command {do!r}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def write_batch(folder: Path, name: str, examples: int, shape: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    batch = {"inputs/sequence": rng.integers(0, 4, (examples, shape["bp"]), dtype=np.uint8)}
    if name == "bpnet":
        batch["targets/profile"] = rng.poisson(1.0, (examples, 1000, 1)).astype(np.float32)
        batch["targets/count"] = rng.poisson(1.0, (examples, 1)).astype(np.float32)
    else:
        batch["targets/peaks"] = (rng.random((examples, shape["tasks"])) < 0.1).astype(np.uint8)
    np.savez(folder / "batch.npz", **batch)


def prepare_peers(folder: Path = PEERS, lock: Path = LOCK) -> None:
    """Set up the environment of PyTorch, unless it is there as locked."""
    stamp = folder / "seqmill.stamp"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return
    if sys.version_info[:2] != (3, 11):
        raise SystemExit("PyTorch is locked for Python 3.11 (make bench-... PYTHON=...)")
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    subprocess.run([base, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    if subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(lock)]).returncode:
        raise SystemExit(f"PyTorch could not be installed; {lock.relative_to(ROOT)} says what is needed")
    stamp.write_text(lock.read_text())


def off(mine: np.ndarray, theirs: np.ndarray, floor: float) -> float:
    """Norm of the difference, relative to the norm of ``theirs`` or to ``floor``."""
    return float(np.linalg.norm(mine - theirs)) / max(float(np.linalg.norm(theirs)), floor)


def check_equal(folder: Path, ours: Worker, peer: Worker) -> dict[str, float]:
    """Loss and largest differences of both sides; stops the benchmark if the networks are not the same."""
    mine = ours.ask("check")
    peer.ask("load")
    with np.load(folder / "gradients_ours.npz") as file:
        gradients = dict(file)
    # Gradients that are rounding alone (a bias before a normalisation) are compared with the largest of all.
    floor = 1e-3 * max(float(np.linalg.norm(gradient)) for gradient in gradients.values())
    found = {"loss": mine["loss"], "loss_difference": 0.0, "gradient_difference": 0.0}
    for variant in VARIANTS[:2]:  # compiled ones are the same modules
        theirs = peer.ask("check", variant=variant)
        with np.load(folder / "gradients_torch.npz") as file:
            if set(gradients) != set(file):
                raise SystemExit(f"the networks differ in {sorted(set(gradients) ^ set(file))}")
            differences = {name: off(gradient, file[name], floor) for name, gradient in gradients.items()}
        worst = max(differences, key=differences.__getitem__)
        loss = abs(mine["loss"] - theirs["loss"]) / abs(mine["loss"])
        if loss > LOSS_TOLERANCE or not differences[worst] < GRADIENT_TOLERANCE:
            raise SystemExit(
                f"torch, {variant}: not the same network: loss {theirs['loss']}, ours {mine['loss']}; "
                f"gradient of {worst} off by {differences[worst]:.2g}"
            )
        found["loss_difference"] = max(found["loss_difference"], loss)
        found["gradient_difference"] = max(found["gradient_difference"], differences[worst])
    return found


def steps_for(worker: Worker) -> int:
    """Steps that take about `SECONDS`; warms up the worker."""
    worker.ask("steps", n=1)
    return max(1, round(SECONDS / worker.ask("steps", n=1)["seconds"]))


def fastest_variants(peer: Worker, variants: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds of a step of each variant, the fastest first, and why others do not run."""
    seconds, failed = {}, {}
    for variant in variants:
        peer.ask("build", variant=variant, dropout=True)
        first = peer.attempt("steps", n=1)
        if "failed" in first:
            failed[variant] = first["failed"].partition("\n")[0]
        else:
            seconds[variant] = min(peer.ask("steps", n=1)["seconds"] for _ in range(TRIALS))
    return dict(sorted(seconds.items(), key=lambda item: item[1])), failed


def measure(name: str, threads: int, variants: Sequence[str], scratch: str) -> dict[str, Any]:
    """One row: our step beside the fastest of these variants of PyTorch, in turns."""
    examples, shape = NETWORKS[name]
    environment = {"OMP_NUM_THREADS": str(threads), "GLIBC_TUNABLES": HUGE_PAGES, "TORCHINDUCTOR_CACHE_DIR": scratch}
    environment |= {name: str(value) for name, (_, value) in KEEP_MEMORY.items()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_batch(folder, name, examples, shape)
        here = ROOT / "benchmarks"
        ours = Worker([sys.executable, str(here / "step_ours.py"), str(threads)], environment)
        peer = Worker([str(PEERS / "bin" / "python"), str(here / "peers" / "step_torch.py")], environment)
        try:
            facts = ours.ask("open", folder=temporary, network=name, shape=shape)
            facts |= peer.ask("open", folder=temporary, network=name, shape=shape, threads=threads)
            equality = check_equal(folder, ours, peer)
            trial, failed = fastest_variants(peer, variants)
            best = next(iter(trial))
            peer.ask("build", variant=best, dropout=True)
            ours.ask("build")
            sides = {"seqmill": (ours, steps_for(ours)), "torch": (peer, steps_for(peer))}
            raw = interleave({side: partial(worker.ask, "steps", n=n) for side, (worker, n) in sides.items()}, REPEATS)
        finally:
            ours.close()
            peer.close()
    rates = {side: [examples * sides[side][1] / seconds for seconds in times] for side, times in raw.items()}
    mine, theirs = median(rates["seqmill"]), median(rates["torch"])
    print(
        f"{name}, {threads} threads: {mine:.1f} examples/s, torch ({best}) {theirs:.1f}: {mine / theirs:.2f}x",
        flush=True,
    )
    return {
        "network": name,
        "threads": threads,
        "batch": examples,
        "value": round(mine / theirs, 3),
        "reached": mine >= theirs,
        "seqmill_examples_per_s": mine,
        "torch_examples_per_s": theirs,
        "torch_variant": best,
        "raw_s": raw,
        "steps_a_measurement": {side: n for side, (_, n) in sides.items()},
        "torch_trial_s": trial,
        "torch_failed": failed,
        "equality": equality,
        **facts,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    options = parser.parse_args()
    prepare_peers()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.networks:
            variants: Sequence[str] = VARIANTS
            for threads in options.threads:
                rows.append(measure(name, threads, variants, scratch))
                variants = list(rows[-1]["torch_trial_s"])[:2]  # the next thread count tries the two fastest
    if set(options.networks) == set(NETWORKS):
        worst = min(row["value"] for row in rows)
        write_result("step", worst, "x PyTorch's examples/s, worst row", ">= 1.0", REPEATS, rows)


if __name__ == "__main__":
    main()
