"""Low-rank changes of kernels: what is computed, what is written, and that a stopped training goes on."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.unit import training_toys as toys

from seqmill.config.models import Model
from seqmill.config.transfer import Initial
from seqmill.runtime.errors import InputError
from seqmill.stores.dataset import DatasetReader
from seqmill.stores.model import ModelReader
from seqmill.training import train as training
from seqmill.training.artefact import load_network, names_of, tensors_of
from seqmill.training.checkpoint import StoppedError
from seqmill.training.objectives import Supervised, network_inputs
from seqmill.training.train import train_model
from seqmill.training.transfer import Transfer, transfer

# one kernel large enough to shard
SMALL = {"filters": [8], "widths": [8], "pools": [6], "hidden": [64], "dropout": 0.1}
KERNELS = ["params.convs.0.kernel", "params.denses.0.kernel"]
PARTS = [("all", "train", 96), ("all", "valid", 32), ("all", "test", 32)]


def model_of(initial: dict | None = None, **training) -> Model:
    values = {"batch_size": 16, "max_steps": 6, "reverse_complement": True, "optimizer": {"learning_rate": 0.02}}
    section = {"architecture": "basset", "dataset": "toy", "settings": SMALL, "training": values | training}
    return Model.model_validate(section | ({"initial": {"model": "base"} | initial} if initial is not None else {}))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    dataset = toys.write_dataset(folder / "toy.zarr", PARTS, toys.motif_arrays(160))
    train_model(folder / "base" / "0.0", name="base", model=model_of(), dataset=dataset, fold="0", seed=0)
    return folder / "base" / "0.0", dataset


def train(out, base, initial, **training) -> ModelReader:
    train_model(
        out, name="new", model=model_of(initial, **training), dataset=base[1], fold="0", seed=4, initial=base[0],
        initial_datasets=[base[1]],
    )  # fmt: skip
    return ModelReader(out)


LORA = {"parts": "all", "lora": {"rank": 2, "alpha": 6}}


@pytest.fixture(scope="module")
def trained(base):
    """A model trained with LoRA, and the network and state that it was written from."""
    kept: list = []
    before = Transfer.tensors

    def keep(self, params, rest):
        kept[:] = [self, params, rest]
        return before(self, params, rest)

    Transfer.tensors = keep
    try:
        model = train(base[0].parents[1] / "lora" / "0.4", base, LORA)
    finally:
        Transfer.tensors = before
    return model, *kept


@pytest.mark.slow
def test_a_merged_kernel_is_the_old_one_and_the_product_by_numpy(base, trained):
    model, _, params, _ = trained
    old, new = ModelReader(base[0]).tensors(), model.tensors()
    learned = {f"params.{name}": np.asarray(leaf, np.float64) for name, leaf in zip(*names_of(params)[:2])}
    for name in KERNELS:
        layer = name.removesuffix(".kernel")
        a, b = learned[f"{layer}.lora_a"], learned[f"{layer}.lora_b"]
        assert (a.shape[1], b.shape[0]) == (2, 2)
        expected = old[name] + 3.0 * (a @ b).reshape(old[name].shape)
        assert np.abs(expected - old[name]).max() > 1e-3
        np.testing.assert_allclose(new[name], expected, rtol=0, atol=1e-6)
    heads = {name for name in old if name.startswith("params.heads.")}
    assert {name for name in new if new[name].tobytes() != old[name].tobytes()} == {*heads, *KERNELS}
    assert set(new) == set(old)
    assert model.info["initial"]["lora"] == {"rank": 2, "scale": 3.0, "layers": ["convs.0", "denses.0"]}
    assert set(learned) == heads | {f"params.{layer}.lora_{m}" for layer in ("convs.0", "denses.0") for m in "ab"}


def inputs_of(dataset):
    codes = DatasetReader(dataset).read("inputs/sequence", 0, 32)
    return {"sequence": jax.nn.one_hot(codes, 4)}


def test_the_written_network_predicts_what_the_trained_one_does(base, trained):
    model, change, params, rest = trained
    x = inputs_of(base[1])
    found = nnx.merge(change.graph, params, rest, copy=True)(x, train=False, key=None)["bound"]
    network = load_network(model.folder)
    written = nnx.merge(network.graph, network.params, network.rest, copy=True)(x, train=False, key=None)["bound"]
    np.testing.assert_allclose(np.asarray(found), np.asarray(written), rtol=0, atol=1e-6)
    old = load_network(base[0])
    before = nnx.merge(old.graph, old.params, old.rest, copy=True)(x, train=False, key=None)["bound"]
    assert np.abs(np.asarray(before) - np.asarray(written)).max() > 1e-2


def changed_network(base, **lora):
    network = load_network(base[0])
    section = Initial.model_validate({"model": "base", "parts": "all", "lora": lora})
    copied = list(tensors_of(network.params, network.rest))
    change = transfer(network.graph, network.params, network.rest, section, copied=copied, seed=0, label="new/0.0")
    return network, change


def test_before_the_first_step_it_is_the_old_network(base):
    network, change = changed_network(base, rank=3)
    x = inputs_of(base[1])
    old = nnx.merge(network.graph, network.params, network.rest, copy=True)(x, train=False, key=None)["bound"]
    new = nnx.merge(change.graph, change.params, change.rest, copy=True)(x, train=False, key=None)["bound"]
    assert np.asarray(old).tobytes() == np.asarray(new).tobytes()
    tensors = change.tensors(change.params, change.rest)
    for name, value in ModelReader(base[0]).tensors().items():
        assert np.array_equal(tensors[name], value)


def test_layers_by_name_and_the_others_stay(base):
    _, change = changed_network(base, rank=1, layers=["denses"])
    assert change.info["lora"]["layers"] == ["denses.0"]
    assert "params.convs.0.kernel" in change.info["fixed"]
    with pytest.raises(
        InputError, match=r"lora: no dense or convolution layer 'dense'; there are convs\.0, denses\.0$"
    ):
        changed_network(base, layers=["dense"])
    with pytest.raises(InputError, match="lora: no dense or convolution layer 'heads'; there are"):
        changed_network(base, layers=["heads"])


def test_a_limit_of_kernels_is_refused():
    limit = {"max_weight_norm": 1.0}
    with pytest.raises(ValueError, match=r"max_weight_norm limits kernels, which initial\.lora keeps fixed"):
        model_of(LORA, optimizer=limit)


@pytest.mark.slow
def test_bfloat16_is_what_the_fixed_kernels_are_computed_in(base):
    """Every product of the step, forwards and backwards, takes bfloat16, but those of the two small matrices."""
    network, change = changed_network(base, rank=2)
    objective = Supervised(change.graph, network.view, network.heads, None)
    objective.precision = "bfloat16"
    shown = network.view.show({"inputs/sequence": jnp.zeros((4, 60), jnp.uint8)})

    def outputs(params, rest):
        return objective._apply(params, rest, network_inputs(shown), True, jax.random.key(0))

    jaxpr = jax.make_jaxpr(outputs)(change.params, change.rest)
    products = [
        [str(var.aval.dtype) for var in equation.invars]
        for equation in equations(jaxpr.jaxpr)
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
    ]
    assert products.count(["float32", "float32"]) == 2
    assert products.count(["bfloat16", "bfloat16"]) == 3  # convolution, dense, head
    after = outputs(change.params, change.rest)[1]
    fixed = {name.partition(".")[2] for name in change.info["fixed"]}
    for name, old, new in zip(names_of(change.rest)[0], jax.tree.leaves(change.rest), jax.tree.leaves(after)):
        assert np.asarray(old).tobytes() == np.asarray(new).tobytes()
        assert old.dtype == new.dtype
        assert name in fixed or name.endswith(".kernel")


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"ema_decay": 0.9, "skip_spikes": 20.0}, {"accumulate": 2, "precision": "bfloat16"}],
    ids=["ema", "bf16"],
)
def test_a_stopped_training_goes_on_with_the_same_bits(tmp_path, base, monkeypatch, caplog, settings):
    whole = train(tmp_path / "whole" / "0.4", base, LORA, **settings)
    real = training.Checkpoints

    class Stopping(real):
        def save(self, steps, arrays, counters, **more):
            super().save(steps, arrays, counters, **{**more, "wait": True})
            if steps == 3:
                raise StoppedError("stopped")

        def due(self, *, pass_ended):
            return True

    monkeypatch.setattr(training, "Checkpoints", Stopping)
    with pytest.raises(StoppedError):
        train(tmp_path / "new" / "0.4", base, LORA, **settings)
    monkeypatch.setattr(training, "Checkpoints", real)
    caplog.set_level(logging.INFO, logger="seqmill")
    again = train(tmp_path / "new" / "0.4", base, LORA, **settings)
    assert "goes on after step 3 of 6" in caplog.text
    assert (again.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert again.history == whole.history


TWO = """
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
os.environ["JAX_PLATFORMS"] = "cpu"
from pathlib import Path
from tests.unit.test_training_lora import LORA, train
sgd = {"name": "sgd", "learning_rate": 0.05}
for devices in (1, 2):
    base = Path(sys.argv[1]), Path(sys.argv[2])
    train(Path(sys.argv[3]) / str(devices) / "0.4", base, LORA, devices=devices, shard_parameters=True, optimizer=sgd)
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does(tmp_path, base):
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": f"{root}:{root / 'src'}"}
    subprocess.run([sys.executable, "-c", TWO, *map(str, base), str(tmp_path)], check=True, env=env, cwd=root)
    one, two = (ModelReader(tmp_path / devices / "0.4").tensors() for devices in "12")
    old = ModelReader(base[0]).tensors()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-5, err_msg=name)
        if "heads" not in name and name not in KERNELS:
            assert two[name].tobytes() == old[name].tobytes()
