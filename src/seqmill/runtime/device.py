"""Device and thread count of a job that uses jax, fixed before jax is imported.

jax reads the platform when it is imported, and XLA sizes the thread pool of its CPU backend from the environment
variable NPROC (not from XLA_FLAGS, and otherwise from the cores the process may use). The number of threads decides
how sums are split, so it is part of what fixes the last bits of a result; with NPROC set, the bits do not depend on
the machine's core count.
"""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from seqmill.runtime.compile_cache import compile_cache
from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.leases import gpu_share, lease_cards

_PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
_PLUGINS = {"gpu": ("jax_cuda12_plugin", "jax_cuda13_plugin"), "tpu": ("libtpu",)}
_THREAD_VARIABLES = ("NPROC", "PJRT_NPROC")
# XLA may pick another GPU algorithm on each run unless told otherwise.
_GPU_FLAGS = ("--xla_gpu_deterministic_ops=true",)
_LEASED = "SEQMILL_LEASED_GPUS"
_MEMORY_FRACTION = 0.75  # of a card that jax takes unless told otherwise
# Settings of glibc's malloc: environment variable -> (number for mallopt, value).
KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": (-8, 1),
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 2**28),
}


def _keep_freed_memory() -> None:
    """Let the C library keep what XLA frees.

    Each step allocates its activations anew. By default glibc gives large blocks back to the system, which hands out
    and clears fresh pages in the next step: a third of the CPU time of a small convolutional network.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if mallopt is not None:
        for option, value in KEEP_MEMORY.values():
            mallopt(option, value)


def _settings(device: str, threads: int) -> dict[str, str]:
    wanted = {"JAX_PLATFORMS": _PLATFORMS[device], **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
    if device == "gpu":
        flags = os.environ.get("XLA_FLAGS", "").split()
        wanted["XLA_FLAGS"] = " ".join(flags + [flag for flag in _GPU_FLAGS if flag not in flags])
    return wanted


def _lease(devices: int | str) -> None:
    """Take cards, and of their memory the share that is this job's; see `seqmill.runtime.leases`."""
    if os.environ.get(_LEASED) == os.environ.get("CUDA_VISIBLE_DEVICES", ""):
        return  # by this process, or by the one that started it
    share, cards = gpu_share(), lease_cards(devices)
    if cards:
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ[_LEASED] = ",".join(cards)
    if share < 1:
        # jax takes all of it at once, so that a job that fits will not fail later. It refuses both names together.
        before = os.environ.pop("XLA_PYTHON_CLIENT_MEM_FRACTION", "") or os.environ.get("XLA_CLIENT_MEM_FRACTION")
        os.environ["XLA_CLIENT_MEM_FRACTION"] = f"{share * float(before or _MEMORY_FRACTION):.4f}"


def choose_device(device: str, threads: int, devices: int | str = 1) -> None:
    """Fix the platform and the CPU thread count of jax in this process.

    A GPU job leases its cards, and waits for them; compiled programs are kept (`seqmill.runtime.compile_cache`).

    Must be called before jax is imported; a later call, or one in a process whose jax was imported under the same
    environment, is accepted only if it asks for the same.

    Parameters
    ----------
    device : "cpu", "gpu" or "tpu". There is no fall-back: a missing device is an error.
    threads : threads of the XLA CPU backend, at least 1.
    devices : number of GPUs to lease, or "all" that this job may use.

    Raises
    ------
    SeqmillError
        The device is unknown or cannot be there, or jax was imported with other settings.
    """
    if device not in _PLATFORMS:
        raise SeqmillError(f"device {device!r} is none of {', '.join(_PLATFORMS)}")
    if threads < 1:
        raise SeqmillError(f"xla_threads is {threads}, expected at least 1")
    wanted = _settings(device, threads)
    if "jax" in sys.modules:
        other = {key: os.environ.get(key) for key, value in wanted.items() if os.environ.get(key) != value}
        if other:
            found = ", ".join(f"{key}={value}" for key, value in other.items())
            raise SeqmillError(
                f"jax was imported before device '{device}' with {threads} thread(s) was chosen ({found}); "
                "choose the device first, or use another process"
            )
        return
    _check_present(device)
    if device == "gpu":
        _lease(devices)
    if folder := compile_cache(device, threads):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.update(wanted)
    _keep_freed_memory()


def _check_present(device: str) -> None:
    """Reasons that can be told without jax; the backend itself is asked by `seqmill.training.devices`."""
    if device == "cpu":
        return
    if not any(importlib.util.find_spec(plugin) for plugin in _PLUGINS[device]):
        extra = "cuda" if device == "gpu" else "tpu"
        raise SeqmillError(
            f"device '{device}' was asked for, but this environment has no jax plugin for it; "
            f"install the extra 'seqmill[{extra}]' or set device: cpu"
        )
    if device == "gpu":
        if not Path("/dev/nvidiactl").exists() and not Path("/dev/dxg").exists():
            raise SeqmillError("device 'gpu' was asked for, but this machine has no NVIDIA driver (/dev/nvidiactl)")
        if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1", "NoDevFiles"):
            raise SeqmillError("device 'gpu' was asked for, but CUDA_VISIBLE_DEVICES gives this job no GPU")
