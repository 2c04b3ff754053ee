"""Our side of bench_step.py and bench_gpu.py: the training step of the loop, in a process of its own.

Called with the number of threads and, if it is not the CPU, the device. Reads one JSON command a line and answers
with one JSON line, as peers/step_torch.py does.
"""

import sys
import time
from pathlib import Path
from typing import Any

from seqmill.runtime.device import choose_device

THREADS, DEVICE = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "cpu"
choose_device(DEVICE, THREADS)

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from peers.answers import serve

from seqmill.config.heads import Head
from seqmill.models.registry import build
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.augment import View
from seqmill.training.devices import require_device
from seqmill.training.heads import FittedHead
from seqmill.training.jitter import Jitter
from seqmill.training.kinds import Scaling
from seqmill.training.objectives import Supervised, TrainState, split_module

NO_SETTINGS = ("bp", "tasks", "tracks", "offset_bp", "bin_bp")


def target(name: str, shape: tuple[int, ...], offset_bp: int, bin_bp: int) -> TargetSpec:
    tracks = tuple(f"t{number}" for number in range(shape[-1]))
    pairs = tuple(range(len(tracks)))
    if len(shape) == 2:
        axes, geometry = ("example", "bins", "tracks"), {"bp_per_bin": bin_bp, "offset_bp": offset_bp}
        return TargetSpec(name, name, "float32", axes, shape, tracks, strand_pairs=pairs, **geometry)
    kind = "binary" if name == "peaks" else name
    return TargetSpec(name, kind, "float32", ("example", "tracks"), shape, tracks, strand_pairs=pairs)


class Side:
    """One network at a time."""

    precision = "float32"

    def __init__(self, folder: str, network: str, shape: dict[str, Any]):
        self.folder, self.network = Path(folder), network
        self.facts = {"device": require_device(DEVICE, THREADS), "jax": jax.__version__}
        self.settings = {key: value for key, value in shape.items() if key not in NO_SETTINGS}
        self.batch = dict(np.load(self.folder / "batch.npz"))
        codes = self.batch["inputs/sequence"]
        geometry = {"bp_per_bin": 1, "rc": "sequence", "shift": "moves"}
        spec = ArraySpec("input", "sequence", ("example", "bp"), "uint8", codes.shape[1:], "sequence", **geometry)
        self.inputs = {"sequence": spec}
        names = [key.removeprefix("targets/") for key in self.batch if key.startswith("targets/")]
        place = {"offset_bp": shape.get("offset_bp", 0), "bin_bp": shape.get("bin_bp", 1)}
        self.targets = {name: target(name, self.batch[f"targets/{name}"].shape[1:], **place) for name in names}

    def _objective(self, dropout: bool, optimizer: optax.GradientTransformation) -> tuple[Supervised, TrainState]:
        settings = dict(self.settings)
        if not dropout:
            settings |= {k: 0.0 if np.isscalar(v) else [0.0] * len(v) for k, v in settings.items() if "dropout" in k}
        module = build(self.network, settings, self.inputs, self.targets, 0)
        graph, params, rest = split_module(module)
        view = View(self.inputs, self.targets, Jitter(0, 1), strands=False)
        heads = {}
        for name, spec in self.targets.items():
            one = np.ones(len(spec.tracks), np.float32)
            heads[name] = FittedHead(spec.kind, Head(), Scaling(0 * one, one))
        objective = Supervised(graph, view, heads, optimizer)
        objective.precision = self.precision
        return objective, objective.init(params, rest)

    def check(self) -> dict[str, Any]:
        """Loss and gradients without dropout; the weights go to the other side."""
        # An "optimiser" whose state is the gradient.
        keep = optax.GradientTransformation(lambda p: jax.tree.map(jnp.zeros_like, p), lambda g, state, p: (g, g))
        objective, state = self._objective(False, keep)
        before = self._arrays(state.params)
        np.savez(self.folder / "weights.npz", **before)
        loss, after, _ = jax.jit(objective.step)(state, self.batch, jax.random.key(0))
        np.savez(self.folder / "gradients_ours.npz", **self._arrays(after.optimizer))
        return {"loss": float(loss), "parameters": sum(value.size for value in before.values())}

    def _arrays(self, state: Any) -> dict[str, np.ndarray]:
        return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state)}

    def build(self) -> None:
        objective, self.state = self._objective(True, optax.adam(1e-3))
        self.step = jax.jit(objective.step, donate_argnums=0)
        self.key, self.number = jax.random.key(0), 0
        self.on_device = jax.device_put(self.batch)

    def steps(self, n: int) -> dict[str, float]:
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(n):
            loss, self.state, _ = self.step(self.state, self.on_device, jax.random.fold_in(self.key, self.number))
            self.number += 1
        value = float(loss)
        jax.block_until_ready(self.state)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "loss": value}


if __name__ == "__main__":
    serve(Side)
