"""A training that is stopped through the command saves its state."""

import signal
import subprocess
import sys

import pytest
from tests.unit.cli_world import write_world

from seqmill.runtime.owner import start_time


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_saves_its_state(tmp_path, number):
    folder = write_world(tmp_path / "work")
    command = [sys.executable, "-m", "seqmill.cli", "train", "small", "--seed", "0"]
    endless = "models.small.training={max_epochs: 100000, patience: 99999}"
    run = subprocess.Popen([*command, "--config", endless], cwd=folder, stderr=subprocess.PIPE, text=True)
    while "pass 3" not in (line := run.stderr.readline()):
        assert line, "the training ended by itself"
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 75
    assert "the state is saved, the same command continues" in err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert (folder / "results/models/small/.0.0.resume").is_dir()
    assert not (folder / "results/models/small/0.0").exists()
    assert start_time(run.pid) == ""
