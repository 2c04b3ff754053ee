"""A killed run continues with the same command; a live one is not disturbed."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture
def kills(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import faults_demo

    return faults_demo


def test_kills_of_group_and_driver_continue_to_the_same_digests(kills):
    """Two of the campaign's trials; `make faults-demo` runs thirty, through make too."""
    if shutil.which("bedtools") is None:
        pytest.skip("bedtools is not installed")
    rows = kills.campaign(2, seed=7, commands=["snakemake"])
    assert [row["killed"] for row in rows] == ["group", "driver"]
    assert all(row["passed"] for row in rows), rows


def test_a_second_live_run_stops_and_names_the_first(kills, tmp_path):
    folder = kills.prepare(tmp_path)
    command = [*kills.COMMANDS["snakemake"], "--", "results/genome/sim1.zarr/marker.json"]
    first = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lock = folder / "results" / ".run.lock"
    while not (lock.exists() and lock.read_text()):
        time.sleep(0.05)
        assert first.poll() is None, "the first run ended before it took its lock"
    second = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    output = second.stdout + second.stderr
    assert second.returncode != 0
    assert f"is being written by process {first.pid}" in output
    assert "which is alive" in output
    assert "Traceback" not in output
    assert first.wait() == 0
    third = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert third.returncode == 0, "the lock of a finished run must be free"
