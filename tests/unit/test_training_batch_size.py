"""The batch size that fits: the search, the compiler's plan, and a size that is kept."""

import json

import jax
import numpy as np
import optax
import pytest
from tests.unit import training_toys as toys
from tests.unit.network_toys import plain_head, target

from seqmill.config.models import Model, Training
from seqmill.models.registry import build
from seqmill.runtime.errors import InputError
from seqmill.runtime.memory import host_memory_bytes
from seqmill.stores.model import ModelReader
from seqmill.stores.specs import ArraySpec
from seqmill.training import batch_size
from seqmill.training.augment import View
from seqmill.training.batch_size import kept_batch_size, largest, sizes, step_bytes
from seqmill.training.jitter import Jitter
from seqmill.training.objectives import Supervised, split_module
from seqmill.training.step import set_step
from seqmill.training.train import train_model


@pytest.mark.parametrize("fits", range(-1, 11))
def test_the_largest_that_fits_is_found_in_few_questions(fits):
    candidates, asked = [2**power for power in range(11)], []

    def needs(size):
        asked.append(size)
        return None if size == 1024 and fits < 10 else 100 * size

    found = largest(candidates, needs, limit=100 * candidates[fits] if fits >= 0 else 50)
    assert found == (None if fits < 0 else (2**fits, 100 * 2**fits))
    assert asked[0] == 1024
    assert len(asked) == len(set(asked)) <= 5


def test_sizes_to_choose_from():
    def auto(**changes):
        return Training.model_validate({"batch_size": "auto", **changes})

    assert sizes(auto(), 1, 10_000) == [2**power for power in range(11)]
    assert sizes(auto(max_batch_size=100), 1, 10_000)[-1] == 64
    assert sizes(auto(accumulate=3), 2, 100) == [6, 12, 24, 48, 96]
    assert sizes(auto(lanes=4), 2, 20) == [4, 8, 16]
    with pytest.raises(InputError, match=r"training\.batch_size: 'auto' has no size .* multiple of 64 .* at most 20"):
        sizes(auto(accumulate=64), 1, 20)


BASES = ArraySpec("input", "x", ("example", "bp"), "uint8", (200,), "sequence", bp_per_bin=1, rc="sequence")
TARGETS = {"y": target("y", 2)}


def plan(rows, **changes):
    settings = {"filters": [32], "widths": [9], "pools": [4], "hidden": [4], "dropout": 0.0}
    graph, params, rest = split_module(build("basset", settings, {"x": BASES}, TARGETS, 0))
    view = View({"x": BASES}, TARGETS, Jitter(0, 1), strands=False)
    objective = Supervised(graph, view, {"y": plain_head(TARGETS["y"])}, optax.adam(0.1))
    set_step(objective, Training.model_validate({"batch_size": rows, **changes}), "supervised")
    batch = {"inputs/x": jax.ShapeDtypeStruct((rows, 200), np.uint8)}
    batch["targets/y"] = jax.ShapeDtypeStruct((rows, 2), np.float32)
    return step_bytes(objective, params, rest, batch), sum(leaf.nbytes for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_the_plan_of_the_compiler():
    """One output of the convolution is 192 × 32 float32 an example; parameters count at least 3 + 2 times (adam)."""
    small, parameters = plan(16)
    large, _ = plan(128)
    activations = 4 * 192 * 32
    assert small > 5 * parameters
    assert 112 * activations < large - small < 112 * activations * 30
    assert plan(128, accumulate=8)[0] < small + (large - small) / 2


def model_of(**training):
    small = {"filters": [8], "widths": [8], "pools": [6], "hidden": [4], "dropout": 0.0}
    values = {"architecture": "basset", "dataset": "toy", "settings": small}
    return Model.model_validate(values | {"training": {"batch_size": "auto", "max_steps": 3, **training}})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return toys.motif_dataset(tmp_path_factory.mktemp("auto") / "toy.zarr")


@pytest.mark.slow
def test_a_training_takes_the_size_and_says_so(dataset, tmp_path, monkeypatch, caplog):
    """What fits is told here, by a plan of 1 MB an example."""
    monkeypatch.setattr(batch_size, "device_memory_bytes", lambda: 100_000_000)
    needs = "step_bytes", lambda *arguments: 1_000_000 * arguments[-1]["inputs/sequence"].shape[0]
    monkeypatch.setattr(batch_size, *needs)
    caplog.set_level("INFO")
    out = tmp_path / "m" / "0.0"
    train_model(out, name="m", model=model_of(), dataset=dataset, fold="0", seed=0)
    info = ModelReader(out).info
    assert (info["training"]["batch_size"], info["steps"]) == (64, 3)
    assert "m/0.0: batch_size 64 chosen; its step needs 64.0 MB of 80.0 MB (80% of the memory)" in caplog.text
    record = json.loads((out / "run.json").read_text())
    assert record["parameters"]["model"]["training"]["batch_size"] == "auto"
    other = tmp_path / "m" / "0.1"
    fixed = model_of(batch_size=64)
    train_model(other, name="m", model=fixed, dataset=dataset, fold="0", seed=0)
    assert (other / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_nothing_that_fits(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_size, "device_memory_bytes", lambda: 100_000)
    monkeypatch.setattr(batch_size, "step_bytes", lambda *_: 90_000)
    with pytest.raises(InputError, match=r"'auto' found no size: a batch of 4 does not fit into 80\.0 kB \(80% of the"):
        train_model(tmp_path / "m", name="m", model=model_of(accumulate=4), dataset=dataset, fold="0", seed=0)
    assert not (tmp_path / "m").exists()


def test_the_size_stays_while_the_training_goes_on(tmp_path):
    key = {"model": {"a": (1, 2)}, "seed": 0}
    assert kept_batch_size(tmp_path / "resume", key, lambda: 64) == 64
    assert kept_batch_size(tmp_path / "resume", key, lambda: 128) == 64
    assert kept_batch_size(tmp_path / "resume", key | {"seed": 1}, lambda: 128) == 128
    (tmp_path / "resume" / "batch_size.json").write_text("{")
    assert kept_batch_size(tmp_path / "resume", key, lambda: 32) == 32


def test_memory_is_that_of_the_narrowest_group(tmp_path):
    machine = host_memory_bytes(tmp_path / "none", tmp_path)
    assert machine > 2**28
    group = tmp_path / "cgroup" / "slurm" / "job_1" / "step_0"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("5000000\n")
    (group.parent.parent / "memory.max").write_text("9000000\n")
    table = tmp_path / "table"
    table.write_text("0::/slurm/job_1/step_0\n")
    assert host_memory_bytes(table, tmp_path / "cgroup") == 5_000_000
    old = tmp_path / "cgroup" / "memory"
    old.mkdir()
    (old / "memory.limit_in_bytes").write_text("4000000")
    table.write_text("9:memory:/docker/abc\n3:cpu:/x\n")  # as seen in a container: its own folder is the top
    assert host_memory_bytes(table, tmp_path / "cgroup") == 4_000_000


def test_the_word_auto():
    assert Training.model_validate({"batch_size": "auto", "accumulate": 3}).batch_size == "auto"
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Training.model_validate({"batch_size": 0})
