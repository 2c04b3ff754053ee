"""Objectives other than the sum of losses, by the same loop: an autoencoder, and two networks against each other."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.unit import training_toys as toys
from tests.unit.example_worlds import World

from seqmill.config.models import Model
from seqmill.config.project import Project
from seqmill.models.autoencoder import Autoencoder, AutoencoderSettings
from seqmill.runtime.errors import InputError
from seqmill.stores.model import ModelReader
from seqmill.stores.predictions import PredictionsReader
from seqmill.training.artefact import load_network, output_shapes
from seqmill.training.augment import View
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import TrainState, find_objective, read_objective, split_module
from seqmill.training.predict import predict
from seqmill.training.train import train_model

pytestmark = pytest.mark.slow

BP, TEMPLATES = 48, 4
TRAINING = {"batch_size": 80, "max_epochs": 30, "patience": 30, "optimizer": {"learning_rate": 0.01}}


def noisy_copies(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Copies of four fixed sequences in which every tenth base is drawn anew, and which of the four each is."""
    templates = np.random.default_rng(7).integers(0, 4, (TEMPLATES, BP), dtype=np.uint8)
    rng = np.random.default_rng(seed)
    which = rng.integers(0, TEMPLATES, n)
    anew = rng.random((n, BP)) < 0.1
    return np.where(anew, rng.integers(0, 4, (n, BP)), templates[which]).astype(np.uint8), which


def project_of(folder) -> Project:
    codes, _ = noisy_copies(400, 1)
    lines = ["sequence\tpart"] + [
        "".join("ACGT"[c] for c in row) + "\t" + ("test" if i % 5 == 0 else "valid" if i % 5 == 1 else "train")
        for i, row in enumerate(codes)
    ]
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    return Project.of(
        {
            "datasets": {
                "sequences": {
                    "windows": {
                        "kind": "table",
                        "files": [{"path": str(folder / "t.tsv"), "format": "tsv"}],
                        "fold_column": "part",
                        "length_bp": BP,
                        "duplicates": "keep",
                    },
                    "targets": {},
                    "split": {"kind": "given"},
                    "reverse_complement": False,
                    "chunk_examples": 64,
                }
            },
            "models": {
                "code": {
                    "architecture": "autoencoder",
                    "dataset": "sequences",
                    "objective": "autoencoder",
                    "settings": {"numbers": 3, "channels": 12, "width": 3, "pool": 2},
                    "training": {
                        "batch_size": 64,
                        "max_epochs": 40,
                        "patience": 40,
                        "optimizer": {"learning_rate": 0.01},
                    },
                }
            },
        },
        "config.yaml",
    )


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Folder with dataset, model and predictions of an autoencoder, made from a configuration."""
    folder = tmp_path_factory.mktemp("encoded")
    project = project_of(folder)
    World(folder).build("sequences", project.config.datasets["sequences"], {})
    dataset, model = folder / "datasets/sequences.zarr", folder / "models/code/0.0"
    train_model(model, name="code", model=project.config.models["code"], dataset=dataset, fold="0", seed=0)
    predict(folder / "predictions/code/0.0.zarr", model_folder=model, dataset=dataset)
    return folder


def test_sequences_come_back_from_three_numbers(encoded):
    network = load_network(encoded / "models/code/0.0")
    module = nnx.merge(network.graph, network.params, network.rest, copy=True)
    codes, which = noisy_copies(200, 2)  # never seen
    one_hot = np.eye(4, dtype=np.float32)[codes]
    outputs = module({"sequence": jnp.asarray(one_hot)}, train=False)
    log_p = np.asarray(nnx.log_softmax(outputs["reconstruction"]))
    found = -(one_hot * log_p).sum(-1).mean()
    # Without a code the frequencies of the bases at each position are the best that can be known: about 1 nat a base.
    # Who knows the template has .28 nat left.
    shares = np.eye(4)[noisy_copies(4000, 3)[0]].mean(axis=0)
    without_code = -(one_hot * np.log(shares)).sum(-1).mean()
    assert found < 0.6 * without_code
    embedding = np.asarray(outputs["embedding"])
    centres = np.array([embedding[which == k].mean(axis=0) for k in range(TEMPLATES)])
    nearest = np.square(embedding[:, None] - centres).sum(-1).argmin(axis=1)
    assert (nearest == which).mean() > 0.9


def test_predictions_hold_the_embedding_without_truth(encoded):
    reader = PredictionsReader(encoded / "predictions/code/0.0.zarr")
    spec = reader.targets["embedding"]
    assert (list(reader.targets), spec.kind, spec.tracks) == (["embedding"], "none", ("z0", "z1", "z2"))
    assert reader.n == 80
    assert reader.predicted("embedding").std(axis=0).min() > 0
    assert not reader.mask("embedding").any()
    history = ModelReader(encoded / "models/code/0.0").history
    assert history[-1]["valid_loss"] < history[0]["valid_loss"] < 1.5  # ln 4 and a little


def test_missing_bases_are_left_out(encoded):
    network = load_network(encoded / "models/code/0.0")
    objective = network.objective(network.graph, network.view, {}, None, None)
    state, rows = TrainState(network.params, network.rest, ()), np.array([True, True, True, False])

    def of(codes):
        return objective.evaluate(state, {"inputs/sequence": codes}, rows)["reconstruction"]

    codes, _ = noisy_copies(4, 5)
    assert int(of(codes).labels) == 3 * BP
    codes[0, :20] = 4
    assert int(of(codes).labels) == 3 * BP - 20
    codes[:] = 4
    assert float(of(codes).total) == 0


@pytest.mark.parametrize("length", [500, 47])
def test_every_length_comes_back_whole(length):
    specs = {"sequence": toys.sequence_spec(length)}
    parts = split_module(Autoencoder(specs, {}, AutoencoderSettings(channels=2), nnx.Rngs(0)))
    outputs = output_shapes(*parts, View(specs, {}, Jitter(0, 1), False))
    assert {name: x.shape for name, x in outputs.items()} == {"embedding": (1, 10), "reconstruction": (1, length, 4)}


def test_objectives_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match=r"'gan' is unknown; known: supervised, autoencoder, or path/to/file.py:Class"):
        find_objective("gan")
    with pytest.raises(InputError, match="settings of objective autoencoder: unknown key 'nimbers'"):
        read_objective("autoencoder", {"nimbers": 1})
    file = tmp_path / "mine.py"
    file.write_text("class Half:\n    def init(self): ...\n")
    with pytest.raises(InputError, match="has no class 'Half' with Settings, learns_targets, step, evaluate, combine"):
        find_objective(f"{file}:Half")
    with pytest.raises(InputError, match="has no class 'Whole'; an objective has Settings, learns"):
        find_objective(f"{file}:Whole")
    values = project_of(tmp_path).config.model_dump(mode="json", exclude_none=True)
    values["models"] = {"m": {"architecture": "basset", "dataset": "sequences"}}
    with pytest.raises(InputError, match=r"config.yaml: models.m: objective 'supervised' needs a target to learn"):
        Project.of(values, "config.yaml")
    values["models"]["m"] |= {"objective": "autoencoder", "targets": {"y": 1}}
    values["datasets"]["sequences"]["targets"] = {"y": {"kind": "quantity", "column": "y"}}
    with pytest.raises(InputError, match=r"models.m: objective 'autoencoder' learns no targets; leave 'targets' out"):
        Project.of(values, "config.yaml")
    dataset = toys.motif_dataset(tmp_path / "toy.zarr")
    wrong = Model(architecture="dense", dataset="toy", settings={"hidden": []}, objective="autoencoder")
    with pytest.raises(InputError, match=r"needs the outputs 'embedding' and 'reconstruction' .*; found none"):
        train_model(tmp_path / "m", name="m", model=wrong, dataset=dataset, fold="0", seed=0)


ADVERSARIAL = '''
from typing import NamedTuple, Any
import jax, jax.numpy as jnp, numpy as np, optax
from flax import nnx
from seqmill.config.base import Section
from seqmill.models.blocks import linear
from seqmill.stores.specs import TargetSpec
from seqmill.training.objectives import network_inputs


class Size(Section):
    noise: int = 4


class Pair(nnx.Module):
    """A generator of sequences, and a judge that sees their base composition."""

    Settings = Size

    def __init__(self, inputs, targets, settings, rngs):
        self.bp = inputs["sequence"].shape_per_example[0]
        self.generator = linear(settings.noise, self.bp * 4, rngs)
        self.judge = linear(4, 1, rngs)

    def generate(self, noise):
        return nnx.softmax(self.generator(noise).reshape(-1, self.bp, 4))

    def real(self, x):
        return self.judge(x.mean(axis=1))[:, 0]

    def __call__(self, inputs, *, train, key=None):
        return {"real": self.real(inputs["sequence"])}


class State(NamedTuple):
    params: Any
    rest: Any
    optimizers: Any
    rounds: Any


class Rates(Section):
    judge_rate: float


class Adversarial:
    """Judge and generator take turns, each with an optimiser of its own."""

    Settings = Rates
    learns_targets = False

    def __init__(self, graph, view, heads, optimizer, settings):
        self.graph, self.view = graph, view
        self.optimizers = {"generator": optimizer, "judge": optax.sgd(settings.judge_rate)}

    def init(self, params, rest):
        states = {name: tx.init(params[name]) for name, tx in self.optimizers.items()}
        return State(params, rest, states, jnp.zeros((), jnp.int32))

    def losses(self, params, rest, real, noise):
        module = nnx.merge(self.graph, params, rest, copy=True)
        made = module.real(module.generate(noise))
        cross = optax.losses.sigmoid_binary_cross_entropy
        judge = cross(module.real(real), jnp.ones(len(real))).mean() + cross(made, jnp.zeros(len(made))).mean()
        return {"judge": judge, "generator": cross(made, jnp.ones(len(made))).mean()}

    def step(self, state, batch, key):
        real = network_inputs(self.view.show(batch))["sequence"]
        noise = jax.random.normal(key, (len(real), 4))
        params, states = state.params, {}
        for name, tx in self.optimizers.items():
            loss, gradient = jax.value_and_grad(lambda p: self.losses(p, state.rest, real, noise)[name])(params)
            update, states[name] = tx.update(gradient[name], state.optimizers[name], params[name])
            params = type(params)({**params, name: optax.apply_updates(params[name], update)})
        return loss, State(params, state.rest, states, state.rounds + 1), {}

    def evaluate(self, state, batch, rows):
        real = network_inputs(self.view.show(batch))["sequence"]
        module = nnx.merge(self.graph, state.params, state.rest, copy=True)
        made = module.generate(jax.random.normal(jax.random.key(0), (256, 4)))
        return jnp.abs(made.mean(axis=(0, 1)) - real.mean(axis=(0, 1))).sum(), state.rounds

    def combine(self, parts):
        return float(np.mean([distance for distance, _ in parts]))

    @classmethod
    def predicted(cls, targets, outputs):
        return {"real": TargetSpec("real", "none", "float32", ("example",), ())}

    @classmethod
    def predictions(cls, heads, outputs):
        return dict(outputs)
'''


def test_two_networks_against_each_other_in_the_same_loop(tmp_path):
    """Bases of real sequences are A or T in 9 of 10 places; the generator comes near, each side by its optimiser."""
    rng = np.random.default_rng(0)
    codes = rng.choice(4, (256, 20), p=[0.45, 0.05, 0.05, 0.45]).astype(np.uint8)
    dataset = toys.write_dataset(
        tmp_path / "at.zarr",
        [("rows", "train", 192), ("rows", "valid", 32), ("rows", "test", 32)],
        {"inputs/sequence": (toys.sequence_spec(20, rc="forbidden"), codes)},
    )
    file = tmp_path / "adversarial.py"
    file.write_text(ADVERSARIAL)
    model = Model(
        architecture=f"{file}:Pair",
        dataset="at",
        objective={"name": f"{file}:Adversarial", "settings": {"judge_rate": 0.5}},
        training={"batch_size": 64, "max_epochs": 40, "patience": 40, "optimizer": {"learning_rate": 0.02}},
    )
    train_model(tmp_path / "m", name="m", model=model, dataset=dataset, fold="0", seed=0)
    network = load_network(tmp_path / "m")
    assert set(network.params) == {"generator", "judge"}
    history = [json.loads(line) for line in (tmp_path / "m/history.jsonl").read_text().splitlines()]
    assert min(entry["valid_loss"] for entry in history) < 0.4 < 0.7 < history[0]["valid_loss"]
    predict(tmp_path / "p.zarr", model_folder=tmp_path / "m", dataset=dataset)
    assert np.isfinite(PredictionsReader(tmp_path / "p.zarr").predicted("real")).all()
    file.write_text(ADVERSARIAL + "\n")
    with pytest.raises(InputError, match="has changed since model"):
        load_network(tmp_path / "m")
