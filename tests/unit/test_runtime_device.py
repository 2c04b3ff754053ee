"""Device and threads are fixed before jax, in processes of their own."""

import os
import subprocess
import sys

import pytest

from seqmill.runtime.device import choose_device
from seqmill.runtime.errors import SeqmillError

CLEAN = {key: value for key, value in os.environ.items() if key not in ("JAX_PLATFORMS", "NPROC", "PJRT_NPROC")}

COUNT_THREADS = """
import os
from seqmill.runtime.device import choose_device
choose_device("cpu", {threads})
import hashlib, jax, jax.numpy as jnp, numpy as np
key = jax.random.key(0)
a, b = jax.random.normal(key, (700, 900)), jax.random.normal(key, (900, 300))
y = np.asarray(jax.jit(lambda a, b: jnp.tanh(a @ b).sum(axis=0))(a, b))
names = [open(f"/proc/self/task/{{t}}/comm").read() for t in os.listdir("/proc/self/task")]
print(sum(name.startswith("tf_XLAEigen") for name in names), hashlib.sha256(y.tobytes()).hexdigest())
"""


def run(code: str, prefix: list[str] = (), **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*prefix, sys.executable, "-c", code], env={**CLEAN, **env}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_are_as_asked_whatever_the_cores(threads):
    free = run(COUNT_THREADS.format(threads=threads))
    pinned = run(COUNT_THREADS.format(threads=threads), ["taskset", "-c", "0"])
    assert free.returncode == 0, free.stderr
    assert free.stdout.split()[0] == str(threads)
    assert pinned.stdout == free.stdout  # the same number of threads and the same bits on one core


def test_the_same_again_is_accepted_other_settings_are_not():
    code = (
        "from seqmill.runtime.device import choose_device\n"
        "choose_device('cpu', 2)\nimport jax\nchoose_device('cpu', 2)\nchoose_device('cpu', 1)\n"
    )
    done = run(code)
    assert done.returncode == 1
    assert "jax was imported before device 'cpu' with 1 thread(s) was chosen (NPROC=2, PJRT_NPROC=2)" in done.stderr
    assert "choose the device first, or use another process" in done.stderr


def test_jax_imported_first_without_settings():
    done = run("import jax\nfrom seqmill.runtime.device import choose_device\nchoose_device('cpu', 1)\n")
    assert "(JAX_PLATFORMS=None, NPROC=None, PJRT_NPROC=None)" in done.stderr


def test_unknown_device_and_no_threads():
    with pytest.raises(SeqmillError, match="device 'npu' is none of cpu, gpu, tpu"):
        choose_device("npu", 1)
    with pytest.raises(SeqmillError, match="xla_threads is 0, expected at least 1"):
        choose_device("cpu", 0)


ASK = "from seqmill.runtime.device import choose_device\nchoose_device({!r}, 1)\n"


def test_a_gpu_without_plugin_is_an_error_not_a_cpu():
    code = "import importlib.util\nimportlib.util.find_spec = lambda name: None\n" + ASK.format("gpu")
    done = run(code)
    assert "this environment has no jax plugin for it; install the extra 'seqmill[cuda]'" in done.stderr
    done = run("import importlib.util\nimportlib.util.find_spec = lambda name: None\n" + ASK.format("tpu"))
    assert "install the extra 'seqmill[tpu]'" in done.stderr


def test_a_gpu_without_driver_or_hidden_from_the_job():
    plugin = "import importlib.util\nimportlib.util.find_spec = lambda name: True\n"
    files = "from pathlib import Path\nPath.exists = lambda self: {}\n"
    done = run(plugin + files.format(False) + ASK.format("gpu"))
    assert "this machine has no NVIDIA driver" in done.stderr
    done = run(plugin + files.format(True) + ASK.format("gpu"), CUDA_VISIBLE_DEVICES="-1")
    assert "CUDA_VISIBLE_DEVICES gives this job no GPU" in done.stderr


def test_a_backend_that_does_not_start_is_an_error():
    code = (
        "import os\nos.environ.update(JAX_PLATFORMS='cuda', NPROC='1', PJRT_NPROC='1')\n"
        "os.environ['XLA_FLAGS'] = '--xla_gpu_deterministic_ops=true'\n"
        "import jax\nfrom seqmill.training.devices import require_device\n"
        "try:\n    require_device('gpu', 1)\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
        "else:\n    print('a GPU is here')\n"
    )
    done = run(code)
    assert done.stdout.startswith(("SeqmillError device 'gpu' was asked for, but jax cannot use it:", "a GPU is here"))


def test_a_gpu_job_asks_for_repeatable_kernels():
    code = (
        "import importlib.util, os\nfrom pathlib import Path\n"
        "importlib.util.find_spec = lambda name: True\nPath.exists = lambda self: True\n"
        "os.environ['XLA_FLAGS'] = '--xla_dump_to=/nowhere'\n" + ASK.format("gpu") + "print(os.environ['XLA_FLAGS'])\n"
    )
    assert run(code).stdout == "--xla_dump_to=/nowhere --xla_gpu_deterministic_ops=true\n"
