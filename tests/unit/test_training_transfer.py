"""What stays fixed and how fast the rest moves in a training that starts from a trained model."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sklearn.metrics import roc_auc_score
from tests.unit import training_toys as toys

from seqmill.config.models import Model
from seqmill.config.transfer import Initial
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.training import objectives
from seqmill.training.artefact import load_network, names_of, tensors_of
from seqmill.training.objectives import split_module
from seqmill.training.predict import predictor
from seqmill.training.train import train_model
from seqmill.training.transfer import layer_rates, transfer

pytestmark = pytest.mark.slow

SMALL = {"filters": [16], "widths": [8], "pools": [6], "hidden": [8], "dropout": 0.0}
TRUNK = ("convs.", "conv_norms.", "denses.", "dense_norms.")


def model_of(initial: dict | None = None, **training) -> Model:
    values = {"batch_size": 16, "max_steps": 3, "reverse_complement": False, "optimizer": {"learning_rate": 0.01}}
    section = {"architecture": "basset", "dataset": "toy", "settings": SMALL, "training": values | training}
    return Model.model_validate(section | ({"initial": {"model": "base"} | initial} if initial is not None else {}))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model that knows the motif well, and its dataset."""
    folder = tmp_path_factory.mktemp("base")
    dataset = toys.motif_dataset(folder / "toy.zarr")
    model = model_of(batch_size=64, max_steps=None, max_epochs=6)
    train_model(folder / "base" / "0.0", name="base", model=model, dataset=dataset, fold="0", seed=0)
    return folder / "base" / "0.0", dataset


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The same rule in 48 new rows."""
    parts = [("peaks", "train", 32), ("peaks", "valid", 16), ("peaks", "test", 400)]
    arrays = toys.motif_arrays(448, seed=9)
    arrays["targets/bound/main"] = (toys.label_spec("bound", ["new"]), arrays["targets/bound/main"][1][:, :1])
    return toys.write_dataset(tmp_path_factory.mktemp("few") / "toy2.zarr", parts, arrays, first_bp=10**7)


def train(out, base, dataset, initial, seed=4, **training) -> ModelReader:
    train_model(
        out,
        name="new",
        model=model_of(initial, **training),
        dataset=dataset,
        fold="0",
        seed=seed,
        initial=base[0] if initial is not None else None,
        initial_datasets=[base[1]] if initial is not None else [],
    )
    return ModelReader(out)


def changed_names(old: dict, new: dict) -> set[str]:
    return {name for name in new if old[name].tobytes() != new[name].tobytes()}


HARD = {"ema_decay": 0.9, "optimizer": {"learning_rate": 0.05, "weight_decay": 0.1, "max_weight_norm": 0.5}}


@pytest.mark.parametrize(
    "training",
    [{}, HARD, {"accumulate": 4}, {"precision": "bfloat16"}, {"skip_spikes": 9.0, "batch_size": "auto"}],
    ids=["plain", "average, decay and limit", "accumulate", "bfloat16", "auto"],
)
def test_a_frozen_trunk_keeps_its_bits_and_the_heads_learn(tmp_path, base, training):
    new = train(tmp_path / "new" / "0.4", base, base[1], {"parts": "all", "freeze": "trunk"}, **training)
    old = ModelReader(base[0]).tensors()
    heads = {name for name in old if name.startswith("params.heads.")}
    assert changed_names(old, new.tensors()) == heads
    assert len(heads) == 2
    assert new.info["initial"]["fixed"] == sorted(set(old) - heads)
    assert new.info["initial"]["trained"] == sum(old[name].size for name in heads)
    assert new.info["parameters"] == sum(v.size for name, v in old.items() if name.startswith("params."))
    load_network(new.folder)  # has the tensors of any other


def test_without_freezing_all_move(tmp_path, base):
    new = train(tmp_path / "new" / "0.4", base, base[1], {"parts": "all"})
    old = ModelReader(base[0]).tensors()
    assert changed_names(old, new.tensors()) == set(old)
    assert not {"fixed", "trained", "learning_rates", "lora"} & set(new.info["initial"])


def test_layers_are_frozen_by_name(tmp_path, base):
    freeze = ["convs", "dense_norms.0"]
    new = train(tmp_path / "new" / "0.4", base, base[1], {"parts": "all", "freeze": freeze})
    old = ModelReader(base[0]).tensors()
    kept = set(old) - changed_names(old, new.tensors())
    inside = {name for name in old if name.split(".", 1)[1].startswith(("convs.", "dense_norms.0."))}
    assert kept == inside
    assert {"state.dense_norms.0.mean", "params.dense_norms.0.scale", "params.convs.0.kernel"} <= kept


class Toy(nnx.Module):
    def __init__(self, norm: nnx.Module):
        self.layers = nnx.List([nnx.Linear(3, 4, rngs=nnx.Rngs(0)), norm])
        self.heads = nnx.Dict({"a": nnx.Linear(4, 1, rngs=nnx.Rngs(1))})

    def __call__(self, x, train):
        for layer in self.layers:
            x = layer(x, use_running_average=not train) if isinstance(layer, nnx.BatchNorm) else layer(x)
        return self.heads["a"](x)


def toy(section: dict, norm: nnx.Module | None = None, copied: list[str] | None = None):
    parts = split_module(Toy(norm or nnx.BatchNorm(4, rngs=nnx.Rngs(0))))
    names = list(tensors_of(*parts[1:])) if copied is None else copied
    initial = Initial.model_validate({"model": "m", **section})
    return parts, transfer(*parts, initial, copied=names, seed=0, label="new/0.0")


def test_a_frozen_normalisation_uses_the_statistics_it_has():
    """Against numpy: in training the frozen layer divides by its running variance, not by that of the batch."""
    (_, params, rest), change = toy({"freeze": "trunk"})
    rest["layers"][1]["mean"][...] = jnp.arange(4.0)
    rest["layers"][1]["var"][...] = jnp.full(4, 9.0)
    (_, params, rest), change = toy({"freeze": "trunk"}, split_norm(rest))
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    found = np.asarray(nnx.merge(change.graph, change.params, change.rest, copy=True)(jnp.asarray(x), True))
    values = {name: np.asarray(leaf) for name, leaf in zip(*names_of(params)[:2])}
    hidden = (x @ values["layers.0.kernel"] + values["layers.0.bias"] - np.arange(4)) / np.sqrt(9 + 1e-5)
    expected = hidden @ values["heads.a.kernel"] + values["heads.a.bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def split_norm(rest) -> nnx.BatchNorm:
    norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))
    norm.mean[...], norm.var[...] = rest["layers"][1]["mean"][...], rest["layers"][1]["var"][...]
    return norm


def test_what_is_frozen_has_no_gradient_and_no_state_of_the_optimiser():
    _, change = toy({"freeze": "trunk"})
    assert sorted(names_of(change.params)[0]) == ["heads.a.bias", "heads.a.kernel"]
    state = optax.adam(1e-3).init(change.params)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 2 * (4 + 1) + 1  # two moments, and the count


class Counting(nnx.Module):
    def __init__(self):
        self.seen = nnx.BatchStat(jnp.zeros(()))

    def __call__(self, x):
        self.seen[...] = self.seen[...] + 1
        return x


def test_refusals():
    with pytest.raises(
        InputError, match=r"new/0\.0: initial: freeze: .*'layer'; there are heads\.a, layers\.0, layers\.1"
    ):
        toy({"freeze": ["layer"]})
    with pytest.raises(InputError, match="nothing is left to train: all parameters are fixed"):
        toy({"freeze": ["layers", "heads"]})
    with pytest.raises(
        InputError, match=r"params\.layers\.0\.bias, .*did not come from the trained model, so it cannot"
    ):
        toy({"freeze": "trunk"}, copied=["params.heads.a.kernel"])
    with pytest.raises(
        InputError, match=r"layers\.1\.seen is a BatchStat that its layer renews in training; only those"
    ):
        toy({"freeze": "trunk"}, Counting())
    with pytest.raises(InputError, match=r"learning_rates: the network has nothing to train named 'layers\.0'"):
        toy({"freeze": "trunk", "learning_rates": {"layers.0": 0.1}})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "name either a 'model' of this configuration or the 'folder'"),
        ({"model": "a", "folder": "b"}, "name either a 'model' of this configuration or the 'folder'"),
        ({"model": "a", "datasets": ["b"]}, "'datasets' is for 'folder'"),
        ({"model": "a", "freeze": "trunk", "lora": {}}, "'lora' keeps the trunk fixed already"),
        ({"model": "a", "freeze": []}, "at least 1 item"),
        ({"model": "a", "learning_rates": {"x": 0}}, "greater than 0"),
    ],
)
def test_sections_that_make_no_sense(section, message):
    with pytest.raises(ValueError, match=message):
        Initial.model_validate(section)


def test_rates_of_layers_against_one_step_of_sgd_by_hand(tmp_path, base):
    """New parameters are the old ones minus rate × factor × gradient; the gradient is that of the plain training."""
    settings = {"max_steps": 1, "max_epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.5}}
    rates = {"convs": 0.1, "denses": 0.5, "denses.0.bias": 3.0, "heads": 2.0}
    plain = train(tmp_path / "a" / "0.4", base, base[1], {"parts": "all"}, **settings).tensors()
    section = {"parts": "all", "learning_rates": rates}
    slow = train(tmp_path / "b" / "0.4", base, base[1], section, **settings)
    old = ModelReader(base[0]).tensors()
    factors = {"params.convs.0.kernel": 0.1, "params.convs.0.bias": 0.1, "params.denses.0.kernel": 0.5}
    factors |= {"params.denses.0.bias": 3.0}
    factors |= {name: 2.0 for name in old if name.startswith("params.heads.")}
    for name in (name for name in old if name.startswith("params.")):
        gradient = (old[name].astype(np.float64) - plain[name]) / 0.5
        expected = old[name] - 0.5 * factors.get(name, 1.0) * gradient
        np.testing.assert_allclose(slow.tensors()[name], expected, rtol=0, atol=3e-7, err_msg=name)
    assert slow.info["initial"]["learning_rates"] == rates


def test_the_longest_name_wins_and_names_end_at_dots():
    updates = {"conv": {"0": jnp.ones(2), "1": jnp.ones(2)}, "conv1": jnp.ones(2)}
    found, _ = layer_rates({"conv": 0.5, "conv.1": 3.0}).update(updates, None)
    assert [float(leaf[0]) for leaf in (found["conv"]["0"], found["conv"]["1"], found["conv1"])] == [0.5, 3.0, 1.0]


def test_heads_alone_are_taken_over(tmp_path, base):
    new = train(tmp_path / "new" / "0.4", base, base[1], {"parts": "heads"})
    assert sorted(new.info["initial"]["copied"]) == [
        "params.heads.layers.bound.bias",
        "params.heads.layers.bound.kernel",
    ]


def auc_of(folder, dataset) -> float:
    reader = DatasetReader(dataset)
    codes, truth = reader.read("inputs/sequence", 48, 448), reader.read("targets/bound", 48, 448)
    network = load_network(folder)
    found = predictor(network, strands=False)({"inputs/sequence": codes})["bound"]
    return roc_auc_score(truth[:, 0], np.asarray(found)[:, 0])


def test_a_few_rows_are_enough_for_one_that_knows_the_motif(tmp_path, base, few):
    """32 rows of a rule that the first model has learned from 1,200: its trunk is better than a fresh start."""
    settings = {"max_steps": None, "max_epochs": 15, "patience": 15}
    known = train(tmp_path / "a" / "0.4", base, few, {"freeze": "trunk"}, **settings)
    fresh = train(tmp_path / "b" / "0.4", base, few, None, **settings)
    better, worse = auc_of(known.folder, few), auc_of(fresh.folder, few)
    assert better > 0.85
    assert better > worse + 0.1, json.dumps([better, worse])


def test_a_fresh_network_is_untouched():
    """Without any of it the network is the very one that is trained today."""
    parts = split_module(build("dense", {"hidden": [4]}, {"sequence": toys.sequence_spec(20)},
                               {"bound": toys.label_spec("bound", ["a"])}, 0))  # fmt: skip
    assert transfer(*parts, Initial(model="m", parts="all"), copied=[], seed=0, label="x") is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_without_frozen_layers_is_the_one_it_was(base, monkeypatch, precision):
    """The only line in the step that knows of frozen layers leaves nothing in the compiled step of other networks."""
    network = load_network(base[0])
    objective = objectives.Supervised(network.graph, network.view, network.heads, optax.sgd(0.1))
    objective.precision = precision
    batch = {"inputs/sequence": jnp.zeros((4, 60), jnp.uint8), "targets/bound": jnp.zeros((4, 2), jnp.uint8)}
    state = objective.init(network.params, network.rest)

    def text() -> str:
        return jax.jit(objective.step).lower(state, batch, jax.random.key(0)).as_text()

    now = text()
    monkeypatch.setattr(objectives.nnx, "update", lambda *_: None)
    assert now == text()
