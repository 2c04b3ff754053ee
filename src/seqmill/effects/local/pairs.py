"""Predictions of pairs of sequences, the second of which is an edit of the first, as the alleles of variants are.

The first one of each pair is predicted whole and the second one followed from it, so that a pair costs little more than
one prediction.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from seqmill.effects.local.program import LocalProgram
from seqmill.effects.local.programs import Programs, Reduce, difference
from seqmill.effects.local.scores import CHECKED, changed_windows


class LocalPairs:
    """What an ensemble makes of pairs of sequences.

    Parameters
    ----------
    ensemble : `seqmill.effects.ensemble.Ensemble`. reduce : from predictions to a pytree of arrays (example, ...).
    """

    def __init__(self, ensemble: Any, reduce: Reduce):
        self.ensemble, self._reduce = ensemble, reduce
        self.programs = Programs(ensemble, reduce)
        self.usable = self.programs.usable
        self._checked: set[int] = set()

    def predict(self, run: int, codes: np.ndarray, ref: np.ndarray, alt: np.ndarray) -> Any:
        """Predictions of all sequences by one run.

        Parameters
        ----------
        codes : uint8 (n, extent_bp). ref, alt : int (pairs,), numbers of their sequences; each sequence is in a pair.

        Returns
        -------
        The pytree of ``reduce`` with NumPy arrays (n, ...).
        """
        if not self.usable:
            return self._whole(run, codes)
        first, width = changed_windows(codes[ref], codes[alt])
        wide = np.isin(ref, ref[width > codes.shape[1] // 4])  # with all that is compared with the same sequence
        followed = ~wide & ~np.isin(ref, alt)
        if run not in self._checked and followed.any():
            self._check(run, codes, ref[followed], alt[followed], first[followed], width[followed])
            if not self.usable:
                return self._whole(run, codes)
        found: list[np.ndarray] = []
        structure: Any = None

        def put(rows: np.ndarray, part: Any) -> None:
            nonlocal structure
            leaves, structure = jax.tree.flatten(part)
            if not found:
                found.extend(np.empty((len(codes), *np.shape(x)[1:]), np.asarray(x).dtype) for x in leaves)
            for whole, x in zip(found, leaves):
                whole[rows] = np.asarray(x)

        devices = jax.local_devices()
        waiting: deque[tuple[np.ndarray, Any]] = deque()

        def fetch() -> None:
            pairs, (refs, rows, outputs, change) = waiting.popleft()
            before = jax.tree.map(np.asarray, outputs)
            put(refs, jax.tree.map(lambda x: x[: len(refs)], before))
            put(alt[pairs], jax.tree.map(lambda x, by: x[rows] + np.asarray(by)[: len(rows)], before, change))

        for number, (pairs, program) in enumerate(self._batches(run, first, width, ref, followed)):
            device = devices[number % len(devices)]
            started = self._start(run, program, codes, ref[pairs], alt[pairs], first[pairs], device)
            waiting.append((pairs, started))
            if len(waiting) == len(devices):  # one batch each: what a batch keeps of all layers is large
                fetch()
        while waiting:
            fetch()
        rest = np.unique(np.concatenate([ref[~followed], alt[~followed]]))
        if len(rest):
            put(rest, self._whole(run, codes[rest]))
        return jax.tree.unflatten(structure, found)

    def _whole(self, run: int, codes: np.ndarray) -> Any:
        (kept,) = self.ensemble.apply(codes, self._reduce, [run])
        return kept

    def _batches(
        self, run: int, first: np.ndarray, width: np.ndarray, ref: np.ndarray, chosen: np.ndarray
    ) -> Iterator[tuple[np.ndarray, LocalProgram]]:
        """Pairs that go together: windows of one class of widths that begin near each other."""
        rows = np.flatnonzero(chosen)
        classes = 4 ** np.ceil(np.log2(np.maximum(width, 1)) / 2).astype(int)
        for size in np.unique(classes[rows]):
            program = self.programs.get(run, int(min(size, self.ensemble.extent_bp)), many=True)
            mine = rows[classes[rows] == size]
            mine = mine[np.lexsort((ref[mine], first[mine]))]
            at = 0
            while at < len(mine):
                near = np.searchsorted(first[mine[at:]], first[mine[at]] + program.span, side="right")
                stop = at + min(int(near), program.edits)
                yield mine[at:stop], program
                at = stop

    def _start(
        self,
        run: int,
        program: LocalProgram,
        codes: np.ndarray,
        ref: np.ndarray,
        alt: np.ndarray,
        first: np.ndarray,
        device: Any,
    ) -> tuple[np.ndarray, np.ndarray, Any, Any]:
        """Numbers of the first sequences of some pairs and which of them each pair has; predictions of these, and the
        change by each second one, both filled up and under way on a device."""
        variables, weights = self.programs.variables(run, program, device)
        refs, rows = np.unique(ref, return_inverse=True)
        place = np.arange(program.edits)  # batches are filled up with their last pair
        shown = codes[refs[np.minimum(place, len(refs) - 1)]]
        outputs, kept = program.reference(variables, {"sequence": jax.device_put(shown, device)})
        filled = np.minimum(place, len(first) - 1)
        starts = np.minimum(first, codes.shape[1] - program.width)[filled].astype(np.int32)
        values = codes[alt[filled][:, None], starts[:, None] + np.arange(program.width)]
        change = program.effects(
            weights, kept, *jax.device_put((rows[filled].astype(np.int32), starts, values), device)
        )
        return refs, rows, outputs, change

    def _check(
        self, run: int, codes: np.ndarray, ref: np.ndarray, alt: np.ndarray, first: np.ndarray, width: np.ndarray
    ) -> None:
        """Compare some pairs with whole predictions; from then on predict whole if they differ."""
        self._checked.add(run)
        some = np.unique(np.linspace(0, len(ref) - 1, CHECKED).astype(int))
        numbers, inverse = np.unique(np.concatenate([ref[some], alt[some]]), return_inverse=True)
        ref, alt = inverse[: len(some)], inverse[len(some) :]
        mine = self.predict(run, codes[numbers], ref, alt)
        expected = self._whole(run, codes[numbers])
        for path, x in jax.tree_util.tree_leaves_with_path(expected):
            y = dict(jax.tree_util.tree_leaves_with_path(mine))[path]
            off, allowed = difference(y[alt] - y[ref], x[alt] - x[ref], x)
            if not off <= allowed:
                self.usable = False
                self.programs.differ(jax.tree_util.keystr(path), off, allowed)
                return
