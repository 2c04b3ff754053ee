"""Trainings of several processes: when one dies all stop and say why, and the same command ends with the same bits."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.unit import training_toys as toys
from tests.unit.cli_world import config, write_world

from seqmill.stores.specs import ArraySpec
from seqmill.stores.verify import verify

pytestmark = [pytest.mark.faults, pytest.mark.slow]

FILES = ("model.safetensors", "history.jsonl", "model.json")
ROUNDING = 2e-5  # of each tensor's largest number, after 160 steps of SGD (measured: 1e-6)
LAUNCH = """
import json, logging, sys
from pathlib import Path
from seqmill.runtime.errors import SeqmillError
from seqmill.stages.training import train_here
logging.basicConfig(level=logging.INFO, format="%(message)s")
logging.getLogger("seqmill").setLevel("INFO")
out, model, dataset = sys.argv[1:]
try:
    train_here(Path(out), "toy", model, Path(dataset), "0", 3, None, [])
except SeqmillError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    arrays = {
        "inputs/features": (ArraySpec("input", "features", ("example", "n"), "float32", (6,), "features"), x),
        "targets/calls/main": (toys.label_spec("calls", ["a", "b"]), (x[:, :2] > 0).astype(np.uint8)),
    }
    parts = [("all", "train", 320), ("all", "valid", 42), ("all", "test", 38)]
    folder = tmp_path_factory.mktemp("data") / "toy.zarr"
    return toys.write_dataset(folder, parts, arrays, reverse_complement=False)


def start(out: Path, dataset: Path, **training) -> subprocess.Popen:
    sgd = {"name": "sgd", "learning_rate": 0.05}
    values = {"batch_size": 16, "max_epochs": 8, "checkpoint_seconds": 0.0, "optimizer": sgd} | training
    model = {"architecture": "dense", "dataset": "toy", "settings": {"hidden": [8], "dropout": 0.2}, "training": values}
    command = [sys.executable, "-c", LAUNCH, str(out), json.dumps(model), str(dataset)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def children(launcher: subprocess.Popen) -> list[int]:
    """Process ids of the workers, process 0 first."""
    found = []
    for task in Path(f"/proc/{launcher.pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return sorted(found)


def newest(out: Path) -> int:
    """Step of the newest saved state, 0 if there is none."""
    resume = out.with_name(f".{out.name}.resume")
    return max((int(path.name.partition(".")[0]) for path in resume.glob("0*")), default=0)


def at_step(launcher: subprocess.Popen, out: Path, step: int) -> list[int]:
    """The workers, once they have saved a state of that step or a later one (not one that they found)."""
    end = time.monotonic() + 120
    step = max(step, newest(out) + 1)
    while newest(out) < step:
        assert launcher.poll() is None and time.monotonic() < end, launcher.communicate()
        time.sleep(0.002)
    return children(launcher)


def ended(launcher: subprocess.Popen, workers: list[int] = ()) -> tuple[int, str]:
    """Exit code and all that was said; no worker is left."""
    out, err = launcher.communicate(timeout=120)
    end = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.05)
    return launcher.returncode, out + err


def test_a_training_whose_processes_die_ends_with_the_same_bits(dataset, tmp_path):
    whole, cut = tmp_path / "whole" / "0.3", tmp_path / "cut" / "0.3"
    code, text = ended(start(whole, dataset, processes=2))
    assert code == 0, text

    launcher = start(cut, dataset, processes=2)
    workers = at_step(launcher, cut, 4)
    os.kill(workers[1], signal.SIGKILL)
    code, text = ended(launcher, workers)
    assert code == 5, text
    assert (
        "process 1 of 2 of the training of toy 0.3 was killed by SIGKILL; the others were stopped. The last saved "
        "state stays: the same command continues"
    ) in text

    launcher = start(cut, dataset, processes=2)
    workers = at_step(launcher, cut, 20)
    os.kill(launcher.pid, signal.SIGTERM)
    code, text = ended(launcher, workers)
    assert code == 75, text
    assert "goes on after step" in text
    assert "stopped by a signal after step" in text

    launcher = start(cut, dataset, processes=2)
    workers = at_step(launcher, cut, 40)
    os.kill(workers[0], signal.SIGKILL)
    code, text = ended(launcher, workers)
    assert (code, "process 0 of 2" in text) == (5, True), text

    launcher = start(cut, dataset, processes=2)
    workers = at_step(launcher, cut, 60)
    os.kill(launcher.pid, signal.SIGKILL)
    code, text = ended(launcher, workers)
    assert code == -9

    code, text = ended(start(cut, dataset, processes=2))
    assert code == 0, text
    assert "goes on after step" in text
    assert sorted(path.name for path in cut.parent.iterdir() if not path.name.endswith("progress.jsonl")) == ["0.3"]
    for name in FILES:
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name


def test_four_processes_give_the_parameters_of_one(dataset, tmp_path):
    """Each reads its own lane; the one process reads all four."""
    one, four = tmp_path / "one" / "0.3", tmp_path / "four" / "0.3"
    for out, processes in ((one, 1), (four, 4)):
        code, text = ended(start(out, dataset, processes=processes, lanes=4, checkpoint_seconds=60.0))
        assert code == 0, text
    a, b = load_file(one / "model.safetensors"), load_file(four / "model.safetensors")
    for name in a:
        assert np.abs(a[name].astype(float) - b[name]).max() < ROUNDING * np.abs(a[name]).max(), name
    losses = [[json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()] for out in (one, four)]
    assert len(losses[0]) == len(losses[1]) == 8
    for mine, other in zip(*losses):
        assert mine["valid_loss"] == pytest.approx(other["valid_loss"], rel=1e-5)
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)


def test_processes_started_one_by_one_train_one_model(tmp_path):
    """As pods of an indexed job do: the same command in each, with its place in the environment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    values = config()
    values["models"]["small"]["training"] = {"max_epochs": 1, "max_steps": 5, "processes": 2, "batch_size": 16}
    folder = write_world(tmp_path / "work", **values)
    seqmill = [sys.executable, "-m", "seqmill.cli"]
    subprocess.run([*seqmill, "dataset", "peaks"], cwd=folder, check=True, capture_output=True, timeout=120)
    places = [{"SEQMILL_COORDINATOR": f"127.0.0.1:{port}", "SEQMILL_PROCESSES": "2"} for _ in range(2)]
    started = [
        subprocess.Popen(
            [*seqmill, "train", "small"], cwd=folder, env=os.environ | place | {"JOB_COMPLETION_INDEX": str(number)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number, place in enumerate(places)
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "took part in 1 trainings" in said[1][1]
    assert "results/models/small/0.0" in said[0][0]
    assert verify(folder / "results") == []
    info = json.loads((folder / "results/models/small/0.0/model.json").read_text())
    assert (info["training"]["processes"], info["steps"]) == (2, 5)
