"""Training and predicting from a dataset on S3 gives the bits of the same dataset on this disk."""

import numpy as np
import pytest
from tests.unit.s3_server import s3_server, upload
from tests.unit.training_toys import motif_dataset

from seqmill.config.models import Model
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.stores.remote import link_dataset
from seqmill.training.predict import predict
from seqmill.training.train import train_model


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The dataset here, and its link to the copy on S3."""
    here = motif_dataset(tmp_path_factory.mktemp("here") / "motif.zarr")
    there = tmp_path_factory.mktemp("there") / "motif.zarr"
    with s3_server() as client:
        upload(client, here, "motif.zarr")
        link_dataset(there, name="motif.zarr", url="s3://lab-data/motif.zarr")
        yield here, there


@pytest.mark.slow
def test_models_and_predictions_are_the_same(places, tmp_path):
    training = {"batch_size": 64, "max_epochs": 2}
    model = Model(architecture="dense", dataset="motif", settings={"hidden": [8]}, training=training)
    found = []
    for number, dataset in enumerate(places):
        folder = tmp_path / f"{number}/models/toy/0.0"
        train_model(folder, name="toy", model=model, dataset=dataset, fold="0", seed=0)
        out = tmp_path / f"{number}/predictions/toy/0.0.zarr"
        predict(out, model_folder=folder, dataset=dataset)
        found.append((ModelReader(folder), PredictionsReader(out)))
    (mine, predicted), (other, again) = found
    assert mine.digest == other.digest
    assert mine.tensors().keys() == other.tensors().keys()
    np.testing.assert_array_equal(predicted.predicted("bound"), again.predicted("bound"))
    assert predicted.marker.digest == again.marker.digest
