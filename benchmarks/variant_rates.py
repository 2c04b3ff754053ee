"""Rates of single-base variants: the scorer, the plain batched way and tangermeme, in turns, with the same weights.

Windows of REF and ALT lie in memory on all sides, one strand is predicted, and each side uses the batch size at which
it is fastest. Effects must agree before anything is timed.
"""

import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_step import NETWORKS, Worker, prepare_peers
from common import ROOT, interleave

PEERS = ROOT / ".venv-peers-tangermeme"
LOCK = ROOT / "benchmarks" / "peers" / "requirements-tangermeme.txt"
BATCHES = (16, 32, 64, 128, 256, 512)
TOLERANCE = 1e-5
"""Of the largest prediction: effects are differences of float32 numbers of its size."""


def fastest(worker: Worker, tried: Any) -> tuple[int, dict[int, float]]:
    """The fastest batch size, and variants a second of each; ``tried`` runs one."""
    rates = {}
    for batch in BATCHES:
        found = tried(worker, batch)
        rates[batch] = found["variants"] / found["seconds"]
    return max(rates, key=rates.__getitem__), rates


def try_ours(worker: Worker, batch: int) -> dict[str, Any]:
    worker.ask("build", batch=batch)
    return worker.ask("effects", way="batched", parts=1)


def try_peer(worker: Worker, batch: int) -> dict[str, Any]:
    worker.ask("effects", batch=batch, parts=1)
    return worker.ask("effects", batch=batch, parts=1)


def measure(folder: Path, network: str, vcf: Path, n: int, threads: int, repeats: int) -> dict[str, Any]:
    """One row: variants a second of each side, median of the repeats."""
    prepare_peers(PEERS, LOCK)
    here, environment = ROOT / "benchmarks", {"OMP_NUM_THREADS": str(threads)}
    ours = Worker([sys.executable, str(here / "variants_ours.py"), str(threads)], environment)
    peer = Worker([str(PEERS / "bin" / "python"), str(here / "peers" / "variants_tangermeme.py")], environment)
    try:
        facts = ours.ask("open", folder=str(folder), network=network, vcf=str(vcf), n=n)
        shape, scales = NETWORKS[network][1], facts.pop("scales")
        facts |= peer.ask("open", folder=str(folder), network=network, shape=shape, scales=scales, threads=threads)
        mine, my_rates = fastest(ours, try_ours)
        theirs, their_rates = fastest(peer, try_peer)
        ours.ask("build", batch=mine)
        for way in ("scorer", "batched"):
            ours.ask("effects", way=way, keep=True)
        peer.ask("effects", batch=theirs, keep=True)
        difference = agreement(folder, network)
        raw = interleave(
            {
                "scorer": partial(ours.ask, "effects", way="scorer"),
                "batched": partial(ours.ask, "effects", way="batched"),
                "tangermeme": partial(peer.ask, "effects", batch=theirs),
            },
            repeats,
        )
    finally:
        ours.close()
        peer.close()
    rates = {side: facts["variants"] / median(seconds) for side, seconds in raw.items()}
    row = {
        "what": f"rate, {network}", "variants": facts["variants"], "threads": threads, "repeats": repeats,
        "variants_per_s": rates, "times_batched": rates["scorer"] / rates["batched"],
        "times_tangermeme": rates["scorer"] / rates["tangermeme"], "batch": {"seqmill": mine, "tangermeme": theirs},
        "batch_trials": {"seqmill": my_rates, "tangermeme": their_rates}, "raw_s": raw,
        "largest_difference": difference, **facts,
    }  # fmt: skip
    print(
        f"{network}: scorer {rates['scorer']:.0f} variants/s, batched {rates['batched']:.0f}, tangermeme "
        f"{rates['tangermeme']:.0f}; effects differ by {difference}", flush=True,
    )  # fmt: skip
    return row


def agreement(folder: Path, network: str) -> dict[str, float]:
    """Largest difference of effects from the batched way, of the largest prediction; stops if it is too large."""
    sides = {way: np.load(folder / f"{network}.{way}.npy") for way in ("scorer", "batched", "tangermeme")}
    largest = float(np.load(folder / f"{network}.largest.npy"))
    found = {way: float(np.abs(x - sides["batched"]).max()) / largest for way, x in sides.items() if way != "batched"}
    if not max(found.values()) < TOLERANCE:
        raise SystemExit(f"{network}: not the same effects: {found}, largest prediction {largest}")
    return found
