"""Predictions of a network with the settings of the configuration: shifts, strands, batch size."""

import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.config.models import Model, Prediction
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.specs import ArraySpec
from seqmill.training.artefact import load_network
from seqmill.training.predict import predict, predictor
from seqmill.training.train import train_model

WINDOW, MARGIN, BIN = 64, 16, 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A profile network after two steps, on windows with a margin of two bins; 21 test rows."""
    folder = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (101, WINDOW + 2 * MARGIN), dtype=np.uint8)
    profile = (codes == 2).reshape(101, -1, BIN).sum(axis=2, dtype=np.float32)[..., None]
    spec = ArraySpec(
        "target", "cover", ("example", "bins", "tracks"), "float32", (12, 1), "profile", group="main",
        bp_per_bin=BIN, margin_bp=MARGIN, rc="reverse", shift="moves", tracks=("g",),
    )  # fmt: skip
    arrays = {
        "inputs/sequence": (toys.sequence_spec(WINDOW, margin_bp=MARGIN), codes),
        "targets/cover/main": (spec, profile),
    }
    parts = [("x", "train", 60), ("x", "valid", 20), ("x", "test", 21)]
    dataset = toys.write_dataset(folder / "toy.zarr", parts, arrays, margin_bp=MARGIN, chunk=16)
    model = Model.model_validate(
        {
            "architecture": "profile_cnn", "dataset": "toy.zarr",
            "settings": {"channels": 8, "dilated_layers": 1, "stem_width": 5, "tower_width": 3},
            "training": {"batch_size": 16, "max_steps": 2},
        }
    )  # fmt: skip
    train_model(folder / "net/0.0", name="net", model=model, dataset=dataset, fold="0", seed=0)
    return folder


def made(world, out, **settings):
    prediction = Prediction(**settings)
    predict(out, model_folder=world / "net/0.0", dataset=world / "toy.zarr", prediction=prediction)
    return PredictionsReader(out)


@pytest.mark.slow
def test_shifts_are_those_of_windows_cut_by_hand(world, tmp_path):
    """The average over three windows, each predicted alone after it was cut from a longer one."""
    shifts = [0, -8, 16]
    found = made(world, tmp_path / "p/0.0.zarr", shifts_bp=shifts, strands="forward", batch_size=5)
    assert (found.attrs["shifts_bp"], found.attrs["both_strands"]) == (shifts, False)
    codes = DatasetReader(world / "toy.zarr").read("inputs/sequence", 80, 101)
    run = predictor(load_network(world / "net/0.0"), strands=False)
    total, count = np.zeros((21, 8)), np.zeros(8)
    for shift in shifts:
        moved = np.roll(codes, -shift, axis=1)  # what comes round lies in the margin, which is cut off
        predicted = np.asarray(run({"inputs/sequence": moved})["cover"])[..., 0]
        for bin_ in range(8):
            if 0 <= bin_ + shift // BIN < 8:
                total[:, bin_ + shift // BIN] += predicted[:, bin_]
                count[bin_ + shift // BIN] += 1
    assert count.tolist() == [2, 2, 3, 3, 3, 3, 3, 2]
    np.testing.assert_allclose(found.predicted("cover")[..., 0], total / count, rtol=1e-4)
    assert found.n == 21


def test_strands_are_averaged_where_both_were_trained(world, tmp_path):
    both = made(world, tmp_path / "both/0.0.zarr")
    assert both.attrs["both_strands"] is True
    codes = DatasetReader(world / "toy.zarr").read("inputs/sequence", 80, 101)
    run = predictor(load_network(world / "net/0.0"), strands=False)
    forward, other = (np.asarray(run({"inputs/sequence": x})["cover"]) for x in (codes, (3 - codes)[:, ::-1]))
    np.testing.assert_allclose(both.predicted("cover"), (forward + other[:, ::-1]) / 2, rtol=1e-4)


def test_a_shift_beyond_the_margin_writes_nothing(world, tmp_path):
    with pytest.raises(InputError, match="24 bp asked for, but input 'sequence' has a margin of 16 bp"):
        made(world, tmp_path / "p/0.0.zarr", shifts_bp=[0, 24])
    assert not (tmp_path / "p").exists()
