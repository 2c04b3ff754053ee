"""A training on four devices of one process: that of a single device up to rounding, and the parts that do it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from safetensors.numpy import load_file
from tests.unit import training_toys as toys

from seqmill.config.models import Model, Training
from seqmill.runtime.errors import InputError, SeqmillError
from seqmill.training.parallel import SHARDED_FROM, Layout, make_layout

# Of each tensor's largest number. More steps measure luck: a rectifier within rounding of 0 falls to either side.
ROUNDING = 2e-5  # (measured after 4 steps of SGD: 8e-7)

# One process with four CPU devices runs several trainings; jax fixes the number of devices when it is imported.
TRAININGS = """
import json, logging, os, signal, sys
from pathlib import Path
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
import jax
from seqmill.config.models import Model
from seqmill.runtime.errors import SeqmillError
from seqmill.training import loop, parallel
from seqmill.training.train import train_model
logging.basicConfig(level=logging.INFO, format="%(message)s")
parallel.SHARDED_FROM = 512
placed, runs = {}, json.loads(sys.argv[1])
add = loop.Progress.add
for out, (dataset, values, stop) in runs.items():
    def add_and_stop(self, *arguments, stop=stop):
        add(self, *arguments)
        if self.done == stop:
            os.kill(os.getpid(), signal.SIGTERM)
    loop.Progress.add = add_and_stop
    init = parallel.Parallel.init
    def note(self, *arguments, out=out):
        state = init(self, *arguments)
        leaf = max(jax.tree.leaves(state.params), key=lambda leaf: leaf.size)
        placed[out] = [leaf.addressable_shards[0].data.size, leaf.size]
        return state
    parallel.Parallel.init = note
    try:
        model = Model.model_validate(values)
        train_model(out.split("#")[0], name="toy", model=model, dataset=dataset, fold="0", seed=1)
    except SeqmillError as error:
        print(error.exit_code, error)
    parallel.Parallel.init = init
print(json.dumps(placed))
"""


def run(trainings: dict, devices: int = 4) -> tuple[str, dict]:
    """Standard output, and of each training the numbers of its largest parameter on a device and in all."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-c", TRAININGS, json.dumps(trainings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr, json.loads(done.stdout.splitlines()[-1])


def differences(one: Path, other: Path) -> dict[str, float]:
    """Largest difference of each tensor, relative to its largest number."""
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert a.keys() == b.keys()
    return {k: float(np.abs(a[k].astype(float) - b[k]).max() / max(np.abs(a[k]).max(), 1e-3)) for k in a}


def model_of(settings: dict, architecture: str, **training) -> dict:
    sgd = {"name": "sgd", "learning_rate": 0.05}
    values = {"batch_size": 64, "max_epochs": 1, "max_steps": 4, "optimizer": sgd} | training
    return {"architecture": architecture, "dataset": "toy", "settings": settings, "training": values}


@pytest.mark.slow
def test_four_devices_give_the_parameters_of_one(tmp_path):
    """Random strands, dropout and batch statistics included. SGD: Adam makes rounding large where a gradient is 0."""
    dataset = str(toys.motif_dataset(tmp_path / "toy.zarr"))
    basset = {"filters": [16], "widths": [8], "pools": [6], "hidden": [64], "dropout": 0.2}
    several = {"devices": 4}
    trainings = {
        str(tmp_path / name / "0.1"): [dataset, model_of(basset, "basset", **more), None]
        for name, more in {
            "one": {},
            "parts": several | {"shard_parameters": True},
            "long": several | {"sequence_shards": 2},
        }.items()
    }
    _, placed = run(trainings)
    for name in ("parts", "long"):
        found = differences(tmp_path / "one" / "0.1", tmp_path / name / "0.1")
        assert max(found.values()) < ROUNDING, (name, found)
    sizes = {Path(out).parent.name: numbers for out, numbers in placed.items()}
    assert sizes["parts"] == [8 * 16 * 64 // 4, 8 * 16 * 64]  # of the first dense layer
    assert sizes["long"] == [8 * 16 * 64, 8 * 16 * 64]


@pytest.mark.slow
def test_a_stopped_training_on_four_devices_goes_on_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    spec = toys.ArraySpec("input", "features", ("example", "n"), "float32", (6,), "features")
    labels = (toys.label_spec("calls", ["a", "b"]), (x[:, :2] > 0).astype(np.uint8))
    parts = [("all", "train", 320), ("all", "valid", 40), ("all", "test", 40)]
    arrays = {"inputs/features": (spec, x), "targets/calls/main": labels}
    dataset = str(toys.write_dataset(tmp_path / "toy.zarr", parts, arrays, reverse_complement=False))
    several = {"batch_size": 16, "max_steps": 25, "max_epochs": 2, "devices": 4}
    model = model_of({"hidden": [128, 64], "dropout": 0.2}, "dense", optimizer={}, **several)
    whole, cut = str(tmp_path / "whole" / "0.1"), str(tmp_path / "cut" / "0.1")
    text, placed = run(
        {whole: [dataset, model, None], cut: [dataset, model, 7 * 16], f"{cut}#": [dataset, model, None]}
    )
    assert "75 toy/0.1: stopped by a signal after step 7 of 25; the state is saved" in text
    assert "toy/0.1: goes on after step 7 of 25" in text
    assert placed[whole] == [128 * 64, 128 * 64]
    assert set(differences(Path(whole), Path(cut)).values()) == {0.0}


def test_the_default_is_one_device_without_any_layout():
    assert make_layout(Training(), 128) is None
    assert make_layout(Training(devices="all"), 128) is None  # this process has one


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(SeqmillError) as caught:
        make_layout(Training(devices=3), 128)
    assert str(caught.value) == (
        "training.devices is 3, but this process has 1 cpu device(s); 'devices: all' takes those that are there"
    )


class FakeDevice:
    def __init__(self, number):
        self.id, self.process_index = number, 0


@pytest.fixture
def four(monkeypatch):
    devices = [FakeDevice(number) for number in (2, 0, 3, 1)]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    monkeypatch.setattr(jax, "devices", lambda: devices)


@pytest.mark.parametrize(
    ("settings", "batch_size", "message"),
    [
        (
            {"devices": 4},
            10,
            "training.batch_size: 10 rows cannot be dealt to 4 devices in equal parts; use a multiple",
        ),
        ({"devices": 3}, 8, "training.batch_size: 8 rows cannot be dealt to 3 devices in equal parts; use a multiple"),
        (
            {"devices": "all", "sequence_shards": 3},
            8,
            "training.sequence_shards: 3 does not divide the 4 device(s) of a process (training.devices)",
        ),
    ],
)
def test_what_cannot_be_dealt_is_refused(four, settings, batch_size, message):
    with pytest.raises(InputError) as caught:
        make_layout(Training(**settings), batch_size)
    assert str(caught.value) == message


def layout(data: int, sequence: int, **more) -> Layout:
    """A layout of so many parts; nothing is placed by it."""
    mesh = jax.sharding.AbstractMesh((data, sequence), ("data", "sequence"))
    return Layout(mesh, **more)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 1024), P(None, "data")),
        ((4096, 1024), P("data")),
        ((4098, 1024), P(None, "data")),
        ((4097, 1023), P()),
        ((3, 4, SHARDED_FROM), P(None, None, "data")),
        ((SHARDED_FROM - 4,), P()),
        ((), P()),
    ],
)
def test_large_arrays_are_dealt_along_their_longest_axis(shape, expected):
    leaf = np.broadcast_to(np.float32(0), shape)
    assert layout(4, 1, shard_parameters=True).of_state(leaf).spec == expected
    assert layout(4, 1).of_state(leaf).spec == P()


def test_positions_are_dealt_where_their_number_allows():
    spec = toys.sequence_spec(60)
    assert layout(2, 2).of_batch(spec, (8, 60)).spec == P("data", "sequence")
    assert layout(2, 2).of_batch(spec, (8, 61)).spec == P("data")
    assert layout(4, 1).of_batch(spec, (8, 60)).spec == P("data")
    assert layout(2, 2).of_batch(toys.label_spec("bound", ["a", "b"]), (8, 2)).spec == P("data")
    assert layout(2, 2).of_batch(None, (8,)).spec == P("data")


def test_settings_are_checked():
    for wrong in ({"devices": 0}, {"devices": "some"}, {"sequence_shards": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Model.model_validate({"architecture": "dense", "dataset": "toy", "training": wrong})
