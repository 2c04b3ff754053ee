"""BPNet's data from real reads: cut sites of both strands base by base, coverage as the control."""

import numpy as np
import pysam
import pytest

from seqmill.config.project import Project
from seqmill.stages.datasets import of_dataset
from seqmill.stages.steps import Steps
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.training.predict import predict
from seqmill.training.train import train_model

SHEET = """track\tlocation\tassay\tstrand\tstrand_pair\taggregate\treads\tplus_shift\tminus_shift
peaks\t{peaks}\tpeaks\t.\t\tmax\tcoverage\t0\t0
cuts+\t{bam}\tATAC-seq\t+\tcuts-\tsum\tcuts\t4\t-5
cuts-\t{bam}\tATAC-seq\t-\tcuts+\tsum\tcuts\t4\t-5
cover\t{bam}\tcontrol\t.\t\tsum\tcoverage\t0\t0
"""
LEFT_OUT = 4 | 256 | 512 | 1024 | 2048


@pytest.fixture(scope="module")
def made(test_data, tmp_path_factory):
    """The dataset by the steps of the command, and its configuration."""
    folder, chr1 = tmp_path_factory.mktemp("atac"), test_data / "hg19_chr1"
    peaks, bam = chr1 / "peaks_tf_chr1/CTCF.GM12878.bed.gz", chr1 / "reads/GL1.bam"
    (folder / "tracks.tsv").write_text(SHEET.format(peaks=peaks, bam=bam))
    cuts = {"assay": "ATAC-seq"}
    dataset = {
        "genomes": ["chr1"],
        "windows": {"kind": "peaks", "window_bp": 2114, "tracks": ["peaks"], "centre": "midpoint"},
        "targets": {
            "profile": {"kind": "profile", "tracks": cuts, "length_bp": 1000, "bin_bp": 1},
            "count": {"kind": "count", "tracks": cuts, "length_bp": 1000},
        },
        "control": {"tracks": {"assay": "control"}, "length_bp": 1000, "bin_bp": 1},
        "split": {"kind": "blocks", "block_bp": 1_000_000, "test": 0.2, "valid": 0.2},
        "margin_bp": 50,
        "chunk_examples": 64,
    }
    model = {
        "architecture": "bpnet",
        "dataset": "atac",
        "settings": {"filters": 2, "width": 5, "dilated_layers": 1, "profile_width": 5},
        "targets": {"profile": {"loss": "multinomial", "total": "count"}, "count": {"loss": "log_mse"}},
        "training": {"batch_size": 16, "max_steps": 6, "max_jitter_bp": 50},
    }
    values = {
        "genomes": {"chr1": {"fasta": str(chr1 / "genome/chr1_10MB.fasta.gz"), "partial": True}},
        "tracks": {"sheet": str(folder / "tracks.tsv"), "bin_bp": 1},
        "datasets": {"atac": dataset},
        "models": {"bpnet": model},
    }
    project = Project.of(values, "atac.yaml")
    steps = Steps(project, folder / "results")
    steps.run([of_dataset(steps, "atac")])
    return project, folder / "results", bam


def test_values_equal_the_reads(made):
    _, results, bam = made
    reader = DatasetReader(results / "datasets/atac.zarr")
    assert reader.inputs["control"].shape_per_example == (1100, 1)
    assert reader.targets["profile"].shape_per_example == (1100, 2)
    assert (reader.inputs["control"].rc, reader.targets["profile"].rc) == ("reverse", "reverse_swap")
    rows = reader.rows()
    control, profile = (reader.read(key, 0, reader.n) for key in ("inputs/control", "targets/profile"))
    counts = reader.read("targets/count", 0, reader.n)
    richest = np.argsort(-control.sum(axis=(1, 2)))[:25]
    assert control[richest].sum(axis=(1, 2)).min() > 0
    with pysam.AlignmentFile(str(bam)) as file:
        for number in richest:
            low = int(rows["start"][number]) + 557 - 50
            cover, cuts = np.zeros(1100), np.zeros((1100, 2))
            for read in file.fetch("chr1", max(0, low - 200), low + 1300):
                if read.flag & LEFT_OUT:
                    continue
                aligned = np.array(read.get_reference_positions()) - low
                np.add.at(cover, aligned[(aligned >= 0) & (aligned < 1100)], 1)
                place = aligned[-1] - 5 if read.is_reverse else aligned[0] + 4
                if 0 <= place < 1100:
                    cuts[place, int(read.is_reverse)] += 1
            np.testing.assert_array_equal(control[number, :, 0], cover)
            np.testing.assert_array_equal(profile[number], cuts)
            np.testing.assert_array_equal(counts[number], cuts[50:-50].sum(axis=0))


@pytest.mark.slow
def test_a_small_network_is_trained_and_applied(made):
    project, results, _ = made
    run, dataset = results / "models/bpnet/0.0", results / "datasets/atac.zarr"
    train_model(run, name="bpnet", model=project.config.models["bpnet"], dataset=dataset, fold="0", seed=0)
    predict(results / "predictions/bpnet/0.0.zarr", model_folder=run, dataset=dataset)
    found = PredictionsReader(results / "predictions/bpnet/0.0.zarr")
    predicted = found.predicted("profile")
    assert predicted.shape == (found.n, 1000, 2)
    # the shape times the predicted count
    np.testing.assert_allclose(predicted.sum(axis=1), found.predicted("count"), rtol=1e-4)
