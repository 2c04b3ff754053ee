"""In-silico mutagenesis: what every edit of one base does to the scores of a network, run by run.

Edits keep the length of the window. A substitution changes nothing else. A deletion takes a base out and an insertion
puts one in front of a position; what then moves by one base is the part of the window between the edit and the
*nearer* end of the window, so that most of it, and its centre, stay where they are. The base that a deletion lets in at
that end is the next one of the sequence outside; the base that an insertion pushes out there is lost.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqmill.effects.local.scores import LocalScores
from seqmill.effects.measures import check_targets, scores
from seqmill.genome.sequence import dinucleotide_shuffle
from seqmill.runtime.progress import Progress
from seqmill.stores.genome import N_CODE
from seqmill.stores.maps import EDITS, shapes
from seqmill.stores.specs import track_names

BLOCK_BYTES = 64_000_000
"""Edited sequences, or their scores, that are held at once."""
NONE = len(EDITS)
"""Number of the edit that changes nothing; the others are their place in `EDITS`."""


@dataclass(frozen=True)
class Stretch:
    """Positions of one window to edit, and the runs to ask.

    Attributes
    ----------
    codes : uint8 (extent_bp + 2,), A0 C1 G2 T3 N4: what the network is shown, with one more base on each side.
    first, last : edited positions, 0-based and half-open, counted from the first base that the network is shown.
    runs : numbers of the runs.
    """

    codes: np.ndarray
    first: int
    last: int
    runs: tuple[int, ...] = (0,)


@dataclass
class Effects:
    """What was found for one stretch.

    Attributes
    ----------
    runs : numbers of the runs, in the order of the first axis of all arrays.
    reference : target -> float32 (runs, tracks), scores of the unedited sequence.
    changes : "{edit}/{target}" -> float32 (runs, positions, base, tracks), for deletions without base: score of the
        edited minus that of the unedited sequence. 0 for the base that is there, NaN at N.
    """

    runs: tuple[int, ...]
    reference: dict[str, np.ndarray] = field(default_factory=dict)
    changes: dict[str, np.ndarray] = field(default_factory=dict)

    def mean(self, path: str) -> np.ndarray:
        """Mean of a change over the runs, float32."""
        return self.changes[path].mean(axis=0, dtype=np.float64).astype(np.float32)

    def spread(self, path: str) -> np.ndarray:
        """Standard deviation of a change over the runs (of the population: 0 for one run), float32."""
        return self.changes[path].std(axis=0, dtype=np.float64).astype(np.float32)


def list_edits(codes: np.ndarray, edits: Sequence[str]) -> np.ndarray:
    """All edits of a sequence, after one that changes nothing.

    Parameters
    ----------
    codes : uint8 (positions,). edits : some of `EDITS`.

    Returns
    -------
    int32 (n, 3): number of the kind of edit, position, new base. There are none at N.
    """
    at = np.flatnonzero(codes < N_CODE)
    tables = [np.array([[NONE, 0, 0]])]
    for edit in edits:
        bases = np.arange(4) if edit != "deletions" else np.zeros(1, np.int64)
        position, base = np.repeat(at, len(bases)), np.tile(bases, len(at))
        table = np.stack([np.full(len(position), EDITS.index(edit)), position, base], axis=1)
        tables.append(table[base != codes[position]] if edit == "substitutions" else table)
    return np.concatenate(tables).astype(np.int32)


def edited(codes: np.ndarray, edits: np.ndarray) -> np.ndarray:
    """Sequences with one edit each, see the module.

    Parameters
    ----------
    codes : uint8 (bp + 2,), the sequence with one more base on each side.
    edits : int32 (n, 3) of `list_edits`, positions counted from the first base of the sequence.

    Returns
    -------
    uint8 (n, bp).
    """
    bp = len(codes) - 2
    out = np.repeat(codes[None, 1:-1], len(edits), axis=0)
    kind, position, base = edits.T
    changed = np.flatnonzero(kind == EDITS.index("substitutions"))
    out[changed, position[changed]] = base[changed]
    for row in np.flatnonzero(kind == EDITS.index("deletions")):
        at = position[row]
        if 2 * at < bp:  # out of codes, whose places are one higher: what was left of the base moves right
            out[row, : at + 1] = codes[: at + 1]
        else:
            out[row, at:] = codes[at + 2 :]
    for row in np.flatnonzero(kind == EDITS.index("insertions")):
        at = position[row]
        if 2 * at >= bp:
            out[row, at + 1 :] = codes[at + 1 : -2]
            out[row, at] = base[row]
        elif at:  # in front of the very first base it would be pushed out at once
            out[row, : at - 1] = codes[2 : at + 1]
            out[row, at - 1] = base[row]
    return out


def embedded(
    element: np.ndarray, extent_bp: int, count: int, rng: np.random.Generator, runs: Sequence[int] = (0,)
) -> list[Stretch]:
    """A sequence without a place on a genome, in the middle of random backgrounds.

    A background is the element, repeated until it is long enough, with its dinucleotides shuffled
    (`seqmill.genome.sequence.dinucleotide_shuffle`). Average the effects over the backgrounds.

    Parameters
    ----------
    element : uint8 (bp,), at most ``extent_bp``. extent_bp : of the ensemble. count : backgrounds.

    Returns
    -------
    ``count`` stretches whose edited positions are the element.
    """
    if not 0 < len(element) <= extent_bp:
        raise ValueError(f"an element of {len(element)} bp for windows of {extent_bp} bp")
    first = (extent_bp - len(element)) // 2
    source = np.resize(element, extent_bp + 2)
    found = []
    for _ in range(count):
        codes = dinucleotide_shuffle(source, rng)
        codes[1 + first : 1 + first + len(element)] = element
        found.append(Stretch(codes, first, first + len(element), tuple(runs)))
    return found


class _Open:
    """A stretch under way: its edits, how many are done, and what was found."""

    def __init__(self, stretch: Stretch, edits: Sequence[str], specs: dict[str, Any]):
        self.stretch, self.done = stretch, 0
        inner = stretch.codes[1 + stretch.first : 1 + stretch.last]
        self.edits = list_edits(inner, edits)
        self.effects = Effects(stretch.runs)
        self.effects.reference = {
            name: np.zeros((len(stretch.runs), len(track_names(spec))), np.float32) for name, spec in specs.items()
        }
        known = np.flatnonzero(inner < N_CODE)
        for path, shape in shapes(len(inner), edits, specs).items():
            change = np.full((len(stretch.runs), *shape), np.nan, np.float32)
            if path.startswith("substitutions/"):
                change[:, known, inner[known]] = 0
            self.effects.changes[path] = change

    def sequences(self, start: int, stop: int) -> np.ndarray:
        moved = self.edits[start:stop] + np.array([0, self.stretch.first, 0], np.int32)
        return edited(self.stretch.codes, moved)

    def take_changes(
        self, run: int, start: int, stop: int, scores: dict[str, np.ndarray], changes: dict[str, np.ndarray]
    ) -> None:
        """Put the changes of edits ``start`` to ``stop`` by one run in their places."""
        place, (kind, position, base) = self.stretch.runs.index(run), self.edits[start:stop].T
        for name, change in changes.items():
            self.effects.reference[name][place] = scores[name]
            for number, edit in enumerate(EDITS):
                rows = kind == number
                if rows.any():
                    into = self.effects.changes[f"{edit}/{name}"][place]
                    where = (position[rows],) if edit == "deletions" else (position[rows], base[rows])
                    into[where] = change[rows]

    def take(self, run: int, start: int, stop: int, found: dict[str, np.ndarray]) -> None:
        """Put the scores of edits ``start`` to ``stop`` by one run in their places."""
        place = self.stretch.runs.index(run)
        for name, values in found.items():
            if start == 0:
                self.effects.reference[name][place] = values[0]
        scores = {name: self.effects.reference[name][place].copy() for name in found}
        self.take_changes(run, start, stop, scores, {name: x - scores[name] for name, x in found.items()})


class Mutagenesis:
    """Effects of edits on the scores of an ensemble.

    Parameters
    ----------
    ensemble : `seqmill.effects.ensemble.Ensemble`.
    targets : to score; all if None. edits : some of `EDITS`.
    local : follow each edit through the parts of layers that it changes (`seqmill.effects.local`), where the network
        allows it; else every edit gets a prediction of its own. Both ways give the same numbers but for rounding.

    Raises
    ------
    InputError
        A target is unknown or has no score.
    """

    def __init__(
        self,
        ensemble: Any,
        targets: Sequence[str] | None = None,
        edits: Sequence[str] = EDITS[:1],
        where: str = "",
        *,
        local: bool = True,
    ):
        self.ensemble, self.edits = ensemble, list(edits)
        names = check_targets(ensemble.targets, targets, where or str(ensemble.folders[0]))
        self.specs = {name: ensemble.targets[name] for name in names}
        self._reduce = scores(self.specs, names)
        width = sum(len(track_names(spec)) for spec in self.specs.values())
        batches = BLOCK_BYTES // (max(ensemble.extent_bp, 4 * width) * ensemble.batch_size)
        self._block = max(1, batches) * ensemble.batch_size
        self._local = LocalScores(ensemble, self._reduce) if local else None

    def effects(self, stretches: Iterable[Stretch], progress: Progress | None = None) -> Iterator[Effects]:
        """Effects of all edits of each stretch, in their order.

        Several stretches share batches, so that no batch but the last is partly empty. Memory holds one block of
        sequences and what was found for the stretches that lie in it.

        Parameters
        ----------
        stretches : see `Stretch`. progress : counts edited positions (bp).
        """
        if self._local is not None and self._local.usable:
            yield from self._followed(self._local, stretches, progress)
            return
        waiting: deque[_Open] = deque()
        pieces: list[tuple[_Open, int, int]] = []
        room = self._block
        for stretch in stretches:
            self._check(stretch)
            one, at = _Open(stretch, self.edits, self.specs), 0
            waiting.append(one)
            while at < len(one.edits):
                take = min(room, len(one.edits) - at)
                pieces.append((one, at, at + take))
                at, room = at + take, room - take
                if not room:
                    self._score(pieces, progress)
                    pieces, room = [], self._block
                    while waiting and waiting[0].done == len(waiting[0].edits):
                        yield waiting.popleft().effects
        if pieces:
            self._score(pieces, progress)
        while waiting:
            yield waiting.popleft().effects

    def _followed(
        self, local: LocalScores, stretches: Iterable[Stretch], progress: Progress | None
    ) -> Iterator[Effects]:
        """Effects of each stretch for itself, from the windows that its edits change."""
        for stretch in stretches:
            self._check(stretch)
            one = _Open(stretch, self.edits, self.specs)
            for start in range(0, len(one.edits), self._block):
                stop = min(start + self._block, len(one.edits))
                sequences = one.sequences(start, stop)
                for run in stretch.runs:
                    one.take_changes(run, start, stop, *local.changes(run, stretch.codes[1:-1], sequences))
                self._count(one, start, stop, progress)
            yield one.effects

    def _check(self, stretch: Stretch) -> None:
        bp = self.ensemble.extent_bp
        if stretch.codes.shape != (bp + 2,) or not 0 <= stretch.first < stretch.last <= bp or not stretch.runs:
            raise ValueError(
                f"positions {stretch.first} to {stretch.last} of {stretch.codes.shape} bases for {stretch.runs}, the "
                f"network is shown {bp}"
            )

    def _score(self, pieces: Sequence[tuple[_Open, int, int]], progress: Progress | None) -> None:
        sequences = [one.sequences(start, stop) for one, start, stop in pieces]
        for run in sorted({run for one, _, _ in pieces for run in one.stretch.runs}):
            mine = [number for number, (one, _, _) in enumerate(pieces) if run in one.stretch.runs]
            (found,) = self.ensemble.apply(np.concatenate([sequences[i] for i in mine]), self._reduce, [run])
            at = 0
            for one, start, stop in (pieces[i] for i in mine):
                part = {name: values[at : at + stop - start] for name, values in found.items()}
                one.take(run, start, stop, part)
                at += stop - start
        for one, start, stop in pieces:
            one.done = stop
            self._count(one, start, stop, progress)

    @staticmethod
    def _count(one: _Open, start: int, stop: int, progress: Progress | None) -> None:
        if progress is not None:
            progress.add((stop - start) / len(one.edits) * (one.stretch.last - one.stretch.first))
