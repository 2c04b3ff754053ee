"""The toy genomes, peaks and signals of the tests of genome windows."""

from pathlib import Path

import numpy as np
from tests.unit.example_worlds import World, random_peaks, random_sequence, random_signal

from seqmill.config.datasets import Dataset

SIZES = {f"chr{i}": 6_000 + 130 * i for i in range(1, 5)}
CODES = {"A": 0, "C": 1, "G": 2, "T": 3}
SPLIT = {"kind": "chromosomes", "test": ["chr4"], "valid": ["chr3"]}


def make_world(folder: Path) -> World:
    """Two toy genomes with peaks and signal of every option."""
    rng = np.random.default_rng(11)
    world = World(folder)
    texts = {contig: random_sequence(rng, size) for contig, size in SIZES.items()}
    texts["chr1"] = texts["chr1"][:2000] + "N" * 500 + texts["chr1"][2500:]
    world.genome("toy", texts)
    world.genome("other", {"chr1": random_sequence(rng, 3_000), "X": random_sequence(rng, 4_000)})
    for name in ("p0", "p1", "p2"):
        world.add_peaks(name, random_peaks(rng, SIZES, 6))
    world.add_peaks("q", random_peaks(rng, {"chr1": 3_000, "X": 4_000}, 5), assembly="other")
    options = {
        "plus": {
            "bin_bp": 16,
            "strand": "+",
            "strand_pair": "minus",
            "transform": "sqrt",
            "clip_soft": 1.2,
            "scale": 3,
        },
        "minus": {"bin_bp": 16, "strand": "-", "strand_pair": "plus", "sign": "flip", "clip": 2.0},
        "fine": {"bin_bp": 1, "aggregate": "sum"},
        "highest": {"bin_bp": 8, "aggregate": "max", "transform": "log1p"},
        "methylation": {"bin_bp": 32, "missing": "nan"},
    }
    for name, columns in options.items():
        signal = random_signal(rng, {c: s for c, s in SIZES.items() if c != "chr2" or name != "highest"})
        if name == "minus":
            signal = {c: [(s, e, -v) for s, e, v in runs] for c, runs in signal.items()}
        world.add_signal(name, signal, **columns)
    return world


def dataset(windows, targets, **more) -> Dataset:
    return Dataset(**{"genomes": ["toy"], "windows": windows, "targets": targets, "split": SPLIT, **more})


PEAKS = {"kind": "peaks", "window_bp": 320, "tracks": "all", "label_bp": 96}
BOUND = {"bound": {"kind": "binary", "tracks": "all", "min_overlap": 0.3}}
