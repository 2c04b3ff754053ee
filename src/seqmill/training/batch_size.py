"""The largest batch whose step fits into the memory, asked of the compiler before the run.

XLA plans all buffers of a step when it compiles it, so nothing has to be run, and nothing to fail, to know its need.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmill.config.models import Training
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.files import atomic_write
from seqmill.runtime.marker import seal, unseal
from seqmill.runtime.memory import host_memory_bytes
from seqmill.runtime.progress import human_bytes

WHERE = "training.batch_size"
_CHOSEN = "batch_size.json"


def device_memory_bytes() -> int:
    """Memory that this process may fill on one device; on a CPU an equal share of the machine's for each device."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit is None and device.platform != "cpu":
        raise InputError(
            WHERE, f"'auto' needs to know the memory of the device, which {device.device_kind} does not say"
        )
    return limit or host_memory_bytes() // jax.local_device_count()


def step_bytes(objective: Any, params: Any, rest: Any, batch: Mapping[str, Any]) -> int:
    """Memory that a training on batches like ``batch`` needs at once on its device.

    Arguments, results and temporary arrays of the compiled step, the batch that waits for the next one, and two more
    copies of what is learned (the best so far, the first until a state is saved).

    Parameters
    ----------
    params, rest, batch : arrays or their shapes; nothing is computed.
    """
    key = jax.random.key(0)
    state = jax.eval_shape(objective.init, params, rest)
    step = jax.jit(lambda s, b, n: objective.step(s, b, jax.random.fold_in(key, n)), donate_argnums=0)
    plan = step.lower(state, batch, jax.ShapeDtypeStruct((), np.uint32)).compile().memory_analysis()
    if plan is None:
        raise InputError(WHERE, "'auto' needs the compiler's memory plan, which this device does not give")
    step_needs = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return step_needs - plan.alias_size_in_bytes + 2 * _bytes((state.params, state.rest)) + _bytes(batch)


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def shapes_of_batch(reader: Any, keys: Sequence[str], rows: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the arrays ``keys`` ("inputs/<name>", ...) of a batch of a dataset."""
    shapes = {}
    for key in keys:
        role, _, name = key.partition("/")
        spec = reader.inputs[name] if role == "inputs" else reader.targets[name]
        dtype = bool if role == "mask" else spec.dtype
        shapes[key] = jax.ShapeDtypeStruct((rows, *spec.shape_per_example), np.dtype(dtype))
    return shapes


def first_size(training: Training) -> int:
    """The batch size, or for ``auto`` one with which the training rows can be looked at before it is known."""
    if training.batch_size != "auto":
        return training.batch_size
    return max(1, training.max_batch_size // training.lanes) * training.lanes


def sizes(training: Training, devices: int, rows: int) -> list[int]:
    """Sizes to choose from: powers of two, times what the batch has to be a multiple of.

    Parameters
    ----------
    devices : that a batch is dealt to. rows : of the training part; a batch is no larger.

    Raises InputError if there is none.
    """
    unit, most = math.lcm(training.accumulate * devices, training.lanes), min(training.max_batch_size, rows)
    found = [unit * 2**power for power in range(64) if unit * 2**power <= most]
    if not found:
        raise InputError(
            WHERE,
            f"'auto' has no size to choose: a multiple of {unit} (accumulate × devices, lanes), at most {most} "
            "(max_batch_size, training rows)",
        )
    return found


def largest(candidates: Sequence[int], needs: Callable[[int], int | None], limit: int) -> tuple[int, int] | None:
    """The largest of ascending candidates whose need is within ``limit``, and that need; None if none is.

    A need of None is too large as well. The largest is tried first, the others by bisection: a larger one needs more.
    """
    best: tuple[int, int] | None = None
    low, high, middle = 0, len(candidates), len(candidates) - 1
    while low < high:
        need = needs(candidates[middle])
        if need is not None and need <= limit:
            best, low = (candidates[middle], need), middle + 1
        else:
            high = middle
        middle = (low + high) // 2
    return best


def fitting_batch_size(
    objective: Any,
    params: Any,
    rest: Any,
    *,
    training: Training,
    rows: int,
    reader: Any,
    keys: Sequence[str],
    label: str,
) -> int:
    """The batch size that ``auto`` stands for.

    Parameters
    ----------
    objective : as it will be trained; each device is taken to hold its whole state.
    rows : of the training part. reader, keys : dataset and the arrays of its batches.

    Raises
    ------
    InputError
        Not even the smallest batch fits, there are several processes, or the device does not tell its memory.
    """
    if jax.process_count() > 1:
        raise InputError(WHERE, "'auto' is for one process, several could choose differently; give a number")
    limit = int(training.memory_fraction * device_memory_bytes())
    wanted = jax.local_device_count() if training.devices == "all" else training.devices
    devices = max(1, wanted // training.sequence_shards)
    log = logging.getLogger("seqmill")

    def needs(size: int) -> int | None:
        try:
            need = step_bytes(objective, params, rest, shapes_of_batch(reader, keys, size // devices))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return None
        log.debug("%s: a batch of %d needs %s", label, size, human_bytes(need))
        return need

    candidates = sizes(training, devices, rows)
    found = largest(candidates, needs, limit)
    if found is None:
        raise InputError(
            WHERE,
            f"'auto' found no size: a batch of {candidates[0]} does not fit into {human_bytes(limit)} "
            f"({training.memory_fraction:.0%} of the memory); precision: bfloat16, a smaller network or a shorter "
            "window need less",
        )
    size, need = found
    log.info(
        "%s: batch_size %d chosen; its step needs %s of %s (%s of the memory)",
        label, size, human_bytes(need), human_bytes(limit), f"{training.memory_fraction:.0%}",
    )  # fmt: skip
    return size


def kept_batch_size(folder: Path, key: Mapping[str, Any], choose: Callable[[], int]) -> int:
    """The size that was chosen when the run with this key began, else that of ``choose``.

    A training that goes on must keep its size, also on a machine with more or less memory.

    Parameters
    ----------
    folder : where the training keeps its state (`seqmill.training.checkpoint.resume_folder`).
    key : all that decides the bits of the run but the size, JSON values.
    """
    path, key = folder / _CHOSEN, json.loads(json.dumps(key))
    try:
        body = unseal(path) if path.exists() else {}
    except DamageError:
        body = {}
    if body.get("key") == key:
        return int(body["batch_size"])
    size = choose()
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(path, seal({"key": key, "batch_size": size}))
    return size
