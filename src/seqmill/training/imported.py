"""A model folder from weights of another program."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.config.heads import Head
from seqmill.config.imported import Imported, ImportedTarget
from seqmill.formats.weights import Weights, read_weights
from seqmill.models.blocks import count_parameters
from seqmill.models.importing import fill, framework_of, side_by_side
from seqmill.models.registry import build, source_digest
from seqmill.models.tensor_layouts import slots_of
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.stores.model import write_model
from seqmill.stores.specs import ArraySpec, TargetSpec
from seqmill.training.artefact import describe, output_shapes
from seqmill.training.augment import View
from seqmill.training.heads import FittedHead
from seqmill.training.jitter import Jitter
from seqmill.training.kinds import Scaling
from seqmill.training.objectives import Supervised, split_module

UNKNOWN = "unknown"


def _target(name: str, section: ImportedTarget, window_bp: int, where: str | Path) -> TargetSpec:
    tracks = tuple(section.names)
    geometry: dict[str, Any] = {"shape_per_example": (len(tracks),), "axes": ("example", "tracks")}
    if section.bins is not None:
        offset, odd = divmod(window_bp - section.bins * section.bin_bp, 2)
        if offset < 0 or odd:
            raise InputError(
                where, f"{section.bins} bins of {section.bin_bp} bp do not lie in the middle of {window_bp} bp",
                record=f"targets.{name}",
            )  # fmt: skip
        geometry = {
            "shape_per_example": (section.bins, len(tracks)), "axes": ("example", "bins", "tracks"),
            "bp_per_bin": section.bin_bp, "offset_bp": offset, "rc": "reverse", "shift": "moves",
        }  # fmt: skip
    pairs = tuple(range(len(tracks)))
    return TargetSpec(name, section.kind, "float32", tracks=tracks, strand_pairs=pairs, **geometry)


def network_of(file: Imported, where: str | Path) -> tuple[Any, View]:
    """The network of an import with fresh parameters, and what it is shown: one input, "sequence"."""
    sequence = ArraySpec(
        "input", "sequence", ("example", "bp"), "uint8", (file.window_bp,), "sequence",
        bp_per_bin=1, rc="sequence", shift="moves",
    )  # fmt: skip
    targets = {name: _target(name, section, file.window_bp, where) for name, section in file.targets.items()}
    view = View({"sequence": sequence}, targets, Jitter(0, 1), file.both_strands)
    return build(file.architecture, file.settings, view.network_inputs(), view.network_targets(), 0), view


def compared(file: Imported, weights: str | Path, where: str | Path) -> list[str]:
    """Both sides of an import, line by line (`seqmill.models.importing.side_by_side`); nothing is written."""
    module, _ = network_of(file, where)
    return side_by_side(slots_of(module), read_weights(weights), file, str(where))


def import_weights(out: str | Path, file: Imported, weights: str | Path, where: str | Path) -> dict[str, Any]:
    """Write a model folder that computes what the other program computes with these weights.

    What the other program was trained on is not known: ``model.json`` says so, and a check of what the model has seen
    (`seqmill.training.seen`) cannot pass. Outputs are not scaled; the kind of each target decides the function behind.

    Parameters
    ----------
    out : folder to write. file : network and mapping. weights : file of weights. where : of ``file``, for messages.

    Returns
    -------
    What is kept in ``model.json`` under "imported".
    """
    out, weights = Path(out), Path(weights)
    module, view = network_of(file, where)
    found: Weights = read_weights(weights)
    graph, params, rest = split_module(module)
    predicted = Supervised.predicted(view.network_targets(), output_shapes(graph, params, rest, view))
    filled = fill(module, view.network_inputs(), found, file, str(weights), str(where))
    heads = {name: _plain(spec) for name, spec in view.targets.items()}
    imported = {
        "file": weights.name,
        "sha256": file_digest(weights),
        "framework": framework_of(file, found),
        "mapping": filled["mapping"],
        "ignored": filled["ignored"],
    }
    info: Mapping[str, Any] = {
        "architecture": file.architecture,
        "settings": dict(file.settings),
        "source_sha256": source_digest(file.architecture),
        **describe(view, heads, "supervised", predicted),
        "tracks": {name: list(spec.tracks) for name, spec in view.targets.items()},
        "training": {"device": "cpu", "xla_threads": 1, "batch_size": 128},  # how it is applied
        "imported": imported,
        "initial": None,
        "pools": None,
        "dataset": UNKNOWN,
        "dataset_digest": "",
        "fold": "0",
        "seed": 0,
        "steps": 0,
        "device": "cpu",
        "xla_threads": 1,
        "parameters": count_parameters(module),
        "note": f"weights imported from {weights.name}; what they were trained on is unknown",
    }
    log = logging.getLogger("seqmill")
    for kind, number in filled["converted"].items():
        log.warning("%s: %d tensors are %s; they are converted to float32", weights, number, kind)
    if filled["by_order"]:
        pairs = ", ".join(f"{ours} from {theirs}" for ours, theirs in filled["by_order"])
        log.warning("%s: only the order tells these layers apart, check them: %s", weights, pairs)
    write_model(out, out.name, filled["tensors"], info, [], parameters={"import": file.model_dump(mode="json")})
    return imported


def _plain(spec: TargetSpec) -> FittedHead:
    tracks = len(spec.tracks)
    return FittedHead(spec.kind, Head(), Scaling(np.zeros(tracks, np.float32), np.ones(tracks, np.float32)))
