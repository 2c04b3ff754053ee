"""How busy a GPU is, asked of NVIDIA's management library where the driver brings it; no further package."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


def gpu_use(library: Any = None) -> Callable[[], float | None]:
    """A function that tells the share of the last moment (about a second) in which this process's first GPU worked.

    The card is the first of CUDA_VISIBLE_DEVICES (number or UUID). Work of other processes on it counts too. The
    function returns None where it cannot be told: no driver, a part of a card (MIG), no permission.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "0"
    card = ctypes.c_void_p()
    try:
        library = ctypes.CDLL(_LIBRARY) if library is None else library
        found = library.nvmlInit_v2() == 0 and (
            library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(visible)), ctypes.byref(card)) == 0
            if visible.isdecimal()
            else library.nvmlDeviceGetHandleByUUID(visible.encode(), ctypes.byref(card)) == 0
        )
    except (OSError, AttributeError):
        found = False
    if not found:
        return lambda: None

    def ask() -> float | None:
        use = _Utilisation()
        if library.nvmlDeviceGetUtilizationRates(card, ctypes.byref(use)) != 0:
            return None
        return use.gpu / 100

    return ask
