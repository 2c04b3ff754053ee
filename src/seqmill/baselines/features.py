"""Features of a baseline: what its kind counts in the sequence, and every other input as it is."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqmill.baselines.control import control_at_bins, control_totals
from seqmill.baselines.motif_scores import MotifScores
from seqmill.baselines.words import (
    Grid,
    bin_grid,
    cell_counts,
    gapped_patterns,
    kmer_patterns,
    number_words,
    sums_around,
    word_index,
)
from seqmill.config.baselines import Baseline
from seqmill.formats.motifs import read_motifs
from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import crop_margin, cropped

MAX_FEATURES = 10_000
TOKENS = 50_000_000  # words that are looked up at a time
_LOG_MB = math.log(1e6)
_BASES = number_words(kmer_patterns(1, 2), False)  # A, C, G, T, then AA to TT


def gc_features(counts: np.ndarray) -> np.ndarray:
    """GC fraction, CpG count, and CpG observed / expected.

    Parameters
    ----------
    counts : float32 (..., 20), of A, C, G, T and then of the 16 pairs.

    Returns
    -------
    float32 (..., 3). Observed / expected is CpGs · bases / (Cs · Gs), as Gardiner-Garden & Frommer (1987) Journal of
    Molecular Biology 196:261; 0 where there is nothing to divide by.
    """
    a, c, g, t = np.moveaxis(counts[..., :4].astype(np.float64), -1, 0)
    cpg, bases = counts[..., 4 + 6], a + c + g + t
    fraction = (c + g) / np.maximum(bases, 1)
    return np.stack([fraction, cpg, cpg * bases / np.maximum(c * g, 1)], axis=-1).astype(np.float32)


class Features:
    """Turns stored inputs into a feature matrix.

    Parameters
    ----------
    inputs : specs of the dataset's inputs. baseline : its section. both_strands : merge reverse complements.
    context_bp : sequence on each side of a bin, rounded up to whole bins and cut off at the window's ends.
    central_bp : the middle of the sequence that is used where a target has no bins; all if None.

    Sequences give what the kind of the baseline says. Other inputs enter too, but with 'gc', which is the confounder
    alone: states of neighbours −1, 0 (missing) or 1; distances log(1 + bp) / log(1 Mb); others (features, genotypes) as
    they are; a control (a profile) its total in the window, or its mean in each bin. Lengths are left out.

    Raises InputError when there would be more than `MAX_FEATURES` columns or nothing to count in.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        baseline: Baseline,
        both_strands: bool,
        *,
        context_bp: int = 0,
        central_bp: int | None = None,
    ):
        self.context_bp, self.central_bp = context_bp, central_bp
        self.kind, self.where = baseline.kind, f"{baseline.kind} baseline"
        self.sequences = {name: spec for name, spec in inputs.items() if spec.kind == "sequence"}
        others = {n: s for n, s in inputs.items() if s.kind not in ("sequence", "length") and self.kind != "gc"}
        self.controls = {n: s for n, s in others.items() if s.kind == "profile"}
        self.others = {n: s for n, s in others.items() if n not in self.controls}
        if not self.sequences and self.kind != "kmer":
            raise InputError(self.where, f"needs a sequence; the inputs are {', '.join(inputs)}")
        self.inputs = {**self.sequences, **self.others, **self.controls}
        self.keys = [f"inputs/{name}" for name in self.inputs]
        self.letters, self.positions = baseline.letters, baseline.positions
        self.words = _BASES
        if self.kind == "gapped_kmer":
            self.words = number_words(gapped_patterns(baseline.word_bp, self.letters[1]), both_strands)
        elif self.kind == "kmer":
            self.words = number_words(kmer_patterns(*self.letters), both_strands)
        self.motifs = MotifScores(read_motifs(baseline.motifs), both_strands) if baseline.motifs else None
        self.width = sum(self._columns(spec) for spec in self.sequences.values())
        self.width += sum(math.prod(spec.shape_per_example) for spec in self.others.values())
        self.width += sum(spec.shape_per_example[-1] for spec in self.controls.values())
        if self.width > MAX_FEATURES:
            smaller = {"pwm": "fewer motifs", "gapped_kmer": "a smaller k or word_bp"}.get(self.kind, "a smaller k")
            raise InputError(self.where, f"{self.width:,} features; at most {MAX_FEATURES:,} ({smaller}?)")

    def _columns(self, spec: Any) -> int:
        if self.motifs:
            return self.motifs.width
        bp = spec.shape_per_example[0] - 2 * spec.margin_bp
        bp = min(bp, self.central_bp or bp)
        if self.kind == "onehot":
            return sum(4**k * max(0, bp - k + 1) for k in range(self.letters[0], self.letters[1] + 1))
        return 3 if self.kind == "gc" else self.words.width + (4 * bp if self.positions else 0)

    def block_examples(self, bp: int, cells: int, most_bytes: int) -> int:
        """Examples to turn into features at a time, for windows of ``bp`` with ``cells`` bins or 1."""
        columns = max(self.width, self.words.width)
        words = len(self.words.patterns) * max(bp, 1)
        return max(1, min(1024, most_bytes // (8 * columns * cells), TOKENS // words))

    def whole(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Features of whole examples, float32 (n, width)."""
        parts = [self._whole(crop_margin(batch[f"inputs/{n}"], s)) for n, s in self.sequences.items()]
        parts += [_plain(batch[f"inputs/{n}"], s) for n, s in self.others.items()]
        parts += [control_totals(crop_margin(batch[f"inputs/{n}"], s)) for n, s in self.controls.items()]
        return np.concatenate(parts, axis=1)

    def _whole(self, codes: np.ndarray) -> np.ndarray:
        bp = codes.shape[1]
        if self.central_bp is not None and self.central_bp < bp:
            first = (bp - self.central_bp) // 2
            codes = codes[:, first : first + self.central_bp]
        if self.motifs:
            return self.motifs.whole(codes)
        if self.kind == "onehot":
            return _onehot(codes, *self.letters)
        counts = cell_counts(codes, self.words, np.zeros(codes.shape[1], np.int64), 1)[:, 0]
        if self.positions:
            return np.concatenate([counts, _onehot(codes, 1, 1)], axis=1)
        return gc_features(counts) if self.kind == "gc" else counts

    def binned(self, batch: Mapping[str, np.ndarray], spec: Any) -> np.ndarray:
        """Features of each bin of a target (its spec without margin) and around it, float32 (n, bins, width)."""
        if len(self.sequences) != 1 or self.others:
            found = f"needs one sequence, at most a control; found {', '.join(self.inputs)}"
            raise InputError(self.where, f"target {spec.name!r} has bins: {found}")
        if self.kind == "onehot" or self.positions:
            raise InputError(self.where, f"target {spec.name!r} has bins: places in the window say nothing of them")
        (name,) = self.sequences
        codes = crop_margin(batch[f"inputs/{name}"], self.sequences[name])
        parts = [self._near_bins(codes, bin_grid(spec, codes.shape[1]))]
        for key, control in self.controls.items():
            parts.append(control_at_bins(crop_margin(batch[f"inputs/{key}"], control), cropped(control), spec))
        return np.concatenate(parts, axis=2) if self.controls else parts[0]

    def _near_bins(self, codes: np.ndarray, grid: Grid) -> np.ndarray:
        if self.motifs:
            return self.motifs.around(codes, grid, self.context_bp)
        counts = sums_around(cell_counts(codes, self.words, grid.cell, grid.cells), grid, self.context_bp)
        return gc_features(counts) if self.kind == "gc" else counts


def _plain(x: np.ndarray, spec: Any) -> np.ndarray:
    if spec.kind == "states":
        x = np.where(x == 0, -1, np.where(x == 1, 1, 0))
    elif spec.kind == "distances":
        x = np.log1p(x.astype(np.float32)) / np.float32(_LOG_MB)
    return x.astype(np.float32).reshape(len(x), -1)


def _onehot(codes: np.ndarray, min_k: int, k: int) -> np.ndarray:
    """Which word of ``min_k`` to ``k`` letters begins at each base, float32 (n, columns); none where it holds an N."""
    parts = []
    for letters in range(min_k, k + 1):
        index = word_index(codes, tuple(range(letters)))
        parts.append((index[:, :, None] == np.arange(4**letters)).reshape(len(codes), -1))
    return np.concatenate(parts, axis=1).astype(np.float32)
