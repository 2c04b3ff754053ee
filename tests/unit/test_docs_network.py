"""The example network of docs/usage.md works as it stands there: it is trained and applied by its path."""

import re
from pathlib import Path

import pytest
from tests.unit.training_toys import motif_dataset

from seqmill.config.models import Model
from seqmill.metrics.ranking import auroc
from seqmill.runtime.errors import InputError
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.training.predict import predict
from seqmill.training.train import train_model

USAGE = Path(__file__).parents[2] / "docs/usage.md"


@pytest.mark.slow
def test_the_example_network_learns(tmp_path):
    text = USAGE.read_text()
    name = re.search(r"`architecture: (my_network\.py:\w+)`", text)[1]
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    file = tmp_path / "my_network.py"
    file.write_text(code)
    dataset = motif_dataset(tmp_path / "motif.zarr")
    model = Model(
        architecture=str(tmp_path / name),
        dataset="motif",
        settings={"width": 9},
        training={"batch_size": 64, "max_epochs": 8, "optimizer": {"learning_rate": 0.01}},
    )
    run, out = tmp_path / "models/own/0.0", tmp_path / "predictions/own/0.0.zarr"
    train_model(run, name="own", model=model, dataset=dataset, fold="0", seed=0)
    info = ModelReader(run).info
    assert info["parameters"] == 2 * (9 * 4 * 32 + 32) + 2 * (32 + 1)
    predict(out, model_folder=run, dataset=dataset)
    found = PredictionsReader(out)
    assert auroc(found.truth("bound")[:, 0], found.predicted("bound")[:, 0]).value > 0.9
    file.write_text(code + "\n# another network\n")
    with pytest.raises(InputError, match=r"my_network\.py: has changed since model .* was trained with it"):
        predict(tmp_path / "again.zarr", model_folder=run, dataset=dataset)
