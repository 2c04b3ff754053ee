"""Small stores for tests, each with known content."""

from pathlib import Path

import numpy as np
import pandas as pd

from seqmill.config.sheet import Track
from seqmill.config.sources import Genome
from seqmill.stores.dataset import DatasetReader, finish_dataset, write_array, write_rows
from seqmill.stores.genome import GenomeReader, build_genome
from seqmill.stores.layout import upstream
from seqmill.stores.model import ModelReader, write_model
from seqmill.stores.predictions import PredictionsReader, PredictionsWriter
from seqmill.stores.specs import ArraySpec
from seqmill.stores.track import TrackReader, build_track

PARTS = [("peaks", "train", 25), ("peaks", "test", 9), ("negatives", "train", 16)]
N = sum(size for *_, size in PARTS)


def toy_rows() -> pd.DataFrame:
    pools = [pool for pool, _, size in PARTS for _ in range(size)]
    folds = [fold for _, fold, size in PARTS for _ in range(size)]
    start = np.arange(N) * 100
    return pd.DataFrame(
        {
            "genome": "toy",
            "contig": ["chr1" if i % 2 else "chr2" for i in range(N)],
            "start": start,
            "end": start + 20,
            "strand": np.where(np.arange(N) % 3, 1, -1),
            "pool": pools,
            "fold": folds,
            "group": "",
            "name": [f"row{i}" for i in range(N)],
            "source_row": np.arange(N),
        }
    )


def toy_arrays(seed: int = 0) -> dict[str, tuple[ArraySpec, np.ndarray]]:
    rng = np.random.default_rng(seed)
    sequence = rng.integers(0, 5, (N, 24), dtype=np.uint8)
    labels = rng.integers(0, 2, (N, 3), dtype=np.uint8)
    more = rng.integers(0, 2, (N, 2), dtype=np.uint8)
    present = rng.random((N, 2)) < 0.8
    profile = rng.random((N, 5, 2)).astype(np.float32)
    profile[3, 2, 1] = np.nan
    scalar = {"axes": ("example", "tracks"), "kind": "binary"}
    return {
        "inputs/sequence": (
            ArraySpec(
                "input", "sequence", ("example", "bp"), "uint8", (24,), "sequence",
                bp_per_bin=1, margin_bp=2, rc="sequence", shift="moves",
            ),
            sequence,
        ),
        "targets/peaks/main": (
            ArraySpec(
                "target", "peaks", dtype="uint8", shape_per_example=(3,), group="main", tracks=("a", "b", "c"), **scalar
            ),
            labels,
        ),
        "targets/peaks/new": (
            ArraySpec(
                "target", "peaks", dtype="uint8", shape_per_example=(2,), group="new", rc="swap",
                tracks=("d+", "d-"), strand_pairs=("d-", "d+"), **scalar,
            ),
            more,
        ),
        "mask/peaks/new": (
            ArraySpec(
                "mask", "peaks", dtype="bool", shape_per_example=(2,), group="new", tracks=("d+", "d-"), **scalar
            ),
            present,
        ),
        "targets/coverage/main": (
            ArraySpec(
                "target", "coverage", ("example", "bins", "tracks"), "float32", (5, 2), "profile", group="main",
                bp_per_bin=4, rc="reverse", shift="moves", tracks=("e", "f"), units="reads",
            ),
            profile,
        ),
    }  # fmt: skip


def write_toy_parts(folder: Path, name: str = "toy", seed: int = 0, chunk: int = 4) -> list[str]:
    """Rows and arrays of the toy dataset; the caller finishes it."""
    dropped = pd.DataFrame({"stage": ["n"], "reason": ["N"], "pool": ["peaks"], "count": [2]})
    runs = {"0": {"train": ["train"], "valid": [], "test": ["test"]}}
    write_rows(
        folder / "rows", name=name, rows=toy_rows(), dropped=dropped, runs=runs,
        window_bp=20, margin_bp=2, reverse_complement=True, bootstrap_unit="contig",
    )  # fmt: skip
    for path, (spec, values) in toy_arrays(seed).items():
        blocks = (values[i : i + 7] for i in range(0, N, 7))
        write_array(
            folder / path, name=name, spec=spec, n=N, blocks=blocks,
            inputs=upstream(folder / "rows"), chunk_examples=chunk,
        )  # fmt: skip
    return [path for path in toy_arrays() if not path.startswith("mask")]


def write_toy_dataset(folder: Path, seed: int = 0) -> Path:
    """A whole dataset of 50 examples in ``folder``; returns ``folder``."""
    arrays = write_toy_parts(folder, seed=seed)
    finish_dataset(folder, name="toy", arrays=arrays)
    return folder


CONTIGS = {"chr1": 3001, "chr2": 257}


def write_toy_fasta(folder: Path) -> Path:
    """Two contigs with N runs and lower case; returns the file."""
    rng = np.random.default_rng(1)
    lines = []
    for contig, size in CONTIGS.items():
        letters = rng.choice(list("ACGTacgtNR"), size, p=[0.15] * 4 + [0.08] * 4 + [0.07, 0.01])
        text = "".join(letters)
        lines += [f">{contig} a contig", *(text[i : i + 60] for i in range(0, size, 60))]
    fasta = folder / "toy.fa"
    fasta.write_text("\n".join(lines) + "\n")
    return fasta


def write_toy_results(folder: Path) -> Path:
    """A tree of results with one noun of each kind; returns ``folder``."""
    folder.mkdir(parents=True)
    build_genome(folder / "genome/toy.zarr", name="toy", genome=Genome(fasta=write_toy_fasta(folder)))
    genome = GenomeReader(folder / "genome/toy.zarr")
    (folder / "signal.bedgraph").write_text("chr1\t10\t20\t1.5\nchr1\t30\t95\t2\nchr2\t0\t257\t3\n")
    (folder / "peaks.bed").write_text("chr1\t10\t200\ta\t7\t+\nchr1\t100\t300\tb\t8\t-\n")
    for name, file, bins in (("signal", "signal.bedgraph", 10), ("peaks", "peaks.bed", None)):
        track = Track(track=name, location=str(folder / file), format=file.split(".")[1], bin_bp=bins)
        build_track(folder / f"tracks/{name}.zarr", track=track, genome=genome, partial=False, on_bad_track="fail")
    dataset = write_toy_dataset(folder / "datasets/toy.zarr")
    rng = np.random.default_rng(2)
    tensors = {"dense.kernel": rng.random((4, 3)).astype(np.float32), "dense.bias": np.zeros(3, np.float32)}
    for fold in ("0", "1"):
        _write_toy_run(folder, dataset, fold, tensors)
    return folder


def _write_toy_run(folder: Path, dataset: Path, fold: str, tensors: dict[str, np.ndarray]) -> None:
    model = folder / f"models/net/{fold}.0"
    info = {"architecture": "dense", "fold": fold, "seed": 0}
    history = [{"epoch": 1, "valid_loss": 0.5}, {"epoch": 2, "valid_loss": 0.25 + int(fold)}]
    tensors = {key: value + int(fold) for key, value in tensors.items()}
    write_model(model, "net", tensors, info, history, inputs=upstream(dataset))
    reader = DatasetReader(dataset)
    attrs = {
        "kind": "network", "model": "net", "dataset": "toy", "dataset_digest": reader.digest, "fold": fold, "seed": 0,
        "bootstrap_unit": "contig",
    }  # fmt: skip
    with PredictionsWriter(
        folder / f"predictions/net/{fold}.0.zarr", "net", attrs, reader.targets, inputs=upstream(model, dataset)
    ) as writer:
        for start in range(0, N, 20):
            stop = min(start + 20, N)
            blocks = {}
            for name in reader.targets:
                truth, mask = reader.read(f"targets/{name}", start, stop), reader.read(f"mask/{name}", start, stop)
                blocks[name] = (np.full(truth.shape, 0.25 + start, np.float32), truth, mask)
            writer.append(reader.rows().iloc[start:stop], blocks)


def read_everything(folder: Path) -> dict[str, object]:
    """Every value of every noun of `write_toy_results`, by name."""
    found: dict[str, object] = {}
    genome = GenomeReader(folder / "genome/toy.zarr")
    for contig, size in genome.sizes.items():
        found[f"codes {contig}"] = genome.codes(contig, 0, size)
        found[f"softmask {contig}"] = genome.softmask(contig, 0, size)
        found[f"signal {contig}"] = TrackReader(folder / "tracks/signal.zarr").bins(contig, 0, -(-size // 10))
        for column, values in zip("sexf", TrackReader(folder / "tracks/peaks.zarr").intervals(contig)):
            found[f"peaks {contig} {column}"] = values
    dataset = DatasetReader(folder / "datasets/toy.zarr")
    found["rows"] = dataset.rows().to_numpy()
    for key in ("inputs/sequence", "targets/peaks", "mask/peaks", "targets/coverage"):
        found[key] = dataset.read(key, 0, N)
    for run in ("0.0", "1.0"):
        model = ModelReader(folder / f"models/net/{run}")
        found |= {f"info {run}": model.info, f"history {run}": model.history}
        found |= {f"{name} {run}": values for name, values in model.tensors().items()}
        predictions = PredictionsReader(folder / f"predictions/net/{run}.zarr")
        found[f"prediction rows {run}"] = predictions.rows().to_numpy()
        for target in predictions.targets:
            for role in ("predicted", "truth", "mask"):
                found[f"{role} {target} {run}"] = getattr(predictions, role)(target)
    return found
