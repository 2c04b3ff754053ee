"""Our side of bench_gpu.py: step_ours.py in float32 or bfloat16, profiled, and what the device can do at most.

Called with the number of threads and the device, "gpu" or "cpu".
"""

import tempfile
import time
from math import prod
from pathlib import Path
from typing import Any

import step_ours  # chooses the device before jax is imported

# isort: split
import jax
import jax.numpy as jnp
from peers.answers import serve
from peers.busy import busy

_PRODUCTS = 20


def operations(jaxpr: Any) -> float:
    """Multiplications and additions of a program's convolutions and matrix products, as it is written.

    Of the compiled program they could not be told: on GPUs these are calls of libraries. Zeros that pad a convolution
    count as other numbers.
    """
    total = 0.0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * prod(equation.outvars[0].aval.shape) * prod(left[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel, of = equation.invars[1].aval.shape, equation.params["dimension_numbers"].rhs_spec
            taps = prod(kernel) // kernel[of[0]]  # of one output: all but the axis of output channels
            total += 2 * prod(equation.outvars[0].aval.shape) * taps
        inner = [getattr(part, "jaxpr", part) for value in equation.params.values() for part in jax.tree.leaves(value)]
        times = equation.params["length"] if equation.primitive.name == "scan" else 1
        total += times * sum(operations(part) for part in inner if hasattr(part, "eqns"))
    return total


class GpuSide(step_ours.Side):
    """One network at a time, in one precision."""

    def check(self) -> dict[str, float]:
        self.precision = "float32"
        with jax.default_matmul_precision("highest"):  # no TF32 where gradients are compared
            return super().check()

    def build(self, precision: str = "float32") -> dict[str, float]:
        """The step, and its operations."""
        self.precision = precision
        super().build()
        return {"flops": operations(jax.make_jaxpr(self.step)(self.state, self.on_device, self.key).jaxpr)}

    def profile(self, n: int) -> dict[str, float]:
        """Busy seconds of the device (kernels and copies) in n steps, and seconds from its first to its last work."""
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                self.steps(n)
            (path,) = Path(folder).rglob("*.xplane.pb")
            planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
        # A GPU's plane has a line for each of its streams; the CPU's, one for each thread of XLA.
        plane_name, line_name = ("/device:GPU:", "Stream") if step_ours.DEVICE == "gpu" else ("/host:CPU", "tf_XLA")
        lines = [line for plane in planes if plane.name.startswith(plane_name) for line in plane.lines]
        events = [event for line in lines if line.name.startswith(line_name) for event in line.events]
        covered, span = busy((event.start_ns, event.start_ns + event.duration_ns) for event in events)
        return {"busy_s": covered / 1e9, "span_s": span / 1e9}

    def ceiling(self, size: int) -> dict[str, float]:
        """Operations a second of products of two bfloat16 matrices (size, size), the best of five runs."""
        matrix = (jax.random.normal(jax.random.key(0), (size, size)) / size**0.5).astype(jnp.bfloat16)
        run = jax.jit(lambda x: jax.lax.fori_loop(0, _PRODUCTS, lambda _, y: y @ x, x))
        run(matrix).block_until_ready()
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            run(matrix).block_until_ready()
            seconds.append(time.perf_counter() - start)
        return {"flops_per_s": 2 * size**3 * _PRODUCTS / min(seconds)}


if __name__ == "__main__":
    serve(GpuSide)
