"""Weights of other programs: safetensors, and HDF5 as Keras 2 and 3 write it. No pickles: reading one can run code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.runtime.isolate import run_isolated

_HDF5, _ZIP, _PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
_MOST_BYTES = 16 << 30
_TIMEOUT_S = 600.0


class Weights(NamedTuple):
    """Tensors of a file by name, in its order.

    Names are those of the file; of Keras 2 "layer/kernel", without its repetitions and ":0". ``epsilon`` has the
    constant of batch normalisations by layer, where the file tells.
    """

    keras: bool
    tensors: dict[str, np.ndarray]
    epsilon: dict[str, float]


def read_weights(path: str | Path) -> Weights:
    """Read all weights of a file, in a child process; what an optimiser kept is left out.

    Raises
    ------
    InputError
        The file is not there, a pickle, of another format, or damaged. WorkerError: the library crashed on it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    if start.startswith((_ZIP, _PICKLE)) and path.suffix != ".keras":
        raise InputError(
            path,
            "is a pickle of PyTorch or a zip file; reading a pickle can run code, so none is read. Convert it where it "
            "comes from: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')",
        )
    if start.startswith(_ZIP):
        raise InputError(path, "is a zip file of Keras 3; unpack it and give the model.weights.h5 that is in it")
    if start == _HDF5:
        return run_isolated("seqmill.formats.weights:read_hdf5", str(path), where=str(path), timeout_s=_TIMEOUT_S)
    return run_isolated("seqmill.formats.weights:read_safetensors", str(path), where=str(path), timeout_s=_TIMEOUT_S)


def read_safetensors(path: str) -> Weights:
    """Tensors of a safetensors file; names as "layer/kernel" are taken for those of Keras."""
    import ml_dtypes  # noqa: F401  (NumPy's bfloat16, which the library asks for by name)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"is neither safetensors nor HDF5 of Keras, or it is damaged ({error})") from None
    keras = any(name.endswith(("/kernel", "/kernel:0", "/vars/0")) for name in tensors)
    return Weights(keras, {name.removesuffix(":0"): array for name, array in tensors.items()}, {})


def read_hdf5(path: str) -> Weights:
    """Weights of an HDF5 file of Keras 2 (whole models or weights) or Keras 3 (``model.weights.h5``)."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = _inside(file, "model_weights") if "model_weights" in file else file
            names = [_text(name) for name in root.attrs.get("layer_names", [])]
            found: dict[str, Any] = dict(_of_layers(root, names) if names else _of_paths(root))
            size = sum(dataset.size * dataset.dtype.itemsize for dataset in found.values())
            if size > _MOST_BYTES:
                raise InputError(path, f"says it holds {size:,} bytes of weights, at most {_MOST_BYTES:,} are read")
            for name, dataset in found.items():
                if dataset.external or dataset.is_virtual:
                    raise InputError(path, f"tensor {name} lies in another file", record=name)
            tensors = {name: np.asarray(dataset[()]) for name, dataset in found.items()}
            return Weights(True, tensors, _epsilons(file.attrs.get("model_config")))
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise InputError(path, f"cannot be read as HDF5 of Keras ({error})") from None


def _inside(group: Any, name: str) -> Any:
    """A group that lies in another. A link may lead to another file, which nobody asked for."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise KeyError(f"{name} is missing, or a link")
    return group[name]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _datasets(group: Any) -> Iterator[tuple[str, Any]]:
    """(path, dataset) of all that lies in a group; links to other files are not followed."""
    import h5py

    found: list[tuple[str, Any]] = []
    group.visititems(lambda path, item: found.append((path, item)) if isinstance(item, h5py.Dataset) else None)
    yield from found


def _of_layers(root: Any, layers: list[str]) -> Iterator[tuple[str, Any]]:
    """Keras 2: "layer/kernel", or with the path between where a layer holds others."""
    for layer in layers:
        paths = [(path.removesuffix(":0"), dataset) for path, dataset in _datasets(_inside(root, layer))]
        last = [path.rpartition("/")[2] for path, _ in paths]
        for (path, dataset), short in zip(paths, last):
            yield f"{layer}/{short if last.count(short) == 1 else path}", dataset


def _of_paths(root: Any) -> Iterator[tuple[str, Any]]:
    """Keras 3: "layers/conv1d/vars/0"."""
    for path, dataset in _datasets(root):
        if "/vars/" in f"/{path}" and not path.startswith("optimizer"):
            yield path, dataset


def _epsilons(config: Any) -> dict[str, float]:
    """Constant of each batch normalisation, from the description of the network beside its weights."""
    if config is None:
        return {}
    try:
        layers = json.loads(_text(config))["config"]
        layers = layers["layers"] if isinstance(layers, dict) else layers
        settings = [layer["config"] for layer in layers]
        return {item["name"]: float(item["epsilon"]) for item in settings if "epsilon" in item}
    except (KeyError, TypeError, ValueError):
        return {}
