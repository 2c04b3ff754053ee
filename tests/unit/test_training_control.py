"""BPNet with a control from the sheet to predictions: base resolution, both strands, jitter."""

import json

import numpy as np
import pytest
from tests.unit.example_worlds import random_sequence, random_signal

from seqmill.config.project import Project
from seqmill.stages.datasets import of_dataset
from seqmill.stages.steps import Steps
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.training.predict import predict
from seqmill.training.train import train_model

SIZES = {"chr1": 9_000, "chr2": 3_000, "chr3": 3_000}
STRANDS = {"plus": ("+", "minus"), "minus": ("-", "plus")}
SHEET = "track\tlocation\tassay\tstrand\tstrand_pair\taggregate\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ChIP whose signal is three times its control, on each strand, whatever the sequence is."""
    folder = tmp_path_factory.mktemp("bpnet")
    rng = np.random.default_rng(7)
    text = "".join(f">{contig}\n{random_sequence(rng, size)}\n" for contig, size in SIZES.items())
    (folder / "toy.fa").write_text(text)
    sheet = SHEET
    for word, (strand, partner) in STRANDS.items():
        signal = random_signal(rng, SIZES)
        for assay, factor in (("control", 1), ("ChIP-seq", 3)):
            file = folder / f"{assay}_{word}.bedgraph"
            runs = ((c, s, e, factor * v) for c, rows in signal.items() for s, e, v in rows)
            file.write_text("".join(f"{c}\t{s}\t{e}\t{v!r}\n" for c, s, e, v in runs))
            sheet += f"{assay}_{word}\t{file}\t{assay}\t{strand}\t{assay}_{partner}\tsum\n"
    (folder / "tracks.tsv").write_text(sheet)
    return folder


def project(folder) -> Project:
    chip = {"assay": "ChIP-seq"}
    dataset = {
        "genomes": ["toy"],
        "windows": {"kind": "tiles", "window_bp": 64, "stride_bp": 16},
        "targets": {
            "profile": {"kind": "profile", "tracks": chip, "length_bp": 24, "bin_bp": 1},
            "count": {"kind": "count", "tracks": chip, "length_bp": 24},
        },
        "control": {"tracks": {"assay": "control"}, "length_bp": 24},
        "split": {"kind": "chromosomes", "test": ["chr3"], "valid": ["chr2"]},
        "margin_bp": 4,
        "chunk_examples": 64,
    }
    training = {"batch_size": 64, "max_epochs": 20, "max_steps": 120, "max_jitter_bp": 4}
    training["optimizer"] = {"learning_rate": 0.03}
    settings = {"filters": 2, "width": 3, "dilated_layers": 1, "profile_width": 3}
    values = {
        "genomes": {"toy": {"fasta": str(folder / "toy.fa")}},
        "tracks": {"sheet": str(folder / "tracks.tsv"), "bin_bp": 1},
        "datasets": {"bases": dataset},
        "models": {"bpnet": {"architecture": "bpnet", "dataset": "bases", "settings": settings, "training": training}},
    }
    return Project.of(values, "config.yaml")


@pytest.mark.slow
def test_a_control_that_tells_is_used(folder):
    made, results = project(folder), folder / "results"
    steps = Steps(made, results)
    steps.run([of_dataset(steps, "bases")])
    place, run = results / "datasets/bases.zarr", results / "models/bpnet/0.0"
    train_model(run, name="bpnet", model=made.config.models["bpnet"], dataset=place, fold="0", seed=0)
    predict(results / "predictions/bpnet/0.0.zarr", model_folder=run, dataset=place)
    found, reader = PredictionsReader(results / "predictions/bpnet/0.0.zarr"), DatasetReader(place)
    assert set(reader.inputs) == {"sequence", "control"}
    assert reader.inputs["control"].shape_per_example == (32, 2)
    assert reader.targets["profile"].rc == "reverse_swap"
    predicted, truth = found.predicted("profile"), found.truth("profile")
    assert predicted.shape == (found.n, 24, 2)
    for track in range(2):
        assert np.corrcoef(predicted[:, :, track].ravel(), truth[:, :, track].ravel())[0, 1] > 0.95
        # Nothing else tells: the other strand has a signal of its own, and the sequence is random.
        assert abs(np.corrcoef(predicted[:, :, track].ravel(), truth[:, :, 1 - track].ravel())[0, 1]) < 0.3
    counts = np.corrcoef(found.predicted("count").sum(axis=1), found.truth("count").sum(axis=1))
    assert counts[0, 1] > 0.8
    info = json.loads((run / "model.json").read_text())
    assert info["inputs"]["control"]["tracks"] == ["control_plus", "control_minus"]
