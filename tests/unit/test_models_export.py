"""Every network of the registry compiles for accelerators that are not here: prediction and training step."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import export
from tests.unit.network_toys import plain_head, target

from seqmill.models import registry
from seqmill.stores.specs import ArraySpec
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import network_inputs, read_objective, split_module

BP, EXAMPLES = 128, 4
PEAKS = {"peaks": target("peaks", 3)}
PROFILE = {"profile": target("profile", 2, "profile", bins=4, bp_per_bin=32)}
BASES = {"profile": target("profile", 1, "profile", bins=32, bp_per_bin=1, offset_bp=48), "count": target("count", 1)}
KEY = jax.eval_shape(lambda: jax.random.key(0))
# name -> settings, targets, objective
NETWORKS: dict[str, tuple[dict[str, Any], Mapping[str, Any], str]] = {
    "autoencoder": ({"channels": 8, "numbers": 4}, {}, "autoencoder"),
    "basset": ({"filters": [8], "widths": [9], "pools": [4], "hidden": [16]}, PEAKS, "supervised"),
    "bpnet": ({"filters": 8, "width": 9, "dilated_layers": 2, "profile_width": 15}, BASES, "supervised"),
    "danq": ({"filters": 8, "width": 9, "pool": 8, "lstm": 8, "hidden": 16}, PEAKS, "supervised"),
    "deepbind": ({"motifs": 8, "width": 9, "hidden": 8, "dropout": 0.1}, PEAKS, "supervised"),
    "deepsea": ({"filters": [8, 8], "width": 5, "pools": [4, 1], "dropout": [0.2, 0.2]}, PEAKS, "supervised"),
    "dense": ({"hidden": [16], "dropout": 0.1}, PEAKS, "supervised"),
    "factorized_basset": ({"filters": [[8, 8], [8]], "widths": [[3, 5], [3]], "pools": [4, 2]}, PEAKS, "supervised"),
    "mmsplice": ({}, PEAKS, "supervised"),
    "primer_cnn": ({"filters": 8, "width": 9}, PEAKS, "supervised"),
    "profile_cnn": ({"channels": 8, "dilated_layers": 2}, PROFILE, "supervised"),
}
SEQUENCE = ArraySpec(
    "input", "sequence", ("example", "bp"), "uint8", (BP,), "sequence", bp_per_bin=1, rc="sequence", shift="moves"
)


def test_no_network_is_forgotten():
    assert set(registry._BUILT_IN) == set(NETWORKS)


def programs(name: str) -> dict[str, tuple[Any, tuple]]:
    """Prediction and training step of a network, each with its arguments."""
    settings, targets, objective_name = NETWORKS[name]
    inputs = {"sequence": SEQUENCE}
    cls, objective_settings = read_objective(objective_name, {})
    view = View(inputs, targets, Jitter(0, 1), strands=True)
    heads = {key: plain_head(spec) for key, spec in targets.items()}
    # Shapes alone: numbers would have to be drawn, by a program for each shape.
    module = nnx.eval_shape(lambda: registry.build(name, settings, inputs, targets, 0))
    graph, params, rest = split_module(module)
    objective = cls(graph, view, heads, optax.adam(1e-3), objective_settings)
    batch = {"inputs/sequence": np.zeros((EXAMPLES, BP), np.uint8)}
    for key, spec in targets.items():
        batch[f"targets/{key}"] = np.zeros((EXAMPLES, *spec.shape_per_example), np.float32)
    state = jax.eval_shape(objective.init, params, rest)

    def predict(params: Any, rest: Any, batch: Mapping[str, Any]) -> Any:
        outputs, _ = objective._apply(params, rest, network_inputs(view.show(batch)), False, None)
        return outputs

    return {"prediction": (predict, (params, rest, batch)), "step": (objective.step, (state, batch, KEY))}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_exports_for_gpu_and_tpu(name):
    for what, (function, arguments) in programs(name).items():
        exported = export.export(jax.jit(function), platforms=["tpu", "cuda"])(*arguments)
        assert exported.platforms == ("tpu", "cuda"), what
        # A convolution or a matrix product, not only what is around it.
        assert {"stablehlo.convolution", "stablehlo.dot_general"} & set(exported.mlir_module().split()), what


def test_a_step_in_bfloat16_exports_too():
    _, (step, arguments) = programs("basset").values()
    step.__self__.precision = "bfloat16"
    text = export.export(jax.jit(step), platforms=["tpu", "cuda"])(*arguments).mlir_module()
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert convolutions and all("bf16" in line and "f32" not in line for line in convolutions)


def test_what_is_exported_gives_the_same_numbers_where_it_can_run():
    """One program for all three; its CPU branch equals the network itself."""
    (function, arguments), *_ = programs("basset").values()
    exported = export.export(jax.jit(function), platforms=["cpu", "cuda", "tpu"])(*arguments)
    rng = np.random.default_rng(0)
    arguments = jax.tree.map(lambda x: rng.random(x.shape).astype(x.dtype), arguments)
    mine, theirs = (jax.tree.leaves(call(*arguments)) for call in (jax.jit(function), exported.call))
    for here, there in zip(mine, theirs, strict=True):
        assert here.std() > 0
        assert jnp.allclose(here, there, rtol=1e-6, atol=1e-6)
