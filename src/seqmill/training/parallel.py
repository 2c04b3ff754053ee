"""One training on several devices: the batch is dealt to them, the parameters are on all or dealt as well.

The step is the one of a single device. Its arrays carry a sharding, and the compiler divides the work by it (Xu et al.
2021, GSPMD, arXiv 2105.04663): means over the batch, so also batch statistics and the gradient, are those of the whole
batch. Random numbers are a function of (seed, step, place in the batch), not of the device. A result differs from that
of one device by the order in which sums are rounded, and by nothing else.

Devices form a grid of two axes. "data" deals the examples; "sequence" deals the positions of long windows. With
``shard_parameters`` the large arrays of parameters and optimiser are kept in parts along "data" and put together where
a step needs them (Rajbhandari et al. 2020, ZeRO stage 3, arXiv 1910.02054).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from seqmill.config.models import Training
from seqmill.runtime.errors import InputError, SeqmillError
from seqmill.stores.geometry import positional_axes
from seqmill.training.augment import View

DATA, SEQUENCE = "data", "sequence"
SHARDED_FROM = 2**12  # numbers; smaller arrays are on every device, where they cost less than their exchange


@dataclass(frozen=True)
class Layout:
    """Where the arrays of a training lie.

    Attributes
    ----------
    mesh : devices (data, sequence); those of a process follow each other along "data".
    shard_parameters : large arrays of the state are dealt along "data", not repeated.
    """

    mesh: Mesh
    shard_parameters: bool = False

    @property
    def data(self) -> int:
        """Parts of a batch."""
        return self.mesh.shape[DATA]

    def everywhere(self) -> NamedSharding:
        return NamedSharding(self.mesh, P())

    def of_state(self, leaf: Any) -> NamedSharding:
        """Of an array of the state: dealt along its longest axis that can be, if it is large and that is asked for."""
        if self.shard_parameters and np.size(leaf) >= SHARDED_FROM:
            lengths = [length if length % self.data == 0 else 0 for length in np.shape(leaf)]
            if max(lengths):
                axis = int(np.argmax(lengths))
                return NamedSharding(self.mesh, P(*[None] * axis, DATA))
        return self.everywhere()

    def of_batch(self, spec: Any, shape: tuple[int, ...]) -> NamedSharding:
        """Of a batch's array: examples along "data", positions along "sequence" where their number can be dealt.

        Parameters
        ----------
        spec : of the stored array, None for one without positions. shape : of the array, examples first.
        """
        parts = self.mesh.shape[SEQUENCE]
        if spec is None or parts == 1:
            return NamedSharding(self.mesh, P(DATA))
        axes = [axis for axis in positional_axes(spec) if shape[axis] % parts == 0]
        return NamedSharding(self.mesh, P(DATA, *[None] * (axes[0] - 1), SEQUENCE) if axes else P(DATA))

    def place(self, tree: Any) -> Any:
        """The state on its devices. Every process has the whole state and gives the parts of its devices."""

        def one(leaf: Any) -> Array:
            value = np.asarray(leaf)
            # a copy for each device: the step takes the buffers it is given
            return jax.make_array_from_callback(value.shape, self.of_state(value), lambda part: np.array(value[part]))

        return jax.tree.map(one, tree)

    def batch(self, batch: Mapping[str, np.ndarray], view: View) -> dict[str, Any]:
        """Rows of this process to one array over all processes; "row" stays on the host."""
        placed: dict[str, Any] = {}
        for key, array in batch.items():
            role, _, name = key.partition("/")
            if role == "row":
                placed[key] = array
                continue
            spec = view.inputs.get(name) if role == "inputs" else view.targets.get(name)
            placed[key] = self.rows(array, self.of_batch(spec, array.shape))
        return placed

    def rows(self, array: np.ndarray, sharding: NamedSharding | None = None) -> Array:
        """One array over all processes from the rows of each."""
        shape = (len(array) * jax.process_count(), *array.shape[1:])
        return jax.make_array_from_process_local_data(sharding or NamedSharding(self.mesh, P(DATA)), array, shape)

    def gather(self, tree: Any) -> Any:
        """The whole state on the host, in every process; all have to call it."""

        def one(leaf: Any) -> np.ndarray:
            if isinstance(leaf, Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated:
                leaf = jax.jit(lambda x: x, out_shardings=self.everywhere())(leaf)
            return np.asarray(leaf)

        return jax.tree.map(one, tree)


def make_layout(training: Training, batch_size: int) -> Layout | None:
    """The devices that a training asks for; None for a single one, which needs nothing of this.

    Raises
    ------
    SeqmillError
        This process has fewer devices.
    InputError
        The batch cannot be dealt in equal parts, or the devices of a process not in groups of ``sequence_shards``.
    """
    local = jax.local_devices()
    wanted = len(local) if training.devices == "all" else training.devices
    if wanted > len(local):
        raise SeqmillError(
            f"training.devices is {wanted}, but this process has {len(local)} {training.device} device(s); "
            "'devices: all' takes those that are there"
        )
    if wanted * jax.process_count() == 1:
        return None
    parts = training.sequence_shards
    if wanted % parts:
        raise InputError(
            "training.sequence_shards",
            f"{parts} does not divide the {wanted} device(s) of a process (training.devices)",
        )
    devices = []
    for process in range(jax.process_count()):
        own = sorted((d for d in jax.devices() if d.process_index == process), key=lambda device: device.id)
        if len(own) < wanted:
            raise SeqmillError(f"training.devices is {wanted}, but process {process} has {len(own)} device(s)")
        devices += own[:wanted]
    data = len(devices) // parts
    if batch_size % data:
        raise InputError(
            "training.batch_size", f"{batch_size} rows cannot be dealt to {data} devices in equal parts; use a multiple"
        )
    return Layout(Mesh(np.array(devices).reshape(data, parts), (DATA, SEQUENCE)), training.shard_parameters)


class Parallel:
    """An objective whose state and losses lie as a layout says; all else is the objective's own.

    Parameters
    ----------
    objective : see `seqmill.training.objectives`. layout : of the training.
    """

    def __init__(self, objective: Any, layout: Layout):
        self.objective, self.layout = objective, layout

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def init(self, params: Any, rest: Any) -> Any:
        return self.layout.place(self.objective.init(params, rest))

    def _whole(self, state: Any) -> Any:
        """The state with whole parameters: the compiler puts them together where they are used."""
        if not self.layout.shard_parameters:
            return state
        return state._replace(params=self._everywhere(state.params))

    def _everywhere(self, tree: Any) -> Any:
        return jax.lax.with_sharding_constraint(tree, self.layout.everywhere())

    def step(self, state: Any, batch: Mapping[str, Array], key: Array) -> tuple[Array, Any, Any]:
        """One update, as the objective's; the new state lies as the old one."""
        loss, new, aux = self.objective.step(self._whole(state), batch, key)
        new = jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, self.layout.of_state(leaf)), new)
        return self._everywhere(loss), new, self._everywhere(aux)

    def evaluate(self, state: Any, batch: Mapping[str, Array], rows: Array) -> Any:
        """Losses of one batch, the same numbers on every device."""
        return self._everywhere(self.objective.evaluate(self._whole(state), batch, rows))


class PlacedCheckpoints:
    """Saved states of a training on several devices of one process (`seqmill.training.checkpoint.Checkpoints`).

    What is saved is whole, and does not say how it lay.
    """

    def __init__(self, checkpoints: Any, layout: Layout):
        self.checkpoints, self.layout = checkpoints, layout

    def __getattr__(self, name: str) -> Any:
        return getattr(self.checkpoints, name)

    def __enter__(self) -> "PlacedCheckpoints":
        self.checkpoints.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.checkpoints.__exit__(*error)

    def load(self, like: Any) -> Any:
        """As `Checkpoints.load`, the state on its devices."""
        found = self.checkpoints.load(like)
        return None if found is None else (self.layout.place(found[0]), found[1])
