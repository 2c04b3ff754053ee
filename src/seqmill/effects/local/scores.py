"""Scores of edited sequences by the runs of an ensemble, each from the layers' windows that its edit changes."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from seqmill.effects.local.program import LocalProgram
from seqmill.effects.local.programs import Programs, Reduce, difference

CHECKED = 12
"""Edits of the first sequence that are also predicted whole, to see that both ways agree."""


class LocalScores:
    """Exact changes of scores, at a fraction of the work of whole predictions.

    Parameters
    ----------
    ensemble : `seqmill.effects.ensemble.Ensemble`. reduce : from predictions to scores (example, track), by target.

    Attributes
    ----------
    usable : whether the network has layers that an edit changes in part. For others, and once a difference between
        both ways is found, predict whole sequences.
    """

    def __init__(self, ensemble: Any, reduce: Reduce):
        self.ensemble, self._reduce = ensemble, reduce
        self.programs = Programs(ensemble, reduce)
        self._last: tuple[int, bytes] | None = None
        self._references: dict[Any, Any] = {}
        self._checked: set[int] = set()
        self.usable = self.programs.usable

    def changes(
        self, run: int, codes: np.ndarray, sequences: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What sequences change against one that they are edits of.

        Parameters
        ----------
        run : number of the run. codes : uint8 (extent_bp,). sequences : uint8 (n, extent_bp).

        Returns
        -------
        Scores of ``codes``, float32 (track,) by target, and the scores of each sequence minus those, (n, track).
        """
        first, width = changed_windows(codes, sequences)
        whole = width > len(codes) // 4
        if not whole.all() and run not in self._checked:
            self._check(run, codes, sequences[~whole], first[~whole], width[~whole])
        if not self.usable:
            whole[:] = True
        devices = jax.local_devices()
        reference, _ = self._reference(run, self.programs.get(run, 1), codes, devices[0])
        scores = {name: np.asarray(x[0], np.float32) for name, x in reference.items()}
        out = {name: np.zeros((len(sequences), len(x)), np.float32) for name, x in scores.items()}
        waiting: deque[tuple[np.ndarray, Any]] = deque()

        def fetch() -> None:
            rows, found = waiting.popleft()
            for name, x in found.items():
                out[name][rows] = np.asarray(x)[: len(rows)]

        for number, (rows, program) in enumerate(self._batches(run, first, width, ~whole & (width > 0))):
            device = devices[number % len(devices)]
            waiting.append((rows, self._start(run, program, codes, sequences[rows], first[rows], device)))
            while len(waiting) > 2 * len(devices):  # devices work on while finished batches are fetched
                fetch()
        while waiting:
            fetch()
        if whole.any():
            together = np.concatenate([codes[None], sequences[whole]])
            (values,) = self.ensemble.apply(together, self._reduce, [run])
            for name, x in values.items():
                out[name][whole] = x[1:] - x[0]
        return scores, out

    def _batches(
        self, run: int, first: np.ndarray, width: np.ndarray, chosen: np.ndarray
    ) -> Iterator[tuple[np.ndarray, LocalProgram]]:
        """Rows that go together: windows of one class of widths, near each other."""
        rows = np.flatnonzero(chosen)
        classes = 4 ** np.ceil(np.log2(np.maximum(width, 1)) / 2).astype(int)  # each is compiled once
        for size in np.unique(classes[rows]):
            program = self.programs.get(run, int(min(size, self.ensemble.extent_bp)))
            mine = rows[classes[rows] == size]
            mine = mine[np.argsort(first[mine], kind="stable")]
            at = 0
            while at < len(mine):
                near = np.searchsorted(first[mine[at:]], first[mine[at]] + program.span, side="right")
                stop = at + min(int(near), program.edits)
                yield mine[at:stop], program
                at = stop

    def _reference(self, run: int, program: LocalProgram, codes: np.ndarray, device: Any) -> tuple[Any, Any]:
        """Scores of the unedited sequence (1, track), and what edits need of its layers; those of the last sequence are
        kept."""
        same = run, codes.tobytes()
        if self._last != same:
            self._last = same
            self._references.clear()
        key = id(program), device
        if key not in self._references:
            variables, _ = self.programs.variables(run, program, device)
            self._references[key] = program.reference(variables, {"sequence": jax.device_put(codes[None], device)})
        return self._references[key]

    def _start(
        self, run: int, program: LocalProgram, codes: np.ndarray, sequences: np.ndarray, first: np.ndarray, device: Any
    ) -> Any:
        """Changes by one batch, which is filled up with its last edit, under way on a device."""
        _, weights = self.programs.variables(run, program, device)
        _, kept = self._reference(run, program, codes, device)
        filled = np.minimum(np.arange(program.edits), len(first) - 1)
        starts = np.minimum(first, len(codes) - program.width)[filled].astype(np.int32)
        values = sequences[filled[:, None], starts[:, None] + np.arange(program.width)]
        return program.effects(weights, kept, None, *jax.device_put((starts, values), device))

    def _check(self, run: int, codes: np.ndarray, sequences: np.ndarray, first: np.ndarray, width: np.ndarray) -> None:
        """Compare some edits with whole predictions; from then on predict whole if they differ."""
        self._checked.add(run)
        if not self.usable:
            return
        rows = np.unique(np.linspace(0, len(sequences) - 1, CHECKED).astype(int))
        _, mine = self.changes(run, codes, sequences[rows])
        (values,) = self.ensemble.apply(np.concatenate([codes[None], sequences[rows]]), self._reduce, [run])
        for name, x in values.items():
            off, allowed = difference(mine[name], x[1:] - x[0], x)
            if not off <= allowed:
                self.usable = False
                self.programs.differ(name, off, allowed)


def changed_windows(codes: np.ndarray, sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First position that differs from ``codes`` (bp,), 0-based, and the positions up to the last, of each sequence.

    Returns
    -------
    int64 (n,) both; 0 and 0 where nothing differs.
    """
    differs = sequences != codes
    first = differs.argmax(axis=1)
    last = differs.shape[1] - differs[:, ::-1].argmax(axis=1)
    any_of = differs.any(axis=1)
    return np.where(any_of, first, 0), np.where(any_of, last - first, 0)
