"""A toy genome, a dataset of windows on it and linear networks whose effects are known from their weights."""

from functools import cache
from pathlib import Path

import numpy as np
from tests.unit import training_toys as toys

from seqmill.config.models import Model, Prediction
from seqmill.config.sources import Genome
from seqmill.stores.genome import build_genome
from seqmill.stores.model import ModelReader, write_model
from seqmill.training.train import train_model

RUNS = {
    "0": {"train": ["a"], "valid": ["v"], "test": ["b"]},
    "1": {"train": ["b"], "valid": ["v"], "test": ["a"]},
}
# rows lie at chr1:0, 1,000, 2,000, ... each of 60 bp: fold a up to 19,060, b up to 34,060, v up to 39,060
PARTS = [("x", "a", 20), ("x", "b", 15), ("x", "v", 5)]
BP, MARGIN_BP, CHR1, CHR2 = 60, 4, 60_000, 300
PLAIN = Prediction(strands="forward")


def genome_text() -> dict[str, str]:
    rng = np.random.default_rng(3)
    letters = np.array(list("ACGT"))
    text = "".join(letters[rng.integers(0, 4, CHR1)])
    text = text[:50_000] + "N" * 100 + text[50_100:50_140] + "N" * 20 + text[50_160:]
    return {"chr1": text, "chr2": "".join(letters[rng.integers(0, 4, CHR2)])}


def codes_of(text: str) -> np.ndarray:
    return np.array(["ACGTN".index(letter) for letter in text], np.uint8)


def write_genome(folder: Path) -> Path:
    fasta = folder / "toy.fa"
    fasta.write_text("".join(f">{contig}\n{text}\n" for contig, text in genome_text().items()))
    store = folder / "genome/toy.zarr"
    build_genome(store, name="toy", genome=Genome(fasta=fasta))
    return store


def write_dataset(folder: Path, name: str = "toy", margin_bp: int = 0) -> Path:
    n = sum(size for *_, size in PARTS)
    text = genome_text()["chr1"]
    starts = [1000 * i for i in range(n)]
    padded = "N" * margin_bp + text
    codes = np.stack([codes_of(padded[start : start + BP + 2 * margin_bp]) for start in starts])
    rng = np.random.default_rng(5)
    values = rng.normal(2, 3, (n, 2)).astype(np.float32)
    bound = rng.integers(0, 2, (n, 1), dtype=np.uint8)
    arrays = {
        "inputs/sequence": (toys.sequence_spec(BP, margin_bp), codes),
        "targets/level/main": (toys.label_spec("level", ["up", "down"], "quantity", "float32"), values),
        "targets/bound/main": (toys.label_spec("bound", ["tf"]), bound),
    }
    folder = folder / f"datasets/{name}.zarr"
    return toys.write_dataset(folder, PARTS, arrays, runs=RUNS, chunk=16, margin_bp=margin_bp)


def train(folder: Path, dataset: Path, fold: str, seed: int, name: str = "net", hidden: tuple[int, ...] = ()) -> Path:
    section = {
        "architecture": "dense", "dataset": dataset.stem, "settings": {"hidden": list(hidden)},
        "training": {"batch_size": 16, "max_steps": 2, "optimizer": {"learning_rate": 0.05}},
    }  # fmt: skip
    out = folder / f"models/{name}/{fold}.{seed}"
    train_model(out, name=name, model=Model.model_validate(section), dataset=dataset, fold=fold, seed=seed)
    return out


def another(model: Path, fold: str, seed: int, name: str = "net") -> Path:
    """A run with the description of ``model`` and weights of its own, without training."""
    reader = ModelReader(model)
    rng = np.random.default_rng([int(fold), seed, len(name)])
    tensors = {key: rng.normal(0, 0.2, x.shape).astype(np.float32) for key, x in reader.tensors().items()}
    out = model.parent.parent / f"{name}/{fold}.{seed}"
    write_model(out, name, tensors, reader.info | {"fold": fold, "seed": seed}, reader.history)
    return out


@cache
def weights(model: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of a network without hidden layer: target -> weights (position, base, track) of its score, and its constant.

    The score of "level" is the value in the units of the labels, that of "bound" the logit.
    """
    reader = ModelReader(model)
    tensors, found = reader.tensors(), {}
    for target, head in reader.info["heads"].items():
        kernel, bias = (
            tensors[f"params.heads.layers.{target}.{what}"].astype(np.float64) for what in ("kernel", "bias")
        )
        scale, offset = (np.array(head["scaling"][key], np.float64) for key in ("scale", "centre"))
        if target == "bound":
            scale, offset = np.ones(1), np.zeros(1)
        found[target] = kernel.reshape(-1, 4, len(bias)) * scale, bias * scale + offset
    return found
