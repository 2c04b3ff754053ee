"""The small world through a real Slurm of one node, started on this machine by `profiles/slurm/node.sh`."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from tests.workflow.runs import ROOT, leftovers

from seqmill.stores.verify import verify

pytestmark = [pytest.mark.workflow, pytest.mark.slurm, pytest.mark.slow]
NODE = ROOT / "profiles" / "slurm" / "node.sh"
ALLOWED_BY = ("SEQMILL_INSTALL_SYSTEM", "SEQMILL_TEST_SLURM")
# A stage takes some 14 s, most of it waiting for the next look at the queue: `make slurm-demo` goes on to the report.
WANTED = ("datasets", "results/models/net/0.0/marker.json")


@pytest.fixture
def slurm(tmp_path):
    """A running node; its state folder."""
    if not any(os.environ.get(name) == "1" for name in ALLOWED_BY):
        pytest.skip("starts Slurm's daemons on this machine only where SEQMILL_TEST_SLURM=1")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons are started by hand, which needs root")
    missing = [program for program in ("slurmctld", "slurmd", "munged") if not shutil.which(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    state = tmp_path / "slurm"
    state.mkdir()
    started = subprocess.run(["bash", NODE, "start", state], capture_output=True, text=True, timeout=60)
    if "belongs to a Slurm already" in started.stderr:
        pytest.skip("this machine belongs to a Slurm already")
    try:
        assert started.returncode == 0, started.stderr
        yield state
    finally:
        subprocess.run(["bash", NODE, "stop", state], check=True, timeout=60)


def test_the_small_world_through_slurm(slurm, tmp_path):
    folder = tmp_path / "work"
    (folder / "config").mkdir(parents=True)
    shutil.copy(ROOT / "config" / "tracks.tsv", folder / "config")
    shutil.copy(ROOT / "benchmarks" / "fault_world.yaml", folder / "config.yaml")
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", "config.yaml"]
    command += ["--profile", ROOT / "profiles" / "slurm", "--jobs", "4", "--latency-wait", "10"]
    command += ["--slurm-init-seconds-before-status-checks", "2", "--", *WANTED]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-4000:]
    assert "Traceback" not in output
    assert verify(folder / "results") == []
    assert leftovers(folder) == []
    for marker in ("datasets/peaks.zarr/marker.json", "datasets/signal.zarr/marker.json", "models/net/0.0/marker.json"):
        assert (folder / "results" / marker).is_file()
    submitted = set(re.findall(r"SLURM jobid '?(\d+)", output))
    assert len(submitted) >= 17, output[-4000:]
    log = (slurm / "slurmctld.log").read_text()
    completed = set(re.findall(r"JobId=(\d+) WEXITSTATUS 0", log))
    assert submitted <= completed
