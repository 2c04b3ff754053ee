"""The jax side of `seqmill.runtime.device`: a device that was asked for is there, or the job stops."""

from collections.abc import Callable

import jax

from seqmill.runtime.device import choose_device
from seqmill.runtime.errors import SeqmillError
from seqmill.runtime.gpu_use import gpu_use


def require_device(device: str, threads: int) -> str:
    """Check device and thread count of this process; return the device's type, "cpu" or the name of an accelerator.

    Raises SeqmillError with jax's own reason where the device is missing; there is no fall-back to the CPU.
    """
    choose_device(device, threads)
    try:
        found = jax.devices()
    except (RuntimeError, AssertionError) as error:  # jax asserts where a backend is not even built in
        reason = (str(error).splitlines() or ["it has no such backend"])[0]
        raise SeqmillError(f"device '{device}' was asked for, but jax cannot use it: {reason}") from None
    platform = found[0].platform
    if platform != device:
        raise SeqmillError(f"device '{device}' was asked for, but jax runs on '{platform}'")
    return found[0].device_kind


def device_peak_bytes() -> int | None:
    """Most memory that this process held at once on its first device; None where the backend does not say (CPU)."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use")


def device_watch() -> Callable[[], dict[str, float]]:
    """A function that tells memory and use of this process's first device: what its backend and driver can say."""
    device = jax.local_devices()[0]
    busy = gpu_use() if device.platform == "gpu" else lambda: None

    def ask() -> dict[str, float]:
        found = {"device_bytes": (device.memory_stats() or {}).get("bytes_in_use"), "device_busy": busy()}
        return {name: value for name, value in found.items() if value is not None}

    return ask
