"""Examples served by the training loader against examples made from the source files, one window after another.

Two kinds: windows of 2,114 bp with a profile (peer: pysam and pyBigWig), and Basset-like rows of 600 bp with 164 labels
(peer: pysam on a FASTA and a tabixed BED file). The loader delivers full batches, decoded and mixed in seeded order,
through the thread that works one batch ahead, as training takes them; the peers go along the genome, which suits them
best. Files are in the page cache on both sides.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import numpy as np
from common import write_result
from simulated_datasets import (
    BASSET_BP,
    BASSET_TRACKS,
    PROFILE_BP,
    WINDOW_BP,
    basset_dataset,
    profile_dataset,
)

GOAL_RATE, GOAL_BASSET, GOAL_WINDOWS = 300_000, 10, 5
TABLE = np.full(256, 4, np.uint8)
TABLE[np.frombuffer(b"ACGT", np.uint8)] = range(4)
Batch = dict[str, np.ndarray]


def loader(dataset: Path, batch_size: int, seed: int) -> Iterator[Batch]:
    """Training batches of run 0, one ahead in a thread."""
    from seqmill.stores.dataset import DatasetReader
    from seqmill.stores.parts import folds_of
    from seqmill.training.loader import ahead, training_batches
    from seqmill.training.order import make_streams

    reader = DatasetReader(dataset)
    streams = make_streams(
        reader.parts, folds_of(reader, "0", "train"), pools=None, batch_size=batch_size, chunk=reader.chunk_examples
    )
    return ahead(training_batches(reader, streams, targets=list(reader.targets), seed=seed), lambda batch: batch)


def serve(dataset: Path, batch_size: int, examples: int, seed: int) -> float:
    """Examples a second from the opened loader's first batch on, reading ahead included."""
    start = time.perf_counter()
    batches = loader(dataset, batch_size, seed)
    for _ in range(examples // batch_size):
        next(batches)
    seconds = time.perf_counter() - start
    batches.close()
    return examples // batch_size * batch_size / seconds


def codes_of(text: str) -> np.ndarray:
    return TABLE[np.frombuffer(text.encode(), np.uint8)]


class WindowPeer:
    """pysam and pyBigWig: codes of 2,114 bp and the signal of the central 1,000 bp, 0 where there is none."""

    def __init__(self, fasta: Path, bigwig: Path):
        import pyBigWig
        import pysam

        self.fasta, self.bigwig = pysam.FastaFile(str(fasta)), pyBigWig.open(str(bigwig))
        self.shapes = {"inputs/sequence": ((WINDOW_BP,), np.uint8), "targets/profile": ((PROFILE_BP, 1), np.float32)}

    def put(self, batch: Batch, at: int, start: int) -> None:
        batch["inputs/sequence"][at] = codes_of(self.fasta.fetch("chr1", start, start + WINDOW_BP))
        low = start + (WINDOW_BP - PROFILE_BP) // 2
        values = self.bigwig.values("chr1", low, low + PROFILE_BP, numpy=True)
        np.copyto(values, 0, where=np.isnan(values))
        batch["targets/profile"][at, :, 0] = values


class BassetPeer:
    """pysam alone: codes of 600 bp, and labels of the window in the BED file."""

    def __init__(self, fasta: Path, bed: Path):
        import pysam

        self.fasta, self.bed = pysam.FastaFile(str(fasta)), pysam.TabixFile(str(bed))
        self.shapes = {"inputs/sequence": ((BASSET_BP,), np.uint8), "targets/peaks": ((BASSET_TRACKS,), np.uint8)}

    def put(self, batch: Batch, at: int, start: int) -> None:
        batch["inputs/sequence"][at] = codes_of(self.fasta.fetch("chr1", start, start + BASSET_BP))
        batch["targets/peaks"][at] = 0
        for line in self.bed.fetch("chr1", start, start + BASSET_BP):
            batch["targets/peaks"][at, list(map(int, line.rsplit("\t", 1)[1].split(",")))] = 1


def by_window(peer: WindowPeer | BassetPeer, starts: np.ndarray, batch_size: int) -> float:
    """Examples a second of the peer, in batches of preallocated arrays."""
    batch = {key: np.empty((batch_size, *shape), dtype) for key, (shape, dtype) in peer.shapes.items()}
    begin = time.perf_counter()
    for number, start in enumerate(starts.tolist()):
        peer.put(batch, number % batch_size, start)
    return len(starts) / (time.perf_counter() - begin)


def check_equal(dataset: Path, peer: WindowPeer | BassetPeer, rows: np.ndarray, batch_size: int) -> int:
    """Stop unless the loader's first batches are what the peer makes of the same windows; values compared."""
    batches, compared = loader(dataset, batch_size, 0), 0
    for _ in range(3):
        batch = next(batches)
        same = {key: np.empty((batch_size, *shape), dtype) for key, (shape, dtype) in peer.shapes.items()}
        for at, row in enumerate(batch["row"].tolist()):
            peer.put(same, at, int(rows[row]))
        for key, expected in same.items():
            np.testing.assert_array_equal(batch[key], expected)
            compared += expected.size
    batches.close()
    return compared


def turns(sides: dict[str, Callable[[int], float]], repeats: int) -> dict[str, list[float]]:
    """Rates of the sides, in turns; the first turn warms up and is not counted."""
    rates: dict[str, list[float]] = {key: [] for key in sides}
    for turn in range(repeats + 1):
        for key in sides if turn % 2 == 0 else reversed(sides):
            rate = sides[key](turn)
            if turn:
                rates[key].append(round(rate, 1))
    return rates


def row(case: str, rates: dict[str, list[float]], over: str, under: str | None, goal: float, unit: str, **more) -> dict:
    value = median(rates[over]) / (median(rates[under]) if under else 1)
    print(f"{case}: {value:,.1f} {unit} (goal {goal:,})", flush=True)
    return {"case": case, "value": value, "unit": unit, "goal": goal, "reached": value >= goal,
            "examples_per_s": rates, **more}  # fmt: skip


def windows(folder: Path, mb: int, repeats: int) -> list[dict]:
    from seqmill.stores.dataset import DatasetReader

    dataset, fasta, bigwig = profile_dataset(folder, mb * 1_000_000)
    reader = DatasetReader(dataset)
    starts = reader.rows()["start"].to_numpy()
    peer, batch_size = WindowPeer(fasta, bigwig), 64
    compared = check_equal(dataset, peer, starts, batch_size)
    picks = np.sort(starts)[:4000]
    served = 2 * len(starts) // batch_size * batch_size
    mask = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(mask)})
    rates = turns(
        {"ours": lambda turn: serve(dataset, batch_size, served, turn),
         "pyBigWig + pysam": lambda turn: by_window(peer, picks, batch_size)}, repeats,
    )  # fmt: skip
    os.sched_setaffinity(0, mask)
    more = {"examples": len(starts), "batch_size": batch_size, "served_a_turn": served, "values_compared": compared}
    size = sum(path.stat().st_size for path in dataset.rglob("*") if path.is_file())
    return [
        row("windows of 2,114 bp, sequence and profile, one core", rates, "ours", "pyBigWig + pysam", GOAL_WINDOWS,
            "x", threads=1, dataset_bytes=size, **more)
    ]  # fmt: skip


def basset(folder: Path, n: int, repeats: int) -> list[dict]:
    from seqmill.stores.dataset import DatasetReader

    dataset, fasta, bed = basset_dataset(folder, n)
    reader = DatasetReader(dataset)
    starts = reader.rows()["start"].to_numpy()
    peer, batch_size = BassetPeer(fasta, bed), 128
    compared = check_equal(dataset, peer, starts, batch_size)
    density = float(reader.read("targets/peaks", 0, 20_000).mean())
    picks = np.sort(starts)[:10_000]
    mask = os.sched_getaffinity(0)
    served = 2 * n
    size = sum(path.stat().st_size for path in dataset.rglob("*") if path.is_file())
    more = {"examples": n, "label_density": density, "batch_size": batch_size, "served_a_turn": served,
            "dataset_bytes": size, "values_compared": compared}  # fmt: skip
    both = turns({"ours": lambda turn: serve(dataset, batch_size, served, turn)}, repeats)
    os.sched_setaffinity(0, {max(mask)})
    single = turns(
        {"ours": lambda turn: serve(dataset, batch_size, served, turn),
         "FASTA + tabix": lambda turn: by_window(peer, picks, batch_size)}, repeats,
    )  # fmt: skip
    os.sched_setaffinity(0, mask)
    return [
        row("Basset-like, delivered", both, "ours", None, GOAL_RATE, "examples/s", threads=len(mask), **more),
        row("Basset-like against FASTA + tabixed BED, one core", single, "ours", "FASTA + tabix", GOAL_BASSET, "x",
            threads=1, **more),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=300_000, help="Basset-like examples")
    parser.add_argument("--mb", type=int, default=40, help="megabases of the genome of the 2,114-bp windows")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seqmill-dataset-") as folder:
        rows = windows(Path(folder).resolve(), options.mb, options.repeats)
    with tempfile.TemporaryDirectory(prefix="seqmill-dataset-") as folder:
        rows += basset(Path(folder).resolve(), options.examples, options.repeats)
    write_result(
        "dataset", min(r["value"] / r["goal"] for r in rows), "x of its goal, worst row",
        "windows >= 5x pyBigWig + pysam; Basset-like >= 300,000 examples/s and >= 10x FASTA + tabixed BED",
        len(rows) * options.repeats, rows, load=os.getloadavg(),
    )  # fmt: skip
    if not all(r["reached"] for r in rows):
        print("not reached: " + "; ".join(r["case"] for r in rows if not r["reached"]))


if __name__ == "__main__":
    main()
