"""Genotypes and single-cell methylation as datasets, through the same workflow, loop, predictor and metrics.

A plain dense network is trained with five seeds by Snakemake, then with the same settings and seeds on copies of the
dataset whose training and validation labels are shuffled: for each track among its own labelled examples, so that
inputs, gaps, the test part and each cell's rate of ones stay (the last alone lifts a score over all cells above 0.5).
Scores are of the given test part, computed here with NumPy and scikit-learn from the predictions; the goal is that
every network beats every shuffled one. Reads SEQMILL_TEST_DATA.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import write_result

from seqmill.config.project import Project
from seqmill.runtime.device import choose_device
from seqmill.runtime.marker import read_marker
from seqmill.stores.dataset import DatasetReader, finish_dataset, write_array
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import ArraySpec

ROOT = Path(__file__).resolve().parent.parent
NO_CALL = 2


class Truth(NamedTuple):
    """Predictions of one run beside what is known, all (example, track)."""

    predicted: np.ndarray
    truth: np.ndarray
    present: np.ndarray


def pearson(run: Truth) -> float:
    return float(np.corrcoef(run.predicted[run.present], run.truth[run.present])[0, 1])


def pooled_auc(run: Truth) -> float:
    """Area under the ROC curve over all calls of all cells together."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(run.truth[run.present], run.predicted[run.present]))


class Modality(NamedTuple):
    """One configuration of ``benchmarks/real`` and how its network is judged.

    ``others`` are scores of linear or simpler models as the data's own README states them, on splits of its own.
    """

    dataset: str
    target: str
    network: str
    baseline: str
    metric: str
    score: Callable[[Truth], float]
    others: dict[str, str]


MODALITIES = {
    "genotype": Modality(
        "dcell", "score", "dense_dcell", "linear_dcell", "Pearson r", pearson,
        {"gene ridge": "0.185", "random forest on term states": "0.384"},
    ),
    "methylation": Modality(
        "scbs", "methylated", "dense_scbs", "linear_scbs", "AUROC over all calls", pooled_auc,
        {"mean of the two flanking calls": "0.82-0.83", "k-mer on windows": "0.784", "other cells": "0.871"},
    ),
}  # fmt: skip


def read_predictions(folder: Path, target: str) -> Truth:
    reader = PredictionsReader(folder)
    return Truth(reader.predicted(target), reader.truth(target).astype(float), reader.mask(target))


def run_workflow(name: str, work: Path, cores: int) -> float:
    """Run the documented command in an empty folder; its wall seconds."""
    config = ROOT / "benchmarks" / "real" / f"{name}.yaml"
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(config), "--quiet", "rules", "host"]
    start = time.monotonic()
    with open(work / "output.txt", "w") as output:
        done = subprocess.run(command, cwd=work, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n" + "\n".join((work / "output.txt").read_text().splitlines()[-30:]))
    return time.monotonic() - start


def shuffle_labels(dataset: Path, copy: Path, target: str, seed: int) -> None:
    """Copy a dataset and permute the labels outside its test part, for each track among the examples that have one."""
    shutil.copytree(dataset, copy)
    reader = DatasetReader(dataset)
    rows = reader.rows()
    values = reader.read(f"targets/{target}", 0, reader.n)
    present = reader.read(f"mask/{target}", 0, reader.n)
    inside = (rows["fold"] != "test").to_numpy()
    rng = np.random.default_rng(seed)
    for track in range(values.shape[1]):
        which = np.flatnonzero(inside & present[:, track])
        values[which, track] = values[rng.permutation(which), track]
    marker = read_marker(dataset / "targets" / target / "main")
    write_array(
        copy / "targets" / target / "main",
        name=reader.name,
        spec=ArraySpec.from_json(marker.attrs["spec"]),
        n=reader.n,
        blocks=[values],
        inputs=marker.attrs["inputs"],
        chunk_examples=reader.chunk_examples,
    )
    arrays = [*(f"inputs/{name}" for name in reader.inputs), f"targets/{target}/main"]
    finish_dataset(copy, name=reader.name, arrays=arrays)


def shuffled_score(name: str, results: Path, work: Path, seed: int) -> float:
    """Score of the same network with the same seed, trained on shuffled labels."""
    from seqmill.training.predict import predict
    from seqmill.training.train import train_model

    modality = MODALITIES[name]
    project = Project.load([ROOT / "benchmarks" / "real" / f"{name}.yaml"])
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        folder = Path(temporary)
        dataset = folder / "datasets" / f"{modality.dataset}.zarr"
        shuffle_labels(results / "datasets" / f"{modality.dataset}.zarr", dataset, modality.target, seed)
        model, run = folder / "models" / modality.network / f"0.{seed}", f"{modality.network}/0.{seed}.zarr"
        section = project.config.models[modality.network]
        train_model(model, name=modality.network, model=section, dataset=dataset, fold="0", seed=seed)
        predict(folder / "predictions" / run, model_folder=model, dataset=dataset)
        return modality.score(read_predictions(folder / "predictions" / run, modality.target))


def simple_rules(dataset: Path, score: Callable[[Truth], float]) -> dict[str, float]:
    """Methylation without a model, on the test part: mean of a cell's two flanking calls, mean of the other cells."""
    reader = DatasetReader(dataset)
    test = (reader.rows()["fold"] == "test").to_numpy()
    states = reader.read("inputs/neighbour_states", 0, reader.n)[test].astype(float)
    distances = reader.read("inputs/neighbour_distances", 0, reader.n)[test]
    called = states != NO_CALL
    assert distances[called].min() >= 2, "a site's own call is among its neighbours"
    truth = reader.read("targets/methylated", 0, reader.n)[test].astype(float)
    present = reader.read("mask/methylated", 0, reader.n)[test]
    half = states.shape[2] // 2
    nearest = [0, half]
    known = called[:, :, nearest].sum(axis=2)
    total = np.where(called, states, 0)[:, :, nearest].sum(axis=2)
    flanking = np.where(known > 0, total / np.maximum(known, 1), 0.5)
    others = present.sum(axis=1, keepdims=True) - present
    sums = (truth * present).sum(axis=1, keepdims=True) - truth * present
    cells = np.where(others > 0, sums / np.maximum(others, 1), 0.5)
    return {
        "mean of the two flanking calls": score(Truth(flanking, truth, present)),
        "other cells at the site": score(Truth(cells, truth, present)),
    }


def measure(name: str, cores: int) -> dict[str, Any]:
    modality = MODALITIES[name]
    with tempfile.TemporaryDirectory(prefix="seqmill-real-") as temporary:
        work = Path(temporary).resolve()
        seconds = run_workflow(name, work, cores)
        results = work / "results"
        runs = sorted((results / "predictions" / modality.network).glob("0.[0-9]*.zarr"))  # not their mean
        real = [modality.score(read_predictions(folder, modality.target)) for folder in runs]
        linear = read_predictions(results / "predictions" / modality.baseline / "0.0.zarr", modality.target)
        dataset = results / "datasets" / f"{modality.dataset}.zarr"
        shuffled = [shuffled_score(name, results, work, seed) for seed in range(len(runs))]
        parts: dict[str, int] = {}
        for part in DatasetReader(dataset).parts:
            parts[part["fold"]] = parts.get(part["fold"], 0) + part["stop"] - part["start"]
        return {
            "modality": name,
            "metric": modality.metric,
            "seeds": len(runs),
            "examples": parts,
            "test_values": int(linear.present.sum()),
            "network": real,
            "shuffled": shuffled,
            "margin": min(real) - max(shuffled),
            "linear_baseline": modality.score(linear),
            "simple_rules": simple_rules(dataset, modality.score) if name == "methylation" else {},
            "stated_elsewhere": modality.others,
            "workflow_seconds": round(seconds, 1),
        }


def line(row: dict[str, Any]) -> str:
    def spread(values: list[float]) -> str:
        return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    extra = "".join(f"; {key} {value:.3f}" for key, value in row["simple_rules"].items())
    return (
        f"{row['modality']}: {row['metric']} on {row['test_values']:,} test values, {row['seeds']} seeds: network "
        f"{spread(row['network'])}, shuffled labels {spread(row['shuffled'])}, linear baseline "
        f"{row['linear_baseline']:.3f}{extra}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MODALITIES), metavar="NAME", help=", ".join(MODALITIES))
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    value = os.environ.get("SEQMILL_TEST_DATA")
    if not value or not Path(value).is_dir():
        raise SystemExit("SEQMILL_TEST_DATA is not set to the folder of real test data")
    os.environ["SEQMILL_TEST_DATA"] = str(Path(value).resolve())
    choose_device("cpu", 1)
    rows = []
    for name in options.names:
        rows.append(measure(name, options.cores))
        print(line(rows[-1]), flush=True)
    write_result(
        "real_modalities", min(row["margin"] for row in rows), "lowest network minus highest shuffled score", "> 0",
        sum(2 * row["seeds"] for row in rows), rows, load=os.getloadavg(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
