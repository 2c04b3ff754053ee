"""Simulated files for timing: signal as runs of about 25 bp, as real coverage has them, and random genomes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

MEAN_RUN_BP = 25
RUNS_AT_ONCE = 1 << 20


def signal_runs(size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Runs of 1 to 49 bp with gamma-distributed values, every tenth without data: starts, ends, values in pieces."""
    rng = np.random.default_rng(seed)
    at = 0
    while at < size:
        ends = at + np.cumsum(rng.integers(1, 2 * MEAN_RUN_BP, RUNS_AT_ONCE))
        ends = np.minimum(ends, size)
        starts = np.concatenate([[at], ends[:-1]])
        at = int(ends[-1])
        keep = (rng.random(len(starts)) > 0.1) & (ends > starts)
        values = rng.gamma(1.0, 2.0, len(starts))
        yield starts[keep], ends[keep], values[keep]


def write_bigwig(path: Path, sizes: Mapping[str, int], seed: int = 0) -> Path:
    """A bigWig of `signal_runs` on every contig, written by pyBigWig."""
    import pyBigWig

    with pyBigWig.open(str(path), "w") as out:
        out.addHeader(list(sizes.items()))
        for number, (contig, size) in enumerate(sizes.items()):
            for starts, ends, values in signal_runs(size, seed + number):
                out.addEntries([contig] * len(starts), starts.tolist(), ends=ends.tolist(), values=values.tolist())
    return path


def write_fasta(path: Path, sizes: Mapping[str, int], seed: int = 0) -> Path:
    """Contigs of independent, equally likely bases, in lines of 100, with their ``.fai``."""
    import pysam

    rng = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with open(path, "wb") as out:
        for contig, size in sizes.items():
            out.write(f">{contig}\n".encode())
            for first in range(0, size, 10_000_000):
                bases = letters[rng.integers(0, 4, min(10_000_000, size - first), np.uint8)]
                whole = len(bases) // 100 * 100
                lines = np.full((whole // 100, 101), ord("\n"), np.uint8)
                lines[:, :100] = bases[:whole].reshape(-1, 100)
                out.write(lines.tobytes())
                if whole < len(bases):
                    out.write(bases[whole:].tobytes() + b"\n")
    pysam.faidx(str(path))
    return path


def write_genome(folder: Path, sizes: Mapping[str, int], seed: int = 0) -> Path:
    """FASTA ``sim.fa`` and genome store ``sim.zarr`` in ``folder``; returns the store."""
    from seqmill.config.sources import Genome
    from seqmill.stores.genome import build_genome

    fasta = write_fasta(folder / "sim.fa", sizes, seed)
    build_genome(folder / "sim.zarr", name="sim", genome=Genome(fasta=fasta))
    return folder / "sim.zarr"
