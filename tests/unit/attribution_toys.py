"""Small networks of every architecture with random numbers in them, as an ensemble of one run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tests.unit import training_toys as toys
from tests.unit.network_toys import plain_head, target

from seqmill.models.registry import build
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import Supervised, split_module

# name -> architecture, bp, settings, kind of the target
NETWORKS: dict[str, tuple[str, int, dict[str, Any], str]] = {
    "basset": ("basset", 40, {"filters": [4, 5], "widths": [7, 3], "pools": [3, 2], "hidden": [6]}, "binary"),
    "bpnet": ("bpnet", 60, {"filters": 4, "width": 5, "dilated_layers": 2, "profile_width": 5}, "profile"),
    "danq": ("danq", 40, {"filters": 4, "width": 6, "pool": 5, "lstm": 3, "hidden": 5}, "binary"),
    "deepbind": ("deepbind", 30, {"motifs": 4, "width": 7, "hidden": 5}, "count"),
    "deepbind, both strands": (
        "deepbind", 30, {"motifs": 3, "width": 5, "hidden": 0, "both_strands": True, "batch_norm": True}, "fraction",
    ),
    "deepsea": (
        "deepsea", 40, {"filters": [4, 5], "width": 4, "pools": [3, 1], "dropout": [0, 0], "hidden": 7}, "binary",
    ),
    "dense": ("dense", 20, {"hidden": [6, 5]}, "quantity"),
    "factorized_basset": (
        "factorized_basset", 40,
        {"filters": [[3, 4], [5]], "widths": [[3, 3], [3]], "pools": [3, 2], "hidden": [6]}, "binary",
    ),
    "mmsplice acceptor": ("mmsplice", 20, {"module": "acceptor"}, "quantity"),
    "mmsplice donor": ("mmsplice", 18, {"module": "donor"}, "quantity"),
    "mmsplice exon": ("mmsplice", 30, {"module": "exon"}, "fraction"),
    "mmsplice intron": ("mmsplice", 30, {"module": "intron"}, "quantity"),
    "primer_cnn": ("primer_cnn", 30, {"filters": 4, "width": 6, "pool": 3, "hidden": 5}, "class"),
    "profile_cnn": (
        "profile_cnn", 64, {"channels": 4, "stem_width": 5, "tower_width": 3, "dilated_layers": 2}, "profile",
    ),
}  # fmt: skip


def network(architecture: str, bp: int, settings: dict, kind: str, tracks: int = 2, seed: int = 0) -> Any:
    """A network as `seqmill.training.artefact.load_network` gives it; batch statistics are random too."""
    inputs = {"sequence": toys.sequence_spec(bp)}
    geometry = {"bins": 4, "bp_per_bin": 8, "offset_bp": 16} if kind == "profile" else {}
    targets = {"out": target("out", tracks, kind, **geometry)}
    module = nnx.eval_shape(lambda: build(architecture, settings, inputs, targets, 0))
    graph, params, rest = split_module(module)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.5, x.shape), x.dtype), params)
    rest = jax.tree.map(lambda x: jnp.asarray(rng.uniform(0.5, 2, x.shape), x.dtype), rest)
    return SimpleNamespace(
        info={"architecture": architecture}, graph=graph, params=params, rest=rest, objective=Supervised,
        view=View(inputs, targets, Jitter(0, 1), False), predicted=targets,
        heads={name: plain_head(spec) for name, spec in targets.items()},
    )  # fmt: skip


def ensemble(*networks: Any, both_strands: bool = False, batch_size: int = 4) -> Any:
    """What `seqmill.effects.attribution.contributions.Attribution` needs of an ensemble."""
    return SimpleNamespace(
        networks=list(networks), targets=networks[0].predicted, both_strands=both_strands, shifts_bp=(0,),
        extent_bp=networks[0].view.inputs["sequence"].shape_per_example[0], batch_size=batch_size,
        folders=[Path("models/toy/0.0")],
    )  # fmt: skip


def codes(bp: int, seed: int = 0, n_at: tuple[int, ...] = ()) -> np.ndarray:
    """uint8 (bp + 2,), with one more base on each side."""
    found = np.random.default_rng(seed).integers(0, 4, bp + 2).astype(np.uint8)
    found[1 + np.array(n_at, int)] = 4
    return found
