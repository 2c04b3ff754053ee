"""The programs that follow edits: one for each width of windows, shared by runs that differ in numbers alone."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmill.effects.local.program import LocalProgram
from seqmill.effects.local.trace import Flat, trace

CACHED_BYTES = 5_000_000
"""Largest array of a batch on a CPU: what is read again soon should lie in its caches."""
DEVICE_BYTES = 500_000_000
"""The same on an accelerator."""
MOST_EDITS, FEWEST_EDITS = 192, 4
NEAR_BP = 16
"""Edits of different sequences that go together begin so near each other."""
_LOG = logging.getLogger("seqmill")
Reduce = Callable[[Mapping[str, Any]], Any]


class Programs:
    """Programs of an ensemble and what the weights of its runs are to them.

    Parameters
    ----------
    ensemble : `seqmill.effects.ensemble.Ensemble`. reduce : from predictions to a pytree of arrays (example, ...).

    Attributes
    ----------
    usable : whether the network has layers that an edit changes in part.
    """

    def __init__(self, ensemble: Any, reduce: Reduce):
        self.ensemble, self._reduce = ensemble, reduce
        self._flats: dict[str, tuple[Flat, Any]] = {}
        self._programs: dict[tuple[str, int, bool], LocalProgram] = {}
        self._weights: dict[Any, Any] = {}
        self.usable = hasattr(ensemble, "function") and not ensemble.reads_length
        if self.usable:
            program = self.get(0, 1)
            self.usable = program.needs.followed > 0
            if not self.usable:
                _LOG.info("no layer of %s sees only a part of the sequence: all are predicted whole", self)
            elif program.whole_from:
                _LOG.info("edits are followed through %s up to operation %s, then whole", self, program.whole_from)

    def __str__(self) -> str:
        return str(self.ensemble.infos[0]["name"])

    def get(self, run: int, width: int, many: bool = False) -> LocalProgram:
        """The program for windows of ``width``, of one sequence or of many."""
        predict, variables, same = self.ensemble.function(run)
        if same not in self._flats:

            def kept(variables: Any, inputs: Mapping[str, Any]) -> Any:
                return self._reduce(predict(variables, inputs))

            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), variables)
            inputs = {"sequence": jax.ShapeDtypeStruct((1, self.ensemble.extent_bp), jnp.uint8)}
            self._flats[same] = trace(kept, shapes, inputs)
        key = same, width, many
        if key not in self._programs:
            traced = self._flats[same]
            held = LocalProgram(traced, width=width, span=1, edits=1).needs.widest * 4
            room = CACHED_BYTES if jax.default_backend() == "cpu" else DEVICE_BYTES
            edits = int(np.clip(room // held, FEWEST_EDITS, MOST_EDITS))
            span = NEAR_BP if many else edits // 3 + 1 if width == 1 else edits
            self._programs[key] = LocalProgram(traced, width=width, span=span, edits=edits, many=many)
        return self._programs[key]

    def variables(self, run: int, program: LocalProgram, device: Any) -> tuple[Any, Any]:
        """Variables of a run, and what the program needs of them, on a device."""
        key = run, id(program), device
        if key not in self._weights:
            variables = jax.device_put(self.ensemble.function(run)[1], device)
            self._weights[key] = variables, program.weights(variables)
        return self._weights[key]

    def differ(self, name: str, off: float, allowed: float) -> None:
        """Say that both ways differ."""
        _LOG.warning(
            "the fast way differs from whole predictions of %s by %.3g (target %s, at most %.3g expected): "
            "all sequences are predicted whole", self, off, name, allowed,
        )  # fmt: skip


def difference(mine: np.ndarray, expected: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Largest difference of changes, and what rounding may explain given the values that were subtracted."""
    allowed = 1e-3 * np.abs(expected).max(initial=0) + 1e-5 * (1 + np.abs(values).max(initial=0))
    return float(np.abs(mine - expected).max(initial=0)), float(allowed)
