"""The PyTorch side of bench_loader.py: a DataLoader, in a process of its own.

Reads one JSON command a line and answers with one JSON line. The readers of files (pysam, pyBigWig, h5py) and NumPy are
those of seqmill's environment, PyTorch comes from its own (requirements.txt beside this file): the first argument is
the folder of its packages.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

sys.path.append(sys.argv[1])

import torch
from answers import serve
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

TABLE = np.full(256, 4, np.uint8)
TABLE[np.frombuffer(b"ACGT", np.uint8)] = range(4)
Example = dict[str, np.ndarray]


class Windows(Dataset):
    """Base codes from FASTA, and the signal of the centre from bigWig, 0 where there is none."""

    def __init__(self, fasta: str, bigwig: str, starts: str, window_bp: int, profile_bp: int):
        self.paths, self.starts = (fasta, bigwig), np.load(starts)
        self.window_bp, self.profile_bp = window_bp, profile_bp
        self.opened_by = 0

    def __len__(self) -> int:
        return len(self.starts)

    def _open(self) -> tuple[Any, Any]:
        if self.opened_by != os.getpid():  # each worker opens its own
            import pyBigWig
            import pysam

            self.opened_by = os.getpid()
            self.files = pysam.FastaFile(self.paths[0]), pyBigWig.open(self.paths[1])
        return self.files

    def example(self, row: int) -> Example:
        fasta, bigwig = self._open()
        start = int(self.starts[row])
        codes = TABLE[np.frombuffer(fasta.fetch("chr1", start, start + self.window_bp).encode(), np.uint8)]
        low = start + (self.window_bp - self.profile_bp) // 2
        values = bigwig.values("chr1", low, low + self.profile_bp, numpy=True)
        np.copyto(values, 0, where=np.isnan(values))
        return {"inputs/sequence": codes, "targets/profile": values.astype(np.float32)[:, None]}

    def batch(self, rows: list[int]) -> Example:
        examples = [self.example(row) for row in rows]
        return {key: np.stack([example[key] for example in examples]) for key in examples[0]}


class Rows(Dataset):
    """Random rows of an HDF5 file."""

    def __init__(self, path: str):
        import h5py

        self.path, self.opened_by = path, 0
        with h5py.File(path, "r") as file:
            self.keys = list(file.attrs["keys"])
            self.n = len(file[self.keys[0]])

    def __len__(self) -> int:
        return self.n

    def _open(self) -> Any:
        if self.opened_by != os.getpid():
            import h5py

            self.opened_by, file = os.getpid(), h5py.File(self.path, "r")
            self.arrays = {key: file[key] for key in self.keys}
        return self.arrays

    def example(self, row: int) -> Example:
        return {key: array[row] for key, array in self._open().items()}

    def batch(self, rows: list[int]) -> Example:
        """One selection for each array; h5py wants increasing rows."""
        order = np.argsort(rows)
        wanted = np.asarray(rows)[order]
        place = np.argsort(order)
        return {key: array[wanted][place] for key, array in self._open().items()}


class ByBatch(Dataset):
    """Whole batches are fetched at once."""

    def __init__(self, source: Windows | Rows):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        return {key: torch.from_numpy(array) for key, array in self.source.batch(rows).items()}


class ByExample(Dataset):
    """Examples one by one, joined by PyTorch."""

    def __init__(self, source: Windows | Rows):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> Example:
        return self.source.example(row)


class Side:
    def __init__(self) -> None:
        self.facts = {"torch": torch.__version__}
        self.sources: dict[str, Windows | Rows] = {}
        self.batches: Iterator[Any] | None = None

    def windows(self, name: str, **places: Any) -> None:
        self.sources[name] = Windows(**places)

    def rows(self, name: str, path: str) -> None:
        self.sources[name] = Rows(path)

    def examples(self, name: str, rows: list[int], out: str) -> None:
        np.savez(out, **self.sources[name].batch(rows))

    def start(self, name: str, fetch: str, workers: int, batch_size: int) -> None:
        """A shuffled DataLoader; workers start before any timing and stay."""
        torch.set_num_threads(max(1, workers))
        more = {"num_workers": workers}
        if workers:
            more |= {"persistent_workers": True, "prefetch_factor": 4}
        source = self.sources[name]
        if fetch == "batch":
            data = ByBatch(source)
            sampler = BatchSampler(RandomSampler(data), batch_size, drop_last=True)
            self.loader = DataLoader(data, batch_size=None, sampler=sampler, **more)
        else:
            self.loader = DataLoader(ByExample(source), batch_size=batch_size, shuffle=True, drop_last=True, **more)
        self.batch_size, self.batches = batch_size, None
        self.serve(4 * max(1, workers))

    def serve(self, n: int) -> dict[str, float]:
        """Seconds of the next ``n`` batches; passes follow each other."""
        begin = time.perf_counter()
        done = 0
        while done < n:
            if self.batches is None:
                self.batches = iter(self.loader)
            for _ in self.batches:
                done += 1
                if done == n:
                    break
            else:
                self.batches = None
        return {"seconds": time.perf_counter() - begin, "examples": n * self.batch_size}


if __name__ == "__main__":
    serve(Side)
