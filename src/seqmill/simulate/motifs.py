"""The matrices of the world's grammar and instances drawn from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqmill.formats.motifs import information, read_meme

_PSEUDO = 0.001


@dataclass(frozen=True)
class Motif:
    """One JASPAR matrix. ``pwm`` is float64 (bp, 4), rows sum to 1, columns ACGT; ``matrix_id`` is JASPAR's."""

    name: str
    matrix_id: str
    pwm: np.ndarray

    @property
    def width(self) -> int:
        """Length in bp."""
        return len(self.pwm)

    @property
    def bits(self) -> np.ndarray:
        """Information of each column, float64 (bp,), see `seqmill.formats.motifs.information`."""
        return information(self.pwm)

    def scores(self, codes: np.ndarray) -> np.ndarray:
        """Log-odds score of instances, as a fraction of the best possible.

        Parameters
        ----------
        codes : uint8 (n, bp), 0 to 3.

        Returns
        -------
        float64 (n,), at most 1.
        """
        odds = np.log2((self.pwm + _PSEUDO) / (1 + 4 * _PSEUDO) / 0.25)
        return odds[np.arange(self.width), codes].sum(axis=1) / odds.max(axis=1).sum()

    def sample(self, n: int, rng: np.random.Generator, min_score: float) -> np.ndarray:
        """Draw instances column by column, keeping those whose score is at least ``min_score``.

        Returns
        -------
        uint8 (n, bp), codes 0 to 3.
        """
        cumulative = np.cumsum(self.pwm, axis=1)
        cumulative[:, -1] = 1.0
        kept: list[np.ndarray] = []
        missing = n
        while missing > 0:
            draws = rng.random((4 * missing + 64, self.width))
            codes = (draws[:, :, None] >= cumulative[None]).sum(axis=2).astype(np.uint8)
            codes = codes[self.scores(codes) >= min_score][:missing]
            kept.append(codes)
            missing -= len(codes)
        return np.concatenate(kept) if kept else np.zeros((0, self.width), np.uint8)


def load_motifs() -> dict[str, Motif]:
    """Matrices of ``motifs.meme`` by upper-case factor name, in the order of the file."""
    read = read_meme(Path(__file__).with_name("motifs.meme"))
    return {motif.alias.upper(): Motif(motif.alias.upper(), motif.name, motif.pwm) for motif in read}
