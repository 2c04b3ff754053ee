"""Attribution: do contributions add up, do they agree with Captum's, and how long do they take?

1. Completeness: |sum of contributions - difference from a reference| / max(|difference|, 1e-3 x range of the scores),
   the largest over sequences, references and tracks, of DeepLIFT on every network (published sizes, random weights and
   batch statistics). Integrated gradients are listed beside it, but nothing is promised of them; gradient x input adds
   up to nothing.
2. Agreement with Captum on networks with the same weights and references, both sides in float64: largest difference of
   a contribution, relative to the range of contributions. Captum explains one reference at a time (DeepLift) and all at
   once (DeepLiftShap), where captum 0.9.0 gives positions of a max pooling that have not moved the gradient of the
   first reference (`maxpool`).
3. Seconds a sequence with 20 references, one track: ours (float64) and Captum's DeepLiftShap (float32) in turns, in
   processes of their own.

Captum lives in an environment of its own (peers/requirements-attribution.txt), set up here at the first run.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_step import Worker, prepare_peers
from common import ROOT, interleave, write_result

HERE = ROOT / "benchmarks"
PEERS, LOCK = ROOT / ".venv-peers-attribution", HERE / "peers" / "requirements-attribution.txt"
GOAL = 1e-4
REFERENCES, REPEATS, SECONDS = 20, 5, 4.0
STEPS, GRADIENT_REFERENCES = 50, 2
"""Of integrated gradients, which evaluates a network once a step and reference."""
VALUE, LOGIT = {"out": {"kind": "quantity"}}, {"out": {"kind": "binary", "tracks": 2}}
PROFILE = {"profile": {"kind": "profile", "bins": 1000, "bp_per_bin": 1, "offset_bp": 557}, "out": {"kind": "quantity"}}
BINS = {"profile": {"kind": "profile", "bins": 32, "bp_per_bin": 32, "offset_bp": 0}}

# label -> architecture, bp and settings where they are not the published ones, targets
NETWORKS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "basset": ("basset", {"bp": 600}, LOGIT),
    "bpnet": ("bpnet", {"bp": 2114}, PROFILE),
    "danq": ("danq", {"bp": 1000}, LOGIT),
    "deepbind": ("deepbind", {"bp": 101}, LOGIT),
    "deepbind, both strands": ("deepbind", {"bp": 101, "both_strands": True, "batch_norm": True}, LOGIT),
    "deepsea": ("deepsea", {"bp": 1000}, LOGIT),
    "dense": ("dense", {"bp": 200}, VALUE),
    "factorized_basset": ("factorized_basset", {"bp": 600}, LOGIT),
    "mmsplice acceptor": ("mmsplice", {"bp": 53, "module": "acceptor"}, VALUE),
    "mmsplice donor": ("mmsplice", {"bp": 18, "module": "donor"}, VALUE),
    "mmsplice exon": ("mmsplice", {"bp": 150, "module": "exon"}, VALUE),
    "mmsplice intron": ("mmsplice", {"bp": 94, "module": "intron"}, VALUE),
    "primer_cnn": ("primer_cnn", {"bp": 50}, {"out": {"kind": "class", "tracks": 2}}),
    "profile_cnn": ("profile_cnn", {"bp": 1024}, BINS),
}
SHARED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "small": (
        "deepsea", {"bp": 60, "filters": [8], "width": 8, "pools": [4], "dropout": [0.0], "hidden": 16}, VALUE,
    ),
    "basset": (
        "basset",
        {"bp": 600, "filters": [300, 200, 200], "widths": [19, 11, 7], "pools": [3, 4, 4], "hidden": [1000, 1000]},
        VALUE,
    ),
    "bpnet": ("bpnet", {"bp": 2114, "filters": 64, "width": 21, "dilated_layers": 8, "profile_width": 75}, PROFILE),
}  # fmt: skip


def completeness(name: str, threads: int, steps: int, folder: str) -> list[dict[str, Any]]:
    """Rows of one network: DeepLIFT, for which something is promised, and integrated gradients."""
    architecture, shape, kinds = NETWORKS[name]
    worker = Worker(
        [sys.executable, str(HERE / "attribution_ours.py"), str(threads)], {"OMP_NUM_THREADS": str(threads)}
    )
    rows = []
    try:
        worker.ask("open", folder=folder, architecture=architecture, shape=shape, kinds=kinds)
        gradients = {"references": GRADIENT_REFERENCES, "steps": steps}
        for method, how in (("deeplift", {"references": REFERENCES}), ("integrated_gradients", gradients)):
            worker.ask("prepare", method=method, targets=None, **how)
            found = worker.ask("explain")
            claimed = method == "deeplift"
            row = {
                "what": "completeness",
                "network": name,
                "method": method,
                "claimed": claimed,
                "value": found["error"],
            }
            rows.append(row | how | ({"reached": found["error"] <= GOAL} if claimed else {}))
            print(f"{name}, {method}: {found['error']:.2g}", flush=True)
    finally:
        worker.close()
    return rows


def beside_captum(name: str, threads: int, repeats: int, folder: str) -> list[dict[str, Any]]:
    """Agreement and time on one shared network."""
    architecture, shape, kinds = SHARED[name]
    environment = {"OMP_NUM_THREADS": str(threads)}
    ours = Worker([sys.executable, str(HERE / "attribution_ours.py"), str(threads)], environment)
    peer = Worker([str(PEERS / "bin" / "python"), str(HERE / "peers" / "attribution_torch.py")], environment)
    try:
        ours.ask("open", folder=folder, architecture=architecture, shape=shape, kinds=kinds)
        ours.ask("prepare", method="deeplift", targets=["out"], references=REFERENCES)
        facts = peer.ask("open", folder=folder, network=architecture, shape=shape, threads=threads)
        ours.ask("explain")
        mine = np.load(Path(folder) / "ours.npz")["out"][..., 0]
        rows = []
        for together in (False, True):
            found = peer.ask("explain", together=together)
            theirs = np.load(Path(folder) / "captum.npz")["out"]
            off = float(np.abs(mine - theirs).max() / np.ptp(theirs))
            how = "DeepLiftShap, all references at once" if together else "DeepLift, one reference at a time"
            row = {"what": "agreement", "network": name, "way": how, "value": off, "captum_error": found["error"]}
            rows.append(row | facts)
            print(
                f"{name}, Captum's {how}: off by {off:.2g} of the range; its own sums {found['error']:.2g}", flush=True
            )
        counts = {side: _count(worker) for side, worker in (("seqmill", ours), ("captum", peer))}
        turns = {"seqmill": partial(ours.ask, "run", n=counts["seqmill"])}
        turns["captum"] = partial(peer.ask, "run", n=counts["captum"])
        raw = interleave(turns, repeats)
    finally:
        ours.close()
        peer.close()
    each = {side: median(times) / counts[side] for side, times in raw.items()}
    times = {"seqmill_s": each["seqmill"], "captum_s": each["captum"], "raw_s": raw, "sequences": counts}
    row = {"what": "time", "network": name, "threads": threads, "value": round(each["captum"] / each["seqmill"], 3)}
    print(f"{name}: {each['seqmill']:.3f} s a sequence, Captum {each['captum']:.3f} s: {row['value']:.2f}x", flush=True)
    return [*rows, row | times]


def _count(worker: Worker) -> int:
    """Sequences that take about `SECONDS`; warms up the worker."""
    worker.ask("run", n=1)
    return max(1, round(SECONDS / worker.ask("run", n=1)["seconds"]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--shared", nargs="*", default=list(SHARED), choices=SHARED)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    if options.shared:
        prepare_peers(PEERS, LOCK)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            rows += completeness(name, options.threads, options.steps, folder)
        for name in options.shared:
            rows += beside_captum(name, options.threads, options.repeats, folder)
    chosen = [options.networks, options.shared, options.steps, options.repeats]
    if chosen == [list(NETWORKS), list(SHARED), STEPS, REPEATS]:
        worst = max(row["value"] for row in rows if row.get("claimed"))
        write_result("attribution", worst, "relative error of sums, worst network", f"<= {GOAL:g}", REPEATS, rows)


if __name__ == "__main__":
    main()
