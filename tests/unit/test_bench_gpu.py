"""The benchmark of GPUs: how busy time is counted, and what it says where there is no GPU."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
busy = runpy.run_path(str(BENCHMARKS / "peers" / "busy.py"))["busy"]


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], (0, 0)),
        ([(5, 7)], (2, 2)),
        ([(8, 10), (0, 4)], (6, 10)),  # a gap
        ([(0, 4), (2, 6), (6, 7)], (7, 7)),  # streams at the same time count once
        ([(0, 10), (2, 3), (4, 5), (9, 12)], (12, 12)),  # one within another
    ],
)
def test_busy_time_is_that_of_at_least_one_stream(intervals, expected):
    assert busy(intervals) == expected


def test_without_a_gpu_it_says_so_and_writes_nothing():
    result = BENCHMARKS / "results" / "gpu.json"
    before = result.read_bytes() if result.exists() else None
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "bench_gpu.py")],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bench-gpu is ready to run, but not on this machine, so nothing was measured: device")
    assert (result.read_bytes() if result.exists() else None) == before
