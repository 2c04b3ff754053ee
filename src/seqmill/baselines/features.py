"""Features of a linear baseline: k-mer counts of sequences, and every other input as it is."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from seqmill.runtime.errors import InputError
from seqmill.stores.geometry import crop_margin

MAX_FEATURES = 10_000
# Sequence on each side of a bin that its k-mer counts cover, besides the bin itself.
CONTEXT_BP = 256
_LOG_MB = math.log(1e6)


def kmer_index(codes: np.ndarray, k: int) -> np.ndarray:
    """Number of the k-mer that starts at each base, first base most significant; -1 where it holds an N.

    Parameters
    ----------
    codes : uint8 (n, bp), A0 C1 G2 T3, 4 and above N.

    Returns
    -------
    int32 (n, bp - k + 1).
    """
    width = max(0, codes.shape[1] - k + 1)
    index = np.zeros((len(codes), width), np.int32)
    unknown = np.zeros(index.shape, bool)
    for offset in range(k):
        part = codes[:, offset : offset + width]
        index = index * 4 + part
        unknown |= part > 3
    index[unknown] = -1
    return index


@cache
def kmer_columns(k: int, both_strands: bool) -> tuple[np.ndarray, int]:
    """Feature column of each k-mer number, and the number of columns.

    With ``both_strands`` a k-mer shares the column of its reverse complement: 4^k columns become (4^k + p) / 2, where
    p = 4^(k/2) counts those that are their own for even k, 0 for odd k.
    """
    numbers = np.arange(4**k, dtype=np.int64)
    if not both_strands:
        return numbers.astype(np.int32), 4**k
    reverse, rest = np.zeros_like(numbers), numbers.copy()
    for _ in range(k):
        reverse = reverse * 4 + (3 - rest % 4)
        rest //= 4
    _, columns = np.unique(np.minimum(numbers, reverse), return_inverse=True)
    return columns.astype(np.int32), int(columns.max()) + 1


def _count(cells: np.ndarray, columns: np.ndarray, known: np.ndarray, n_cells: int, n_columns: int) -> np.ndarray:
    flat = cells[known].astype(np.int64) * n_columns + columns[known]
    return np.bincount(flat, minlength=n_cells * n_columns).astype(np.float32).reshape(n_cells, n_columns)


def kmer_counts(codes: np.ndarray, k: int, both_strands: bool) -> np.ndarray:
    """Counts of k-mers without N in each sequence; float32 (n, columns). ``codes`` as in `kmer_index`."""
    table, width = kmer_columns(k, both_strands)
    index = kmer_index(codes, k)
    rows = np.broadcast_to(np.arange(len(codes))[:, None], index.shape)
    return _count(rows, table[index], index >= 0, len(codes), width)


def local_kmer_counts(codes: np.ndarray, k: int, both_strands: bool, spec: Any) -> np.ndarray:
    """Counts of the k-mers that start in or near each bin of a target.

    Parameters
    ----------
    codes : window without margin, (n, bp).
    spec : of the target without margin: ``shape_per_example[0]`` bins of ``bp_per_bin`` from ``offset_bp`` on.

    Returns
    -------
    float32 (n, bins, columns): the bin and whole bins for at least `CONTEXT_BP` on each side, inside the window.
    """
    table, width = kmer_columns(k, both_strands)
    bins, bin_bp = spec.shape_per_example[0], spec.bp_per_bin
    index = kmer_index(codes, k)
    before = -(-spec.offset_bp // bin_bp)  # bins of the grid left of the target's first, the outermost cut off
    cell = (np.arange(index.shape[1]) - spec.offset_bp) // bin_bp + before
    cells = max(int(cell[-1]) + 1, before + bins)
    place = np.arange(len(codes))[:, None] * cells + cell[None, :]
    counts = _count(place, table[index], index >= 0, len(codes) * cells, width).reshape(len(codes), cells, width)
    total = np.concatenate([np.zeros_like(counts[:, :1]), np.cumsum(counts, axis=1)], axis=1)
    reach = -(-CONTEXT_BP // bin_bp)
    first = np.arange(before, before + bins)
    return total[:, np.minimum(first + reach + 1, cells)] - total[:, np.maximum(first - reach, 0)]


class Features:
    """Turns stored inputs into a feature matrix.

    Parameters
    ----------
    inputs : specs of the dataset's inputs. k : length of k-mers. both_strands : merge reverse complements.

    Sequences give k-mer counts; states of neighbours −1, 0 (missing) or 1; distances log(1 + bp) / log(1 Mb); lengths
    are left out; others (features, genotypes) enter as they are.

    Raises InputError when there would be more than `MAX_FEATURES` columns.
    """

    def __init__(self, inputs: Mapping[str, Any], k: int, both_strands: bool):
        self.inputs = {name: spec for name, spec in inputs.items() if spec.kind != "length"}
        self.k, self.both_strands = k, both_strands
        self.keys = [f"inputs/{name}" for name in self.inputs]
        self.sequences = [name for name, spec in self.inputs.items() if spec.kind == "sequence"]
        columns = kmer_columns(k, both_strands)[1] if self.sequences else 0
        self.width = sum(
            columns if spec.kind == "sequence" else math.prod(spec.shape_per_example) for spec in self.inputs.values()
        )
        if self.width > MAX_FEATURES:
            raise InputError("kmer baseline", f"{self.width:,} features; at most {MAX_FEATURES:,} (a smaller k?)")

    def whole(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Features of whole examples, float32 (n, width)."""
        return np.concatenate([self._one(name, batch[f"inputs/{name}"]) for name in self.inputs], axis=1)

    def _one(self, name: str, x: np.ndarray) -> np.ndarray:
        spec = self.inputs[name]
        if spec.kind == "sequence":
            return kmer_counts(crop_margin(x, spec), self.k, self.both_strands)
        if spec.kind == "states":
            x = np.where(x == 0, -1, np.where(x == 1, 1, 0))
        elif spec.kind == "distances":
            x = np.log1p(x.astype(np.float32)) / np.float32(_LOG_MB)
        return x.astype(np.float32).reshape(len(x), -1)

    def binned(self, batch: Mapping[str, np.ndarray], spec: Any) -> np.ndarray:
        """Local k-mer counts at each bin of a target, float32 (n, bins, width); needs one sequence input."""
        if len(self.sequences) != 1 or len(self.inputs) != 1:
            raise InputError("kmer baseline", f"target {spec.name!r} has bins: needs one sequence, no other input")
        name = self.sequences[0]
        codes = crop_margin(batch[f"inputs/{name}"], self.inputs[name])
        return local_kmer_counts(codes, self.k, self.both_strands, spec)
