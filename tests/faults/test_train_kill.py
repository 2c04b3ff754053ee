"""Real kills of a training: it ends with the bits of one that was left alone."""

import subprocess
import sys

import numpy as np
import pytest
from tests.unit import training_toys as toys

from seqmill.stores.specs import ArraySpec

pytestmark = pytest.mark.faults

FILES = ("model.safetensors", "history.jsonl", "model.json")

# Trials are forked before jax starts its threads: importing it takes most of the time of a short training.
TRIALS = """
import logging, os, random, signal, sys, time
from pathlib import Path
from seqmill.runtime.device import choose_device
choose_device("cpu", 1)
from seqmill.config.models import Model
from seqmill.runtime.errors import SeqmillError
from seqmill.training.train import train_model

dataset, folder = sys.argv[1], Path(sys.argv[2])
logging.basicConfig(level=logging.INFO, format="%(message)s")
model = Model.model_validate({
    "architecture": "dense", "dataset": "toy", "settings": {"hidden": [8], "dropout": 0.2},
    "training": {"batch_size": 16, "max_epochs": 4, "checkpoint_seconds": 0.0},
})
draw = random.Random(1)

def start(out):
    child = os.fork()
    if not child:
        try:
            train_model(out, name="toy", model=model, dataset=dataset, fold="0", seed=3)
        except SeqmillError as error:
            print(error, flush=True)
            os._exit(error.exit_code)
        os._exit(0)
    return child

def kill_at(child, resume, step, kind):
    while True:
        done = os.waitpid(child, os.WNOHANG)
        if done[0]:
            return os.waitstatus_to_exitcode(done[1])
        if any(int(path.name.partition(".")[0]) >= step for path in resume.glob("0*")):
            time.sleep(draw.random() / 50)
            os.kill(child, kind)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.001)

print("plain", os.waitstatus_to_exitcode(os.waitpid(start(folder / "plain/0.3"), 0)[1]), flush=True)
out = folder / "killed" / "0.3"
resume = out.with_name(".0.3.resume")
for step, kind in ((5, signal.SIGKILL), (25, signal.SIGTERM), (41, signal.SIGKILL)):
    print("killed", kill_at(start(out), resume, step, kind), flush=True)
print("last", os.waitstatus_to_exitcode(os.waitpid(start(out), 0)[1]), flush=True)
print("left", sorted(path.name for path in out.parent.iterdir()), flush=True)
"""


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (6,), "features"), x),
        "targets/calls/main": (toys.label_spec("calls", ["a", "b"]), (x[:, :2] > 0).astype(np.uint8)),
    }
    parts = [("all", "train", 320), ("all", "valid", 40), ("all", "test", 40)]
    dataset = toys.write_dataset(tmp_path / "toy.zarr", parts, arrays, reverse_complement=False)
    done = subprocess.run(
        [sys.executable, "-c", TRIALS, str(dataset), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("plain", "killed", "last", "left"))]
    assert lines == [
        "plain 0",
        "killed -9",
        "killed 75",
        "killed -9",
        "last 0",
        "left ['.0.3.progress.jsonl', '0.3']",
    ], done.stderr
    assert "stopped by a signal after step" in done.stdout
    assert done.stderr.count("goes on after step") == 3
    for name in FILES:
        found = [(tmp_path / run / "0.3" / name).read_bytes() for run in ("plain", "killed")]
        assert found[0] == found[1], name
