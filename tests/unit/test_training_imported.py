"""A model of imported weights is used as any other; what it was trained on is unknown, and is not guessed."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.unit import training_toys as toys
from tests.unit.foreign_weights import NETWORK, codes_and_one_hot, torch_basset, torch_outputs

from seqmill.cli.command import main
from seqmill.config.imported import Imported
from seqmill.config.models import Model, Prediction
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.unseen import Unseen
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.training.imported import import_weights
from seqmill.training.initial import start_from
from seqmill.training.objectives import split_module
from seqmill.training.predict import predict
from seqmill.training.train import train_model

BP = 60
TARGET = {"bound": {"tracks": ["motif", "other"]}}


def weights() -> dict[str, np.ndarray]:
    """60 bp: (60 - 5 + 1) // 2 = 28, (28 - 3 + 1) // 2 = 13 positions of 6 channels; two outputs."""
    found = torch_basset()
    found["f1.weight"] = np.random.default_rng(4).normal(0, 0.3, (7, 6 * 13)).astype(np.float32)
    return found | {"out.weight": found["out.weight"][:2] / 20, "out.bias": found["out.bias"][:2]}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    save_file(weights(), folder / "w.safetensors")
    file = Imported(**(NETWORK | {"window_bp": BP, "targets": TARGET}))
    import_weights(folder / "model", file, folder / "w.safetensors", "import.yaml")
    return folder / "model"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return toys.motif_dataset(tmp_path_factory.mktemp("data") / "motifs.zarr")


def test_it_predicts_a_dataset(model, dataset, tmp_path):
    predict(tmp_path / "p.zarr", model_folder=model, dataset=dataset)
    predicted = PredictionsReader(tmp_path / "p.zarr").predicted("bound")
    reader = DatasetReader(dataset)
    test = np.flatnonzero((reader.rows()["fold"] == "test").to_numpy())
    codes = reader.read("inputs/sequence", test[0], test[-1] + 1)
    x = np.stack([codes == base for base in range(4)], axis=1).astype(np.float32)
    logits = torch_outputs(weights(), x[:20])
    assert logits.std() > 0.1
    np.testing.assert_allclose(predicted[:20], 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_it_scores_sequences_as_maps_and_variants_do(model):
    ensemble = Ensemble([model], Prediction())
    assert (ensemble.window_bp, ensemble.both_strands) == (BP, False)
    codes, x = codes_and_one_hot(5, BP)
    (found,) = ensemble.apply(codes, lambda predictions: predictions["bound"])
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-torch_outputs(weights(), x))), atol=1e-5)


def test_what_it_has_seen_is_unknown(model, dataset):
    info, reader = ModelReader(model).info, DatasetReader(dataset)
    with pytest.raises(InputError, match=r"model/0\.0: what model model/0\.0 was trained on is not known"):
        Unseen([info], [dataset])
    targets = {"bound": reader.targets["bound"]}
    _, params, rest = split_module(build("basset", NETWORK["settings"], reader.inputs, targets, 0))
    with pytest.raises(InputError, match=r"mine/0\.0: what model model/0\.0 was trained on is not known"):
        start_from(model, [], params, rest, heads=True, reader=reader, fold="0", label="mine/0.0")


@pytest.mark.slow
def test_a_training_starts_from_it_where_that_is_accepted(model, dataset, tmp_path):
    initial = {"folder": model, "parts": "all", "freeze": ["convs"], "unchecked": True}
    section = Model(
        architecture="basset",
        dataset="motifs",
        settings=NETWORK["settings"],
        initial=initial,
        training={"max_steps": 2, "epoch_steps": 2, "batch_size": 32, "optimizer": {"learning_rate": 1e-4}},
    )
    out = tmp_path / "mine" / "0.0"
    train_model(out, name="mine", model=section, dataset=dataset, fold="0", seed=0, initial=model)
    new, old = ModelReader(out), ModelReader(model)
    assert new.info["initial"]["fresh"] == []
    assert [(link["dataset"], link["unchecked"]) for link in new.info["initial"]["seen"]] == [("unknown", True)]
    assert "model/0.0, which this one started from, has seen test rows was not checked" in new.info["note"]
    mine, theirs = new.tensors(), old.tensors()
    same = {name for name in mine if np.array_equal(mine[name], theirs[name])}
    assert {"params.convs.0.kernel", "params.convs.1.bias"} <= same
    assert "params.denses.0.kernel" not in same


def test_other_verbs_know_what_it_is(model, capsys):
    assert main(["verify", str(model)]) == 0
    assert main(["watch", "--once", str(model)]) == 0
    assert "finished" in capsys.readouterr().out
