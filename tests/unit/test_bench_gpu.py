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


COUNT = """
import sys
sys.argv = ["gpu_ours.py", "1", "cpu"]
sys.path.insert(0, {folder!r})
import jax, jax.numpy as jnp
from gpu_ours import operations
def network(x, kernel, matrix):
    y = jax.lax.conv_general_dilated(x, kernel, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
    y, _ = jax.lax.scan(lambda y, _: (jax.jit(jnp.dot)(y, matrix), None), y[:, 0], None, length=5)
    return y.sum()
shapes = [(2, 10, 4), (3, 4, 6), (6, 6)]
arguments = [jnp.ones(shape) for shape in shapes]
print(operations(jax.make_jaxpr(network)(*arguments).jaxpr))
print(operations(jax.make_jaxpr(jax.grad(network, argnums=1))(*arguments).jaxpr))
"""


def test_operations_are_counted_as_written():
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(folder=str(BENCHMARKS))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    convolution = 2 * (2 * 8 * 6) * (3 * 4)  # outputs x taps
    products = 5 * 2 * (2 * 6) * 6
    forward, with_gradient = map(float, done.stdout.split())
    assert forward == convolution + products
    assert with_gradient == 2 * convolution + 2 * products  # gradients of the kernel and of what the matrix multiplies
