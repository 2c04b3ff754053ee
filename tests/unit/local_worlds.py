"""Ensembles of random networks of the registry, for tests of the fast way of mutagenesis."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tests.unit.network_toys import plain_head, target
from tests.unit.test_models_export import BP, NETWORKS, SEQUENCE

from seqmill.models import registry
from seqmill.training.artefact import Network
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import read_objective, split_module
from seqmill.training.predict import averaged

# Deeper than where only compiling is tested: several poolings, dilations and residual layers behind each other.
DEEPER: dict[str, dict[str, Any]] = {
    "basset": {"filters": [8, 6, 5], "widths": [9, 5, 3], "pools": [3, 4, 2], "hidden": [16]},
    "bpnet": {"filters": 8, "width": 9, "dilated_layers": 3, "profile_width": 15},
    "deepsea": {"filters": [8, 8, 4], "width": 5, "pools": [4, 2, 1], "dropout": [0.2, 0.2, 0.2]},
    "factorized_basset": {"filters": [[8, 8], [8], [6]], "widths": [[3, 5], [3], [3]], "pools": [4, 2, 2]},
}


class World:
    """Looks like `seqmill.effects.ensemble.Ensemble`."""

    reads_length = False
    folders = ("models/random/0.0",)

    def __init__(self, name: str, *, runs: int = 1, strands: bool = False, margin_bp: int = 0, shifts_bp=(0,)):
        settings, targets, objective = NETWORKS[name]
        settings = DEEPER.get(name, settings)
        if not targets:
            targets = {"peaks": target("peaks", 3)}
        self.infos, self.extent_bp, self.batch_size, self.targets = [{"name": name}], BP + 2 * margin_bp, 16, targets
        inputs = {"sequence": replace(SEQUENCE, shape_per_example=(self.extent_bp,), margin_bp=margin_bp)}
        view = View(inputs, targets, Jitter(0, 1), strands=True)
        self.networks = [self._network(name, settings, objective, view, seed) for seed in range(runs)]
        self.functions = [averaged(network, strands=strands, shifts_bp=shifts_bp) for network in self.networks]
        self._compiled = [jax.jit(function) for function in self.functions]

    def _network(self, name: str, settings: Any, objective: str, view: View, seed: int) -> Network:
        # Shapes alone: numbers would have to be drawn, by a program for each shape.
        module = nnx.eval_shape(
            lambda: registry.build(name, settings, view.network_inputs(), view.network_targets(), seed)
        )
        graph, params, rest = split_module(module)
        rng = np.random.default_rng(seed)

        def drawn(x: Any) -> jax.Array:
            if x.ndim == 1:  # biases, and statistics of batches as after a training
                return jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype)
            return jnp.asarray(rng.normal(0, 1 / np.sqrt(np.prod(x.shape[:-1])), x.shape), x.dtype)

        params, rest = jax.tree.map(drawn, params), jax.tree.map(drawn, rest)
        cls, _ = read_objective(objective, {})
        heads = {key: plain_head(spec) for key, spec in self.targets.items()}
        return Network({"architecture": name}, "", graph, params, rest, view, heads, cls, self.targets)

    def __len__(self) -> int:
        return len(self.networks)

    def function(self, member: int):
        network = self.networks[member]

        def predict(variables, inputs):
            return self.functions[member](*variables, {"inputs/sequence": inputs["sequence"]})

        return predict, (network.params, network.rest), "same"

    def apply(self, codes, reduce, members):
        found = []
        for member in members:
            network = self.networks[member]
            batch = {"inputs/sequence": codes}
            kept = reduce(self._compiled[member](network.params, network.rest, batch))
            found.append({name: np.asarray(x) for name, x in kept.items()})
        return found
