"""Our side of bench_attribution.py: contributions of random networks, in a process of its own.

Called with the number of threads. Reads one JSON command a line and answers with one JSON line, as
peers/attribution_torch.py does.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from seqmill.runtime.device import choose_device

choose_device("cpu", int(sys.argv[1]))

import jax
import jax.numpy as jnp
import numpy as np
from peers.answers import serve

from seqmill.config.heads import Head
from seqmill.effects.attribution.contributions import Attribution, references
from seqmill.effects.mutagenesis import Stretch
from seqmill.models.registry import build
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.artefact import tensors_of
from seqmill.training.augment import View
from seqmill.training.heads import FittedHead
from seqmill.training.jitter import Jitter
from seqmill.training.kinds import Scaling
from seqmill.training.objectives import Supervised, split_module


class Side:
    """One network of one track at a time, as an ensemble of one run."""

    def __init__(self, folder: str, architecture: str, shape: dict[str, Any], kinds: dict[str, Any]):
        self.folder = Path(folder)
        self.facts = {"jax": jax.__version__}
        bp = shape.pop("bp")
        geometry = {"bp_per_bin": 1, "rc": "sequence", "shift": "moves"}
        inputs = {"sequence": ArraySpec("input", "sequence", ("example", "bp"), "uint8", (bp,), "sequence", **geometry)}
        targets = {name: _target(name, **kind) for name, kind in kinds.items()}
        graph, params, rest = split_module(build(architecture, shape, inputs, targets, 0))
        rng = np.random.default_rng(0)

        def statistic(path: Any, x: Any) -> Any:
            mean = "mean" in jax.tree_util.keystr(path)
            return jnp.asarray(rng.normal(0, 0.3, x.shape) if mean else rng.uniform(0.5, 2, x.shape), x.dtype)

        rest = jax.tree_util.tree_map_with_path(statistic, rest)
        one = {name: np.ones(len(spec.tracks), np.float32) for name, spec in targets.items()}
        heads = {n: FittedHead(s.kind, Head(), Scaling(0 * one[n], one[n])) for n, s in targets.items()}
        network = SimpleNamespace(
            info={"architecture": architecture}, graph=graph, params=params, rest=rest, objective=Supervised,
            view=View(inputs, targets, Jitter(0, 1), False), heads=heads, predicted=targets,
        )  # fmt: skip
        self.ensemble = SimpleNamespace(
            networks=[network], targets=targets, both_strands=False, shifts_bp=(0,), extent_bp=bp, batch_size=64,
            folders=[Path(architecture)],
        )  # fmt: skip

    def prepare(self, method: str, targets: list[str] | None, **how: int) -> dict[str, Any]:
        """Choose what to do; writes weights, sequences and references for the other side."""
        self.attribution = Attribution(self.ensemble, targets, method, **how)
        rng, bp = np.random.default_rng(1), self.ensemble.extent_bp
        self.stretches = [Stretch(rng.integers(0, 4, bp + 2).astype(np.uint8), 0, bp) for _ in range(4)]
        network = self.ensemble.networks[0]
        codes = np.stack([stretch.codes[1:-1] for stretch in self.stretches])
        shuffled = np.stack([references(row, how.get("references", 20)) for row in codes])
        np.savez(
            self.folder / "network.npz", codes=codes, references=shuffled, **tensors_of(network.params, network.rest)
        )
        return {}

    def explain(self) -> dict[str, Any]:
        """Contributions of all sequences into ``ours.npz``; the largest relative error, and absolute differences."""
        found = list(self.attribution.effects(self.stretches))
        own = {}
        for name in self.attribution.specs:
            values = np.stack([each.changes[f"substitutions/{name}"][0] for each in found])
            codes = np.stack([stretch.codes[1:-1] for stretch in self.stretches])
            own[name] = np.take_along_axis(values, codes[..., None, None].astype(int), axis=2)[:, :, 0]
        np.savez(self.folder / "ours.npz", **own)
        errors = [float(x.max()) for each in found for x in each.error.values()]
        return {
            "error": max(errors, default=float("nan")),
            "largest": max(float(np.abs(x).max()) for x in own.values()),
        }

    def run(self, n: int) -> dict[str, Any]:
        start = time.perf_counter()
        list(self.attribution.effects(self.stretches[i % len(self.stretches)] for i in range(n)))
        return {"seconds": time.perf_counter() - start}


def _target(name: str, kind: str, tracks: int = 1, bins: int | None = None, **geometry: int) -> TargetSpec:
    names = tuple(f"t{number}" for number in range(tracks))
    shape, axes = (
        ((tracks,), ("example", "tracks")) if bins is None else ((bins, tracks), ("example", "bins", "tracks"))
    )
    return TargetSpec(name, kind, "float32", axes, shape, names, strand_pairs=tuple(range(tracks)), **geometry)


if __name__ == "__main__":
    serve(Side)
