"""What a change of a sequence does to the matches of known motifs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqmill.baselines.motif_scores import MotifScores
from seqmill.formats.motifs import Motif, read_motifs
from seqmill.runtime.errors import InputError

BATCH = 256


def named_motifs(path: str | Path, names: Sequence[str] | None) -> list[Motif]:
    """Motifs of a file by name or second name (``MOTIF M4427_1.02 CTCF``); all if ``names`` is None.

    Raises InputError for a name that no motif has.
    """
    motifs = read_motifs(path)
    if names is None:
        return motifs
    found: dict[str, Motif] = {}
    for name in names:
        same = [motif for motif in motifs if name in (motif.name, motif.alias)]
        if not same:
            shown = ", ".join(motif.name for motif in motifs[:5])
            raise InputError(path, f"no motif is called {name!r}; the first: {shown}")
        found |= {motif.name: motif for motif in same}
    return list(found.values())


class MotifChange:
    """Difference of motif matches between two sequences of one length, the mean over motifs.

    Parameters
    ----------
    motifs : their matrices. score : "best" (of the places that hold a changed base; a match elsewhere hides nothing)
        or "summed" (the log of the mean over all places of the sequence of exp(match)). Both strands are scored.
    """

    def __init__(self, motifs: Sequence[Motif], score: str):
        self.score = score
        lengths: dict[int, list[Motif]] = {}
        for motif in motifs:
            lengths.setdefault(len(motif.pwm), []).append(motif)
        self._groups = [(length, len(group), MotifScores(group, True)) for length, group in sorted(lengths.items())]
        self._count = len(motifs)

    def differences(self, ref: Sequence[np.ndarray], alt: Sequence[np.ndarray]) -> np.ndarray:
        """ALT less REF, float64 (n,); natural log of odds.

        Parameters
        ----------
        ref, alt : uint8 sequences, A0 C1 G2 T3 N4; those of one pair may differ in length only with "summed".
        """
        total = np.zeros(len(ref))
        for length, count, scores in self._groups:
            both = [self._shown(a, b, length) for a, b in zip(ref, alt)]
            total += count * self._means([b for _, b in both], scores, count)
            total -= count * self._means([a for a, _ in both], scores, count)
        return total / self._count

    def scores(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Match of whole sequences, the mean over motifs, float64 (n,)."""
        total = np.zeros(len(sequences))
        for _, count, scores in self._groups:
            total += count * self._means(sequences, scores, count)
        return total / self._count

    def _shown(self, ref: np.ndarray, alt: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The part of both sequences in which a word of ``length`` can hold a changed base."""
        if self.score == "summed" or len(ref) != len(alt):
            return ref, alt
        changed = np.flatnonzero(ref != alt)
        if not len(changed):
            return ref[:0], alt[:0]
        part = slice(max(0, int(changed[0]) - length + 1), int(changed[-1]) + length)
        return ref[part], alt[part]

    def _means(self, sequences: Sequence[np.ndarray], scores: MotifScores, count: int) -> np.ndarray:
        """Mean over the motifs of a group; sequences of one length are scored together."""
        out = np.zeros(len(sequences))
        by_length: dict[int, list[int]] = {}
        for number, codes in enumerate(sequences):
            by_length.setdefault(len(codes), []).append(number)
        which = slice(0, count) if self.score == "best" else slice(count, None)
        for length, numbers in by_length.items():
            for first in range(0, len(numbers) if length else 0, BATCH):
                rows = numbers[first : first + BATCH]
                found = scores.whole(np.stack([sequences[row] for row in rows]))
                out[rows] = found[:, which].mean(axis=1)
        return out
