"""Architectures by name, or by "path/to/file.py:Class" for a user's own.

An architecture is a ``flax.nnx`` module class that is built as ``Class(inputs, targets, settings, rngs)``, has a
class attribute ``Settings`` (a configuration section: unknown keys are refused) and is called as
``outputs = model(inputs, train=..., key=...)``. It holds no random state: the key is passed.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from seqmill.config.problems import check_settings
from seqmill.runtime.errors import InputError
from seqmill.runtime.marker import file_digest
from seqmill.runtime.plugins import load_named

_BUILT_IN = (
    "autoencoder",
    "basset",
    "bpnet",
    "danq",
    "deepbind",
    "deepsea",
    "dense",
    "factorized_basset",
    "mmsplice",
    "primer_cnn",
    "profile_cnn",
)
Architecture = type[Any]  # an nnx.Module with `Settings` and the constructor above, which Module's type cannot say
_CLASSES: dict[str, Architecture] = {}


def register(name: str) -> Callable[[Architecture], Architecture]:
    """Class decorator: make an architecture known under ``name``."""

    def add(cls: Architecture) -> Architecture:
        _CLASSES[name] = cls
        return cls

    return add


def _from_file(reference: str) -> Architecture:
    path, name, found = load_named(reference, "an architecture")
    if not (isinstance(found, type) and issubclass(found, nnx.Module) and hasattr(found, "Settings")):
        raise InputError(path, f"has no flax.nnx module class {name!r} with a class attribute 'Settings'")
    return found


def find(architecture: str) -> Architecture:
    """The class of an architecture. Raises InputError that lists the known names."""
    if ".py:" in architecture:
        return _from_file(architecture)
    if architecture in _BUILT_IN:
        importlib.import_module(f"seqmill.models.{architecture}")
    if architecture not in _CLASSES:
        known = ", ".join(sorted({*_BUILT_IN, *_CLASSES}))
        raise InputError("architecture", f"{architecture!r} is unknown; known: {known}, or path/to/file.py:Class")
    return _CLASSES[architecture]


def source_digest(architecture: str) -> str | None:
    """SHA-256 of the file of a user's own architecture (or other class), None for ours."""
    return file_digest(Path(architecture.rpartition(":")[0])) if ".py:" in architecture else None


def read_settings(architecture: str, settings: Mapping[str, Any]) -> tuple[Architecture, Any]:
    """Class of an architecture and its checked settings. Raises InputError for an unknown name or setting."""
    cls = find(architecture)
    return cls, check_settings(cls.Settings, settings, f"settings of {architecture}")


def build(
    architecture: str, settings: Mapping[str, Any], inputs: Mapping[str, Any], targets: Mapping[str, Any], seed: int
) -> nnx.Module:
    """Build a network with fresh parameters.

    Parameters
    ----------
    architecture : name in the registry, or "path/to/file.py:Class".
    settings : settings of the architecture; its defaults hold for what is not given.
    inputs : input name to ArraySpec; shapes are those after margins are cropped.
    targets : target name to TargetSpec, likewise.
    seed : of the initial parameters.

    Raises
    ------
    InputError
        The architecture or a setting is unknown, or it does not fit these inputs and targets.
    """
    cls, parsed = read_settings(architecture, settings)
    # Sorted, because model.json does not keep the order and a network may join its inputs.
    return cls(dict(sorted(inputs.items())), dict(sorted(targets.items())), parsed, nnx.Rngs(seed))


def the_sequence(inputs: Mapping[str, Any], architecture: str) -> tuple[str, int]:
    """Name and length in bp of the only sequence input; InputError if there is none or more than one."""
    names = [name for name, spec in inputs.items() if spec.kind == "sequence"]
    if len(names) != 1:
        raise InputError(architecture, f"needs exactly one sequence input, the dataset has {len(names)}")
    return names[0], inputs[names[0]].shape_per_example[0]
