"""The PyTorch side of bench_gpu.py: step_torch.py on another device, in float32 (with TF32) or bfloat16, profiled.

Called with the device, "cuda" or "cpu". Needs torch alone (requirements-cuda.txt beside this file).
"""

import sys
from typing import Any

import step_torch
import torch
from answers import serve
from busy import busy

DEVICE = sys.argv[1]


def allow_tf32(allowed: bool) -> None:
    """Whether products of float32 numbers may be rounded to TF32; jax does so by default."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


class GpuSide(step_torch.Side):
    """One network at a time, in one variant and precision."""

    precision, device = "float32", DEVICE

    def __init__(self, *args: Any, **kwargs: Any):
        torch.backends.cudnn.benchmark = True
        super().__init__(*args, **kwargs)

    def build(self, variant: str, dropout: bool, precision: str = "float32") -> None:
        self.precision = precision
        allow_tf32(dropout)  # not where gradients are compared
        super().build(variant, dropout)
        if "graphs" in variant:
            self.loss = torch.compile(self._loss, mode="reduce-overhead")

    def _loss(self) -> torch.Tensor:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return super()._loss()

    def name(self) -> dict:
        return {"card": torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu", "cuda": torch.version.cuda}

    def profile(self, n: int) -> dict:
        """Busy seconds of the device in n steps, and seconds from its first to its last work."""
        activity = torch.profiler.ProfilerActivity
        with torch.profiler.profile(activities=[activity.CUDA if DEVICE == "cuda" else activity.CPU]) as profile:
            self.steps(n)
        wanted = torch.autograd.DeviceType.CUDA if DEVICE == "cuda" else torch.autograd.DeviceType.CPU
        ranges = [event.time_range for event in profile.events() if event.device_type == wanted]
        covered, span = busy((place.start, place.end) for place in ranges)
        return {"busy_s": covered / 1e6, "span_s": span / 1e6}


if __name__ == "__main__":
    serve(GpuSide)
