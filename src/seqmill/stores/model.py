"""A trained model: one folder of tensors, what they mean, and how training went.

``model.safetensors`` holds the tensors, ``model.json`` (sealed: it carries its own digest) everything that is needed to
build the network again, ``history.jsonl`` one line a validation. No file holds code, pickles or dates.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.runtime.errors import DamageError
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import Marker, read_marker, seal, unseal
from seqmill.stores.layout import check_file, noun_folder, open_noun, version

TENSORS, INFO, HISTORY = "model.safetensors", "model.json", "history.jsonl"


def write_model(
    folder: str | Path,
    name: str,
    tensors: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
    *,
    inputs: dict[str, str] | None = None,
    parameters: dict[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Marker:
    """Write a model.

    Parameters
    ----------
    folder : ``…/{model}/{fold}.{seed}``.
    name : of the model.
    tensors : dotted name -> array, parameters and other state of the network.
    info : for ``model.json``: architecture, settings, specs of inputs and targets, training section, dataset digest,
        fold, seed, …; JSON values only. Shapes and dtypes of the tensors are added.
    history : one entry a validation, only what is the same in two equal runs (epoch, step, losses).
    inputs : `seqmill.stores.layout.upstream` of the dataset.
    record : more for ``run.json`` (device, seconds a step).
    """
    from safetensors.numpy import save

    arrays = {key: np.ascontiguousarray(value).reshape(np.shape(value)) for key, value in sorted(tensors.items())}
    shapes = {key: [value.dtype.name, list(value.shape)] for key, value in arrays.items()}
    packages = ("numpy", "safetensors", "jax", "jaxlib", "flax", "optax")
    with noun_folder(folder, noun="model", label=name, inputs=inputs, parameters=parameters, packages=packages) as (
        part,
        _,
        run,
    ):
        run |= dict(record or {})
        atomic_write(part / TENSORS, save(arrays))  # save_file makes files that only their owner may read
        atomic_write(part / INFO, seal({**info, "name": name, "format": version("model"), "tensors": shapes}))
        lines = (json.dumps(dict(entry), sort_keys=True, allow_nan=False) for entry in history)
        atomic_write(part / HISTORY, "".join(line + "\n" for line in lines))
    return read_marker(folder)


class ModelReader:
    """A model, opened for reading.

    Attributes
    ----------
    info : content of ``model.json``. digest : of the marker.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.marker = open_noun(self.folder, "model")
        self.digest = self.marker.digest
        self.info: dict[str, Any] = unseal(check_file(self.folder, self.marker, INFO))

    @property
    def history(self) -> list[dict[str, Any]]:
        """Entries of ``history.jsonl`` in order."""
        text = check_file(self.folder, self.marker, HISTORY).read_text()
        return [json.loads(line) for line in text.splitlines()]

    def tensors(self) -> dict[str, np.ndarray]:
        """All tensors by name, checked against their digest and against ``model.json``."""
        from safetensors.numpy import load_file

        path = check_file(self.folder, self.marker, TENSORS)
        found = load_file(path)
        shapes = {key: [value.dtype.name, list(value.shape)] for key, value in found.items()}
        if shapes != self.info["tensors"]:
            first = min(
                key for key in {*shapes, *self.info["tensors"]} if shapes.get(key) != self.info["tensors"].get(key)
            )
            raise DamageError(f"{path}: tensor {first} is not as {INFO} states")
        return found
