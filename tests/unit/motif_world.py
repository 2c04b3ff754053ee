"""A network built by hand that knows one motif: its score is ``GAIN`` where the motif is, else 0."""

from pathlib import Path

import numpy as np
from tests.unit import training_toys as toys

from seqmill.config.models import Model, Prediction
from seqmill.formats.motifs import Motif
from seqmill.stores.model import ModelReader, write_model
from seqmill.training.train import train_model

SITE = np.array([2, 3, 1, 0, 1, 1, 0], np.uint8)  # GTCACCA
OTHER = np.array([0, 0, 3, 3, 1, 1, 0], np.uint8)  # AATTCCA
BP, GAIN, CONSTANT = 60, 3.0, -1.0
RUNS = {"0": {"train": ["a"], "valid": ["v"], "test": ["b"]}}
PARTS = [("x", "a", 20), ("x", "b", 30), ("x", "v", 6)]
PLAIN = Prediction(strands="forward")


def sharp(codes: np.ndarray, name: str = "site") -> Motif:
    """A motif without doubt."""
    return Motif(name, "", np.eye(4)[codes])


def sequences() -> np.ndarray:
    """Rows of random bases, every second one with the site, at a place of its own; a few N."""
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 4, (sum(size for *_, size in PARTS), BP)).astype(np.uint8)
    for row in range(0, len(codes), 2):
        at = int(rng.integers(0, BP - len(SITE)))
        codes[row, at : at + len(SITE)] = SITE
    codes[3, 10:14] = 4
    return codes


def write_dataset(folder: Path) -> Path:
    codes = sequences()
    bound = (np.arange(len(codes)) % 2 == 0).astype(np.uint8)[:, None]
    arrays = {
        "inputs/sequence": (toys.sequence_spec(BP), codes),
        "targets/bound/main": (toys.label_spec("bound", ["tf"]), bound),
    }
    return toys.write_dataset(folder / "datasets/toy.zarr", PARTS, arrays, runs=RUNS, chunk=16)


def write_network(folder: Path, dataset: Path) -> Path:
    """DeepBind with one detector that answers 0.5 to the whole site and 0 to everything else."""
    settings = {"motifs": 1, "width": len(SITE), "hidden": 0}
    training = {"batch_size": 8, "max_steps": 1}
    section = {"architecture": "deepbind", "dataset": "toy", "settings": settings, "training": training}
    trained = folder / "models/first/0.0"
    train_model(trained, name="first", model=Model.model_validate(section), dataset=dataset, fold="0", seed=0)
    reader = ModelReader(trained)
    tensors = dict(reader.tensors())
    tensors["params.conv.kernel"] = np.eye(4, dtype=np.float32)[SITE][:, :, None]
    tensors["params.conv.bias"] = np.array([0.5 - len(SITE)], np.float32)
    tensors["params.heads.layers.bound.kernel"] = np.array([[2 * GAIN], [0]], np.float32)  # maximum, mean
    tensors["params.heads.layers.bound.bias"] = np.array([CONSTANT], np.float32)
    out = folder / "models/net/0.0"
    write_model(out, "net", tensors, reader.info | {"name": "net"}, reader.history)
    return out
