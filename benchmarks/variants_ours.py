"""Our side of the rates of variants: effects of single-base alleles whose windows lie in memory, in its own process.

Called with the number of threads. Reads one JSON command a line and answers with one JSON line, as
peers/variants_tangermeme.py does.
"""

import sys
import time
from pathlib import Path
from typing import Any

from seqmill.runtime.device import choose_device

THREADS = int(sys.argv[1])
choose_device("cpu", THREADS)

import jax
import numpy as np
from peers.answers import serve

from seqmill.config.models import Prediction
from seqmill.config.variants import VariantSet
from seqmill.effects.ensemble import Ensemble
from seqmill.effects.variants.alleles import Examiner, sequences
from seqmill.effects.variants.effects import effects_of
from seqmill.effects.variants.means import over_runs
from seqmill.effects.variants.plan import VariantPlan
from seqmill.formats.variants import open_variants
from seqmill.stores.genome import GenomeReader
from seqmill.stores.model import ModelReader

PART = 2048


class Side:
    """One network; ``scorer`` goes the way of `seqmill variants`, ``batched`` predicts all windows of both alleles."""

    def __init__(self, folder: str, network: str, vcf: str, n: int):
        self.folder, self.network = Path(folder), network
        self.model = self.folder / f"models/{network}/0.0"
        self.build(128)
        examiner = Examiner(GenomeReader(self.folder / "sim.zarr"), {"1": "chr1"}, window_bp=self.ensemble.window_bp)
        records = next(iter(open_variants(vcf).blocks(n)))
        self.windows = []
        for first in range(0, n, PART):
            alleles = examiner.alleles(records.part(first, first + PART))
            self.windows.append(sequences(examiner.genome, alleles, self.ensemble.extent_bp))
        reader = ModelReader(self.model)
        np.savez(self.folder / f"{network}.weights.npz", **reader.tensors())
        ref, alt = (np.concatenate([w.codes[getattr(w, name)] for w in self.windows]) for name in ("ref", "alt"))
        np.savez(self.folder / f"{network}.windows.npz", ref=ref, alt=alt[:, ref.shape[1] // 2])
        scales = {name: head["scaling"]["scale"] for name, head in reader.info["heads"].items()}
        self.facts = {"jax": jax.__version__, "threads": THREADS, "variants": len(ref), "scales": scales}

    def build(self, batch: int) -> None:
        self.ensemble = Ensemble([self.model], Prediction(strands="forward", batch_size=batch))
        section = VariantSet(model=self.network, file=Path("x.vcf"), effects=["diff"], runs="all")
        self.plan = VariantPlan(self.ensemble, section, "benchmark", PART, 1 << 40)

    def _part(self, way: str, number: int) -> np.ndarray:
        windows = self.windows[number]
        if way == "scorer":
            return over_runs(self.plan, windows, np.ones((1, len(windows.rows)), bool)).mean
        n = len(windows.ref)
        both = np.concatenate([windows.codes[windows.ref], windows.codes[windows.alt]])
        (kept,) = self.ensemble.apply(both, self.plan.reduce)
        return effects_of(kept, self.plan.specs, self.plan.wanted, np.arange(n), np.arange(n) + n)

    def effects(self, way: str, parts: int | None = None, keep: bool = False) -> dict[str, Any]:
        numbers = range(len(self.windows) if parts is None else min(parts, len(self.windows)))
        self._part(way, 0)  # compile
        start = time.perf_counter()
        found = [self._part(way, number) for number in numbers]
        seconds = time.perf_counter() - start
        if keep:
            np.save(self.folder / f"{self.network}.{way}.npy", np.concatenate(found))
        return {"seconds": seconds, "variants": sum(map(len, found))}


if __name__ == "__main__":
    serve(Side)
