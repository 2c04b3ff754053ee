"""Our side of bench_ism.py: scores of all substitutions of a sequence, followed through the layers or predicted whole.

Called with the number of threads and, if it is not the CPU, the device. Reads one JSON command a line and answers with
one JSON line, as the peers do.
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
from flax import nnx
from ism_networks import GAINS, NETWORKS, specs
from peers.answers import serve

from seqmill.effects.local.scores import LocalScores
from seqmill.effects.mutagenesis import edited, list_edits
from seqmill.models.registry import build
from seqmill.training.augment import one_hot
from seqmill.training.devices import require_device
from seqmill.training.objectives import split_module


class Side:
    """One network with random weights; looks like `seqmill.effects.ensemble.Ensemble` to the fast way."""

    reads_length = False

    def __init__(self, folder: str, network: str):
        self.folder = Path(folder)
        kind, shape = NETWORKS[network]
        inputs, targets, settings = specs(kind, shape)
        self.graph, params, rest = split_module(build(kind, settings, inputs, targets, 0))
        rng = np.random.default_rng(0)

        def trained(path: Any, x: Any) -> Any:  # statistics of batches, not the zeros and ones of the start
            mean = "mean" in jax.tree_util.keystr(path)
            return jnp.asarray(rng.normal(0, 0.1, x.shape) if mean else rng.uniform(0.02, 0.5, x.shape), x.dtype)

        def alive(x: Any) -> Any:  # as drawn, without normalisation, outputs would hardly differ between sequences
            return x * GAINS.get(kind, 1.0) if x.ndim > 1 else x

        self.variables = jax.tree.map(alive, params), jax.tree_util.tree_map_with_path(trained, rest)
        self.infos, self.extent_bp, self.batch_size = [{"name": network}], shape["bp"], 64
        self.codes = np.random.default_rng(1).integers(0, 4, shape["bp"]).astype(np.uint8)
        padded = np.concatenate([self.codes[:1], self.codes, self.codes[:1]])
        self.sequences = edited(padded, list_edits(self.codes, ["substitutions"])[1:])
        self.compiled = jax.jit(self.scores)
        self.local: LocalScores | None = None
        self._save()
        device = require_device(DEVICE, THREADS)
        self.facts = {"substitutions": len(self.sequences), "device": device, "jax": jax.__version__}

    def scores(self, variables: Any, inputs: Any) -> dict[str, Any]:
        """Logits of tasks; of a profile the log of its total and the count, before their functions."""
        module = nnx.merge(self.graph, *variables, copy=True)
        found = module({"sequence": one_hot(inputs["sequence"])}, train=False, key=None)
        if "profile" in found:
            total = jax.nn.logsumexp(found["profile"].reshape(found["profile"].shape[0], -1), axis=1, keepdims=True)
            return {"y": jnp.concatenate([total, found["count"]], axis=1)}
        return {"y": found["peaks"]}

    def function(self, member: int) -> Any:
        return self.scores, self.variables, "same"

    def apply(self, codes: np.ndarray, reduce: Any, members: Any) -> list[dict[str, np.ndarray]]:
        """Whole predictions in full batches, one fetched while the next is computed."""
        waiting, found = [], []
        for start in range(0, len(codes), self.batch_size):
            block = codes[start : start + self.batch_size]
            filled = np.concatenate([block, np.repeat(block[-1:], self.batch_size - len(block), axis=0)])
            waiting.append((self.compiled(self.variables, {"sequence": filled})["y"], len(block)))
            if len(waiting) > 1:
                y, count = waiting.pop(0)
                found.append(np.asarray(y)[:count])
        found += [np.asarray(y)[:count] for y, count in waiting]
        return [{"y": np.concatenate(found)}]

    def _save(self) -> None:
        """Weights and the sequence for the peers."""
        params, rest = self.variables
        named = {
            f"{kind}.{'.'.join(map(str, path))}": np.asarray(leaf[...])
            for kind, state in (("params", params), ("state", rest))
            for path, leaf in nnx.to_flat_state(state)
        }
        np.savez(self.folder / "weights.npz", **named)
        np.save(self.folder / "codes.npy", self.codes)

    def run(self, way: str, batch: int | None = None, keep: bool = False, most: int | None = None) -> dict[str, Any]:
        """Changes of all substitutions, or of the first ``most``; ``plain`` predicts them whole."""
        self.batch_size = batch or self.batch_size
        sequences = self.sequences[:most]
        start = time.perf_counter()
        if way == "fast":
            if self.local is None:
                self.local = LocalScores(self, lambda scores: scores)
            self.local._last = None  # so that the layers of the unedited sequence are counted
            _, changes = self.local.changes(0, self.codes, sequences)
            y = changes["y"]
        else:
            (found,) = self.apply(np.concatenate([self.codes[None], sequences]), None, [0])
            y = found["y"][1:] - found["y"][0]
        seconds = time.perf_counter() - start
        if keep:
            np.save(self.folder / f"{way}.npy", y)
        return {"seconds": seconds, "substitutions": len(sequences)}

    def span(self) -> dict[str, float]:
        """Range of the output over random sequences, the largest of all columns."""
        codes = np.random.default_rng(2).integers(0, 4, (256, self.extent_bp), dtype=np.uint8)
        (found,) = self.apply(codes, None, [0])
        return {"range": float(np.ptp(found["y"], axis=0).max())}


if __name__ == "__main__":
    serve(Side)
